"""Exercises on a real engine: truth that is narrow, runs that are disturbed, and what is left of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lab.detect.alert import read_alerts
from lab.engine.docker import DockerEngine
from lab.exercise.recorder import Result
from lab.exercise.recover import read_past
from lab.exercise.truth import Truth, read_truth
from lab.files import records
from lab.provision import apply
from lab.runs.folder import RunFolder
from lab.score.values import Score
from tests.e2e.conftest import Place
from tests.support import SAMPLES, until

pytestmark = pytest.mark.docker

INVENTORY = """\
all:
  vars: {lab_networks: {outside: {}}}
  children:
    kali: {hosts: {attacker: {lab_attach: [outside]}}}
    sshd: {hosts: {bastion: {lab_attach: [outside]}}}
    webshop: {hosts: {shop: {lab_attach: [outside]}}}
"""

STEP = "  - {{name: {name}, technique: T1082, from: {source}, revert: {revert}, {rest}}}\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, docker_engine: DockerEngine) -> Iterator[Place]:
    """A lab of an attacker and a server, for all of these tests."""
    name = f"ex-{os.getpid()}"
    found = Place(folder=tmp_path_factory.mktemp("exercise"), name=name, engine=docker_engine, environment={})
    found.write(INVENTORY)
    try:
        found.lab("up", name, timeout=900)
        yield found
    finally:
        apply.remove(name, docker_engine)


def write(place: Place, name: str, *steps: str, head: str = "benign: 0s") -> str:
    path = place.folder / f"{name}.yml"
    path.write_text(f"name: {name}\n{head}\nsteps:\n{''.join(steps)}", encoding="utf-8")
    return f"./{name}.yml"


def step(name: str, rest: str, *, source: str = "bastion", revert: str = "none") -> str:
    return STEP.format(name=name, source=source, revert=revert, rest=rest)


def last(place: Place) -> RunFolder:
    return RunFolder(max((place.folder / "runs").iterdir()))


def steps_of(run: RunFolder) -> dict[str, Truth]:
    return {it.name: it for it in read_truth(run.happened) if it.label == "attack"}


def there(place: Place, node: str, path: str) -> bool:
    return place.engine.execute(place.node(node), ("test", "-e", path)).code == 0


# -- truth -----------------------------------------------------------------------------------------


def test_a_benign_twin_of_a_step_credits_no_step(place: Place) -> None:
    """Somebody works under the same account, from the same address, while the step goes on."""
    bastion = next(iter(place.node("bastion").addresses.values()))
    over, logins = threading.Event(), []

    def work() -> None:
        argv = ("sshpass", "-p", "summer2026", "ssh", "-o", "StrictHostKeyChecking=no", f"maria@{bastion}")
        while not over.is_set():
            ran = place.engine.execute(
                place.node("attacker"), (*argv, "cat /etc/passwd >/dev/null; sleep 0.3")
            )
            logins.append(ran.code)

    name = write(
        place,
        "twin",
        step(
            "Look around",
            "ssh: {target: bastion, user: maria, password: summer2026, "
            "command: 'sleep 2; uname -a > /tmp/twin; sleep 2'}, "
            "check: {file: {node: bastion, path: /tmp/twin, owner: maria}}",
            source="attacker",
            revert="{node: bastion, user: maria, argv: [rm, -f, /tmp/twin]}",
        ),
    )
    twin = threading.Thread(target=work)
    twin.start()
    try:
        place.lab("run", name, "--lab", place.name)
    finally:
        over.set()
        twin.join()
    run = last(place)
    score = records.read(run.score, Score)
    truth = steps_of(run)["Look around"]
    during = [it for it in read_alerts(run.noticed) if truth.start <= it.first_event <= truth.end]
    theirs = {it.id for it in during if "T1087.001" in it.techniques}
    assert len(logins) >= 4
    assert set(logins) == {0}
    assert theirs
    assert theirs <= set(score.false_alerts)
    (step_score,) = score.steps
    assert not theirs & set(step_score.alerts)
    assert step_score.verdict == "technique"
    assert step_score.rules == (
        "A password log-in runs a command at once",
        "Looking around, or covering up, by a command without a terminal",
    )
    assert truth.wide == ()
    assert [it.command_line.split(" ")[0] for it in truth.started] == ["sshpass", "ssh"]


def test_a_session_that_stays_open_is_one_log_in(place: Place) -> None:
    common = "ssh: {target: bastion, user: maria, password: summer2026, session: s, command: "
    name = write(
        place,
        "session",
        step("One", common + "'echo $PPID > /tmp/one'}", source="attacker"),
        step("Two", common + "'cat /tmp/one; rm /tmp/one'}", source="attacker"),
    )
    place.lab("run", name, "--lab", place.name)
    log = (last(place).path / "raw" / "bastion" / "var/log/auth.log").read_text(encoding="utf-8")
    assert log.count("Accepted password for maria") == 1
    ports = [
        {port for it in truth.evidence for port in it.where.get("source.port", ())}
        for truth in steps_of(last(place)).values()
    ]
    assert ports[0] == ports[1] != set()
    shared = [it for truth in steps_of(last(place)).values() for it in truth.evidence]
    assert not any(it.lingers for it in shared if "source.port" in it.where)
    assert not there(place, "attacker", "/tmp/.ssh-s")


def test_every_kind_of_step_does_what_it_says(place: Place) -> None:
    opened = "check: {counter: {node: %s, counter: Tcp.PassiveOpens, at_least: %d}}"
    form = "form: {user: anna, password: wrong}"
    name = write(
        place,
        "kinds",
        step("Page", "http: {target: shop, path: /login}, register: page", source="attacker"),
        step("Form", f"http: {{target: shop, path: /login, {form}}}, register: form", source="attacker"),
        step("Gate", "http: {target: shop, path: /account}, register: gate", source="attacker"),
        step(
            "Load",
            "traffic: {target: shop, port: 80, rate: 50, seconds: 1}, " + opened % ("shop", 50),
            source="attacker",
        ),
        step(
            "Knock",
            "packet: {target: bastion, layers: [TCP: {dport: 22, sport: 4242, flags: S}]}, register: knock",
            source="attacker",
        ),
        step(
            "Ansible",
            "playbook: {tasks: [{name: Write, copy: {content: x, dest: /tmp/play}}, {command: id}]}, "
            "check: {file: {node: bastion, path: /tmp/play}}",
            revert="{node: bastion, argv: [rm, -f, /tmp/play]}",
        ),
    )
    place.lab("run", name, "--lab", place.name)
    run = last(place)
    told = steps_of(run)
    kept = {it.name: it.value for it in records.read_lines(run.happened.results, Result)}
    assert {it.status for it in told.values()} == {"ran"}
    assert (told["Load"].occurred, told["Ansible"].occurred) == (True, True)
    assert (kept["page"]["status"], kept["form"]["status"], kept["gate"]["status"]) == (200, 401, 200)
    assert kept["gate"]["hops"] == [
        "GET http://shop:80/account -> 303", "GET http://shop:80/login -> 200",
    ]  # fmt: skip
    assert kept["kept on attacker"]["http"]["cookies"].keys() == {"PHPSESSID"}
    assert "SA" in kept["knock"]["answers"][0]
    assert any(it.where.get("source.port") == (4242,) for it in told["Knock"].evidence)


def test_nothing_of_truth_is_on_a_node(place: Place) -> None:
    run = last(place)
    names = (run.path.name, *(it.step for it in read_truth(run.happened)))
    for node in place.observe().nodes:
        ran = place.engine.execute(
            node,
            ("sh", "-c", "cat /proc/[0-9]*/cmdline /var/log/*.log /tmp/* 2>/dev/null; ls -RA /tmp /root"),
        )
        text = ran.stdout.decode("utf-8", "replace")
        assert [name for name in names if name in text] == []


# -- walls -----------------------------------------------------------------------------------------

_BACK = "import socket as s; a='{backwards}'[::-1].replace('x', '.'); "

HIDDEN = {
    "arithmetic": "import socket as s; a='.'.join(str(i ^ 7) for i in {octets}); {connect}",
    "reversed": _BACK + "{connect}",
    "shifted": "import socket as s; a=''.join(chr(ord(c) - 3) for c in '{shifted}'); {connect}",
    "udp": _BACK + "u=s.socket(s.AF_INET, s.SOCK_DGRAM); u.sendto(b'x', (a, {port}))",
    "raw": _BACK + "r=s.socket(s.AF_INET, s.SOCK_RAW, 1); r.sendto(b'\\x08\\0\\xf7\\xff' + bytes(4), (a, 0))",
}


@pytest.mark.parametrize("way", HIDDEN)
def test_what_the_guard_cannot_read_the_walls_stop(way: str, place: Place) -> None:
    """Only addresses of this machine are tried, and one of them listens."""
    host = _own_address()
    with closing(socket.socket()) as listener, closing(socket.socket(type=socket.SOCK_DGRAM)) as heard:
        listener.bind((host, 0))
        listener.listen()
        listener.settimeout(1)
        heard.bind((host, listener.getsockname()[1]))
        heard.settimeout(1)
        code = HIDDEN[way].format(
            octets=[int(it) ^ 7 for it in host.split(".")],
            backwards=host.replace(".", "x")[::-1],
            shifted="".join(chr(ord(it) + 3) for it in host),
            port=listener.getsockname()[1],
            connect=f"s.create_connection((a, {listener.getsockname()[1]}), 2)",
        )
        rest = f"command: {{argv: [python3, -c, {json.dumps(code)}]}}"
        place.lab("run", write(place, "hidden", step("Out", rest, source="attacker")), "--lab", place.name)
        assert steps_of(last(place))["Out"].status == "ran"
        with pytest.raises(TimeoutError):
            listener.accept()
        with pytest.raises(TimeoutError):
            heard.recv(10)


def _own_address() -> str:
    """Return the address with which this machine meets others; nothing is sent."""
    with closing(socket.socket(type=socket.SOCK_DGRAM)) as asked:
        asked.connect(("192.0.2.1", 9))
        return str(asked.getsockname()[0])


# -- disturbed runs --------------------------------------------------------------------------------

SLOW = (
    step(
        "First", "command: {argv: [touch, /tmp/first]}", revert="{node: bastion, argv: [rm, -f, /tmp/first]}"
    ),
    step(
        "Second",
        "command: {argv: [sh, -c, 'touch /tmp/second; sleep 4']}",
        revert="{node: bastion, argv: [rm, -f, /tmp/second]}",
    ),
    step(
        "Third", "command: {argv: [touch, /tmp/third]}", revert="{node: bastion, argv: [rm, -f, /tmp/third]}"
    ),
)


def begun(place: Place) -> subprocess.Popen[str]:
    """Begin a slow run, and return when its second step is under way."""
    running = place.begin("run", write(place, "slow", *SLOW), "--lab", place.name)
    until(lambda: there(place, "bastion", "/tmp/second"), seconds=60)
    return running


def clean(place: Place) -> bool:
    return not any(there(place, "bastion", f"/tmp/{name}") for name in ("first", "second", "third"))


@pytest.mark.parametrize("command", ["resume", "clean"])
def test_a_run_that_was_killed_is_played_on_or_cleaned(command: str, place: Place) -> None:
    running = begun(place)
    running.kill()
    running.communicate()
    assert there(place, "bastion", "/tmp/first")
    place.lab(command, "--lab", place.name, code=4 if command == "resume" else 0)
    run = last(place)
    assert clean(place)
    assert read_past(run.happened).owed == ()
    attempts = [(it.name, it.attempt, it.status) for it in read_truth(run.happened) if it.label == "attack"]
    killed = [("First", 1, "ran"), ("Second", 1, "ran")]
    assert attempts == [
        *killed,
        *([("Second", 2, "ran"), ("Third", 1, "ran")] if command == "resume" else []),
    ]
    assert run.header().state == ("degraded" if command == "resume" else "stopped")
    place.lab("resume", "--lab", place.name, code=2 if command == "resume" else None)


def test_ctrl_c_once_stops_undoes_and_scores(place: Place) -> None:
    running = begun(place)
    running.send_signal(signal.SIGINT)
    out, said = running.communicate(timeout=60)
    assert running.returncode == 130, said
    assert "Second" in out
    run = last(place)
    assert clean(place)
    told = steps_of(run)
    assert (told["Second"].status, told["Second"].occurred) == ("ran", None)
    assert (told["Third"].status, told["Third"].reason) == ("skipped", "the run was stopped by the user")
    assert run.header().state == "stopped"
    assert run.score.exists()


def test_ctrl_c_twice_stops_at_once_and_is_resumed(place: Place) -> None:
    running = begun(place)
    running.send_signal(signal.SIGINT)
    time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=60)
    assert running.returncode == 130
    place.lab("clean", "--lab", place.name, code=None)
    assert clean(place)


def test_a_revert_that_fails_has_its_node_made_anew(place: Place) -> None:
    before = place.node("bastion").id
    rest = "command: {argv: [touch, /tmp/stays]}"
    name = write(place, "stuck", step("Stuck", rest, revert="{node: bastion, argv: ['false']}"))
    ran = place.lab("run", name, "--lab", place.name)
    assert "could not undo Stuck: exit 1; bastion will be made anew" in ran.stderr
    assert place.node("bastion").id != before
    assert not there(place, "bastion", "/tmp/stays")
    undone = [it for it in read_truth(last(place).happened) if it.label == "cleanup"]
    assert [it.reason for it in undone] == ["exit 1; bastion is made anew after the run"]
    assert read_past(last(place).happened).owed == ()


def test_a_node_that_dies_ends_its_steps_and_leaves_the_rest_unharmed(place: Place) -> None:
    name = write(
        place,
        "dies",
        step(
            "Before",
            "command: {argv: ['true']}, check: {open_port: {node: bastion, port: 22}}",
            source="attacker",
        ),
        step("While", "command: {argv: [sh, -c, 'touch /tmp/while; sleep 4']}", source="attacker"),
        step("On it", "command: {argv: ['true']}"),
        step(
            "At it",
            "ssh: {target: bastion, user: maria, password: summer2026, command: id}",
            source="attacker",
        ),
        step("Elsewhere", "command: {argv: ['true']}", source="attacker"),
    )
    running = place.begin("run", name, "--lab", place.name)
    until(lambda: there(place, "attacker", "/tmp/while"), seconds=60)
    place.engine.stop_node(place.node("bastion"))
    _, said = running.communicate(timeout=90)
    place.lab("up", place.name)
    told = steps_of(last(place))
    assert running.returncode == 4, said
    assert {name: it.status for name, it in told.items()} == {
        "Before": "ran", "While": "ran", "On it": "skipped", "At it": "skipped", "Elsewhere": "ran",
    }  # fmt: skip
    assert told["On it"].reason == told["At it"].reason == "bastion does not run"
    assert "was blind" in said or "nothing arrived of bastion" in said


# -- Atomic Red Team -------------------------------------------------------------------------------


def test_atomic_tests_run_to_their_effect_or_are_refused(
    place: Place, tmp_path: Path, docker_engine: DockerEngine
) -> None:
    """Files as they are, on nodes of a lab of their own, of which nothing is left."""
    for name in ("T1053.003", "T1003.008"):
        (tmp_path / f"{name}.yaml").write_bytes((SAMPLES / "atomics" / f"{name}.yaml").read_bytes())
    layer = place.folder / "layer.json"
    ran = place.lab(
        "atomic", "run", "--all", "--from", str(tmp_path), "--navigator", str(layer), "--format", "json",
        timeout=900,
    )  # fmt: skip
    found = {(it["technique"], it["test"]): it for it in json.loads(ran.stdout)}
    assert len(found) == 9
    refused = {key: it["refused"] for key, it in found.items() if not it["ran"]}
    assert refused == {("T1003.008", 2): "is about /etc/master.passwd, which only FreeBSD has"}
    assert {it["occurred"] for it in found.values() if it["ran"]} == {True}
    assert all(it["events"] > 0 and it["seconds"] > 0 for it in found.values() if it["ran"])
    assert found["T1053.003", 2]["left"] == ""
    assert "/tmp/notevil" in found["T1053.003", 1]["left"]
    assert {it["techniqueID"] for it in json.loads(layer.read_text())["techniques"]} == {
        "T1003.008", "T1053.003",
    }  # fmt: skip
    assert docker_engine.observe("atomics").empty


def test_an_atomic_test_is_a_step_like_any_other(place: Place) -> None:
    place.lab("atomic", "list", "--from", str(SAMPLES / "atomics"))
    rest = "atomic: {technique: T1003.008, test: 3, arguments: {output_file: /tmp/passwords}}"
    name = write(place, "atomic", f"  - {{name: Passwords, from: bastion, {rest}}}\n")
    place.lab("run", name, "--lab", place.name)
    told = steps_of(last(place))["Passwords"]
    assert (told.technique, told.occurred) == ("T1003.008", True)
    assert "+ /tmp/passwords" in told.reason
    assert not there(place, "bastion", "/tmp/passwords")
    score = records.read(last(place).score, Score)
    assert [it.verdict for it in score.steps] != ["no_telemetry"]
