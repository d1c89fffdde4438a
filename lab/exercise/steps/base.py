"""What every kind of step is, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from lab.engine.shell import Completed
from lab.exercise.evidence import Evidence
from lab.exercise.place import Place
from lab.exercise.scope import Target


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

    evidence: Evidence = field(default_factory=Evidence)
    """Which events belong to it beside those of the commands that it ran."""

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


def outputs(completed: Completed) -> dict[str, object]:
    """Give what `register` keeps of a command, under the names Ansible uses."""
    return {
        "stdout": completed.stdout.decode("utf-8", "backslashreplace"),
        "stderr": completed.stderr.decode("utf-8", "backslashreplace"),
        "rc": completed.code,
    }
