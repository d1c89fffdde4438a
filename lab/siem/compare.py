"""Rules run on a server over a run, beside the same rules here: rule by rule and event by event.

Every difference is listed with its cause, as far as a cause can be proved: the backend cannot say the rule,
the server refused the query, the server has no language for it, an event never arrived, a text is longer
than what the server searches, or the two count windows in different ways. What is left is called by name
as not explained, for it is a fault of somebody's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal

from lab.detect.alert import Alert, in_order, time_of
from lab.detect.detector import OWN_RULES
from lab.detect.reported import SuricataDetector
from lab.detect.sigma.detector import SigmaDetector, alert_on, alerts_on, correlate, ingestion
from lab.detect.sigma.products import Translation, translate
from lab.detect.sigma.read import read_rules
from lab.detect.sigma.rule import Correlation, Named, Rule, RuleSet, Unusable
from lab.files import careful, records
from lab.moment import SECOND, Moment
from lab.runs.noticed import Noticed
from lab.siem.mapping import LONGEST, stream_name
from lab.siem.sink import Found, Server, Sink
from lab.telemetry.event import Event
from lab.telemetry.events import Events
from lab.telemetry.store import Store

EVERY: Final = 60
"""Seconds between two looks of a rule on a server, as it is set up there."""

_EXAMPLES: Final = 5
"""Events named for each rule that differs."""

Verdict = Literal["equal", "differs", "not asked"]
"""What came of a rule: both found the same events, or not, or the server could not be asked."""


Side = Literal["only here", "only there"]
"""Who found an event."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Events that one side found and the other did not, with one cause."""

    events: tuple[str, ...]
    """`event.id` of some of them."""

    count: int
    """How many."""

    side: Side
    """Who found them."""

    cause: str
    """Why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleResult:
    """One rule, here and there."""

    id: str
    """Sigma's UUID."""

    title: str
    """Its title."""

    here: int
    """Events that the embedded engine found."""

    there: int
    """Events that the server found."""

    verdict: Verdict
    """Whether both found the same."""

    cause: str = ""
    """Why the server could not be asked."""

    differences: tuple[Difference, ...] = ()
    """What differs, by cause."""

    query: str = ""
    """What the server was asked."""

    took: float = 0.0
    """Seconds that the server needed."""

    counted_here: str = ""
    """Why a correlation was counted here, on the events that the server found; empty when the server did."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """All rules over one run on one server: `siem/<name>.json`."""

    siem: str
    """What it is called here."""

    server: Server
    """The server."""

    events: int
    """Events of the run."""

    every: int
    """Seconds between two looks of a rule, in the alerts that were made of it."""

    rules: tuple[RuleResult, ...]
    """Each rule, in the order in which they were read."""

    hashes: Mapping[str, str]
    """Rule id to content hash."""

    unusable: tuple[Unusable, ...] = ()
    """What neither side could use."""

    memory: int = 0
    """Bytes that the SIEM used, where that could be measured; 0 where not."""

    startup: float = 0.0
    """Seconds from its start until it answered, where that is known; 0 where not."""

    alerts: int = 0
    """Alerts that came of it."""

    @property
    def equal(self) -> int:
        """How many rules found the same events on both sides."""
        return sum(it.verdict == "equal" for it in self.rules)


@dataclass(kw_only=True, slots=True)
class Comparer:
    """Runs rules on a server over a run, and compares."""

    noticed: Noticed
    """The run."""

    run: str
    """Its id."""

    sink: Sink
    """The SIEM."""

    rules: Sequence[Path] = ()
    """The user's own rules, beside those that ship."""

    every: int = EVERY
    """Seconds between two looks of a rule, in the alerts that are made of it."""

    memory: int = 0
    """Bytes that the SIEM uses, where that could be measured."""

    startup: float = 0.0
    """Seconds from its start until it answered, where that is known."""

    _events: dict[str, Event] = field(init=False, default_factory=dict)

    def compare(self) -> Comparison:
        """Ask, compare, and write both down: the comparison, and the alerts of the server.

        Raises:
            BadFile: a rule is not Sigma.
            SiemFault: the server could not be asked.
        """
        paths = [OWN_RULES, *self.rules]
        known = read_rules(paths)
        server = self.sink.meet()
        self._events = {str(it["event.id"]): it for it in Store(self.noticed.events)}
        here = self._here(known)
        asked = {it.id: it for it in self._asked(paths, known)}
        missing = self._missing()  # first, since counting makes all that was taken searchable
        found = {it.id: it for it in self.sink.search([it for it in asked.values() if it.query], self.run)}
        counted = self._counted(known, found)
        judge = _Judge(events=self._events, here=here, asked=asked, found=found, missing=missing)
        named: list[Rule | Correlation] = [*known.rules, *known.correlations]
        results = tuple(
            judge.correlation(it, counted[it.id]) if isinstance(it, Correlation) else judge.rule(it)
            for it in named
        )
        alerts = self._alerts(known, found, counted)
        made = Comparison(
            siem=self.sink.name,
            server=server,
            events=len(self._events),
            every=self.every,
            rules=results,
            hashes={**{it.id: it.hash for it in named}, **SuricataDetector(self._sensor_rules()).rules},
            unusable=known.unusable,
            memory=self.memory,
            startup=self.startup,
            alerts=len(alerts),
        )
        keep(self.noticed, made, alerts)
        return made

    def _here(self, known: RuleSet) -> dict[str, frozenset[str]]:
        """Ask the embedded engine, in the order in which events came in."""
        detector = SigmaDetector(known)
        found = detector.matched(Events.of(sorted(self._events.values(), key=ingestion)))
        detector.close()
        return found

    def _asked(self, paths: Sequence[Path], known: RuleSet) -> list[Translation]:
        index = stream_name("events")
        asked = translate(paths, self.sink.language, known, index=index)
        told = {it.id for it in asked}
        if self.sink.correlates and self.sink.correlates != self.sink.language:
            asked += [
                it for it in translate(paths, self.sink.correlates, known, index=index) if it.id not in told
            ]
        return asked

    def _counted(self, known: RuleSet, found: Mapping[str, Found]) -> dict[str, list[tuple[Event, ...]]]:
        """Evaluate all correlations on what the server found, for where it has no way to do so itself."""
        matched = {
            it.id: [self._events[event] for event in found[it.id].events if event in self._events]
            for it in known.rules
            if it.id in found
        }
        return correlate(known.correlations, matched)

    def _missing(self) -> int:
        """Count the events of the run that the server does not have."""
        held = self.sink.held(self.run)
        return 0 if held is None else len(self._events) - held.get("events", 0)

    def _sensor_rules(self) -> str:
        path = self.noticed.sensor_rules
        return careful.read_bytes(path).decode("utf-8", "replace") if path.exists() else ""

    # -- alerts ----------------------------------------------------------------------------------

    def _alerts(
        self, known: RuleSet, found: Mapping[str, Found], counted: Mapping[str, list[tuple[Event, ...]]]
    ) -> tuple[Alert, ...]:
        """Make alerts of what the server found, raised when a rule that looks now and then sees it."""
        raised: list[Alert] = []
        for rule in known.rules:
            answer = found.get(rule.id)
            if rule.alerts and answer:
                for now, events in self._looks(answer):
                    raised += alerts_on(rule, events, now)
        for correlation in known.correlations:
            if correlation.alerts:
                raised += self._correlated(correlation, known, found, counted[correlation.id])
        sensor = SuricataDetector(self._sensor_rules())
        for now, events in self._looks(Found(id="sensor", events=tuple(self._events))):
            raised += sensor.feed(Events.of(events), now)
        return in_order(raised)

    def _looks(self, answer: Found) -> Iterable[tuple[Moment, list[Event]]]:
        """Sort the events of a rule into the looks that would have found them.

        A look finds what came in since the one before; it ends as long after as the server needed here.
        """
        looks: dict[int, list[Event]] = defaultdict(list)
        for event in sorted((self._events[it] for it in answer.events if it in self._events), key=time_of):
            looks[self._look(event)].append(event)
        for at, events in sorted(looks.items()):
            yield Moment(at + int(answer.took * SECOND)), events

    def _look(self, event: Event) -> int:
        step = self.every * SECOND
        ingested = int(str(event.get("event.ingested", event["@timestamp"])))
        return -(-ingested // step) * step

    def _correlated(
        self,
        rule: Correlation,
        known: RuleSet,
        found: Mapping[str, Found],
        counted: Sequence[tuple[Event, ...]],
    ) -> Iterable[Alert]:
        """Make an alert of each case, on its events: those of its window, or those that were counted here."""
        answer = found.get(rule.id)
        own: Iterable[tuple[Event, ...]] = counted
        took = 0
        if answer is not None and not answer.why:
            own = (self._window(rule, case) for case in answer.cases)
            took = int(answer.took * SECOND)
        for events in own:
            if events:
                now = Moment(max(map(self._look, events)) + took)
                yield alert_on(rule, events, now, _below(rule, events, known, found))

    def _window(self, rule: Correlation, case: Mapping[str, str]) -> tuple[Event, ...]:
        """Return the events of the fields' values and the window that a server names."""
        since = Moment.parse(case["since"]) if "since" in case else None
        values = {name: value for name, value in case.items() if name in rule.group_by}
        return tuple(
            it
            for it in self._events.values()
            if all(str(it.get(name)) == value for name, value in values.items())
            and (since is None or since <= time_of(it) < since + rule.timespan)
        )


def _below(
    rule: Correlation, events: Iterable[Event], known: RuleSet, found: Mapping[str, Found]
) -> list[Named]:
    """Return the rules that matched the events of a case, and the correlations between."""
    ids = {str(it["event.id"]) for it in events}
    named: dict[str, Named] = {
        it.id: it for it in known.rules if it.id in found and not ids.isdisjoint(found[it.id].events)
    }
    for it in known.correlations:  # those that others refer to first
        if not named.keys().isdisjoint(it.rules):
            named[it.id] = it
    wanted, between = list(rule.rules), {it.id: it.rules for it in known.correlations}
    for name in wanted:
        wanted += between.get(name, ())
    return [named[it] for it in dict.fromkeys(wanted) if it in named]


def keep(noticed: Noticed, made: Comparison, alerts: Sequence[Alert]) -> None:
    """Write down what a SIEM raised, and how that came about."""
    path = noticed.alerts_of(made.siem)
    path.parent.mkdir(exist_ok=True)
    careful.replace(path, "".join(f"{records.to_json(it)}\n" for it in alerts).encode())
    records.write(noticed.detection(made.siem), made)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Judge:
    """Compares what both sides found."""

    events: Mapping[str, Event]
    here: Mapping[str, frozenset[str]]
    asked: Mapping[str, Translation]
    found: Mapping[str, Found]
    missing: int

    def rule(self, rule: Rule) -> RuleResult:
        """Compare a rule on single events."""
        here, asked, answer = self.here[rule.id], self.asked[rule.id], self.found.get(rule.id)
        if answer is None or answer.why:
            cause = f"pySigma's backend cannot say it: {asked.why}" if answer is None else answer.why
            return RuleResult(
                id=rule.id,
                title=rule.title,
                here=len(here),
                there=0,
                verdict="not asked",
                cause=cause,
                query=asked.query,
            )
        compared = self._compared(rule, asked, frozenset(answer.events))
        return replace(compared, query=asked.query, took=answer.took)

    def correlation(self, rule: Correlation, counted: Sequence[tuple[Event, ...]]) -> RuleResult:
        """Compare a correlation: by its events where they were counted here, else by whether it fired."""
        here, asked, answer = self.here[rule.id], self.asked.get(rule.id), self.found.get(rule.id)
        query = asked.query if asked else ""
        if answer is not None and not answer.why:
            same = bool(here) == bool(answer.cases)
            side: Side = "only here" if here else "only there"
            return RuleResult(
                id=rule.id,
                title=rule.title,
                here=len(here),
                there=len(answer.cases),
                verdict="equal" if same else "differs",
                differences=() if same else (_difference(sorted(here), side, _WINDOWS),),
                query=query,
                took=answer.took,
            )
        there = frozenset(str(it["event.id"]) for events in counted for it in events)
        compared = self._compared(rule, None, there)
        return replace(compared, query=query, counted_here=self._why_here(asked, answer))

    def _compared(
        self, rule: Rule | Correlation, asked: Translation | None, there: frozenset[str]
    ) -> RuleResult:
        """Compare event by event."""
        here = self.here[rule.id]
        differences = tuple(self._differences(asked, here, there))
        return RuleResult(
            id=rule.id,
            title=rule.title,
            here=len(here),
            there=len(there),
            verdict="differs" if differences else "equal",
            differences=differences,
        )

    @staticmethod
    def _why_here(asked: Translation | None, answer: Found | None) -> str:
        if answer is not None:
            return answer.why
        return (
            f"pySigma's backend cannot say it: {asked.why}" if asked else "it has no way to run correlations"
        )

    def _differences(
        self, asked: Translation | None, here: frozenset[str], there: frozenset[str]
    ) -> Iterable[Difference]:
        causes: dict[str, list[str]] = defaultdict(list)
        for event in sorted(here - there):
            causes[self._cause(event, asked)].append(event)
        for cause, events in causes.items():
            yield _difference(events, "only here", cause)
        if there - here:
            yield _difference(sorted(there - here), "only there", _UNEXPLAINED)

    def _cause(self, event: str, asked: Translation | None) -> str:
        """Say why a server did not find an event that was found here."""
        if self.missing > 0:
            return f"{self.missing} events of the run are not on the server: lab siem push  sends them"
        if asked is None:
            return "a rule that it is about differs"
        found = self.events[event]
        if "message" in asked.fields and found.get("message") == found["event.original"]:
            return "a message that is the line itself is sent as event.original alone"
        fields = [it for it in asked.fields if len(str(found.get(it, ""))) > LONGEST]
        if fields:
            return f"{', '.join(fields)} is longer than the {LONGEST} characters that are searched there"
        return _UNEXPLAINED


_WINDOWS: Final = "its windows begin at whole multiples of their length; here one ends at each event"

_UNEXPLAINED: Final = "not explained; please report it with the rule and the event"


def _difference(events: Iterable[str], side: Side, cause: str) -> Difference:
    named = tuple(events)
    return Difference(events=named[:_EXAMPLES], count=len(named), side=side, cause=cause)
