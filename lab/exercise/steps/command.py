"""Run a program on a node."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import ClassVar, Self

from lab.engine.nodes import SeenNode
from lab.exercise.steps.base import Outcome, Place, outputs, traffic
from lab.exercise.truth import Predicate
from lab.files.loader import Item, Reading


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command line; no shell is added."""

    kind: ClassVar[str] = "command"

    argv: tuple[str, ...]
    """The program and its arguments."""

    targets: tuple[str, ...] = ()
    """The nodes or networks it is aimed at; empty when it stays on its node."""

    user: str = "root"
    """Who runs it."""

    @classmethod
    def from_item(cls, reading: Reading, item: Item) -> Self:
        """Read its arguments, noting every problem."""
        entries = reading.mapping(item, "command", ("argv", "targets", "user"))
        if "argv" not in entries:
            reading.problem(item, "command needs argv", "write  command: {argv: [id, -u]}")
        return cls(
            argv=reading.texts(entries["argv"], "argv") if "argv" in entries else (),
            targets=reading.texts(entries["targets"], "targets") if "targets" in entries else (),
            user=reading.text(entries["user"], "user") if "user" in entries else "root",
        )

    def texts(self) -> tuple[str, ...]:
        """Return every argument that may hold a template."""
        return (*self.argv, *self.targets, self.user)

    def act(self, place: Place) -> Outcome:
        """Run it."""
        targets = tuple(place.scope.resolve(place.fill(target)) for target in self.targets)
        argv = tuple(place.fill(word) for word in self.argv)
        user = place.fill(self.user)
        place.scope.check_words(argv)
        completed = place.engine.execute(place.source, argv, user=user, timeout=place.timeout)
        return Outcome(
            completed=completed,
            command_line=shlex.join(argv),
            targets=targets,
            users=(user,) if not targets else (),
            evidence=(*traffic(place.source, targets), _execution(place.source, argv)),
            registered=outputs(completed),
        )


def _execution(source: SeenNode, argv: tuple[str, ...]) -> Predicate:
    """Say which events are of this very execution; on a node without an execution log there are none."""
    return Predicate(where={"host.name": (source.name,), "process.command_line": (" ".join(argv),)})
