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
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import networkx as nx

from lab.detect.alert import Alert
from lab.exercise.truth import Clock, Truth
from lab.files import records
from lab.moment import SECOND, Moment
from lab.score.evidence import AttackStep, Kind, Seen, Sighting, Survey, attack_steps, survey
from lab.score.grading import grade, strangers, unnamed
from lab.score.intervals import Rate, Share, rate, share, survival_time
from lab.score.reason import detected, late, missed, partial
from lab.telemetry.event import Event

Verdict = Literal["not_run", "no_effect", "no_telemetry", "telemetry_only", "general", "tactic", "technique"]
"""SCORING.md's verdicts, from nothing to a detection with the right technique."""

Modifier = Literal["late", "partial_entity"]
"""What is lacking in a detection that counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delay:
    """Time to detect over all steps that occurred; a miss is censored at the end of observation."""

    observed: int
    """Steps that were detected."""

    censored: int
    """Steps that were missed."""

    median: float | None
    """Kaplan-Meier median in seconds; None when it was never reached."""

    p90: float | None
    """Kaplan-Meier 90th percentile in seconds; None when it was never reached."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepScore:
    """The verdict of one attack step."""

    step: str
    """Step id."""

    name: str
    """The step's name."""

    technique: str
    """ATT&CK technique id of the step."""

    verdict: Verdict
    """The first verdict that holds, from the worst."""

    modifiers: tuple[Modifier, ...]
    """What is lacking in the detection."""

    reason: str
    """Why this verdict, and what to mend, in one sentence for the learner."""

    events: int
    """How many events satisfied the step's evidence."""

    alerts: tuple[str, ...]
    """Ids of the alerts that credit this step, sorted."""

    rules: tuple[str, ...]
    """Titles of their rules, sorted, no repeats."""

    time_to_detect: float | None
    """Alert raised minus first evidence event, in seconds; None when missed."""

    sensor_delay: float | None
    """Of that: from the first evidence event to its entry in the store, in seconds."""

    evaluation_delay: float | None
    """Of that: from the entry of the completing event to the alert, in seconds.

    What neither explains is the wait for the event that completed the match.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class Floor:
    """What a policy without any skill would score here."""

    policy: Literal["never alerts", "alerts on everything"]
    """Which policy."""

    recall: Share
    """Its recall."""

    precision: Share
    """Its precision."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """The whole score of one run."""

    run: str
    """Run id."""

    rules: Mapping[str, str]
    """Rule id to content hash, of every rule that was loaded."""

    steps: tuple[StepScore, ...]
    """One per attack step, in the order of their start."""

    visibility: Share
    """Steps with telemetry out of steps that occurred."""

    recall: Share
    """Steps alerted out of steps that occurred."""

    precision: Share
    """True out of true and false, over alerts deduplicated by rule, entity and 5 minutes."""

    raw_precision: Share
    """The same without deduplication."""

    false_positives: Rate
    """False alerts (deduplicated) per hour of benign traffic."""

    false_alerts: tuple[str, ...]
    """Ids of the alerts without evidence of an attack that are not ignored, sorted."""

    ignored_alerts: tuple[str, ...]
    """Ids of the alerts whose evidence is all of setup or cleanup, sorted."""

    time_to_detect: Delay
    """Over all steps."""

    steps_before_first_alert: int | None
    """Attack steps that had begun and ended before the first true alert; None without any."""

    floors: tuple[Floor, ...]
    """The two policies without skill, beside which everything is to be read."""

    summary: float | None
    """SCORING.md's 100-point summary; shown only next to its parts; None without an attack."""


_REPEAT: Final = 300 * SECOND
"""Within this time alerts of one rule with the same entities count once, in nanoseconds."""

_GRADED: Final[tuple[Verdict, ...]] = ("general", "tactic", "technique")
"""The verdicts of `lab.score.grading`'s grades, from the lowest."""

_QUALITY: Final[Mapping[Verdict, float]] = {
    "telemetry_only": 0.25,
    "general": 0.5,
    "tactic": 0.75,
    "technique": 1.0,
}
"""What a verdict is worth in the summary; any other is worth nothing."""

_WEIGHTS: Final = (0.45, 0.25, 0.20, 0.10)
"""Of quality, precision, speed and visibility in the summary."""


def score_run(  # noqa: PLR0913  # the records of a run, each by its name
    *,
    run: str,
    truth: Iterable[Truth],
    alerts: Iterable[Alert],
    events: Iterable[Event],
    clocks: Iterable[Clock],
    rules: Mapping[str, str],
    observed_until: Moment,
) -> Score:
    """Compare what happened with what was noticed.

    Args:
        run: Run id.
        truth: What really happened.
        alerts: What was raised.
        events: All events of the run; read once, never held together.
        clocks: How far the nodes' clocks were off.
        rules: Rule id to content hash, of every rule that was loaded.
        observed_until: When the last event had been evaluated; a step not detected by then is missed.
    """
    truth, raised = tuple(truth), tuple(alerts)
    steps, distinct = attack_steps(truth), _distinct(raised)
    wanted = {event for alert in distinct for event in alert.event_ids}
    found = survey(events, truth=truth, steps=steps, clocks=clocks, wanted=wanted)
    judged = _judge(steps, distinct, found)
    scores = tuple(_step_score(place, judged) for place in range(len(steps)))
    occurred = [score for score, step in zip(scores, steps, strict=True) if step.occurred]
    visibility = share(sum(score.events > 0 for score in occurred), len(occurred))
    true, false = _incidents(judged, "attack"), _incidents(judged, "benign")
    precision = share(true, true + false)
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
        summary=_summary(judged, scores, precision, visibility),
    )


# -- which alert credits which step ----------------------------------------------------------------


def _distinct(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    """Keep the first of the alerts with the same id; sorted by time."""
    first: dict[str, Alert] = {}
    for alert in sorted(alerts, key=lambda it: (it.raised, it.id, records.to_json(it))):
        first.setdefault(alert.id, alert)
    return tuple(first.values())


@dataclass(kw_only=True, slots=True)
class _Judged:
    """Steps, alerts and which of them belong together."""

    steps: Sequence[AttackStep]
    """In order."""

    found: Survey
    """What the events show."""

    alerts: Sequence[Alert]
    """Distinct, in the order in which they were raised."""

    kinds: dict[str, Kind] = field(default_factory=dict)
    """For each alert what it is about."""

    credits: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """For each alert the places of the steps it credits, rising."""

    touched: set[int] = field(default_factory=set)
    """Places of the steps that some alert has evidence for, even if it counts for another step."""

    def of_kind(self, kind: Kind) -> tuple[str, ...]:
        """Return the ids of the alerts of one kind, sorted."""
        return tuple(sorted(alert for alert, it in self.kinds.items() if it == kind))

    def crediting(self, place: int) -> list[Alert]:
        """Return the alerts that credit a step, in the order in which they were raised."""
        return [alert for alert in self.alerts if place in self.credits[alert.id]]


def _judge(steps: Sequence[AttackStep], alerts: Sequence[Alert], found: Survey) -> _Judged:
    judged = _Judged(steps=steps, alerts=alerts, found=found)
    owner = _assign(_options(steps, alerts, found))
    for alert in alerts:
        sightings = _sightings(alert, found)
        judged.kinds[alert.id] = _kind_of(alert, sightings)
        judged.credits[alert.id] = tuple(sorted({owner[it.id] for it in sightings if it.steps}))
        judged.touched.update(place for it in sightings for place in it.steps)
    return judged


def _sightings(alert: Alert, found: Survey) -> list[Sighting]:
    """Return the evidence of an alert; an id that the store does not know is none."""
    return [found.sightings[it] for it in alert.event_ids if it in found.sightings]


def _kind_of(alert: Alert, sightings: Sequence[Sighting]) -> Kind:
    kinds = {it.kind for it in sightings}
    if "attack" in kinds:
        return "attack"
    return "ignored" if kinds == {"ignored"} and len(sightings) == len(alert.event_ids) else "benign"


_Options = tuple[tuple[int, int], ...]
"""Places of the steps an event fits, each with the best grade of the alerts that rest on it."""


def _options(
    steps: Sequence[AttackStep], alerts: Iterable[Alert], found: Survey
) -> dict[_Options, list[str]]:
    """Gather evidence events with the same options; in each group the earliest first."""
    best: dict[str, dict[int, int]] = defaultdict(dict)
    for alert in alerts:
        grades: dict[int, int] = {}
        for sighting in _sightings(alert, found):
            for place in sighting.steps:
                if place not in grades:
                    grades[place] = grade(alert, steps[place].record)
                known = best[sighting.id].get(place, 0)
                best[sighting.id][place] = max(known, grades[place])
    groups: dict[_Options, list[str]] = defaultdict(list)
    for event in sorted(best, key=lambda it: (found.sightings[it].moment, it)):
        groups[tuple(sorted(best[event].items()))].append(event)
    return groups


def _assign(groups: Mapping[_Options, Sequence[str]]) -> dict[str, int]:
    """Give each evidence event to one step."""
    matched = _match([(options, len(events)) for options, events in groups.items()])
    owner: dict[str, int] = {}
    for (options, events), places in zip(groups.items(), matched, strict=True):
        best = max(options, key=lambda it: (it[1], -it[0]))[0]
        owner.update(dict.fromkeys(events, best))
        owner.update(zip(events, places, strict=False))
    return owner


def _match(groups: Sequence[tuple[_Options, int]]) -> list[list[int]]:
    """Give as many steps as possible one event each.

    Args:
        groups: The options of alike events, and how many of these there are.

    Returns:
        For each group the places of the steps that got one of its events, rising.
    """
    places = 1 + max((place for options, _ in groups for place, _ in options), default=-1)
    graph: nx.Graph[int] = nx.Graph()
    group_of: list[int] = []
    for group, (options, count) in enumerate(groups):
        for _ in range(min(count, len(options))):
            node = places + len(group_of)
            group_of.append(group)
            graph.add_weighted_edges_from((place, node, weight) for place, weight in options)
    matched: list[list[int]] = [[] for _ in groups]
    for place, node in sorted(map(sorted, nx.max_weight_matching(graph, maxcardinality=True))):
        matched[group_of[node - places]].append(place)
    return matched


# -- one step --------------------------------------------------------------------------------------


def _step_score(place: int, judged: _Judged) -> StepScore:
    step, seen = judged.steps[place], judged.found.seen[place]
    alerts = judged.crediting(place)
    if alerts:
        return _detected(place, alerts, judged)
    return StepScore(
        step=step.id,
        name=step.record.name,
        technique=step.record.technique,
        verdict=_missed(step, seen),
        modifiers=(),
        reason=missed(step, seen, elsewhere=place in judged.touched),
        events=seen.events,
        alerts=(),
        rules=(),
        time_to_detect=None,
        sensor_delay=None,
        evaluation_delay=None,
    )


def _missed(step: AttackStep, seen: Seen) -> Verdict:
    if not step.ran:
        return "not_run"
    if not step.occurred:
        return "no_effect"
    return "telemetry_only" if seen.events else "no_telemetry"


def _detected(place: int, alerts: Sequence[Alert], judged: _Judged) -> StepScore:
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
        modifiers=tuple(modifier for modifier, holds in modifiers if holds),
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


def _since_first_event(seen: Seen, alert: Alert) -> int:
    """Return nanoseconds; clocks that disagree within their bounds never make it less than none."""
    return max(0, alert.raised - seen.first[0]) if seen.first else 0


def _sensor_delay(seen: Seen) -> float:
    """Return how long the first event took to enter the store, in seconds."""
    return max(0, seen.first[1] - seen.first[0]) / SECOND if seen.first else 0


def _strangers(alerts: Iterable[Alert], judged: _Judged) -> set[str]:
    found: set[str] = set()
    for alert in alerts:
        found |= strangers(alert, [judged.steps[it].record for it in judged.credits[alert.id]])
    return found


# -- figures over all steps ------------------------------------------------------------------------


def _raw_precision(kinds: Sequence[Kind]) -> Share:
    true = kinds.count("attack")
    return share(true, true + kinds.count("benign"))


def _incidents(judged: _Judged, kind: Kind) -> int:
    """Count alerts of a kind, those of one rule with the same entities once in `_REPEAT`."""
    times: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for alert in judged.alerts:
        if judged.kinds[alert.id] == kind:
            entities = sorted((name, tuple(sorted(values))) for name, values in alert.entities.items())
            times[alert.rule_id, *entities].append(alert.first_event)
    return sum(map(_windows, times.values()))


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


def _delay(judged: _Judged, scores: Sequence[StepScore], until: Moment) -> Delay:
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


def _watched(step: AttackStep, seen: Seen, until: Moment) -> float:
    """Return for how many seconds a step that was missed could have been noticed."""
    return max(0, until - (seen.first[0] if seen.first else step.attempts[0].start)) / SECOND


def _before_first_alert(judged: _Judged) -> int | None:
    first = min((it.raised for it in judged.alerts if judged.kinds[it.id] == "attack"), default=None)
    if first is None:
        return None
    return sum(step.ran and max(it.end for it in step.attempts) < first for step in judged.steps)


def _floors(found: Survey, visibility: Share) -> tuple[Floor, ...]:
    """Score who never alerts, and who raises an alert for every event of the run."""
    everything = _match([(tuple((it, 0) for it in steps), count) for steps, count in found.shared.items()])
    attack, benign = found.kinds["attack"], found.kinds["benign"]
    return (
        Floor(policy="never alerts", recall=share(0, visibility.total), precision=share(0, 0)),
        Floor(
            policy="alerts on everything",
            recall=share(sum(map(len, everything)), visibility.total),
            precision=share(attack, attack + benign),
        ),
    )


def _summary(
    judged: _Judged, scores: Sequence[StepScore], precision: Share, visibility: Share
) -> float | None:
    """Weigh the parts; who never alerts has no precision, and gets nothing for it."""
    pairs = [(score, step) for score, step in zip(scores, judged.steps, strict=True) if step.occurred]
    if not pairs:
        return None
    quality = math.fsum(_QUALITY.get(score.verdict, 0) for score, _ in pairs) / len(pairs)
    speed = math.fsum(_speed(score.time_to_detect, step.record.limit) for score, step in pairs) / len(pairs)
    parts = (quality, precision.value or 0, speed, visibility.value or 0)
    return 100 * math.fsum(weight * part for weight, part in zip(_WEIGHTS, parts, strict=True))


def _speed(delay: float | None, limit: int) -> float:
    """Return 1 for a detection at once, 0 for one at the limit or never."""
    if delay is None:
        return 0
    return max(0, 1 - delay * SECOND / limit) if limit > 0 else float(delay == 0)
