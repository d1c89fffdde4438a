"""The verdict of one step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
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
from lab.watch.collection import Blind

_ON_THE_WIRE: Final = frozenset({"suricata", "packets"})
"""Sources that see what goes over a network, whatever node it is from."""

_GRADED: Final[tuple[Verdict, ...]] = ("general", "tactic", "technique")
"""The verdicts of `lab.score.grading`'s grades, from the lowest."""


def step_score(place: int, judged: Judged, blind: Sequence[Blind]) -> StepScore:
    """Judge the step at a place.

    Args:
        place: Which step.
        judged: What is known of all of them.
        blind: When which source was silent.
    """
    step, seen = judged.steps[place], judged.found.seen[place]
    alerts = judged.crediting(place)
    silent = [it for it in blind if _needed(step, it)]
    if alerts:
        return _with_silence(_detected(place, alerts, judged), silent)
    return _with_silence(_undetected(step, seen, elsewhere=place in judged.touched), silent)


def _undetected(step: AttackStep, seen: StepEvents, *, elsewhere: bool) -> StepScore:
    return StepScore(
        step=step.id,
        name=step.record.name,
        technique=step.record.technique,
        verdict=_missed(step, seen),
        modifiers=_stopped(step.record),
        reason=missed(step, seen, elsewhere=elsewhere),
        events=seen.events,
        alerts=(),
        rules=(),
        time_to_detect=None,
        sensor_delay=None,
        evaluation_delay=None,
    )


def _needed(step: AttackStep, silent: Blind) -> bool:
    """Tell whether a source that would have shown a step was silent while it went on."""
    if not step.ran or silent.end < step.start or silent.start > max(it.end for it in step.attempts):
        return False
    if silent.source in _ON_THE_WIRE:
        wanted = [predicate.where for it in step.attempts for predicate in it.evidence]
        return any("destination.ip" in it for it in wanted)
    return silent.host in {party.node for it in step.attempts for party in (*it.sources, *it.targets)}


def _with_silence(score: StepScore, silent: Sequence[Blind]) -> StepScore:
    if not silent:
        return score
    sources = ", ".join(sorted({f"{it.host}:{it.what}" for it in silent}))
    return replace(
        score, modifiers=(*score.modifiers, "blind"), reason=f"{score.reason}; {sources} was silent meanwhile"
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
