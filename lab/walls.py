"""Does the lab keep in what is in it? Probes from inside every node, and how each is confined.

Probes go to addresses of this machine alone. Where a wall leads outside, no packet is sent there:
it is proved that it has no way, since the next hop is an address that nobody owns.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

from lab import records
from lab.addresses import host_addresses
from lab.definition import Lab
from lab.engine.base import Engine, RunningLab, SeenNode, Wall
from lab.errors import Leak
from lab.workers import together

_SCRIPT: Final = Path(__file__).with_name("probe.py")
"""Runs inside the nodes: connects, reads the route and the resolver, prints JSON."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """One attempt to get through a wall."""

    node: str
    """From where."""

    wall: Literal["host", "gateway", "route", "engine", "dns", "confinement"]
    """Which wall."""

    target: str
    """What was tried."""

    held: bool
    """Whether the wall held."""

    said: str
    """What happened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """All probes of a lab, every one of which held."""

    running: RunningLab
    """The lab."""

    probes: tuple[Probe, ...]
    """What was tried."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """What the probe script prints."""

    reached: tuple[str, ...]
    """Addresses that answered."""

    gateways: tuple[str, ...]
    """Next hops of default routes."""

    sockets: tuple[str, ...]
    """Engine sockets that are there."""

    nameservers: tuple[str, ...]
    """Resolvers."""


def prove(lab: Lab, running: RunningLab, engine: Engine) -> Proof:
    """Attack the walls of a lab from inside every node.

    Raises:
        Leak: something got through; names every way.
    """
    probes = attack(lab, running, engine)
    if holes := [f"{it.node} -> {it.target}: {it.said}" for it in probes if not it.held]:
        raise Leak(*holes)
    return Proof(running=running, probes=probes)


def attack(lab: Lab, running: RunningLab, engine: Engine) -> tuple[Probe, ...]:
    """Try every wall and say what happened; a node on a network that the inventory opens has none to try."""
    confined = [probe for wall in engine.walls(running.name) for probe in _confinement(lab, wall)]
    opened = {network.name for network in lab.networks if network.internet}
    inside = [
        node
        for node in running.nodes
        if node.addresses and node.state == "running" and not opened.intersection(node.addresses)
    ]
    with _bait() as port:
        found = together([partial(_probe, engine, running, node, port) for node in inside])
    return (*confined, *(probe for probes in found for probe in probes))


@contextmanager
def _bait() -> Iterator[int]:
    """Listen on every address of this machine, so that there is something for a probe to reach."""
    with socket.create_server(("", 0)) as server:
        yield int(server.getsockname()[1])


def _probe(engine: Engine, running: RunningLab, node: SeenNode, port: int) -> tuple[Probe, ...]:
    gateways = tuple(
        str(next(ipaddress.IPv4Network(network.subnet).hosts()))
        for network in running.networks
        if network.name in node.addresses
    )
    targets = dict.fromkeys((*host_addresses(), *gateways))
    ran = engine.execute(
        node,
        ("python3", "-I", "-c", _SCRIPT.read_text(encoding="utf-8"), str(port), *targets),
        user="root",
        timeout=20,
    )
    try:
        found = records.from_json(ran.stdout, _Found)
    except ValueError:
        said = ran.stderr.decode("utf-8", "backslashreplace").strip() or f"exit code {ran.code}"
        return (Probe(node=node.name, wall="host", target="the probe itself", held=False, said=said),)
    return (*_reach(node, found, gateways, tuple(targets)), *_ways_out(node, found))


def _reach(
    node: SeenNode, found: _Found, gateways: tuple[str, ...], targets: tuple[str, ...]
) -> Iterator[Probe]:
    for target in targets:
        reached = target in found.reached
        yield Probe(
            node=node.name,
            wall="gateway" if target in gateways else "host",
            target=f"{target} (TCP)",
            held=not reached,
            said="answered" if reached else "no answer",
        )


def _ways_out(node: SeenNode, found: _Found) -> Iterator[Probe]:
    owned = set(host_addresses())
    for gateway in found.gateways or ("none",):
        leads = gateway in owned
        said = "the host has it and would forward" if leads else "nobody has it"
        yield Probe(
            node=node.name, wall="route", target=f"default route via {gateway}", held=not leads, said=said
        )
    yield Probe(
        node=node.name,
        wall="engine",
        target="engine's socket",
        held=not found.sockets,
        said=", ".join(found.sockets) or "not there",
    )
    outside = [it for it in found.nameservers if not ipaddress.ip_address(it).is_loopback]
    yield Probe(
        node=node.name,
        wall="dns",
        target="name servers",
        held=not outside,
        said=", ".join(outside) or "only the engine's own, which knows the lab's nodes",
    )


def _confinement(lab: Lab, wall: Wall) -> Iterator[Probe]:
    node = lab.node(wall.node)
    allowed = set(node.kind.capabilities) if node else set()
    sensor = node is not None and node.kind.host_network
    extra = sorted(set(wall.capabilities) - allowed)
    upstream = [it for it in wall.nameservers if not ipaddress.ip_address(it).is_loopback]
    resolves = not sensor and (not wall.nameservers or bool(upstream))
    faults = (
        (wall.privileged, "is privileged"),
        (not wall.drops_all, "keeps capabilities it was not given"),
        (bool(extra), f"has capabilities its kind does not name: {', '.join(extra)}"),
        (wall.new_privileges, "may gain privileges"),
        (bool(wall.mounts), f"has folders of the host: {', '.join(wall.mounts)}"),
        (resolves, "asks the host's name servers"),
        (not wall.memory, "has no memory limit"),
        (not wall.processes, "has no limit of processes"),
    )
    said = "; ".join(words for wrong, words in faults if wrong)
    yield Probe(
        node=wall.node,
        wall="confinement",
        target="confinement",
        held=not said,
        said=said or "as its kind says",
    )
