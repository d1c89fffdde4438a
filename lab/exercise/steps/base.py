"""What every kind of step is, and what it gives back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, runtime_checkable

from lab.engine.shell import Completed
from lab.errors import LabError
from lab.exercise.evidence import Evidence
from lab.exercise.finding import Finding
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


class Lacking(LabError):
    """A step may not run where it is: something that it needs is not there."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)

    def message(self) -> str:
        """Say what."""
        return self.why


class Ready(Protocol):
    """A step that has what it needs, sees for itself whether it had an effect, and knows how to undo it."""

    @property
    def undo(self) -> tuple[str, tuple[str, ...]] | None:
        """Who undoes it, and the command; None when there is nothing to undo."""
        ...

    def act(self, place: Place) -> Outcome:
        """Do it."""
        ...

    def finding(self, place: Place, outcome: Outcome) -> Finding:
        """Look, afterwards, whether it had an effect."""
        ...

    def left(self, place: Place) -> str:
        """Look, once it was undone, what is left of it; nothing when all is as before."""
        ...


@runtime_checkable
class Careful(Protocol):
    """A kind of step that has to be made ready on its node first."""

    def prepare(self, place: Place, capabilities: Collection[str]) -> Ready:
        """Bring what it needs; what is done here is no attack.

        Args:
            place: The door to its node.
            capabilities: What root can do there.

        Raises:
            Lacking: it may not run here.
        """
        ...


def outputs(completed: Completed) -> dict[str, object]:
    """Give what `register` keeps of a command, under the names Ansible uses."""
    return {
        "stdout": completed.stdout.decode("utf-8", "backslashreplace"),
        "stderr": completed.stderr.decode("utf-8", "backslashreplace"),
        "rc": completed.code,
    }
