"""Everything a report shows, gathered in one pass over the events. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from lab.detect.alert import Alert
from lab.detect.queue import Entry, Incident, Queue
from lab.exercise.recorder import Result
from lab.exercise.truth import Truth
from lab.moment import SECOND, Moment
from lab.report.answer import Answered
from lab.report.scans import Picture, picture
from lab.runs.header import Header, State
from lab.runs.marks import Mark
from lab.score.eyes import Eye
from lab.score.values import Score, StepScore
from lab.telemetry.event import Event
from lab.telemetry.tally import Tally
from lab.watch.collection import Blind, Collection, Disturbance, LogCount
from lab.why.benign import FalseAlarm
from lab.why.steps import Why

SHOWN_EVIDENCE: Final = 20
"""EvidenceEvent events shown per alert; the alert says how many there were."""

SHOWN_SOURCES: Final = 10
"""Addresses in the table of top sources."""

SHOWN_ALERTS: Final = 300
"""Alerts shown with their evidence: a page of more is not read, and takes megabytes."""

Standing = Literal["true", "false", "ignored", "unknown"]
"""What an alert turned out to be, once truth is known; `ignored` is of set-up and clean-up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bucket:
    """The events of one source in one second."""

    source: str
    """Log source, `event.module`."""

    second: int
    """Whole seconds since the run began; negative before it."""

    count: int
    """How many events."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Talker:
    """One source address and what came from it."""

    address: str
    """`source.ip`."""

    events: int
    """Events that name it."""

    failures: int
    """Of those: events whose outcome is a failure."""

    alerts: int
    """Alerts that name it among their entities."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvidenceEvent:
    """One event that an alert names, as the log had it."""

    id: str
    """`event.id`."""

    time: Moment
    """When it happened, by the clock of the node that wrote it."""

    source: str
    """Log source."""

    host: str
    """The node."""

    original: str
    """The log line, untouched: whoever shows it makes it harmless."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceTotals:
    """What collection saw of one log source."""

    source: str
    """Which parser read it."""

    hosts: tuple[str, ...]
    """The nodes it is on, sorted."""

    read: int
    """Lines read."""

    parsed: int
    """Lines that became events."""

    unparsed: int
    """Lines kept as events that say why they could not be read."""

    lost: int
    """Lines that were dropped in a flood, or read as events and are not among the run's events."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """Everything the report of one run shows."""

    run: str
    """Run id."""

    lab: str
    """The lab's name."""

    scenario: str
    """The scenario's name."""

    summary: str
    """The scenario's summary."""

    told: str
    """What happens in it, as the scenario's author tells it; empty when nobody did."""

    scan: Picture | None
    """What scans found; None when nothing was scanned."""

    started: Moment
    """When the run began; the zero of every relative time."""

    ended: Moment
    """When it ended; for a run that was killed, the last thing known of it."""

    state: State
    """Whether all of it took place."""

    version: str
    """Version of this program."""

    replay_of: str
    """The recorded run this is a replay of; empty for a real run."""

    truth: tuple[Truth, ...]
    """What happened, by start."""

    alerts: tuple[Alert, ...]
    """What was raised, in the order it was raised; on the logs of others, by their first events."""

    entries: tuple[Entry, ...]
    """The same as a person is shown it: repeats of a rule on one actor are one, if all turned out alike."""

    incidents: tuple[Incident, ...]
    """What of it belongs to one story."""

    marks: tuple[Mark, ...]
    """What a person noted, in the order of time."""

    whys: Mapping[str, Why]
    """Step id to the reason why it was missed, where that was looked for."""

    causes: tuple[FalseAlarm, ...]
    """What caused the false alarms."""

    score: Score
    """The score."""

    buckets: tuple[Bucket, ...]
    """Events per source and second, sorted."""

    totals: Mapping[str, int]
    """Events per source, sorted by name."""

    talkers: tuple[Talker, ...]
    """The busiest source addresses, those named by most alerts first."""

    evidence: Mapping[str, tuple[EvidenceEvent, ...]]
    """Alert id to the first `SHOWN_EVIDENCE` of its events that are still to be had."""

    collected: tuple[SourceTotals, ...]
    """What was collected, by source."""

    notes: tuple[str, ...]
    """What could not be followed, and when."""

    blind: tuple[Blind, ...]
    """When which source was silent."""

    disturbances: tuple[Disturbance, ...]
    """What was done to the lab meanwhile, and not by the run."""

    answer: tuple[Answered, ...] = ()
    """What somebody did about it, in the order of time."""

    judged: bool = True
    """Whether it is known what was an attack. Of the logs of others it is not, and nothing is rated."""

    eyes: tuple[Eye, ...] = ()
    """What ships and other SIEMs noticed of the same attack; empty when no other was asked."""

    @property
    def replay(self) -> bool:
        """Whether nothing of this took place now."""
        return bool(self.replay_of)

    def seconds(self, moment: int) -> float:
        """Return seconds since the run began."""
        return (moment - self.started) / SECOND

    def told_steps(self) -> tuple[tuple[StepScore, Truth], ...]:
        """Return the attack steps that ran, each with its first record, in the order they were done."""
        first: dict[str, Truth] = {}
        for it in self.truth:
            if it.label == "attack" and it.status == "ran":
                first.setdefault(it.step, it)
        found = [(step, first[step.step]) for step in self.score.steps if step.step in first]
        return tuple(sorted(found, key=lambda it: it[1].start))

    def beside(self) -> tuple[Truth, ...]:
        """Return what was measured beside the attack: steps that are no attack and say something."""
        return tuple(it for it in self.truth if it.label == "setup" and it.processes and it.sources)

    def work(self, *, suspicious: bool) -> Mapping[str, int]:
        """Return the kinds of thing that people did, each with how often, the most frequent first."""
        done = Counter(it.name for it in self.truth if it.action and it.suspicious == suspicious)
        return dict(sorted(done.items(), key=lambda it: (-it[1], it[0])))

    def number(self, step: str) -> int | None:
        """Return the place of an attack step among the attack steps, from 1; None for any other record."""
        return next((place for place, it in enumerate(self.score.steps, 1) if it.step == step), None)

    def span(self, step: str) -> tuple[float, float] | None:
        """Return when a step began and ended, all its attempts together, in seconds since the run began."""
        attempts = [it for it in self.truth if it.step == step]
        if not attempts:
            return None
        first, last = min(it.start for it in attempts), max(it.end for it in attempts)
        return self.seconds(first), self.seconds(last)

    def caveats(self, step: str) -> tuple[str, ...]:
        """Say where the evidence of a step is wider than what it did, and what of it could not be undone."""
        wide = [said for it in self.truth if it.step == step for said in it.wide]
        kept = [f"not undone: {it.reason}" for it in self.truth if it.step == f"{step}-revert" and it.reason]
        return tuple(dict.fromkeys((*wide, *kept)))

    def noted(self) -> tuple[tuple[Moment, Mark | Entry], ...]:
        """Return notes and alerts in the order of time; nothing where nobody noted anything."""
        if not self.marks:
            return ()
        noted: list[tuple[Moment, Mark | Entry]] = [(it.time, it) for it in self.marks]
        noted += [(it.began, it) for it in self.entries]
        return tuple(sorted(noted, key=lambda it: it[0]))

    def credited(self, alert: Alert) -> tuple[StepScore, ...]:
        """Return the attack steps an alert belongs to."""
        return tuple(step for step in self.score.steps if alert.id in step.alerts)

    def standing(self, alert: Alert) -> Standing:
        """Say what an alert turned out to be."""
        return _standing(alert, self.score, judged=self.judged)

    def false_alarms(self) -> tuple[Entry, ...]:
        """Return the alerts that nothing but benign traffic caused."""
        return tuple(it for it in self.entries if self.standing(it.first) == "false")

    def steps_of(self, entry: Entry) -> tuple[StepScore, ...]:
        """Return the attack steps that an entry belongs to."""
        return tuple(dict.fromkeys(step for it in entry.alerts for step in self.credited(it)))

    def evidence_of(self, entry: Entry) -> tuple[EvidenceEvent, ...]:
        """Return the events that are shown of an entry, each once."""
        events = {event.id: event for it in entry.alerts for event in self.evidence.get(it.id, ())}
        return tuple(events.values())[:SHOWN_EVIDENCE]

    def headline(self) -> str:
        """Say in one sentence what happened."""
        if not self.judged:
            lines, count = sum(it.read for it in self.collected), len(self.alerts)
            raised = f"{count:,} {_plural(count, 'alert')} on {lines:,} {_plural(lines, 'line')}"
            return f"{raised}; what of it was an attack, nobody has written down"
        return f"{_detected(self.score)}; {_false_alarms(self.score)}"


def _detected(score: Score) -> str:
    """Say how many steps were detected, and that some could not be."""
    found, total = score.recall.hits, score.recall.total
    idle = _idle(score)
    if not total:
        return "No attack step took effect, so nothing could be detected"
    if not idle:
        return f"{found} of {total} attack {_plural(total, 'step')} detected"
    steps = f"attack {_plural(total, 'step')} that took effect"
    return f"{found} of the {total} {steps} detected; {idle}"


def _idle(score: Score) -> str:
    """Say how many steps took no effect, and why; nothing when all did."""
    of = Counter(it.verdict for it in score.steps)
    said = {
        "had no effect": of["no_effect"],
        "could not be verified": of["unverified"],
        "did not run": of["not_run"],
    }
    return ", ".join(f"{count} {what}" for what, count in said.items() if count)


def _false_alarms(score: Score) -> str:
    rate = score.false_positives
    if not rate.hours:
        return "no benign traffic was watched, so false alarms cannot be rated"
    count = f"{rate.count} false {_plural(rate.count, 'alarm')}" if rate.count else "no false alarm"
    return f"{count} in {duration(rate.hours * 3600)} of benign traffic"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def duration(seconds: float) -> str:
    """Write a length of time: `62 s`, `5 min 2 s`, `1 h 3 min`."""
    whole = round(seconds)
    if whole < 120:  # noqa: PLR2004  # two minutes are still easily read in seconds
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:  # noqa: PLR2004  # minutes of an hour
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def make_story(  # noqa: PLR0913  # the records of a run, each by its name
    *,
    header: Header,
    truth: Iterable[Truth],
    alerts: Iterable[Alert],
    score: Score,
    tally: Tally,
    evidence: Iterable[Event],
    collection: Collection,
    results: Iterable[Result] = (),
    eyes: Iterable[Eye] = (),
    marks: Iterable[Mark] = (),
    whys: Iterable[Why] = (),
    causes: Iterable[FalseAlarm] = (),
    answer: Iterable[Answered] = (),
) -> Story:
    """Gather what a report shows from what a run left.

    Args:
        header: What the run is.
        truth: What happened.
        alerts: What was raised.
        score: The score of this run.
        tally: How many events there are of what, in bars of `bar_width`.
        evidence: The events of `shown_evidence`, with `SHOWN_FIELDS`.
        collection: What was watched and how well.
        results: What steps gave to later ones.
        eyes: What each SIEM noticed, where others were asked.
        marks: What a person noted meanwhile.
        whys: Why steps were missed.
        causes: What caused the false alarms.
        answer: What somebody did about it.
    """
    if not header.judged:  # raised long after: what counts is when it happened
        alerts = [replace(it, raised=it.first_event) for it in alerts]
    raised = tuple(sorted(alerts, key=lambda it: (it.raised, it.id)))
    happened = tuple(sorted(truth, key=lambda it: (it.start, it.end, it.step, it.attempt)))
    seen = {str(it["event.id"]): _evidence(it) for it in evidence}
    width = bar_width(header)
    latest = () if tally.latest is None else (tally.latest,)
    return Story(
        run=header.id,
        lab=header.lab,
        scenario=header.scenario,
        summary=header.summary,
        told=header.story,
        scan=picture(results, happened),
        started=header.started,
        ended=header.ended or max((header.started, *(it.end for it in happened), *latest)),
        state=header.state,
        version=header.version,
        replay_of=header.replay_of,
        truth=happened,
        alerts=raised,
        entries=_entries(raised, score, judged=header.judged),
        incidents=Queue(raised).incidents,
        marks=tuple(marks),
        whys={it.step: it for it in whys},
        causes=tuple(causes),
        score=score,
        buckets=tuple(
            Bucket(source=source, second=place * width, count=count)
            for (source, place), count in sorted(tally.buckets.items())
        ),
        totals=dict(sorted(tally.totals.items())),
        talkers=_talkers(tally, raised),
        evidence={it.id: _shown(it, seen) for it in raised},
        collected=_source_totals(collection.logs, tally.stored),
        notes=collection.notes,
        blind=collection.blind,
        disturbances=collection.disturbances,
        answer=tuple(answer),
        judged=header.judged,
        eyes=tuple(eyes),
    )


SHOWN_FIELDS: Final = ("@timestamp", "event.id", "event.module", "event.original", "host.name")
"""What is shown of an event on which an alert rests."""

_BARS: Final = 20_000
"""Bars that time is cut into at most; a run of hours has one for each second."""


def bar_width(header: Header) -> int:
    """Return how many seconds are counted together: logs of months need no bar for each second."""
    length = (header.ended or header.started) - header.started
    return max(1, -(-length // (SECOND * _BARS)))


def _standing(alert: Alert, score: Score, *, judged: bool) -> Standing:
    if not judged:
        return "unknown"
    if alert.id in score.false_alerts:
        return "false"
    return "ignored" if alert.id in score.ignored_alerts else "true"


def _entries(alerts: Iterable[Alert], score: Score, *, judged: bool) -> tuple[Entry, ...]:
    queues: dict[Standing, Queue] = defaultdict(Queue)
    for it in alerts:
        queues[_standing(it, score, judged=judged)].add(it)
    entries = (entry for queue in queues.values() for entry in queue.entries)
    return tuple(sorted(entries, key=lambda it: (it.first.raised, it.first.id)))


def shown_evidence(alerts: Iterable[Alert]) -> frozenset[str]:
    """Return the ids of the events that are shown of some alerts."""
    return frozenset(it for alert in alerts for it in alert.event_ids[:SHOWN_EVIDENCE])


def _evidence(event: Event) -> EvidenceEvent:
    return EvidenceEvent(
        id=_text(event, "event.id"),
        time=Moment(_whole(event, "@timestamp")),
        source=_text(event, "event.module"),
        host=_text(event, "host.name"),
        original=_text(event, "event.original"),
    )


def _text(event: Event, field: str) -> str:
    value = event.get(field, "")
    return value if isinstance(value, str) else str(value)


def _whole(event: Event, field: str) -> int:
    value = event.get(field, 0)
    return int(value) if isinstance(value, int | float) else 0


def _shown(alert: Alert, known: Mapping[str, EvidenceEvent]) -> tuple[EvidenceEvent, ...]:
    return tuple(known[it] for it in alert.event_ids[:SHOWN_EVIDENCE] if it in known)


def _talkers(seen: Tally, alerts: tuple[Alert, ...]) -> tuple[Talker, ...]:
    named = Counter(it for alert in alerts for it in set(alert.entities.get("source.ip", ())))
    found = [
        Talker(
            address=address,
            events=seen.sources[address],
            failures=seen.failures[address],
            alerts=named[address],
        )
        for address in {*seen.sources, *named}
    ]
    found.sort(key=lambda it: (-it.alerts, -it.events, it.address))
    return tuple(found[:SHOWN_SOURCES])


def _source_totals(
    logs: tuple[LogCount, ...], stored: Mapping[tuple[str, str], int]
) -> tuple[SourceTotals, ...]:
    """Add up the logs of each source, and compare with what is stored.

    What is stored is told apart by node and file, for a source's events may name another module than its own.
    A source may give some line no event (a blank one, a comment), so `read` can exceed the sum of
    `parsed` and `unparsed`; what those two promise and the store lacks was lost.
    """
    of: defaultdict[str, list[LogCount]] = defaultdict(list)
    for log in logs:
        of[log.source].append(log)
    return tuple(
        SourceTotals(
            source=source,
            hosts=tuple(sorted({it.host for it in several})),
            read=sum(it.read for it in several),
            parsed=sum(it.parsed for it in several),
            unparsed=sum(it.unparsed for it in several),
            lost=sum(it.dropped + _missing(it, stored) for it in several),
        )
        for source, several in sorted(of.items())
    )


def _missing(log: LogCount, stored: Mapping[tuple[str, str], int]) -> int:
    return max(0, log.parsed + log.unparsed - stored.get((log.host, log.path), 0))
