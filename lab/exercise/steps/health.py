"""Measure how a service serves its visitors: before a flood, beside it, and after."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from lab.exercise.inside import answer_of, argv_of
from lab.exercise.place import Place
from lab.exercise.steps.base import Outcome
from lab.files import records
from lab.files.declared import Key

MOST_SECONDS: Final = 60
MOST_A_SECOND: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """What the script inside the node takes."""

    address: str
    port: int
    path: str
    seconds: float
    rate: float


@dataclass(frozen=True, kw_only=True, slots=True)
class _Done:
    """How long each answer took, in milliseconds, and how many never came."""

    took: tuple[float, ...]
    failed: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """Requests of an ordinary visitor, timed."""

    kind: ClassVar[str] = "health"
    remedy: ClassVar[str] = "write  health: {target: shop, seconds: 5}"

    target: str
    """The node that serves."""

    port: Annotated[int, Key(least=1, most=65535)] = 80
    """Its port for HTTP."""

    path: str = "/about"
    """What is asked for."""

    seconds: Annotated[float, Key(least=1, most=MOST_SECONDS)] = 5.0
    """How long it is watched."""

    rate: Annotated[float, Key(least=0.2, most=MOST_A_SECOND)] = 2.0
    """Requests a second."""

    def act(self, place: Place) -> Outcome:
        """Ask, and measure."""
        asked = _Asked(
            address=place.resolve(self.target).address,
            port=self.port,
            path=self.path,
            seconds=min(self.seconds, MOST_SECONDS, place.timeout),
            rate=min(self.rate, MOST_A_SECOND),
        )
        stdin = records.to_json(asked).encode()
        ran = place.run(argv_of("health"), targets=(self.target,), stdin=stdin, packed=(self.path,))
        done = answer_of("health", ran.completed, _Done)
        answered = len(done.took)
        median = round(statistics.median(done.took), 1) if done.took else None
        worst = round(max(done.took), 1) if done.took else None
        said = (
            f"{answered} of {answered + done.failed} requests answered, median {median} ms, worst {worst} ms"
        )
        return Outcome(
            completed=ran.completed,
            command_line=f"{self.target}:{self.port}{self.path}: {said}",
            targets=ran.targets,
            registered={"answered": answered, "failed": done.failed, "median_ms": median, "worst_ms": worst},
        )
