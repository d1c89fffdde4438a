"""Which events are of what a step really did: its processes, its connections, its sessions.

Predicates are made of what the tracer saw, so whoever works under the same account, from the same address and
in the same second is somebody else. Where nothing was seen, they are as wide as what is known, and say so.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from lab.engine.nodes import SeenNode
from lab.engine.shell import Completed
from lab.engine.trace import Connection
from lab.exercise.scope import Target
from lab.exercise.truth import Predicate

_LARGEST_SWEEP: Final = 4096
"""Addresses of a block that evidence names one by one; the largest network of a lab has as many."""

Values = tuple[str | int, ...] | tuple[str, ...] | tuple[int, ...]

_PORTED: Final = frozenset({"tcp", "udp"})

_BY_PROCESS: Final = ("host.name", "process.pid")
"""A server's process for one connection writes several lines, and not each names the connection."""

_BY_SESSION: Final = ("host.name", "process.session_leader.pid")
"""What runs in a session over SSH names the connection in its environment, unless somebody cleared that."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Which events belong to something that was done."""

    predicates: tuple[Predicate, ...] = ()
    """An event belongs when any of these matches."""

    wide: tuple[str, ...] = ()
    """Why some are wider than what was done, for a person."""

    def prompt(self) -> Evidence:
        """Return the same without what comes later: of a connection that goes on, that is the next step's."""
        return replace(self, predicates=tuple(replace(it, lingers=False) for it in self.predicates))

    def __add__(self, other: Evidence) -> Evidence:
        """Join two."""
        return Evidence(
            predicates=(*self.predicates, *(it for it in other.predicates if it not in self.predicates)),
            wide=tuple(dict.fromkeys((*self.wide, *other.wide))),
        )


def evidence_of(node: SeenNode, ran: Sequence[Completed], targets: Sequence[Target]) -> Evidence:
    """Say which events are of commands that ran on a node.

    Args:
        node: Where they ran.
        ran: The commands.
        targets: What they were aimed at, for those that could not be traced.
    """
    found = Evidence()
    for it in ran:
        if it.trace is None:
            found += _untraced(node, it, targets)
    traces = [it.trace for it in ran if it.trace]
    if pids := tuple(sorted({process.pid for trace in traces for process in trace.processes})):
        mine = Predicate(where={"host.name": (node.name,), "process.pid": pids}, lingers=True)
        found += Evidence(predicates=(mine,), wide=tuple(said for trace in traces for said in trace.missed))
    return found + connections([it for trace in traces for it in trace.connections], node)


def connections(opened: Iterable[Connection], node: SeenNode) -> Evidence:
    """Say which events are of connections, and of packets without any."""
    outside = [it for it in opened if not ipaddress.IPv4Address(it.destination).is_loopback]
    known = [it for it in outside if it.transport in _PORTED and it.source_port]
    refused = [it for it in outside if it.transport in _PORTED and not it.source_port]
    portless = [it for it in outside if it.transport not in _PORTED]
    own = tuple(sorted(address for address in node.addresses.values() if address))
    found = Evidence()
    if known:
        found += Evidence(predicates=tuple(_known(known, own)))
    if refused:
        ports = tuple(sorted({it.destination_port for it in refused}))
        said = f"{len(refused)} connections are known by where they went alone: their own port was given back"
        both = _both_ways(own, _destinations(refused), {"destination.port": ports}, {"source.port": ports})
        found += Evidence(predicates=both, wide=(said,))
    if portless:
        kinds = tuple(sorted({it.transport for it in portless}))
        said = f"packets of {', '.join(kinds)} have no ports: they are known by their addresses alone"
        transport = {"network.transport": kinds}
        both = _both_ways(own, _destinations(portless), transport, transport)
        found += Evidence(predicates=both, wide=(said,))
    return found


def _known(opened: Sequence[Connection], own: tuple[str, ...]) -> Iterator[Predicate]:
    """Connections whose own port is known: on the wire in both directions, and in logs of who was asked."""
    ports = tuple(sorted({it.source_port for it in opened}))
    both = _both_ways(own, _destinations(opened), {"source.port": ports}, {"destination.port": ports})
    yield from (replace(it, lingers=True) for it in both)
    mine: dict[str, Values] = {"source.ip": own, "source.port": ports}
    for joined in (_BY_PROCESS, _BY_SESSION):
        yield Predicate(where=mine, joined=joined, lingers=True)


def _both_ways(
    own: tuple[str, ...],
    others: tuple[str, ...],
    going: Mapping[str, Values],
    coming: Mapping[str, Values],
) -> tuple[Predicate, Predicate]:
    return (
        Predicate(where={"source.ip": own, "destination.ip": others, **going}),
        Predicate(where={"source.ip": others, "destination.ip": own, **coming}),
    )


def _destinations(opened: Iterable[Connection]) -> tuple[str, ...]:
    return tuple(sorted({it.destination for it in opened}))


def _untraced(node: SeenNode, ran: Completed, targets: Sequence[Target]) -> Evidence:
    """Say what is known of a command that nobody could follow: its process, and where it was aimed."""
    here, mine = (node.name,), (ran.process,) if ran.process else ()
    names = ("process.pid", "process.parent.pid") if mine else ()
    processes = tuple(Predicate(where={"host.name": here, name: mine}) for name in names)
    said = f"what ran on {node.name} could not be followed: all between it and its targets counts"
    return Evidence(predicates=(*processes, *_between(node, targets)), wide=(said,))


def _between(source: SeenNode, targets: Sequence[Target]) -> tuple[Predicate, ...]:
    """Say which events are of anything from a node to targets: on the wire, and in the targets' logs."""
    mine = tuple(sorted(address for address in source.addresses.values() if address))
    nodes = {node.name: node for target in targets for node in target.nodes if node.id != source.id}
    theirs = {address for node in nodes.values() for address in node.addresses.values() if address}
    theirs |= {address for target in targets for address in _swept(target)}
    if not theirs:
        return ()
    return (
        Predicate(where={"source.ip": mine, "destination.ip": tuple(sorted(theirs))}),
        Predicate(where={"source.ip": mine, "host.name": tuple(sorted(nodes))}),
    )


def _swept(target: Target) -> tuple[str, ...]:
    """List every address of a block: a sweep also sends to those that nobody has."""
    if "/" not in target.address:
        return ()
    return tuple(str(address) for address in islice(ipaddress.IPv4Network(target.address), _LARGEST_SWEEP))
