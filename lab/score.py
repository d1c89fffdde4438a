"""What was detected and what was missed: truth beside alerts. Pure; SCORING.md is the specification.

The score is a function of the run's records alone. Records may come in any order, and the same
records give the same bytes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import networkx as nx

from lab import attack
from lab.detect.alert import ENTITY_FIELDS, Alert
from lab.intervals import Rate, Share, rate, share, survival_time
from lab.moment import SECOND, Moment
from lab.telemetry.event import Event
from lab.truth import Clock, Truth

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
    """Kaplan-Meier median in seconds; None when half were never detected."""

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
    """Of that: from the event to its entry in the store, in seconds."""

    evaluation_delay: float | None
    """Of that: from the entry of the completing event to the alert, in seconds."""


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
    """Ids of the alerts without evidence in any attack, setup or cleanup, sorted."""

    ignored_alerts: tuple[str, ...]
    """Ids of the alerts whose evidence is of setup or cleanup, sorted."""

    time_to_detect: Delay
    """Over all steps."""

    steps_before_first_alert: int | None
    """Attack steps that had begun and ended before the first true alert; None without any."""

    floors: tuple[Floor, ...]
    """The two policies without skill, beside which everything is to be read."""

    summary: float | None
    """SCORING.md's 100-point summary; shown only next to its parts; None without an attack."""


_SAME: Final = 300 * SECOND
"""Alerts of one rule on the same entities within this time are one, for precision."""

_QUALITY: Final[Mapping[Verdict, float]] = {
    "not_run": 0,
    "no_effect": 0,
    "no_telemetry": 0,
    "telemetry_only": 0.25,
    "general": 0.5,
    "tactic": 0.75,
    "technique": 1,
}
"""SCORING.md's weight of each verdict in the summary."""

_RANKS: Final[tuple[Verdict, ...]] = ("general", "tactic", "technique")
"""What a detection may be, from the worst."""


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
        truth: What happened.
        alerts: What was raised.
        events: What was seen.
        clocks: How far the nodes' clocks were off.
        rules: Rule id to content hash of every rule that was loaded.
        observed_until: End of the observation; a miss counts as not detected until then.
    """
    records = sorted(truth, key=lambda it: (it.start, it.step, it.attempt))
    seen = _Seen(records, _Clocks(clocks))
    seen.read(events)
    raised = sorted(alerts, key=lambda it: (it.raised, it.id))
    credit = _credit(raised, seen)
    judged = _judged(seen, credit, observed_until)
    return _Sums(seen, credit, judged).score(run, rules, _benign_hours(records))


class _Clocks:
    """How far a time of a host may be off."""

    def __init__(self, clocks: Iterable[Clock]) -> None:
        measured: dict[str, list[Clock]] = defaultdict(list)
        for clock in clocks:
            measured[clock.node].append(clock)
        self._known = {node: _widest(found) for node, found in measured.items()}

    def of(self, host: object) -> tuple[int, int]:
        """Return a host's offset and the bound of its error; both 0 for one that was not measured."""
        return self._known.get(str(host), (0, 0))


def _widest(found: list[Clock]) -> tuple[int, int]:
    """Join several measurements: the middle of all they allow, and half its width."""
    low = min(it.offset - it.bound for it in found)
    high = max(it.offset + it.bound for it in found)
    return (low + high) // 2, (high - low + 1) // 2


@dataclass(slots=True)
class _Glimpse:
    """What the score needs of one event."""

    time: int
    ingested: int
    steps: tuple[int, ...]
    handled: bool


class _Seen:
    """The events of a run, each with the records it is evidence of."""

    def __init__(self, records: Sequence[Truth], clocks: _Clocks) -> None:
        self.attacks = [it for it in records if it.label == "attack"]
        self._other = [it for it in records if it.label in {"setup", "cleanup"}]
        self._clocks = clocks
        self.glimpses: dict[str, _Glimpse] = {}
        self.of_step: dict[int, list[_Glimpse]] = defaultdict(list)
        self.attack_events = 0
        self.benign_events = 0

    def read(self, events: Iterable[Event]) -> None:
        for event in events:
            glimpse = self._glimpse(event)
            self.glimpses[str(event["event.id"])] = glimpse
            for step in glimpse.steps:
                self.of_step[step].append(glimpse)
            self.attack_events += bool(glimpse.steps)
            self.benign_events += not glimpse.steps and not glimpse.handled

    def _glimpse(self, event: Event) -> _Glimpse:
        offset, bound = self._clocks.of(event.get("host.name"))
        time = int(str(event["@timestamp"])) - offset
        steps = tuple(number for number, it in enumerate(self.attacks) if _fits(event, time, bound, it))
        handled = not steps and any(_fits(event, time, bound, it) for it in self._other)
        return _Glimpse(time, int(str(event.get("event.ingested", time))), steps, handled)


def _fits(event: Event, time: int, bound: int, record: Truth) -> bool:
    """Tell whether an event is evidence of a record: within its interval, and one predicate holds."""
    if not record.start - bound <= time <= record.end + bound:
        return False
    return any(
        all(_among(event.get(name), allowed) for name, allowed in predicate.where.items())
        for predicate in record.evidence
    )


def _among(value: object, allowed: tuple[str | int, ...]) -> bool:
    if isinstance(value, tuple):
        return any(entry in allowed for entry in value)
    return value is not None and value in allowed


@dataclass(frozen=True, slots=True)
class _Credit:
    """Which alerts count for which attack record, and which count for none."""

    of_step: Mapping[int, tuple[Alert, ...]]
    true: tuple[Alert, ...]
    false: tuple[Alert, ...]
    ignored: tuple[Alert, ...]


def _credit(alerts: Sequence[Alert], seen: _Seen) -> _Credit:
    """Give each alert to the steps it has evidence for."""
    of_step: dict[int, dict[str, Alert]] = defaultdict(dict)
    torn: list[tuple[Alert, tuple[int, ...]]] = []
    true: list[Alert] = []
    false: list[Alert] = []
    ignored: list[Alert] = []
    for alert in alerts:
        glimpses = [it for name in alert.event_ids if (it := seen.glimpses.get(name))]
        fits = [it.steps for it in glimpses if it.steps]
        unknown = len(glimpses) < len(alert.event_ids)
        kind = true if fits else false if unknown or not all(it.handled for it in glimpses) else ignored
        kind.append(alert)
        for steps in fits:
            if len(steps) == 1:
                of_step[steps[0]][alert.id] = alert
            else:
                torn.append((alert, steps))
    for alert, step in _settle(torn, frozenset(of_step), seen):
        of_step[step][alert.id] = alert
    return _Credit(
        of_step={step: tuple(found.values()) for step, found in of_step.items()},
        true=tuple(true),
        false=tuple(false),
        ignored=tuple(ignored),
    )


def _settle(
    torn: Sequence[tuple[Alert, tuple[int, ...]]], covered: frozenset[int], seen: _Seen
) -> list[tuple[Alert, int]]:
    """Give each event that fits several steps to one of them, so that most steps are detected.

    A maximum matching between such events and the steps that nothing else detects; among those of the
    same size the one with the better verdicts. Nodes are numbers, in an order that does not depend on
    how the records came, so the result does not either.
    """
    ordered = sorted(torn, key=lambda it: (it[0].raised, it[0].id, it[1]))
    graph: nx.Graph[int] = nx.Graph()
    for number, (alert, steps) in enumerate(ordered):
        for step in steps:
            if step not in covered:
                graph.add_edge(-1 - number, step, weight=1 + _rank(alert, seen.attacks[step]))
    pairs = (sorted(pair) for pair in nx.max_weight_matching(graph, maxcardinality=True))
    chosen = {-1 - token: step for token, step in pairs}
    return [
        (alert, chosen.get(number, max(steps, key=lambda step: (_rank(alert, seen.attacks[step]), -step))))
        for number, (alert, steps) in enumerate(ordered)
    ]


def _rank(alert: Alert, step: Truth) -> int:
    """Return how well an alert names what the step does: an index into `_RANKS`.

    The same technique, or a sub-technique of the step's, is right. A parent of the step's technique,
    or another technique of the same tactic, is right as to the tactic.
    """
    if any(it == step.technique or it.startswith(f"{step.technique}.") for it in alert.techniques):
        return 2
    known = attack.techniques()
    tactics = {*alert.tactics, *(t for it in alert.techniques if it in known for t in known[it].tactics)}
    parent = step.technique.partition(".")[0]
    return 1 if parent in alert.techniques or tactics.intersection(step.tactics) else 0


def _judged(seen: _Seen, credit: _Credit, until: Moment) -> list[_Judged]:
    """Judge each attack step; of several attempts the best counts."""
    best: dict[str, _Judged] = {}
    for number, record in enumerate(seen.attacks):
        judged = _judge(record, seen.of_step.get(number, []), credit.of_step.get(number, ()), until)
        if record.step not in best or best[record.step].order < judged.order:
            best[record.step] = judged
    return sorted(best.values(), key=lambda it: (it.record.start, it.record.step))


@dataclass(frozen=True, slots=True)
class _Judged:
    """One step with its verdict and what the figures need."""

    record: Truth
    score: StepScore
    watched: float

    @property
    def occurred(self) -> bool:
        return self.score.verdict not in {"not_run", "no_effect"}

    @property
    def detected(self) -> bool:
        return self.score.verdict in _RANKS

    @property
    def order(self) -> tuple[float, int, int]:
        return (_QUALITY[self.score.verdict], self.occurred, -self.record.attempt)


def _judge(record: Truth, events: Sequence[_Glimpse], alerts: tuple[Alert, ...], until: Moment) -> _Judged:
    first = min((it.time for it in events), default=int(record.start))
    verdict = _verdict(record, events, alerts)
    detecting = alerts if verdict in _RANKS else ()
    quickest = min(detecting, key=lambda it: (it.raised, it.id), default=None)
    delay = max(0, quickest.raised - first) / SECOND if quickest else None
    entered = min((it.ingested - it.time for it in events if it.time == first), default=0)
    modifiers = (*_late(record, delay), *_partial(record, detecting))
    score = StepScore(
        step=record.step,
        name=record.name,
        technique=record.technique,
        verdict=verdict,
        modifiers=modifiers,
        reason=_reason(record, verdict, len(events), detecting),
        events=len(events),
        alerts=tuple(sorted({it.id for it in detecting})),
        rules=tuple(sorted({it.title for it in detecting})),
        time_to_detect=delay,
        sensor_delay=max(0, entered) / SECOND if quickest else None,
        evaluation_delay=max(0, quickest.raised - quickest.ingested) / SECOND if quickest else None,
    )
    return _Judged(record, score, max(0, until - first) / SECOND)


def _verdict(record: Truth, events: Sequence[_Glimpse], alerts: tuple[Alert, ...]) -> Verdict:
    """Return the first verdict that holds, from the worst."""
    if record.status != "ran":
        return "not_run"
    if record.occurred is not True:
        return "no_effect"
    if not events:
        return "no_telemetry"
    if not alerts:
        return "telemetry_only"
    return _RANKS[max(_rank(alert, record) for alert in alerts)]


def _late(record: Truth, delay: float | None) -> tuple[Modifier, ...]:
    return ("late",) if delay is not None and delay * SECOND > record.limit else ()


def _partial(record: Truth, alerts: tuple[Alert, ...]) -> tuple[Modifier, ...]:
    """Tell whether the alerts together name source, target and user, and no wrong source."""
    if not alerts:
        return ()
    named = {key: {it for alert in alerts for it in alert.entities.get(key, ())} for key in ENTITY_FIELDS}
    sources = {address for party in record.sources for address in party.addresses}
    targets = {name for party in record.targets for name in (party.node, *party.addresses)}
    right = (
        not sources or (bool(named["source.ip"] & sources) and named["source.ip"] <= sources),
        not targets or bool((named["host.name"] | named["destination.ip"]) & targets),
        not record.users or bool(named["user.name"] & set(record.users)),
    )
    return () if all(right) else ("partial_entity",)


def _reason(record: Truth, verdict: Verdict, events: int, alerts: tuple[Alert, ...]) -> str:
    """Say why, and what a learner can mend."""
    if verdict == "not_run":
        return f"it did not run: {record.reason or record.status}"
    if verdict == "no_effect":
        return f"it had no effect: {record.reason}" if record.occurred is False else "nothing was checked"
    if verdict == "no_telemetry":
        return "no log and no sensor saw it: a source is missing, or stands in the wrong place"
    if verdict == "telemetry_only":
        return f"{events} events show it, but no rule fired on them"
    titles = ", ".join(sorted({it.title for it in alerts if _RANKS[_rank(it, record)] == verdict}))
    if verdict == "technique":
        return titles
    named = ", ".join(sorted({it for alert in alerts for it in alert.techniques})) or "no technique"
    return f"{titles}: tagged {named}, not {record.technique}"


@dataclass(frozen=True, slots=True)
class _Sums:
    """The figures of a run over its judged steps."""

    seen: _Seen
    credit: _Credit
    judged: Sequence[_Judged]

    def score(self, run: str, rules: Mapping[str, str], benign_hours: float) -> Score:
        """Put the figures together."""
        occurred = [it for it in self.judged if it.occurred]
        true, false = _distinct(self.credit.true), _distinct(self.credit.false)
        visible = sum(it.score.verdict != "no_telemetry" for it in occurred)
        visibility, precision = share(visible, len(occurred)), share(true, true + false)
        return Score(
            run=run,
            rules=dict(sorted(rules.items())),
            steps=tuple(it.score for it in self.judged),
            visibility=visibility,
            recall=share(sum(it.detected for it in occurred), len(occurred)),
            precision=precision,
            raw_precision=share(len(self.credit.true), len(self.credit.true) + len(self.credit.false)),
            false_positives=rate(false, benign_hours),
            false_alerts=tuple(sorted({it.id for it in self.credit.false})),
            ignored_alerts=tuple(sorted({it.id for it in self.credit.ignored})),
            time_to_detect=_delay(occurred),
            steps_before_first_alert=_before_first(self.seen.attacks, self.credit.true),
            floors=_floors(visible, len(occurred), self.seen),
            summary=_summary(occurred, precision, visibility),
        )


def _distinct(alerts: Iterable[Alert]) -> int:
    """Count alerts of one rule on the same entities once per `_SAME`."""
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for alert in alerts:
        groups[alert.rule_id, tuple(sorted(alert.entities.items()))].append(alert.first_event)
    return sum(_windows(sorted(times)) for times in groups.values())


def _windows(times: Sequence[int]) -> int:
    """Return the least number of windows of `_SAME` that hold all times."""
    count, end = 0, None
    for time in times:
        if end is None or time > end:
            count, end = count + 1, time + _SAME
    return count


def _benign_hours(records: Iterable[Truth]) -> float:
    """Return for how long benign traffic was watched; phases that overlap count once."""
    total, reached = 0, None
    for record in sorted((it for it in records if it.label == "benign"), key=lambda it: it.start):
        begin = record.start if reached is None else max(record.start, reached)
        total += max(0, record.end - begin)
        reached = record.end if reached is None else max(reached, record.end)
    return total / SECOND / 3600


def _delay(occurred: Sequence[_Judged]) -> Delay:
    times = [
        (it.watched if it.score.time_to_detect is None else it.score.time_to_detect, it.detected)
        for it in occurred
    ]
    return Delay(
        observed=sum(happened for _, happened in times),
        censored=sum(not happened for _, happened in times),
        median=survival_time(times, 0.5),
        p90=survival_time(times, 0.9),
    )


def _before_first(attacks: Sequence[Truth], true: Sequence[Alert]) -> int | None:
    if not true:
        return None
    first = min(alert.raised for alert in true)
    return len({it.step for it in attacks if it.status == "ran" and it.end < first})


def _floors(visible: int, occurred: int, seen: _Seen) -> tuple[Floor, ...]:
    """Score the two policies without skill on the same events."""
    noticed = seen.attack_events
    return (
        Floor(policy="never alerts", recall=share(0, occurred), precision=share(0, 0)),
        Floor(
            policy="alerts on everything",
            recall=share(visible, occurred),
            precision=share(noticed, noticed + seen.benign_events),
        ),
    )


def _summary(occurred: Sequence[_Judged], precision: Share, visibility: Share) -> float | None:
    """Return SCORING.md's figure of 100; None when no attack took place."""
    if not occurred:
        return None
    quality = sum(_QUALITY[it.score.verdict] for it in occurred) / len(occurred)
    speed = sum(_speed(it) for it in occurred) / len(occurred)
    parts = (0.45 * quality, 0.25 * (precision.value or 0), 0.20 * speed, 0.10 * (visibility.value or 0))
    return 100 * math.fsum(parts)


def _speed(judged: _Judged) -> float:
    delay = judged.score.time_to_detect
    return (
        0 if delay is None else max(0, 1 - delay * SECOND / judged.record.limit) if judged.record.limit else 0
    )
