"""One truth, many eyes: what each SIEM noticed of a run, held against the same truth.

What a product raised is scored by the same function as what ships. Its events came when they came here, and
its rules look now and then, so how long an event waits for the next look is told apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from lab.detect.alert import Alert
from lab.errors import NotFound
from lab.exercise.truth import Clock, Truth
from lab.files import records
from lab.moment import SECOND, Moment
from lab.runs.header import Header
from lab.runs.noticed import Noticed
from lab.score.measures import score_run
from lab.score.values import Score
from lab.siem.compare import Comparison
from lab.telemetry.event import Event

EMBEDDED: Final = "embedded"
"""What detection that ships with the program is called among products."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Eye:
    """One product's view of a run."""

    name: str
    """What it is called: `embedded`, `elasticsearch`."""

    version: str = ""
    """Its version; empty for what ships."""

    score: Score
    """What it noticed, and what not."""

    every: int = 0
    """Seconds between two looks of a rule; 0 for rules that see each event as it comes."""

    waiting: float | None = None
    """Of the time to detect: seconds from the entry of the event that completed a match to the alert, the
    median over steps that were detected; for a product mostly the wait for the next look."""

    memory: int = 0
    """Bytes it used, where that could be measured; 0 where not."""

    startup: float = 0.0
    """Seconds from its start until it answered, where that is known; 0 where not."""

    counted_here: int = 0
    """Correlations that it has no way to run, and that were counted here on what it found."""


def embedded(score: Score) -> Eye:
    """Return the view of what ships."""
    return Eye(name=EMBEDDED, score=score, waiting=_waiting(score))


def named(name: str, score: Score) -> Eye:
    """Return the view of a part of what ships: of rules, or of models."""
    return Eye(name=name, score=score, waiting=_waiting(score))


def seen_by(  # noqa: PLR0913  # the records of a run, each by its name
    name: str,
    *,
    noticed: Noticed,
    header: Header,
    truth: Sequence[Truth],
    events: Iterable[Event],
    clocks: Sequence[Clock],
    total: int = 0,
) -> Eye:
    """Score what a product raised, whose rules were run on the run."""
    found = records.read(noticed.detection(name), Comparison)
    ended = header.ended or header.started
    score = score_run(
        run=header.id,
        truth=truth,
        alerts=alerts_of(noticed, name),
        events=events,
        clocks=clocks,
        rules=found.hashes,
        observed_until=Moment(ended + found.every * SECOND),
        total=total,
    )
    return Eye(
        name=name,
        version=found.server.version,
        score=score,
        every=found.every,
        waiting=_waiting(score),
        memory=found.memory,
        startup=found.startup,
        counted_here=sum(bool(it.counted_here) for it in found.rules),
    )


def alerts_of(noticed: Noticed, name: str) -> tuple[Alert, ...]:
    """Read what a product raised."""
    return records.read_lines(noticed.alerts_of(name), Alert)


def products(noticed: Noticed) -> tuple[str, ...]:
    """Name the SIEMs whose rules were run on a run, sorted."""
    beside = noticed.detection("x").parent
    return tuple(
        sorted(it.name.removesuffix(".json") for it in beside.glob("*.json") if ".sent" not in it.name)
    )


def never_asked(name: str, run: str, known: tuple[str, ...]) -> NotFound:
    """Make the error that a SIEM's rules were never run on a run."""
    remedy = f"lab siem detect {run} --siem {name}  runs the rules there"
    return NotFound("detection by", name=name, known=known, remedy=remedy)


def _waiting(score: Score) -> float | None:
    found = [it.evaluation_delay for it in score.steps if it.evaluation_delay is not None]
    return round(median(found), 3) if found else None
