"""What was detected and what was missed: truth beside alerts. Pure; SCORING.md is the specification.

The score is a function of the run's records alone. Records may come in any order, and the same
records give the same bytes. Where the specification leaves a choice, it is made so:

Whose evidence an event is. An event that fits an attack is evidence of an attack, also where setup or
cleanup fits as well. An alert with such evidence is true, even when the step failed or took no
effect. One whose evidence is all of setup or cleanup is ignored. Any other is false: it rests on
benign events, be it in part, or on nothing that the store knows.

Which step an alert credits. An event was left by one thing that happened, so it is given to one step,
the same for every alert that rests on it. Most fit only one. Where intervals overlap and an event
fits several, a maximum matching of evidence events with the steps that occurred decides: first as
many steps as possible get an event, then their alerts name them as well as possible. Events left over
go to the step they name best, at last to the earliest. An alert credits the steps that got some of
its evidence. The matching is of events, not of alerts. So an alert said twice credits nothing new, and
a further true alert can only add events, with which a maximum matching never becomes smaller.

Which alert gives the verdict. The best one. The time to detect is that of the first alert that
credits the step. A detection is `partial_entity` when the alerts that give the verdict together leave
out a source, a target or a user of the step, or one of them names a source or a user that took no
part in any step it credits.

Which attempt counts. The one that got furthest (`lab.score.evidence.AttackStep`); several that got equally
far count together.

What is the same alert. Alerts with the same id are one, raised when it was first raised. For
precision and false positives, alerts of the same rule with the same entities whose first events lie
within 5 minutes are one too, the true and the false each among themselves; otherwise a false alert
could hide in a true one.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from lab.detect.alert import Alert
from lab.exercise.truth import Clock, Truth
from lab.moment import SECOND, Moment
from lab.score.credit import Judged, distinct_alerts, judge, match_steps
from lab.score.evidence import AttackStep, EventTally, EvidenceKind, StepEvents, attack_steps, tally_events
from lab.score.intervals import Share, rate, share, survival_time
from lab.score.values import Delay, Floor, Part, Score, StepScore
from lab.score.verdicts import step_score
from lab.score.vocabulary import QUALITY
from lab.telemetry.event import Event
from lab.watch.collection import Blind

_REPEAT: Final = 300 * SECOND
"""Within this time alerts of one rule with the same entities count once, in nanoseconds."""

_WEIGHTS: Final = (45, 25, 20, 10)
"""Points of quality, precision, speed and visibility in the summary."""


def score_run(  # noqa: PLR0913  # the records of a run, each by its name
    *,
    run: str,
    truth: Iterable[Truth],
    alerts: Iterable[Alert],
    events: Iterable[Event],
    clocks: Iterable[Clock],
    rules: Mapping[str, str],
    observed_until: Moment,
    blind: Iterable[Blind] = (),
    total: int = 0,
) -> Score:
    """Compare what happened with what was noticed.

    Args:
        run: Run id.
        truth: What really happened.
        alerts: What was raised.
        events: All events of the run; may be read twice, never held together.
        clocks: How far the nodes' clocks were off.
        rules: Rule id to content hash, of every rule that was loaded.
        observed_until: When the last event had been evaluated; a step not detected by then is missed.
        blind: When which source was silent.
        total: How many events there are, those included that are not given; all are given when 0.
    """
    truth, raised = tuple(truth), tuple(alerts)
    steps, distinct = attack_steps(truth), distinct_alerts(raised)
    wanted = {event for alert in distinct for event in alert.event_ids}
    found = tally_events(events, truth=truth, steps=steps, clocks=clocks, wanted=wanted, total=total)
    judged = judge(steps, distinct, found)
    silent = tuple(sorted(blind))
    scores = tuple(step_score(place, judged, silent) for place in range(len(steps)))
    occurred = [score for score, step in zip(scores, steps, strict=True) if step.occurred]
    visibility = share(sum(score.events > 0 for score in occurred), len(occurred))
    true, false = _incidents(judged, "attack"), _incidents(judged, "benign")
    precision = share(true, true + false)
    parts = _parts(judged, scores, precision, visibility)
    return Score(
        run=run,
        rules=dict(sorted(rules.items())),
        steps=scores,
        visibility=visibility,
        recall=share(sum(bool(score.alerts) for score in occurred), len(occurred)),
        precision=precision,
        raw_precision=_raw_precision([judged.kinds[alert.id] for alert in raised]),
        false_positives=rate(false, _benign_hours(truth)),
        false_alerts=judged.of_kind("benign"),
        ignored_alerts=judged.of_kind("ignored"),
        time_to_detect=_delay(judged, scores, observed_until),
        steps_before_first_alert=_before_first_alert(judged),
        floors=_floors(found, visibility),
        parts=parts,
        summary=_summary(parts),
    )


# -- figures over all steps ------------------------------------------------------------------------


def _raw_precision(kinds: Sequence[EvidenceKind]) -> Share:
    true = kinds.count("attack")
    return share(true, true + kinds.count("benign"))


def _incidents(judged: Judged, kind: EvidenceKind) -> int:
    """Count alerts of a kind, those of one rule with the same entities once in `_REPEAT`."""
    return repeats(it for it in judged.alerts if judged.kinds[it.id] == kind).total()


def repeats(alerts: Iterable[Alert]) -> Counter[str]:
    """Count alerts by the title of their rule, those of one rule with the same entities once in 5 minutes."""
    times: dict[tuple[object, ...], list[int]] = defaultdict(list)
    titles: dict[tuple[object, ...], str] = {}
    for alert in alerts:
        entities = sorted((name, tuple(sorted(values))) for name, values in alert.entities.items())
        key: tuple[object, ...] = (alert.rule_id, *entities)
        times[key].append(alert.first_event)
        titles[key] = alert.title
    found: Counter[str] = Counter()
    for key, moments in times.items():
        found[titles[key]] += _windows(moments)
    return found


def _windows(times: Iterable[int]) -> int:
    """Return the least number of windows of `_REPEAT` that hold all times; one more time never lowers it."""
    count, until = 0, -math.inf
    for time in sorted(times):
        if time > until:
            count, until = count + 1, time + _REPEAT
    return count


def _benign_hours(truth: Iterable[Truth]) -> float:
    """Return for how long benign traffic was watched; phases that overlap count once."""
    total, reached = 0, None
    for start, end in sorted((it.start, it.end) for it in truth if it.label == "benign"):
        begin = start if reached is None else max(start, reached)
        total += max(0, end - begin)
        reached = end if reached is None else max(end, reached)
    return total / SECOND / 3600


def _delay(judged: Judged, scores: Sequence[StepScore], until: Moment) -> Delay:
    """Follow each step that occurred until it was noticed, or the observation ended."""
    times = [
        (_watched(step, seen, until), False) if score.time_to_detect is None else (score.time_to_detect, True)
        for step, seen, score in zip(judged.steps, judged.found.seen, scores, strict=True)
        if step.occurred
    ]
    return Delay(
        observed=sum(noticed for _, noticed in times),
        censored=sum(not noticed for _, noticed in times),
        median=survival_time(times, 0.5),
        p90=survival_time(times, 0.9),
    )


def _watched(step: AttackStep, seen: StepEvents, until: Moment) -> float:
    """Return for how many seconds a step that was missed could have been noticed."""
    return max(0, until - (seen.first[0] if seen.first else step.attempts[0].start)) / SECOND


def _before_first_alert(judged: Judged) -> int | None:
    first = min((it.raised for it in judged.alerts if judged.kinds[it.id] == "attack"), default=None)
    if first is None:
        return None
    return sum(step.ran and max(it.end for it in step.attempts) < first for step in judged.steps)


def _floors(found: EventTally, visibility: Share) -> tuple[Floor, ...]:
    """Score who never alerts, and who raises an alert for every event of the run."""
    everything = match_steps(
        [(tuple((it, 0) for it in steps), count) for steps, count in found.shared.items()]
    )
    attack, benign = found.kinds["attack"], found.kinds["benign"]
    return (
        Floor(policy="never alerts", recall=share(0, visibility.total), precision=share(0, 0)),
        Floor(
            policy="alerts on everything",
            recall=share(sum(map(len, everything)), visibility.total),
            precision=share(attack, attack + benign),
        ),
    )


def _parts(
    judged: Judged, scores: Sequence[StepScore], precision: Share, visibility: Share
) -> tuple[Part, ...]:
    """Say what the summary is made of; who never alerts has no precision, and gets nothing for it."""
    pairs = [(score, step) for score, step in zip(scores, judged.steps, strict=True) if step.occurred]
    if not pairs:
        return ()
    quality = math.fsum(QUALITY.get(score.verdict, 0) for score, _ in pairs) / len(pairs)
    speed = math.fsum(_speed(score.time_to_detect, step.record.limit) for score, step in pairs) / len(pairs)
    values = (quality, precision.value or 0, speed, visibility.value or 0)
    names = ("quality of detection", "precision", "speed", "visibility")
    return tuple(
        Part(name=name, weight=weight, value=value)
        for name, weight, value in zip(names, _WEIGHTS, values, strict=True)
    )


def _summary(parts: Sequence[Part]) -> float | None:
    """Add the parts up, on a scale to 100; None without an attack."""
    return 100 * math.fsum(it.weight / 100 * it.value for it in parts) if parts else None


def _speed(delay: float | None, limit: int) -> float:
    """Return 1 for a detection at once, 0 for one at the limit or never."""
    if delay is None:
        return 0
    return max(0, 1 - delay * SECOND / limit) if limit > 0 else float(delay == 0)
