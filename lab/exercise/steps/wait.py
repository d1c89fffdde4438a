"""Do nothing for a while, as attackers do to stay below a threshold."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from lab.engine.shell import Completed
from lab.exercise.steps.base import Outcome, Place
from lab.files.loader import Item, Reading
from lab.moment import Moment

_LONGEST: Final = 3600
"""Seconds; whatever a file says, a run ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """A pause."""

    kind: ClassVar[str] = "wait"

    seconds: float
    """How long."""

    @classmethod
    def from_item(cls, reading: Reading, item: Item) -> Self:
        """Read its argument, noting every problem."""
        entries = reading.mapping(item, "wait", ("seconds",))
        seconds = reading.number(entries["seconds"], "seconds") if "seconds" in entries else 0
        if not 0 < seconds <= _LONGEST:
            reading.problem(
                item, f"wait needs seconds from above 0 to {_LONGEST}", "write  wait: {seconds: 5}"
            )
        return cls(seconds=seconds)

    def texts(self) -> tuple[str, ...]:
        """Return nothing: no argument may hold a template."""
        return ()

    def act(self, place: Place) -> Outcome:
        """Wait."""
        start = Moment.now()
        time.sleep(min(self.seconds, place.timeout))
        done = Completed(argv=("wait",), code=0, stdout=b"", stderr=b"", start=start, end=Moment.now())
        return Outcome(completed=done, command_line="wait", targets=(), evidence=(), registered={})
