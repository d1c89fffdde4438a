"""Do nothing for a while, as attackers do to stay below a threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from lab.engine.shell import Completed
from lab.exercise.place import Place
from lab.exercise.steps.base import Outcome
from lab.files.declared import Key
from lab.moment import Moment

_LONGEST: Final = 3600
"""Seconds; whatever a file says, a run ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """A pause."""

    kind: ClassVar[str] = "wait"
    remedy: ClassVar[str] = "write  wait: {seconds: 5}"

    seconds: Annotated[float, Key(least=0.001, most=_LONGEST, remedy="write  wait: {seconds: 5}")]
    """How long."""

    def act(self, place: Place) -> Outcome:
        """Wait."""
        start = Moment.now()
        place.pause(min(self.seconds, place.timeout))
        done = Completed(argv=("wait",), code=0, stdout=b"", stderr=b"", start=start, end=Moment.now())
        return Outcome(completed=done, command_line="wait")
