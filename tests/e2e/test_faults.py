"""Kills, restarts, hangs and want of space: afterwards nothing is left, and nothing of others is harmed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Final

import docker
import pytest

from lab.engine.docker import DockerEngine
from tests.e2e.conftest import INVENTORY, Place
from tests.e2e.engines import SecondEngine, second_engine
from tests.support import forgetful_client

pytestmark = pytest.mark.docker

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may start a second engine")

KILLED: Final = """\
import os, signal, sys
from lab.engine.docker import DockerEngine
from pathlib import Path
from lab.files.workplace import Workplace
from lab.flow.context import Context, run_stages
from lab.flow.labs import Removal
from lab.pipeline import DOWN, UP
name, left = sys.argv[2], int(sys.argv[3])
stages, value = {"up": (UP, name), "down": (DOWN, Removal(name=name))}[sys.argv[1]]
def changed(what):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
context = Context(workplace=Workplace(Path.cwd()), connect=lambda: DockerEngine(changed=changed))
run_stages(stages, value, context)
print("changes left:", left)
"""
"""Kills itself after so many changes of the engine."""

HALTED: Final = """\
import signal, sys, time
from pathlib import Path
from lab.cli.main import main
from lab.cli.session import Outside
from lab.engine.docker import DockerEngine
left = int(sys.argv.pop())
def changed(what):
    global left
    left -= 1
    if left == 0:
        Path("halted").touch()
        while Path("halted").exists():
            time.sleep(0.02)
main(Outside(connect=lambda: DockerEngine(changed=changed)))
"""
"""Halts after so many changes of the engine until it may go on."""

UP_CHANGES: Final = 9
"""Two networks, three nodes made, one attached once more, three started."""

DOWN_CHANGES: Final = 8
"""Three nodes killed, three removed, two networks."""


@pytest.fixture
def foreign(docker_engine: DockerEngine, plain_image: str) -> Iterator[tuple[str, str]]:
    """A container and a network of somebody else, which nothing may touch."""
    del docker_engine
    with closing(docker.APIClient()) as client:
        network = client.create_network(f"foreign-{os.getpid()}")["Id"]
        made = client.create_container(plain_image, ["sleep", "infinity"], name=f"foreign-{os.getpid()}")[
            "Id"
        ]
        client.start(made)
        yield made, network
        assert client.inspect_container(made)["State"]["Running"]
        assert client.inspect_network(network)["Id"] == network
        client.remove_container(made, force=True)
        client.remove_network(network)


def gone(place: Place) -> None:
    """Take the lab down; the receipt has to be empty, and a second one too."""
    for _ in range(2):
        assert "\nleft\t0\t" in place.lab("down", place.name).stdout or place.observe().empty
    assert place.observe().empty


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize("after", range(1, UP_CHANGES + 1))
def test_up_killed_after_each_change_leaves_nothing_that_down_does_not_find(place: Place, after: int) -> None:
    ran = place.lab("up", place.name, str(after), program=KILLED, code=None)
    assert ran.returncode == -signal.SIGKILL
    assert not place.observe().empty
    gone(place)


def test_the_changes_of_up_and_down_are_as_many_as_are_killed(place: Place) -> None:
    up = place.lab("up", place.name, "100", program=KILLED).stdout
    down = place.lab("down", place.name, "100", program=KILLED).stdout
    assert [up.split()[-1], down.split()[-1]] == [str(100 - UP_CHANGES), str(100 - DOWN_CHANGES)]


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize("after", range(1, DOWN_CHANGES + 1))
def test_down_killed_after_each_change_is_finished_by_the_next(standing: Place, after: int) -> None:
    ran = standing.lab("down", standing.name, str(after), program=KILLED, code=None)
    assert ran.returncode == -signal.SIGKILL
    gone(standing)


@pytest.mark.parametrize("after", [3, 6])
def test_up_after_a_kill_completes_the_lab(place: Place, after: int) -> None:
    place.lab("up", place.name, str(after), program=KILLED, code=None)
    place.lab("up", place.name)
    assert [node.state for node in place.observe().nodes] == ["running"] * 3


@pytest.mark.parametrize("after", [2, 5, 8])
def test_down_ends_an_up_that_is_at_work(place: Place, after: int) -> None:
    up = place.begin("up", place.name, str(after), program=HALTED)
    until = time.monotonic() + 30
    while not (place.folder / "halted").exists() and time.monotonic() < until:
        time.sleep(0.02)
    down = place.begin("down", place.name)
    assert down.stderr
    waits = "waiting for process" in down.stderr.readline()
    (place.folder / "halted").unlink()
    said = [it.communicate(timeout=60)[1] for it in (up, down)]
    assert (waits, up.returncode, down.returncode, "Traceback" in "".join(said)) == (True, 130, 0, False)
    gone(place)


def test_two_ups_at_once_do_not_meet(place: Place) -> None:
    first = place.begin("up", place.name)
    until = time.monotonic() + 30
    while place.observe().empty and time.monotonic() < until:
        time.sleep(0.02)
    second = place.lab("up", place.name, code=4)
    first.communicate(timeout=60)
    assert (first.returncode, f"process {first.pid}" in second.stderr) == (0, True)


def test_ctrl_c_in_down_is_finished_by_the_next(standing: Place) -> None:
    down = standing.begin("down", standing.name)
    while len(standing.observe().nodes) == 3 and down.poll() is None:
        time.sleep(0.01)
    down.send_signal(signal.SIGINT)
    _, said = down.communicate(timeout=60)
    assert "Traceback" not in said
    gone(standing)


def test_a_name_of_somebody_else_is_said_and_left_alone(place: Place, plain_image: str) -> None:
    with closing(docker.APIClient()) as client:
        theirs = client.create_container(plain_image, ["true"], name=f"lab-{place.name}-two")["Id"]
        try:
            ran = place.lab("up", place.name, code=4)
            assert f"lab-{place.name}-two" in ran.stderr
            gone(place)
            assert client.inspect_container(theirs)["Id"] == theirs
        finally:
            client.remove_container(theirs, force=True)


def test_addresses_of_somebody_else_are_avoided(place: Place) -> None:
    """The addresses a lab would get are taken before it comes up again."""
    place.lab("up", place.name)
    wanted = {network.name: network.subnet for network in place.observe().networks}
    place.lab("down", place.name)
    with closing(docker.APIClient()) as client:
        pools = [docker.types.IPAMPool(subnet=subnet) for subnet in wanted.values()]
        theirs = [
            client.create_network(
                f"foreign-{number}-{os.getpid()}", ipam=docker.types.IPAMConfig(pool_configs=[it])
            )
            for number, it in enumerate(pools)
        ]
        try:
            place.lab("up", place.name)
            got = {network.name: network.subnet for network in place.observe().networks}
            assert not set(got.values()) & set(wanted.values())
        finally:
            gone(place)
            for it in theirs:
                client.remove_network(it["Id"])


def test_a_node_that_never_becomes_ready_shows_its_last_words(place: Place, plain_image: str) -> None:
    del plain_image
    role = place.folder / "playbooks" / "roles" / "plain"
    shipped = Path(__file__).parents[2] / "playbooks" / "roles" / "plain"
    role.parent.mkdir(parents=True)
    subprocess.run(["cp", "-r", str(shipped), str(role)], check=True)
    node = (role / "node.yml").read_text(encoding="utf-8")
    broken = node.replace(
        "command: [sleep, infinity]", 'command: [sh, -c, "echo last words; exec sleep infinity"]'
    )
    (role / "node.yml").write_text(f"{broken}health: [sh, -c, 'exit 1']\n", encoding="utf-8")
    program = "import lab.provision.apply as s; s._READY_WITHIN = 2.0; from lab.cli.main import main; main()"
    ran = place.lab("up", place.name, program=program, code=4)
    assert "was not ready after 2 s" in ran.stderr
    assert "last words" in ran.stderr
    gone(place)


def test_a_role_that_fails_names_its_task_its_words_and_the_log(place: Place) -> None:
    role = place.folder / "playbooks" / "roles" / "broken"
    (role / "tasks").mkdir(parents=True)
    (role / "node.yml").write_text("command: [sleep, infinity]\n", encoding="utf-8")
    task = "- name: Do what cannot be done\n  ansible.builtin.command: ls /no/such/place\n"
    (role / "tasks" / "main.yml").write_text(task, encoding="utf-8")
    place.write(INVENTORY.replace("plain:", "broken:"))
    quiet = replace(place, environment={"XDG_STATE_HOME": str(place.folder / "state")})
    ran = quiet.lab("up", place.name, code=4)
    assert "'Do what cannot be done' failed" in ran.stderr
    assert "No such file or directory" in ran.stderr
    (log,) = (place.folder / "state" / "homerange").glob("bake-broken-*.log")
    assert str(log) in ran.stderr
    assert "/no/such/place" in log.read_text(encoding="utf-8")
    gone(place)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory, plain_image: str) -> Iterator[SecondEngine]:
    with second_engine(tmp_path_factory.mktemp("engine")) as engine:
        engine.take(plain_image)
        yield engine


@only_root
class TestSecondEngine:
    """What can only be done to an engine of our own."""

    @pytest.fixture
    def there(self, place: Place, second: SecondEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
        monkeypatch.setenv("DOCKER_HOST", second.environment["DOCKER_HOST"])
        with forgetful_client(), closing(DockerEngine()) as engine:
            yield replace(place, engine=engine, environment=second.environment)

    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
    def test_an_engine_that_restarts_under_a_running_lab(
        self, there: Place, second: SecondEngine, how: signal.Signals
    ) -> None:
        there.lab("up", there.name)
        second.restart(how)
        plan = there.lab("plan", there.name).stdout
        assert {line.split("\t")[0] for line in plan.splitlines()} <= {"start", "seal", "recreate"}
        there.lab("up", there.name)
        assert [node.state for node in there.observe().nodes] == ["running"] * 3
        gone(there)

    @pytest.mark.parametrize(
        ("command", "after"),
        [("up", 1), ("up", 2), ("up", 5), ("up", 9), ("down", 3), ("down", 6), ("down", 7)],
    )
    def test_an_engine_that_restarts_in_the_middle(
        self, there: Place, second: SecondEngine, command: str, after: int
    ) -> None:
        """Between two changes: stopped while it removes an endpoint, Docker 20.10 may never start again."""
        if command == "down":
            there.lab("up", there.name)
        begun = there.begin(command, there.name, str(after), program=HALTED)
        halted = there.folder / "halted"
        until = time.monotonic() + 30
        while not halted.exists() and time.monotonic() < until:
            time.sleep(0.02)
        assert halted.exists()
        time.sleep(1)  # what the other workers had asked for is done by now
        second.restart()
        halted.unlink()
        _, said = begun.communicate(timeout=120)
        assert begun.returncode in {0, 3, 4}
        assert "Traceback" not in said
        gone(there)

    def test_an_engine_that_hangs(self, there: Place, second: SecondEngine) -> None:
        there.lab("up", there.name)
        waiting = replace(there, environment={**there.environment, "DOCKER_CLIENT_TIMEOUT": "2"})
        second.send(signal.SIGSTOP)
        try:
            for command in (["status"], ["up", there.name], ["down", there.name], ["verify", there.name]):
                begun = time.monotonic()
                ran = waiting.lab(*command, code=4)
                assert time.monotonic() - begun < 20
                assert "did not answer within 2 s" in ran.stderr
            assert "did not answer within 2 s" in waiting.lab("doctor", code=3).stderr
        finally:
            second.send(signal.SIGCONT)
        gone(there)

    def test_a_full_disk_while_baking(
        self, tmp_path: Path, place: Place, docker_engine: DockerEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root, role = tmp_path / "full", place.folder / "playbooks" / "roles" / "filler"
        root.mkdir()
        (role / "tasks").mkdir(parents=True)
        (role / "node.yml").write_text("command: [sleep, infinity]\n", encoding="utf-8")
        task = "- name: Write more than there is room for\n  ansible.builtin.command: cp /dev/zero /filler\n"
        (role / "tasks" / "main.yml").write_text(task, encoding="utf-8")
        place.write(INVENTORY.replace("plain:", "filler:"))
        ground = next(tag for tag in docker_engine.images() if tag.startswith("homerange/common-debian:"))
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600m", "tmpfs", str(root)], check=True)
        try:
            with second_engine(root) as engine:
                engine.take("homerange/base-debian:trixie")
                engine.take(ground)
                monkeypatch.setenv("DOCKER_HOST", engine.environment["DOCKER_HOST"])
                with forgetful_client(), closing(DockerEngine()) as full:
                    there = replace(place, engine=full, environment=engine.environment)
                    roomy = "import lab.provision.doctor as m; m._DISK = m._IMAGE = 0"
                    program = f"{roomy}; from lab.cli.main import main; main()"
                    ran = there.lab("up", there.name, program=program, code=3)
                    assert "'Write more than there is room for'" in ran.stderr
                    assert "No space left on device" in ran.stderr
                    gone(there)
        finally:
            subprocess.run(["umount", "--lazy", str(root)], check=True)
