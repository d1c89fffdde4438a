"""Responses on a real engine: tries of ways tell whether they helped; `lab down` removes what a kill left."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import docker
import pytest

from lab.engine.docker import DockerEngine
from lab.engine.labels import LAB
from lab.exercise.respond.block import Block
from lab.exercise.respond.carrying import Carrying
from lab.exercise.respond.lock import Lock
from lab.exercise.respond.restore import Restore
from lab.files import records
from lab.files.workplace import SHIPPED
from lab.learn.response import Part
from lab.learn.response import Response as Graded
from lab.provision import apply
from tests.e2e.answering import CASES, carrying_in, comes_in, is_served, open_session, ran, session_lives
from tests.e2e.conftest import Place
from tests.support import until

pytestmark = pytest.mark.docker

TIMES: Final = int(os.environ.get("HOMERANGE_RESPONSES", "1"))
"""How often each response is done and undone; ten times, for the figures."""

INVENTORY: Final = """\
all:
  vars: {lab_networks: {outside: {}, inside: {}}}
  children:
    kali:        {hosts: {attacker: {lab_attach: [outside]}}}
    sshd:        {hosts: {bastion: {lab_attach: [outside, inside]}}}
    workstation: {hosts: {desk: {lab_attach: [inside]}}}
"""

SCENARIO: Final = """\
name: two-ways
lab: LAB
benign: 3s
steps:
  - name: Make a key
    technique: T1587
    from: attacker
    command: {argv: [sh, -c, "rm -f /root/k*; ssh-keygen -q -t ed25519 -N '' -f /root/k"], targets: []}
    check: {file: {node: attacker, path: /root/k}}
    revert: {node: attacker, argv: [rm, -f, /root/k, /root/k.pub]}
  - name: Log in with a password
    technique: T1078.003
    from: attacker
    ssh: {target: bastion, user: maria, password: summer2026, command: "mkdir -p /tmp/.m && id > /tmp/.m/id"}
    check: {file: {node: bastion, path: /tmp/.m/id, owner: maria}}
    revert: {node: bastion, user: maria, argv: [rm, -rf, /tmp/.m]}
  - name: Read the public key
    technique: T1587
    from: attacker
    command: {argv: [cat, /root/k.pub], targets: []}
    check: {file: {node: attacker, path: /root/k.pub}}
    revert: none
    register: public
  - name: Stay with a key
    technique: T1098.004
    from: attacker
    ssh:
      target: bastion
      user: maria
      password: summer2026
      command: "mkdir -p ~/.ssh && echo '{{ public.stdout | trim }} intruder' >> ~/.ssh/authorized_keys"
    check: {file: {node: bastion, path: /home/maria/.ssh/authorized_keys, user: maria, contains: intruder}}
    revert: {node: bastion, user: maria, argv: [rm, -rf, /home/maria/.ssh]}
access:
  - name: the key
    from: attacker
    once: Stay with a key
    planted: true
    ssh: {target: bastion, user: maria, key: /root/k, command: id}
    shows: (maria)
  - name: the password
    from: attacker
    once: Log in with a password
    ssh: {target: bastion, user: maria, password: summer2026, command: id}
    shows: (maria)
    then: {ssh: {target: bastion, user: maria, password: summer2026, command: "echo again >> /tmp/.m/id"}}
service:
  - name: the desk reaches the bastion
    from: desk
    command: {argv: [bash, -c, "exec 3<>/dev/tcp/$0/22", "{{ nodes.bastion.address }}"], targets: [bastion]}
    shows: ""
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A lab of an attacker, a server and a person, up; the tests leave it as it was."""
    name = f"answer-{os.getpid()}"
    with closing(DockerEngine()) as engine:
        found = Place(folder=tmp_path_factory.mktemp("answer"), name=name, engine=engine, environment={})
        found.write(INVENTORY)
        (found.folder / "scenarios").mkdir()
        scenario = SCENARIO.replace("LAB", name)
        (found.folder / "scenarios" / "two-ways.yml").write_text(scenario, encoding="utf-8")
        try:
            found.lab("up", name, timeout=600)
            yield found
        finally:
            apply.remove(name, engine)


@pytest.fixture
def carrying(lab: Place, tmp_path: Path) -> Iterator[Carrying]:
    with carrying_in(lab, tmp_path) as found:
        yield found


@pytest.mark.parametrize("name", CASES)
def test_a_response_shuts_a_way_serves_people_and_is_taken_back(
    lab: Place, carrying: Carrying, name: str
) -> None:
    action, prepare, is_open, returns = CASES[name]
    for _ in range(TIMES):
        prepare(lab)
        assert is_open(lab), "the way was not open before"
        carrying.carry_out(action)
        assert not is_open(lab), "the way is still open"
        assert is_served(lab), "people are shut out"
        carrying.take_back()
        if not returns:
            prepare(lab)  # who was ended comes back anew: the door was never shut
        assert is_open(lab), "the way is not open again"
    ran(lab, "bastion", "rm", "-f", "/root/.planted")
    ran(lab, "bastion", "pkill", "-f", "[s]leep 4321", user="maria")


def test_to_lock_the_password_alone_leaves_two_doors(lab: Place, carrying: Carrying) -> None:
    made = "rm -f /root/t*; ssh-keygen -q -t ed25519 -N '' -f /root/t && cat /root/t.pub"
    public = ran(lab, "attacker", "sh", "-c", made).stdout.decode().strip()
    write = f"mkdir -p ~/.ssh && echo '{public}' >~/.ssh/authorized_keys"
    assert ran(lab, "bastion", "sh", "-c", f"cd; {write}", user="root").returncode == 0
    ran(lab, "bastion", "sh", "-c", f"HOME=/home/maria; {write}", user="maria")
    open_session(lab)
    assert comes_in(lab, key="/root/t")
    carrying.carry_out(Lock(node="bastion", user="maria", door=("password",)))
    assert not comes_in(lab)
    assert comes_in(lab, key="/root/t"), "the key is another door"
    assert session_lives(lab), "what is open stays open"
    carrying.carry_out(Lock(node="bastion", user="maria", door=("key", "session")))
    assert not comes_in(lab, key="/root/t")
    assert not session_lives(lab)
    carrying.take_back()
    carrying.take_back()
    assert comes_in(lab)
    assert comes_in(lab, key="/root/t")
    carrying.carry_out(Restore(node="bastion"))


def test_a_response_writes_no_line_into_the_nodes_own_logs(lab: Place, carrying: Carrying) -> None:
    count = ("sh", "-c", "cat /var/log/exec.log /var/log/auth.log | grep -v 'wc -l' | wc -l")
    lab.engine.execute(lab.node("desk"), ("true",))
    before = ran(lab, "bastion", *count).stdout
    for action in (Lock(node="bastion", user="tom"), Block(node="bastion", address="attacker")):
        carrying.carry_out(action)
        carrying.take_back()
    after = ran(lab, "bastion", *count).stdout
    people = 2  # who works at the desk may log in meanwhile
    assert int(after) - int(before) <= people * 40


def test_the_grades_order_three_responders(lab: Place) -> None:
    found = {
        name: graded(lab, play) for name, play in (("good", good), ("lazy", lazy), ("reckless", reckless))
    }
    values: dict[str, dict[Part, float]] = {
        name: {it.part: it.value for it in grade.parts} for name, grade in found.items()
    }
    for part, value in values["good"].items():
        assert value >= max(values["lazy"][part], values["reckless"][part]), found["good"].parts
    for part in ("preparation", "identification", "containment", "evidence", "recovery"):
        assert values["good"][part] > values["reckless"][part], (part, values)
    assert values["good"]["eradication"] > values["lazy"]["eradication"]
    assert values["good"]["containment"] == 1.0
    assert values["good"]["evidence"] == 1.0
    assert values["lazy"]["containment"] == 0.0
    assert values["lazy"]["recovery"] == 0.0
    assert found["good"].times.contain is not None
    assert found["lazy"].times.contain is None
    assert lab.node("bastion").addresses.keys() == {"outside", "inside"}
    assert not any(it.passing for it in lab.observe().nodes)


def graded(lab: Place, play: Callable[[Place, str], None]) -> Graded:
    """Let somebody respond to the scenario, and grade what they did."""
    known = _runs(lab)
    plan = ("--playbook", "ssh.json") if play is good else ()
    if plan:
        text = SHIPPED.find("responses", "ssh").read_text(encoding="utf-8").replace("gateway", "bastion")
        (lab.folder / "ssh.json").write_text(text.replace("jens", "maria"), encoding="utf-8")
        plan = ("--playbook", "./ssh.json")
    running = lab.begin("run", "two-ways", "--lab", lab.name, "--respond", "--within", "2", *plan)
    try:
        until(
            lambda: (
                len(
                    set((lab.folder / "runs").glob("*/alerts.jsonl"))
                    - {lab.folder / "runs" / it / "alerts.jsonl" for it in known}
                )
                > 0
            ),
            seconds=60,
        )
        run = next(it.name for it in sorted((lab.folder / "runs").glob("*")) if it.name not in known)
        until(lambda: '"the key"' in _probes(lab, run), seconds=60)
        play(lab, run)
        out, said = running.communicate(timeout=240)
    finally:
        running.kill()
    assert running.returncode == 0, out + said
    told = lab.lab("grade", run, "--format", "json").stdout
    return records.from_json(told, Graded)


def _runs(lab: Place) -> set[str]:
    return {it.name for it in (lab.folder / "runs").glob("*")}


def _probes(lab: Place, run: str) -> str:
    path = lab.folder / "runs" / run / "probes.jsonl"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _alerts(lab: Place, run: str) -> list[dict[str, Any]]:
    lines = (lab.folder / "runs" / run / "alerts.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(it) for it in lines]


def good(lab: Place, run: str) -> None:
    """Secure, shut every way, remove what was left, and say what happened with what shows it."""
    seen = [it for it in _alerts(lab, run) if it["entities"].get("host.name") == ["bastion"]]
    lab.lab("case", "open", run, "--alert", seen[0]["id"])
    lab.lab("evidence", "bastion", "--run", run, timeout=200)
    lab.lab("respond", "block", "bastion", "--address", "attacker", "--run", run)
    lab.lab("respond", "lock", "bastion", "--user", "maria", "--run", run)
    lab.lab("respond", "remove", "bastion", "/home/maria/.ssh", "/tmp/.m", "--run", run)
    attacker = lab.node("attacker").addresses["outside"]
    for it in seen[:3]:
        said: tuple[str, ...] = ("--host", "bastion", "--account", "maria", "--address", attacker)
        said += ("--technique", "T1078.003", "--time", it["first_event"])
        lab.lab("case", "finding", *said, "--event", it["event_ids"][0], "somebody came in as maria")
    # People work there meanwhile, and not each time the same: what they changed is theirs.
    theirs = [it.path for it in lab.engine.differences(lab.node("bastion")) if "maria" not in it.path]
    histories = "/home/tom /home/jens /home/admin /root/.bash_history"  # come when they log out
    lab.lab("case", "note", f"People worked on the bastion: {histories} {' '.join(theirs)}")
    lab.lab("case", "close", "contained")


def lazy(lab: Place, run: str) -> None:
    """Look, and go home."""
    lab.lab("case", "open", run)
    lab.lab("case", "close")


def reckless(lab: Place, run: str) -> None:
    """Make anew what was reached, cut it off, and blame everybody."""
    lab.lab("case", "open", run)
    lab.lab("respond", "restore", "bastion", "--run", run)
    lab.lab("respond", "isolate", "bastion", "--network", "inside", "--run", run)
    event = _alerts(lab, run)[0]["event_ids"][0]
    for host in ("bastion", "desk"):
        for account in ("maria", "root", "tom", "jens", "admin"):
            lab.lab("case", "finding", "--host", host, "--account", account, "--event", event)
    lab.lab("case", "close")


def test_a_kill_in_the_middle_leaves_nothing_that_down_does_not_remove(place: Place) -> None:
    place.write(INVENTORY)
    place.lab("up", place.name, timeout=600)
    place.lab("watch", "--lab", place.name, "--for", "1", timeout=100)
    acts: tuple[tuple[str, ...], ...] = (
        ("respond", "isolate", "bastion"),
        ("respond", "lock", "bastion", "--user", "maria"),
        ("respond", "restore", "bastion"),
        ("evidence", "bastion"),
    )
    for number, act in enumerate(acts):
        begun = place.begin(*act, "--lab", place.name)
        time.sleep(0.55 + 0.15 * number)
        begun.kill()
        begun.communicate()
    place.lab("down", place.name)
    with closing(docker.APIClient()) as client:
        labelled = {"label": f"{LAB}={place.name}"}
        assert client.containers(all=True, filters=labelled) == []
        assert client.networks(filters=labelled) == []
