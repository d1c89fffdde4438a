"""What every engine promises, asked of the fake and of Docker alike."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

import docker
import docker.errors
import pytest
import requests.exceptions

from lab.engine.docker import DockerEngine
from lab.engine.engine import Engine
from lab.engine.faults import fault
from lab.engine.labels import BAKED, BASE
from lab.engine.memory import MemoryEngine
from lab.engine.nodes import SeenNode
from lab.engine.shell import CommandSlow
from lab.errors import EngineFault, EngineSlow, EngineUnreachable, LabError, NameTaken
from lab.files.workplace import SHIPPED
from lab.inventory.definition import Lab, Network, Node
from lab.inventory.kind import read_kind
from lab.provision import apply, images
from lab.provision.blueprint import Blueprint, draw
from lab.workers import Stop, together
from tests.engine.daemon import scripted_daemon
from tests.support import until

NAME: Final = f"contract-{os.getpid()}"
TINY: Final = Path(__file__).parent.parent / "roles" / "tiny"

ENGINES: Final = ["memory", "scripted", pytest.param("docker", marks=pytest.mark.docker)]


def tiny_lab(mark: str = "first") -> Lab:
    """Make a lab of two nodes on two networks, of the smallest kind there is."""
    kind = read_kind(TINY)
    nodes = tuple(
        Node(name=name, kind=kind, attach=networks, variables={"tiny_mark": mark})
        for name, networks in (("one", ("left",)), ("two", ("left", "right")))
    )
    networks = (Network(name="left"), Network(name="right"))
    return Lab(name=NAME, path=Path(f"{NAME}.yml"), networks=networks, nodes=nodes)


@pytest.fixture(scope="session")
def tiny_image(docker_engine: DockerEngine) -> Iterator[str]:
    """Bake the smallest role from nothing, so that no cached image hides a broken bake."""
    engine, lab = docker_engine, tiny_lab()
    tag = images.recipes(lab.nodes, SHIPPED)["one"].tag
    engine.remove_image(tag)
    try:
        unbaked = images.missing(images.recipes(lab.nodes, SHIPPED).values(), engine)
        assert [it.tag for it in unbaked] == [tag]
        baker = images.Baker(
            lab=lab.name, engine=engine, workplace=SHIPPED, tell=lambda _line: None, stop=threading.Event()
        )
        baker.bake(unbaked)
        yield tag
    finally:
        apply.remove(NAME, engine)
        engine.remove_image(tag)


@pytest.fixture
def scripted_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DockerEngine]:
    """The real client with a daemon that is scripted."""
    with scripted_daemon(tmp_path / "d.sock") as daemon:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{daemon.path}")
        tag = images.recipes(tiny_lab().nodes, SHIPPED)["one"].tag
        daemon.images[tag] = {
            "Id": "0", "RepoTags": [tag], "Size": 7, "Config": {"Labels": {BAKED: "0", BASE: "scripted"}},
        }  # fmt: skip
        with closing(DockerEngine()) as engine:
            yield engine


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "memory":
        made: Engine = MemoryEngine()
        with made.open_baking("scratch:latest", lab=NAME, role="tiny") as container:
            made.commit(
                container, images.recipes(tiny_lab().nodes, SHIPPED)["one"].tag, {BAKED: "0", BASE: "memory"}
            )
        yield made
        return
    if request.param == "scripted":
        yield request.getfixturevalue("scripted_engine")
        return
    request.getfixturevalue("tiny_image")
    real: Engine = request.getfixturevalue("docker_engine")
    apply.remove(NAME, real)
    yield real
    apply.remove(NAME, real)


def blueprint() -> Blueprint:
    lab = tiny_lab()
    return draw(lab, {name: it.tag for name, it in images.recipes(lab.nodes, SHIPPED).items()})


@pytest.fixture
def running(engine: Engine) -> Engine:
    drawn = blueprint()
    for network in drawn.networks:
        engine.create_network(network)
    for node in drawn.nodes:
        engine.create_node(node)
    return engine


def one(engine: Engine) -> SeenNode:
    node = engine.observe(NAME).node("one")
    assert node is not None
    return node


def test_what_was_made_is_read_back_from_labels(running: Engine) -> None:
    drawn, seen = blueprint(), running.observe(NAME)
    assert [node.name for node in seen.nodes] == ["one", "two"]
    assert [node.definition for node in seen.nodes] == [node.definition for node in drawn.nodes]
    assert [node.state for node in seen.nodes] == ["running", "running"]
    assert {network.name: network.bridge for network in seen.networks} == {
        network.name: network.bridge for network in drawn.networks
    }
    assert NAME in running.labs()


def test_every_attached_network_gives_an_address(running: Engine) -> None:
    two = running.observe(NAME).node("two")
    assert two is not None
    assert two.addresses.keys() == {"left", "right"}
    assert len(set(two.addresses.values())) == 2


def test_a_lab_that_is_not_there_is_empty(engine: Engine) -> None:
    assert engine.observe("nothing-of-the-sort").empty


def test_a_name_that_is_taken_is_left_alone(running: Engine) -> None:
    before = one(running)
    with pytest.raises(NameTaken):
        running.create_node(blueprint().nodes[0])
    with pytest.raises(NameTaken):
        running.create_network(blueprint().networks[0])
    assert one(running).id == before.id


def test_an_image_that_is_not_there_is_said(running: Engine) -> None:
    with pytest.raises(EngineFault, match=r"(?i)no such image"):
        running.create_node(replace(blueprint().nodes[0], name="three", image="homerange/none:0"))


def test_removing_twice_is_no_error(running: Engine) -> None:
    seen = running.observe(NAME)
    for _ in range(2):
        running.remove_nodes(seen.nodes)
        for network in seen.networks:
            running.remove_network(network)
    assert running.observe(NAME).empty


def test_a_node_is_confined(running: Engine) -> None:
    for wall in running.walls(NAME):
        assert (wall.drops_all, wall.new_privileges, wall.privileged) == (True, False, False)
        assert (wall.capabilities, wall.mounts, wall.nameservers) == ((), (), ("127.0.0.1",))
        assert (wall.memory, wall.processes) == (32 * 2**20, 32)


def test_an_image_says_what_it_is(engine: Engine) -> None:
    tag = images.recipes(tiny_lab().nodes, SHIPPED)["one"].tag
    assert (engine.image_labels(tag) or {}).keys() >= {BAKED, BASE}
    assert engine.image_labels("homerange/none:0") is None
    assert tag in engine.images()


def test_a_baking_container_is_removed_also_when_the_bake_fails(engine: Engine) -> None:
    tag = images.recipes(tiny_lab().nodes, SHIPPED)["one"].tag
    seen: list[bool] = []

    def bake() -> None:
        with engine.open_baking(tag, lab=NAME, role="tiny"):
            seen.extend(node.passing for node in engine.observe(NAME).nodes)
            raise EngineFault(doing="baking", said="broken")

    with pytest.raises(EngineFault, match="broken"):
        bake()
    assert seen == [True]
    assert engine.observe(NAME).empty


def two(engine: Engine) -> SeenNode:
    node = engine.observe(NAME).node("two")
    assert node is not None
    return node


def test_a_node_that_was_taken_off_a_network_comes_back_under_its_address(running: Engine) -> None:
    before = two(running).addresses
    for _ in range(2):  # twice is no error
        running.detach(two(running), "left")
    assert two(running).addresses.keys() == {"right"}
    for _ in range(2):
        running.attach(two(running), "left", before["left"])
    assert two(running).addresses == before


def test_a_helper_is_gone_whatever_happens(running: Engine) -> None:
    seen: list[tuple[str, bool]] = []

    def work() -> None:
        with running.beside(one(running), ("SYS_PTRACE",)):
            seen.extend((it.name, it.passing) for it in running.observe(NAME).nodes)
            raise EngineFault(doing="working", said="broken")

    with pytest.raises(EngineFault, match="broken"):
        work()
    assert ("help-one", True) in seen
    assert [it.name for it in running.observe(NAME).nodes] == ["one", "two"]


def test_a_node_that_was_set_aside_is_what_it_was_again(running: Engine) -> None:
    before = two(running)
    running.set_aside(before)
    aside = [it for it in running.observe(NAME).nodes if it.passing]
    assert [(it.id, it.state, dict(it.addresses)) for it in aside] == [(before.id, "stopped", {})]
    assert aside[0].name.startswith("two.aside-")
    running.create_node(blueprint().nodes[1])
    assert two(running).id != before.id
    with pytest.raises(NameTaken):
        running.bring_back(before)
    running.remove_nodes([two(running)])
    running.bring_back(before)
    assert (two(running).id, two(running).state, two(running).addresses) == (
        before.id, "running", before.addresses,
    )  # fmt: skip


def test_what_was_set_aside_goes_with_the_lab(running: Engine) -> None:
    running.set_aside(two(running))
    with running.beside(one(running), ()):
        apply.remove(NAME, running)
    assert running.observe(NAME).empty


@pytest.mark.docker
@pytest.mark.parametrize("engine", ["docker"], indirect=True)
def test_a_helper_shares_network_and_processes_and_has_clean_programs(running: Engine) -> None:
    ran = running.execute(one(running), ("sh", "-c", "echo mine >/tmp/here; mv /usr/bin/id /usr/bin/was"))
    assert ran.code == 0
    rights = ("SYS_PTRACE", "DAC_READ_SEARCH", "NET_ADMIN")
    with running.beside(one(running), rights) as helper:
        told = running.execute(
            helper, ("sh", "-c", "cat /proc/1/root/tmp/here; id -u; ip -4 -o addr show eth0")
        )
        closed = running.execute(one(running), ("ip", "route", "add", "blackhole", "10.9.9.9"))
    own = next(iter(one(running).addresses.values()))
    assert told.stdout.decode().split()[:2] == ["mine", "0"]
    assert own in told.stdout.decode()
    assert closed.code != 0, "the node itself must not have what its helper has"


@pytest.mark.docker
@pytest.mark.parametrize("engine", ["docker"], indirect=True)
def test_files_and_differences_are_read_from_outside(running: Engine) -> None:
    running.execute(one(running), ("sh", "-c", "echo new >/tmp/new; rm /etc/tiny"))
    found = {(it.path, it.how) for it in running.differences(one(running))}
    assert {("/tmp/new", "added"), ("/etc/tiny", "removed"), ("/tmp", "changed")} <= found
    with running.root_of(one(running)) as archive:
        whole = b"".join(archive)
    with tarfile.open(fileobj=io.BytesIO(whole)) as tar:
        content = tar.extractfile("tmp/new")
        assert content is not None
        assert content.read() == b"new\n"


@pytest.mark.docker
@pytest.mark.parametrize("engine", ["docker"], indirect=True)
def test_a_workbench_reaches_nothing(running: Engine) -> None:
    with running.workbench(blueprint().nodes[0].image, NAME) as bench:
        ran = running.execute(
            bench, ("sh", "-c", "ls /sys/class/net; echo >/w/x && ls /w; cat /proc/1/status")
        )
    assert ran.stdout.split()[:2] == [b"lo", b"x"]
    assert b"CapEff:\t0000000000000000" in ran.stdout


@pytest.mark.docker
@pytest.mark.parametrize("engine", ["docker"], indirect=True)
def test_somebody_elses_container_of_an_image_of_ours_is_not_ours(running: Engine) -> None:
    image = images.recipes(tiny_lab().nodes, SHIPPED)["one"].tag
    with closing(docker.APIClient()) as client:
        theirs = client.create_container(image, ["sleep", "infinity"], name=f"theirs-{NAME}")["Id"]
        try:
            assert "" not in running.labs()
            assert theirs not in {
                node.id for node in (*running.observe("").nodes, *running.observe(NAME).nodes)
            }
            for name in (NAME, ""):
                apply.remove(name, running)
            assert client.inspect_container(theirs)["Id"] == theirs
        finally:
            client.remove_container(theirs, force=True)


@pytest.mark.docker
@pytest.mark.parametrize("engine", ["docker"], indirect=True)
class TestCommands:
    """What only an engine that runs something can show."""

    def test_a_command_gives_code_and_both_outputs(self, running: Engine) -> None:
        ran = running.execute(one(running), ("sh", "-c", "cat; echo err >&2; exit 7"), stdin=b"in")
        assert (ran.code, ran.stdout, ran.stderr) == (7, b"in", b"err\n")
        assert ran.start < ran.end

    def test_a_command_that_hangs_is_stopped(self, running: Engine) -> None:
        begun = time.monotonic()
        with pytest.raises(EngineSlow):
            running.execute(one(running), ("sleep", "987"), timeout=1)
        assert time.monotonic() - begun < 5
        assert b"987" not in self._processes(running)

    def test_what_a_command_leaves_behind_ends_with_it(self, running: Engine) -> None:
        left = (
            "setsid sh -c 'sleep 987 & exec sleep 987' & nohup sleep 987 >/dev/null 2>&1 & sleep 0.3; exit 5"
        )
        assert running.execute(one(running), ("sh", "-c", left)).code == 5
        assert b"987" not in self._processes(running)

    def test_more_input_than_any_buffer_holds_comes_back(self, running: Engine) -> None:
        sent = os.urandom(5 * 2**20)
        heard = bytearray()
        code = running.relay(
            one(running),
            ("cat",),
            stdin=(sent[:7], sent[7:]),
            hear=lambda _channel, chunk: heard.extend(chunk),
        )
        assert (code, bytes(heard)) == (0, sent)

    def test_what_came_before_a_command_closed_its_input_is_kept(self, running: Engine) -> None:
        ran = running.execute(
            one(running), ("sh", "-c", "echo early; exec head -c 1"), stdin=b"x" * 5_000_000
        )
        assert (ran.code, ran.stdout) == (0, b"early\nx")

    def test_a_program_that_is_not_there_is_said(self, running: Engine) -> None:
        ran = running.execute(one(running), ("no-such-program",))
        assert (ran.code, ran.stderr) == (127, b"no-such-program: No such file or directory\n")

    def test_a_node_that_has_no_room_for_a_process_is_named_as_such(self, running: Engine) -> None:
        fill = "for (1 .. 60) { my $child = fork; sleep 987, exit if defined $child && !$child }"
        code = f"{fill} $| = 1; print qq(on\\n); sleep 987"
        full = ("perl", "-e", code)
        stream = running.stream(one(running), full)
        chunks = iter(stream)
        assert next(chunks) == b"on\n"
        said = ""
        for _ in range(50):
            try:
                running.execute(one(running), ("true",))
            except EngineFault as error:
                said = error.message()
                break
            time.sleep(0.1)
        stream.close()
        assert "its limit of processes is reached" in said
        assert "lab reset one" in said

    def test_a_traced_command_tells_every_process_with_its_code(self, running: Engine) -> None:
        script = "true; (exit 3); sh -c 'exit 4'; ls | cat >/dev/null; exit 5"
        ran = running.execute(one(running), ("sh", "-c", script), traced="quietly")
        assert ran.trace is not None
        told = [(it.command_line, it.code) for it in ran.trace.processes]
        assert (ran.code, ran.stderr, ran.trace.missed) == (5, b"", ())
        assert told[0][1] == 5
        assert {("sh -c exit 4", 4), ("ls", 0), ("cat", 0)} <= set(told)
        assert all(ran.start < it.started < ran.end for it in ran.trace.processes)
        assert ran.start < ran.trace.end < ran.end

    def test_a_traced_command_goes_on_after_it_was_stopped(self, running: Engine) -> None:
        script = "sleep 987 & kill -STOP $!; kill -CONT $!; kill $!; wait $!; echo $?"
        ran = running.execute(one(running), ("sh", "-c", script), traced="quietly", timeout=20)
        assert ran.stdout == b"143\n"

    def test_a_traced_command_tells_its_connections(self, running: Engine) -> None:
        two = running.observe(NAME).node("two")
        assert two is not None
        address = next(it for name, it in two.addresses.items() if name in one(running).addresses)
        code = (
            "import socket as s; a=s.socket(s.AF_INET, s.SOCK_DGRAM); "
            f"a.sendto(b'x', ('{address}', 9)); print(a.getsockname()[1]); "
            "b=s.socket(); b.bind(('127.0.0.1', 0)); b.listen(); c=s.create_connection(b.getsockname()); "
            "print(c.getsockname()[1]); d=s.socket(); d.settimeout(1); "
            f"d.connect_ex(('{address}', 10))"
        )
        ran = running.execute(one(running), ("python3", "-c", code), traced="quietly")
        assert ran.trace is not None
        udp, tcp = map(int, ran.stdout.split())
        assert {(it.transport, it.source_port, it.destination) for it in ran.trace.connections} >= {
            ("udp", udp, address), ("tcp", tcp, "127.0.0.1"),
        }  # fmt: skip
        assert (address, 10) in {(it.destination, it.destination_port) for it in ran.trace.connections}

    def test_a_traced_command_that_is_stopped_tells_what_it_did(self, running: Engine) -> None:
        script = ("sh", "-c", "echo begun; sleep 987 & sleep 987")
        with pytest.raises(CommandSlow) as slow:
            running.execute(one(running), script, timeout=1, traced="openly")
        assert slow.value.ran.stdout == b"begun\n"
        assert slow.value.ran.trace is not None
        assert [it.command_line for it in slow.value.ran.trace.processes].count("sleep 987") == 2
        stop = Stop()
        threading.Timer(0.5, stop.set).start()
        ran = running.execute(one(running), script, traced="openly", stop=stop)
        assert ran.trace is not None
        assert not ran.timed_out
        assert b"987" not in self._processes(running)

    def test_many_quick_traced_commands_all_end(self, running: Engine) -> None:
        script = ("sh", "-c", "for i in 1 2 3 4 5 6 7 8; do true | cat; done; ls >/dev/null")
        ran = together(
            [partial(running.execute, one(running), script, traced="openly", timeout=20) for _ in range(100)],
            workers=4,
        )
        assert {(it.code, it.trace is not None) for it in ran} == {(0, True)}

    def test_a_command_knows_its_process(self, running: Engine) -> None:
        ran = running.execute(one(running), ("sh", "-c", "echo $$"))
        assert int(ran.stdout) == ran.process > 1

    @pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
    def test_a_command_ends_with_whoever_started_it(self, running: Engine, how: signal.Signals) -> None:
        script = ("sh", "-c", "setsid sleep 987 & (sleep 987 &) ; sleep 987")
        code = (
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
            "from lab.engine.docker import DockerEngine as E; e = E(); "
            f"e.execute(e.observe({NAME!r}).nodes[0], {script!r})"
        )
        with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as theirs:
            until(lambda: self._processes(running).count(b"987") >= 3)
            theirs.send_signal(how)
        until(lambda: b"987" not in self._processes(running))

    def test_a_stream_ends_with_its_command_when_it_is_closed(self, running: Engine) -> None:
        stream = running.stream(one(running), ("sh", "-c", "echo here; exec sleep 987"))
        chunks = iter(stream)
        assert next(chunks) == b"here\n"
        assert b"987" in self._processes(running)
        stream.close()
        until(lambda: b"987" not in self._processes(running))
        assert list(chunks) == []

    def test_the_role_was_applied_to_the_image(self, running: Engine) -> None:
        assert running.execute(one(running), ("cat", "/etc/tiny")).stdout == b"first\n"

    def test_names_of_nodes_resolve_and_nothing_else_does(self, running: Engine) -> None:
        assert running.execute(one(running), ("getent", "hosts", "two")).code == 0
        assert running.execute(one(running), ("getent", "hosts", "outside.invalid"), timeout=30).code != 0

    @staticmethod
    def _processes(engine: Engine) -> bytes:
        return engine.execute(one(engine), ("sh", "-c", "cat /proc/[0-9]*/cmdline 2>/dev/null")).stdout


def _subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _subclasses(child)


@pytest.mark.parametrize(
    "kind",
    sorted(
        {*_subclasses(docker.errors.DockerException), *_subclasses(requests.exceptions.RequestException)},
        key=str,
    ),
    ids=str,
)
def test_every_error_of_the_client_has_a_home(kind: type[Exception]) -> None:
    error = kind.__new__(kind)
    Exception.__init__(error, "said")
    error.__dict__.update(
        dict.fromkeys(("msg", "name", "param", "explanation"), "said"), status_code=500, response=None
    )
    found = fault(error, "doing something")
    assert isinstance(found, LabError)
    assert isinstance(found, EngineFault | EngineUnreachable)
