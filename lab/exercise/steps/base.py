"""What every kind of step is, and what it is given and gives back."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, Final, Protocol, Self

from lab.engine.engine import Engine
from lab.engine.nodes import RunningLab, SeenNode
from lab.engine.shell import Completed
from lab.exercise.scope import Scope, Target
from lab.exercise.template import render
from lab.exercise.truth import Predicate
from lab.files.loader import Item, Reading

_LARGEST_SWEEP: Final = 4096
"""Addresses of a block that evidence names one by one; the largest network of a lab has as many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where and with what a step runs."""

    engine: Engine
    """Runs commands."""

    running: RunningLab
    """The lab as it is now."""

    source: SeenNode
    """The node the step runs on."""

    scope: Scope
    """What the source may aim at."""

    values: Mapping[str, object]
    """What templates may use."""

    timeout: float
    """Seconds the step may take."""

    def fill(self, text: str) -> str:
        """Fill in a template of the step."""
        return render(text, self.values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a step did."""

    completed: Completed
    """The command that ran, with its times and outputs."""

    command_line: str
    """What ran, for people."""

    targets: tuple[Target, ...]
    """What it was aimed at."""

    users: tuple[str, ...] = ()
    """Accounts it used on the targets."""

    evidence: tuple[Predicate, ...]
    """Which events belong to it."""

    registered: Mapping[str, object]
    """What later steps may read of it."""


class Step(Protocol):
    """One kind of step. Its fields are its arguments, which may hold templates."""

    kind: ClassVar[str]
    """The key that names it in a scenario."""

    @classmethod
    def from_item(cls, reading: Reading, item: Item) -> Self:
        """Read its arguments, noting every problem."""
        ...

    def texts(self) -> tuple[str, ...]:
        """Return every argument that may hold a template."""
        ...

    def act(self, place: Place) -> Outcome:
        """Prove the targets, then do it.

        Raises:
            OutOfScope: a target is not of this lab; nothing was sent.
            BadTemplate: an argument cannot be filled in.
            EngineSlow: it took too long and was stopped.
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
