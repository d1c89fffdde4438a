"""What the engine says to a Docker daemon and reads from it, with a daemon that is scripted."""

from __future__ import annotations

import io
import os
import pty
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from lab.engine.docker import DockerEngine
from lab.engine.nodes import NetworkSpec, NodeSpec, SeenNode
from lab.errors import DiskFull, EngineFault, EngineSlow, EngineUnreachable, NameTaken
from tests.engine.daemon import Daemon, Refused, scripted_daemon
from tests.support import forgetful_client

LAB = "scripted"
NETWORK = NetworkSpec(
    lab=LAB, name="left", bridge="lab0123456789", internet=False, prefix=26, definition="a=1"
)
NODE = NodeSpec(
    lab=LAB, name="one", kind="tiny", image="homerange/tiny:0", command=("sleep", "infinity"), user="root",
    capabilities=("NET_RAW",), memory=2**25, cpus=0.5, processes=32, disk=2**30, read_only=True,
    tmpfs=("/run:rw,size=4096",), networks=("left",), host_network=False, environment={"A": "b"},
    definition="a=1",
)  # fmt: skip


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    with scripted_daemon(tmp_path / "d.sock") as found:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{found.path}")
        found.images["homerange/tiny:0"] = {
            "Id": "0", "RepoTags": ["homerange/tiny:0"], "Size": 7,
            "Config": {"Labels": {"homerange.baked": "0"}},
        }  # fmt: skip
        yield found


@pytest.fixture
def changes() -> list[str]:
    return []


@pytest.fixture
def engine(daemon: Daemon, changes: list[str]) -> Iterator[DockerEngine]:
    del daemon
    with closing(DockerEngine(changed=changes.append)) as found:
        yield found


@pytest.fixture
def node(engine: DockerEngine) -> SeenNode:
    engine.create_network(NETWORK)
    engine.create_node(NODE)
    (found,) = engine.observe(LAB).nodes
    return found


def test_what_is_made_is_read_back(engine: DockerEngine, node: SeenNode, changes: list[str]) -> None:
    running = engine.observe(LAB)
    assert engine.labs() == (LAB,)
    assert (node.kind, node.state, node.image, node.definition) == (
        "tiny",
        "running",
        "homerange/tiny:0",
        "a=1",
    )
    assert node.addresses.keys() == {"left"}
    assert [it.bridge for it in running.networks] == ["lab0123456789"]
    assert changes == [
        "POST /v1.41/networks/create", "POST /v1.41/containers/create",
        f"POST /v1.41/containers/{node.id}/start",
    ]  # fmt: skip


def test_a_node_is_confined_as_asked(engine: DockerEngine, daemon: Daemon, node: SeenNode) -> None:
    host = daemon.containers[node.id]["HostConfig"]
    assert (host["CapDrop"], host["CapAdd"], host["SecurityOpt"]) == (
        ["ALL"],
        ["NET_RAW"],
        ["no-new-privileges"],
    )
    assert (host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"]) == (
        2**25, 2**25, 500_000_000, 32,
    )  # fmt: skip
    assert (host["ReadonlyRootfs"], host["Tmpfs"], host["Dns"]) == (
        True,
        {"/run": "rw,size=4096"},
        ["127.0.0.1"],
    )
    (wall,) = engine.walls(LAB)
    assert (wall.node, wall.capabilities, wall.drops_all, wall.new_privileges) == (
        "one",
        ("NET_RAW",),
        True,
        False,
    )


def test_a_sensor_shares_the_host_and_has_no_address(engine: DockerEngine) -> None:
    engine.create_node(replace(NODE, name="sensor", networks=(), host_network=True))
    (sensor,) = engine.observe(LAB).nodes
    assert sensor.addresses == {}
    assert sensor.elsewhere == ()


def test_a_network_is_internal_and_without_a_gateway(engine: DockerEngine, daemon: Daemon) -> None:
    engine.create_network(NETWORK)
    engine.create_network(replace(NETWORK, name="open", bridge="lab1", internet=True))
    closed, opened = daemon.networks.values()
    assert (closed["Internal"], opened.get("Internal", False)) == (True, False)
    assert closed["Options"]["com.docker.network.bridge.inhibit_ipv4"] == "true"
    assert "com.docker.network.bridge.inhibit_ipv4" not in opened["Options"]
    assert len(engine.subnets()) == 2


def test_a_name_of_somebody_else_is_left_alone(engine: DockerEngine, node: SeenNode) -> None:
    del node
    with pytest.raises(NameTaken, match="already in use"):
        engine.create_node(NODE)
    with pytest.raises(NameTaken):
        engine.create_network(NETWORK)


def test_a_subnet_that_is_refused_is_passed_over(engine: DockerEngine, daemon: Daemon) -> None:
    daemon.faults["POST /networks/create"] = Refused(
        403, "Pool overlaps with other one on this address space"
    )
    engine.create_network(NETWORK)
    assert len(daemon.networks) == 1


def test_a_network_that_keeps_an_endpoint_is_freed(
    engine: DockerEngine, daemon: Daemon, node: SeenNode
) -> None:
    (network,) = engine.observe(LAB).networks
    engine.remove_network(network)  # the node's endpoint is disconnected by force
    assert daemon.networks == {}
    assert daemon.containers[node.id]["NetworkSettings"]["Networks"] == {}


def test_a_fault_of_a_removal_is_said(engine: DockerEngine, daemon: Daemon) -> None:
    engine.create_network(NETWORK)
    (network,) = engine.observe(LAB).networks
    daemon.faults[f"DELETE /networks/{network.id}"] = Refused(500, "cannot")
    with pytest.raises(EngineFault, match="removing network left: cannot"):
        engine.remove_network(network)


def test_nodes_stop_start_wake_and_go(engine: DockerEngine, daemon: Daemon, node: SeenNode) -> None:
    daemon.containers[node.id]["State"]["Status"] = "paused"
    engine.start_node(engine.observe(LAB).nodes[0])
    assert engine.observe(LAB).nodes[0].state == "running"
    daemon.containers[node.id]["State"]["Status"] = "exited"
    assert engine.observe(LAB).nodes[0].state == "stopped"
    engine.start_node(engine.observe(LAB).nodes[0])
    engine.remove_nodes([node])
    engine.remove_nodes([node])  # gone already
    assert engine.observe(LAB).nodes == ()


def test_many_nodes_leave_their_networks_first(engine: DockerEngine, daemon: Daemon) -> None:
    engine.create_network(replace(NETWORK, prefix=24))
    for number in range(101):
        engine.create_node(replace(NODE, name=f"n{number}"))
    engine.remove_nodes(engine.observe(LAB).nodes)
    assert sum(it.endswith("/disconnect") for it in daemon.asked) == 101
    assert daemon.containers == {}


def test_a_command_gives_code_and_both_outputs(engine: DockerEngine, daemon: Daemon, node: SeenNode) -> None:
    daemon.answer = lambda argv, stdin: (7, stdin + b"!", " ".join(argv).encode())
    ran = engine.execute(node, ("cat", "-"), user="maria", stdin=b"in", environment={"X": "y"})
    assert (ran.code, ran.stdout, ran.stderr) == (7, b"in!", b"cat -")
    (made,) = daemon.execs.values()
    assert (made["User"], made["Env"]) == ("maria", ["X=y"])


def test_a_command_that_hangs_is_given_up(engine: DockerEngine, daemon: Daemon, node: SeenNode) -> None:
    over = threading.Event()

    def hang(_argv: list[str], _stdin: bytes) -> tuple[int, bytes, bytes]:
        over.wait(5)
        return 0, b"", b""

    daemon.answer = hang
    begun = time.monotonic()
    with pytest.raises(EngineSlow, match=r"did not end within 0.2 s; it was stopped"):
        engine.execute(node, ("sleep", "9"), timeout=0.2)
    over.set()
    assert time.monotonic() - begun < 4


def test_a_stream_gives_what_is_written_and_ends(
    engine: DockerEngine, daemon: Daemon, node: SeenNode
) -> None:
    daemon.answer = lambda _argv, _stdin: (0, b"one\ntwo\n", b"not this")
    stream = engine.stream(node, ("tail", "-F", "/log"))
    stream.close()
    stream.close()
    assert b"".join(stream) in {b"", b"one\ntwo\n"}


def test_a_shell_joins_this_terminal(engine: DockerEngine, daemon: Daemon, node: SeenNode) -> None:
    daemon.answer = lambda _argv, stdin: (3, b"seen " + stdin, b"")
    typed, ours = pty.openpty()
    reading, shown = os.pipe()
    timer = threading.Timer(0.3, os.write, (typed, b"exit\n"))  # what is typed before it is raw is dropped
    timer.start()
    with os.fdopen(ours, "r") as keys, os.fdopen(shown, "w") as screen, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", keys)
        patch.setattr("sys.stdout", screen)
        code = engine.open_shell(node)
    timer.join()
    os.close(typed)
    assert b"seen exit" in os.read(reading, 4096)
    os.close(reading)
    assert code == 3


def test_images_are_made_listed_and_removed(engine: DockerEngine, daemon: Daemon) -> None:
    engine.load_root(io.BytesIO(b"tar"), "homerange/base:0")
    with engine.open_baking("homerange/base:0", lab=LAB, role="tiny") as baking:
        assert baking.passing
        (seen,) = engine.observe(LAB).nodes
        assert (seen.name, seen.passing) == ("bake-tiny", True)
        engine.commit(baking, "homerange/new:1", {"homerange.baked": "1"})
    assert daemon.containers == {}
    assert engine.image_labels("homerange/new:1") == {
        "homerange.baked": "1", "homerange.lab": "", "homerange.baking": "",
    }  # fmt: skip
    assert engine.images() == {"homerange/tiny:0": 7, "homerange/new:1": 1000}
    engine.remove_image("homerange/new:1")
    engine.remove_image("homerange/new:1")
    assert engine.image_labels("homerange/new:1") is None


def test_a_bake_that_was_killed_is_replaced(engine: DockerEngine, daemon: Daemon) -> None:
    daemon.images["base:0"] = {"Id": "1", "RepoTags": ["base:0"], "Size": 1, "Config": {"Labels": {}}}
    left = engine.open_baking("base:0", lab=LAB, role="tiny")
    old = left.__enter__()  # and never left: it was killed
    with engine.open_baking("base:0", lab=LAB, role="tiny") as new:
        assert new.id != old.id
        assert list(daemon.containers) == [new.id]


def test_no_registry_is_no_image(engine: DockerEngine) -> None:
    assert engine.pull("debian:trixie-slim") is False
    assert engine.registry_answers("debian:trixie-slim") is False


def test_the_engine_says_what_it_is_and_has(engine: DockerEngine, node: SeenNode) -> None:
    told = engine.about()
    assert (told.name, told.version, told.api, told.cpus, told.cannot) == (
        "Docker",
        "20.10.24",
        "1.41",
        2,
        (),
    )
    has = engine.belongings()
    assert (has.containers, has.volumes) == (frozenset({node.id}), frozenset({"theirs"}))
    vitals = engine.vitals(node)
    assert (vitals.memory, vitals.processor, vitals.measured - vitals.started) == (2000, 5, 10**9)
    assert "last words" in engine.log_tail(node, 5)
    engine.seal_network(engine.observe(LAB).networks[0])  # its bridge is not there: nothing to seal


def test_what_the_daemon_says_is_passed_on(engine: DockerEngine, daemon: Daemon) -> None:
    daemon.faults["GET /info"] = Refused(500, "write /x: No space left on device")
    with pytest.raises(DiskFull):
        engine.about()
    daemon.faults["GET /volumes"] = Refused(500, "broken")
    with pytest.raises(EngineFault, match="listing what the engine has: broken"):
        engine.belongings()
    with pytest.raises(EngineFault, match="No such image"):
        engine.create_node(replace(NODE, image="nothing:0", networks=(), host_network=True))


def test_nobody_there_is_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with forgetful_client(), pytest.raises(EngineUnreachable):
        DockerEngine()
