"""Run a program on a node."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from lab.exercise.place import Place
from lab.exercise.steps.base import Outcome, outputs
from lab.files.declared import Fault


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command line; no shell is added."""

    kind: ClassVar[str] = "command"
    remedy: ClassVar[str] = "write  command: {argv: [id, -u]}"

    argv: tuple[str, ...]
    """The program and its arguments."""

    targets: tuple[str, ...] = ()
    """The nodes or networks it is aimed at; empty when it stays on its node."""

    user: str = "root"
    """Who runs it."""

    def faults(self) -> Iterator[Fault]:
        """Find that nothing is run."""
        if not self.argv:
            yield Fault(key="argv", what="names no program", remedy=self.remedy)

    def act(self, place: Place) -> Outcome:
        """Run it."""
        ran = place.run(self.argv, targets=self.targets, user=self.user)
        return Outcome(
            completed=ran.completed,
            command_line=shlex.join(self.argv),
            targets=ran.targets,
            users=() if ran.targets else (self.user,),
            registered=outputs(ran.completed),
        )
