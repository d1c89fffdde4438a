"""What every kind of step is, and what it gives back."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import ClassVar, Final, Protocol

from lab.engine.nodes import SeenNode
from lab.engine.shell import Completed
from lab.exercise.place import Place
from lab.exercise.scope import Target
from lab.exercise.truth import Predicate

_LARGEST_SWEEP: Final = 4096
"""Addresses of a block that evidence names one by one; the largest network of a lab has as many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a step did."""

    completed: Completed
    """The command that ran, with its times and outputs."""

    command_line: str
    """What ran, for people."""

    targets: tuple[Target, ...] = ()
    """What it was aimed at."""

    users: tuple[str, ...] = ()
    """Accounts it used on the targets."""

    evidence: tuple[Predicate, ...] = ()
    """Which events belong to it."""

    registered: Mapping[str, object] = field(default_factory=dict)
    """What later steps may read of it."""


class Step(Protocol):
    """One kind of step. Its fields are its arguments; texts may be templates, filled in before it acts.

    A kind is a dataclass that `lab.files.declared` can read.
    """

    kind: ClassVar[str]
    """The key that names it in a scenario."""

    def act(self, place: Place) -> Outcome:
        """Do it, through the door.

        Raises:
            OutOfScope: a target is not of this lab; nothing was sent.
        """
        ...


def traffic(source: SeenNode, targets: tuple[Target, ...]) -> tuple[Predicate, ...]:
    """Say which events are of packets from a node to its targets: on the wire, and in the targets' logs."""
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


def outputs(completed: Completed) -> dict[str, object]:
    """Give what `register` keeps of a command, under the names Ansible uses."""
    return {
        "stdout": completed.stdout.decode("utf-8", "backslashreplace"),
        "stderr": completed.stderr.decode("utf-8", "backslashreplace"),
        "rc": completed.code,
    }
