"""The verdict of one step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from lab.detect.alert import Alert
from lab.exercise.truth import Truth
from lab.moment import SECOND
from lab.score.credit import Judged
from lab.score.evidence import AttackStep, StepEvents
from lab.score.grading import grade, strangers, unnamed
from lab.score.reason import detected, late, missed, partial
from lab.score.values import StepScore
from lab.score.vocabulary import Modifier, Verdict

_GRADED: Final[tuple[Verdict, ...]] = ("general", "tactic", "technique")
"""The verdicts of `lab.score.grading`'s grades, from the lowest."""


def step_score(place: int, judged: Judged) -> StepScore:
    """Judge the step at a place."""
    step, seen = judged.steps[place], judged.found.seen[place]
    alerts = judged.crediting(place)
    if alerts:
        return _detected(place, alerts, judged)
    return StepScore(
        step=step.id,
        name=step.record.name,
        technique=step.record.technique,
        verdict=_missed(step, seen),
        modifiers=_stopped(step.record),
        reason=missed(step, seen, elsewhere=place in judged.touched),
        events=seen.events,
        alerts=(),
        rules=(),
        time_to_detect=None,
        sensor_delay=None,
        evaluation_delay=None,
    )


def _missed(step: AttackStep, seen: StepEvents) -> Verdict:
    if not step.ran:
        return "not_run"
    if step.record.occurred is None:
        return "unverified"
    if not step.occurred:
        return "no_effect"
    return "telemetry_only" if seen.events else "no_telemetry"


def _stopped(record: Truth) -> tuple[Modifier, ...]:
    return ("timed_out",) if record.timed_out else ()


def _detected(place: int, alerts: Sequence[Alert], judged: Judged) -> StepScore:
    record, seen, first = judged.steps[place].record, judged.found.seen[place], alerts[0]
    best = max(grade(alert, record) for alert in alerts)
    naming = [alert for alert in alerts if grade(alert, record) == best]
    delay = _since_first_event(seen, first)
    is_late = delay > record.limit
    missing, wrong = unnamed(record, naming), _strangers(naming, judged)
    modifiers: list[tuple[Modifier, bool]] = [
        ("late", is_late),
        ("partial_entity", bool(missing or wrong)),
    ]
    return StepScore(
        step=record.step,
        name=record.name,
        technique=record.technique,
        verdict=_GRADED[best],
        modifiers=(*_stopped(record), *(modifier for modifier, holds in modifiers if holds)),
        reason=detected(record, naming, best)
        + (late(record.limit) if is_late else "")
        + partial(missing, wrong),
        events=seen.events,
        alerts=tuple(sorted(alert.id for alert in alerts)),
        rules=tuple(sorted({alert.title for alert in alerts})),
        time_to_detect=delay / SECOND,
        sensor_delay=_sensor_delay(seen),
        evaluation_delay=max(0, first.raised - first.ingested) / SECOND,
    )


def _since_first_event(seen: StepEvents, alert: Alert) -> int:
    """Return nanoseconds; clocks that disagree within their bounds never make it less than none."""
    return max(0, alert.raised - seen.first[0]) if seen.first else 0


def _sensor_delay(seen: StepEvents) -> float:
    """Return how long the first event took to enter the store, in seconds."""
    return max(0, seen.first[1] - seen.first[0]) / SECOND if seen.first else 0


def _strangers(alerts: Iterable[Alert], judged: Judged) -> set[str]:
    found: set[str] = set()
    for alert in alerts:
        found |= strangers(alert, [judged.steps[it].record for it in judged.credits[alert.id]])
    return found
