"""What the probes find is judged, wall by wall, on a lab in memory."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from typing import Final

import pytest

from lab.engine.addresses import host_addresses
from lab.engine.nodes import RunningLab, SeenNode
from lab.engine.shell import Completed
from lab.errors import Leak
from lab.inventory.kind import Kinds
from lab.provision import walls
from tests.support import KINDS
from tests.world import NOTHING, World, completed


@pytest.fixture
def world() -> World:
    return World()


def holes(world: World, running: RunningLab) -> set[tuple[str, str]]:
    return {(it.wall, it.said) for it in walls.attack(running, world.engine, KINDS).holes}


NETWORKS: Final = ("inside", "outside")


def test_walls_that_hold_have_no_holes(world: World) -> None:
    proof = walls.attack(world.stand_up(), world.engine, KINDS)
    assert proof.holes == ()
    assert {it.node for it in proof.probes} == {"attacker", "bastion", "desk", "sensor", "shop", *NETWORKS}
    assert {it.wall for it in proof.probes} == {
        "host", "gateway", "raw frames", "route", "engine", "dns", "other networks", "confinement",
        "bridge",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("found", "hole"),
    [
        ({"sockets": ["/run/docker.sock"]}, ("engine", "/run/docker.sock")),
        ({"hops": {"192.0.2.1": "direct"}}, ("route", "straight onto a network it is attached to")),
        ({"ipv6": ["fe80000000000000000000000000000a"]}, ("route", "fe80::a")),
        ({"nameservers": ["9.9.9.9"]}, ("dns", "9.9.9.9")),
        ({"resolved": True}, ("dns", "answers for a name that nobody has")),
        (
            {"raw": [host_addresses().ipv4[0]]},
            ("raw frames", "the host heard it; as root,  lab up  closes this"),
        ),
    ],
)
def test_what_got_through_is_said(found: dict[str, object], hole: tuple[str, str], world: World) -> None:
    running = world.stand_up()
    world.found.update(found)
    assert holes(world, running) == {hole}


def test_the_host_is_a_way_out_where_it_would_pass_on(world: World) -> None:
    running = world.stand_up()
    address = host_addresses().ipv4[0]
    world.found["hops"] = {"169.254.169.254": address}
    assert holes(world, running) == {("route", f"via {address}, which this machine has and would pass on")}


def test_what_answers_got_through(world: World) -> None:
    running = world.stand_up()

    def answer_all(_node: SeenNode, argv: tuple[str, ...]) -> Completed | None:
        if argv[0] != "python3":
            return None
        return completed(argv, json.dumps({**NOTHING, "reached": json.loads(argv[-1])["tries"]}))

    world.special = answer_all
    assert {wall for wall, _ in holes(world, running)} == {"host", "gateway", "engine", "other networks"}


def test_what_was_heard_here_got_through_although_no_answer_went_back(world: World) -> None:
    running = world.stand_up()

    def send(_node: SeenNode, argv: tuple[str, ...]) -> Completed | None:
        orders = json.loads(argv[-1]) if argv[0] == "python3" else {}
        if orders.get("raw"):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
                for said in (f"raw {orders['raw'][0]}", "udp 10.9.9.9"):
                    line.sendto(f"{orders['token']} {said}".encode(), ("127.0.0.1", orders["port"]))
        return None

    world.special = send
    assert ("raw frames", "the host heard it; as root,  lab up  closes this") in holes(world, running)


def test_a_probe_that_fails_is_a_hole(world: World) -> None:
    running = world.stand_up()
    world.special = lambda _node, argv: (
        completed(argv, code=126, said="cannot run") if argv[0] == "python3" else None
    )
    assert ("host", "cannot run") in holes(world, running)


def test_a_proof_names_every_way(world: World) -> None:
    running = world.stand_up()
    world.found["sockets"] = ["/run/docker.sock"]
    with pytest.raises(Leak) as caught:
        walls.prove(running, world.engine, KINDS)
    assert "bastion -> engine's socket: /run/docker.sock" in caught.value.holes


def test_how_a_node_is_confined_is_compared_with_its_kind(world: World) -> None:
    running = world.stand_up()
    key = ("starter", "bastion")
    spec = world.engine._specs[key]  # noqa: SLF001  # somebody who changes it by hand
    world.engine._specs[key] = replace(spec, capabilities=("SYS_ADMIN",), memory=0, processes=0)  # noqa: SLF001
    (said,) = {said for wall, said in holes(world, running) if wall == "confinement"}
    assert said.split("; ") == [
        "has no memory limit",
        "has no limit of processes",
        "has capabilities its kind does not name: SYS_ADMIN",
    ]


def test_a_kind_that_is_not_known_is_not_compared(world: World) -> None:
    running = world.stand_up()
    probes = walls.attack(running, world.engine, Kinds({})).probes
    assert {it.said for it in probes if it.wall == "confinement"} == {
        "its kind is not known here, so its capabilities were not compared"
    }


def test_what_only_root_can_close_is_said_and_not_called_proved(world: World) -> None:
    running = world.stand_up()
    unknown = replace(running, networks=tuple(replace(it, loose=None) for it in running.networks))
    (said,) = walls.prove(unknown, world.engine, KINDS).untried
    assert said.startswith("raw frames on inside, outside: only root can make this machine deaf to them")
    assert walls.prove(running, world.engine, KINDS).untried == ()


def test_a_bridge_on_which_the_host_listens_is_a_hole(world: World) -> None:
    running = world.stand_up()
    strange = "its bridge has the address 10.0.0.1"
    told = replace(running.networks[0], loose=("arp_ignore is 0",), strange=strange)
    changed = replace(running, networks=(told, *running.networks[1:]))
    (hole,) = walls.attack(changed, world.engine, KINDS).holes
    assert (hole.node, hole.wall) == ("inside", "bridge")
    assert (
        hole.said == "arp_ignore is 0; its bridge has the address 10.0.0.1; as root,  lab up  puts it right"
    )
