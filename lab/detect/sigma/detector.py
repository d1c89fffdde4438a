"""Sigma rules over a stream of events. Rules see each event once; only correlations remember.

Matches of one rule in one batch that name the same entities are one alert with all their evidence.
Nothing is suppressed between batches: two steps of an attack that trigger the same rule twenty
seconds apart are each found by it, and the score counts noise after deduplication anyway.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lab.detect.alert import RISKS, Alert, entities_of, facts, identity, in_order, time_of
from lab.detect.sigma.correlation import Correlator, Match, chained
from lab.detect.sigma.predicate import lower
from lab.detect.sigma.rule import Correlation, Named, Rule, RuleSet
from lab.moment import Moment
from lab.telemetry.event import FIELDS, Event
from lab.telemetry.events import Events
from lab.telemetry.matching import Matcher, holding

_AT_A_TIME: Final = 16_384
"""Events that the database is asked about together."""

_FEW: Final = 1000
"""Events up to which their texts are looked through before the database is asked."""

_PIECE: Final = 4
"""Characters of a piece: few texts have a clue's first four and not the clue."""

Entities = tuple[tuple[str, tuple[str, ...]], ...]
"""Each entity field with the values it has in the evidence."""


class SigmaDetector:
    """All rules of a set, over a stream of events."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules.rules
        self._named: dict[str, Named] = {it.id: it for it in (*rules.rules, *rules.correlations)}
        self._correlators = [Correlator(rule) for rule in rules.correlations]
        self._lanes: dict[frozenset[str], list[Rule]] = {}
        texts: dict[str, set[str]] = defaultdict(set)
        for rule in rules.rules:
            fields = _hints(rule)
            self._lanes.setdefault(fields, []).append(rule)
            for field, text in rule.clues if fields else ():
                texts[field].add(text)
        self._holding = {field: holding(field, theirs) for field, theirs in texts.items()}
        self._matcher = Matcher()
        self._arrived = 0

    @property
    def rules(self) -> Mapping[str, str]:
        """Rule id to content hash, of every rule that is loaded."""
        correlations = {it.rule.id: it.rule.hash for it in self._correlators}
        return {rule.id: rule.hash for rule in self._rules} | correlations

    def feed(self, events: Events, now: Moment) -> tuple[Alert, ...]:
        """Evaluate all rules on new events."""
        return self.raised(self.matches(events), now)

    def raised(self, matches: Mapping[str, list[Match]], now: Moment) -> tuple[Alert, ...]:
        """Return the alerts on matches that came together; correlations remember what came before."""
        alerts = [
            alert for rule in self._rules if rule.alerts for alert in _alerts(rule, matches[rule.id], now)
        ]
        for rule, found in self._chained(matches):
            if rule.alerts:
                alerts += [_alert(rule, it.events, now, self._below(it)) for it in found]
        return in_order(alerts)

    def _below(self, match: Match) -> list[Named]:
        return [self._named[it] for it in sorted(match.rests_on)]

    def recall(self, events: Events) -> None:
        """Let correlations see events of before a restart."""
        self.matched(events)

    def hits(self, events: Events) -> Iterator[tuple[Named, Match]]:
        """Evaluate all rules on new events; each match is its own, in the order in which events arrived."""
        matches = self.matches(events)
        every: list[tuple[Named, list[Match]]] = [(rule, matches[rule.id]) for rule in self._rules]
        every += self._chained(matches)
        told = ((rule, match) for rule, found in every if rule.alone for match in found)
        yield from sorted(told, key=lambda it: it[1].order)

    def matched(self, events: Events) -> dict[str, frozenset[str]]:
        """Return of each rule and correlation the `event.id` of the events that it matched.

        Args:
            events: What is new; correlations remember what came before.
        """
        matches = self.matches(events)
        found = {rule: frozenset(_ids(it)) for rule, it in matches.items()}
        return found | {rule.id: frozenset(_ids(it)) for rule, it in self._chained(matches)}

    def _chained(self, matches: Mapping[str, list[Match]]) -> Iterator[tuple[Correlation, list[Match]]]:
        return chained(self._correlators, (match for rule in self._rules for match in matches[rule.id]))

    def close(self) -> None:
        """Give the memory back."""
        self._matcher.close()

    def matches(self, events: Events) -> dict[str, list[Match]]:
        """Return of each rule its matches among events.

        The database is asked those rules that could match at all, about those events they could match.
        """
        if len(events) > _AT_A_TIME:
            return self._piecewise(events)
        found: dict[str, list[int]] = {it.id: [] for it in self._rules}
        for rules, rows in self._asked(events):
            answers = self._matcher.places(events.chosen(rows), [it.where for it in rules])
            for rule, places in zip(rules, answers, strict=True):
                found[rule.id] = [rows[place] for place in places]
        wanted = sorted({row for rows in found.values() for row in rows})
        known_events = dict(zip(wanted, events.at(wanted), strict=True))
        arrived = self._arrived
        self._arrived += len(events)
        return {
            rule: [_match(rule, known_events[row], arrived + row) for row in rows]
            for rule, rows in found.items()
        }

    def _asked(self, events: Events) -> Iterator[tuple[Sequence[Rule], list[int]]]:
        """Say which rules are to be asked of which events: those that can match at all.

        Of few events, all that they say is looked through for what each rule needs. Of many, those events are
        looked for that hold what any rule needs.
        """
        if len(events) <= _FEW:
            known = texts_of(events)
            rules = [it for it in self._rules if could_match(it, known)]
            yield rules, _of_modules(events, rules)
            return
        answers = self._matcher.places(events, list(self._holding.values()))
        there = {field: set(rows) for field, rows in zip(self._holding, answers, strict=True)}
        for fields, rules in self._lanes.items():
            rows = _of_modules(events, rules)
            yield (
                rules,
                [it for it in rows if any(it in there[field] for field in fields)] if fields else rows,
            )

    def _piecewise(self, events: Events) -> dict[str, list[Match]]:
        """Ask about many events a part at a time, since the database holds a part in memory."""
        found: dict[str, list[Match]] = {rule.id: [] for rule in self._rules}
        for begin in range(0, len(events), _AT_A_TIME):
            for rule, matches in self.matches(events.part(begin, _AT_A_TIME)).items():
                found[rule] += matches
        return found


def _hints(rule: Rule) -> frozenset[str]:
    """Return the fields of which one holds a text in every event that a rule matches; none where unknown."""
    fields = frozenset(field for field, _ in rule.clues)
    return fields if fields <= FIELDS.keys() else frozenset()


def _of_modules(events: Events, rules: Iterable[Rule]) -> list[int]:
    """Return the places of the events that are of the log sources of some rules."""
    return events.where("event.module", {module for rule in rules for module in rule.modules})


def _ids(matches: Iterable[Match]) -> Iterator[str]:
    return (str(event["event.id"]) for match in matches for event in match.events)


def alerts_on(rule: Rule, events: Sequence[Event], now: Moment) -> tuple[Alert, ...]:
    """Raise what a rule raises on events that it matched together: one alert for each set of entities."""
    return in_order(_alerts(rule, [_match(rule.id, event, 0) for event in events], now))


def alert_on(rule: Correlation, events: Sequence[Event], now: Moment, below: Iterable[Named]) -> Alert:
    """Raise what a correlation raises on the events of one case.

    Args:
        rule: The correlation.
        events: The events.
        now: When it is raised.
        below: The rules that matched them.
    """
    return _alert(rule, tuple(events), now, below)


def correlate(
    correlations: Iterable[Correlation], matched: Mapping[str, Sequence[Event]]
) -> dict[str, list[tuple[Event, ...]]]:
    """Evaluate correlations on events that rules matched, wherever these were evaluated.

    Args:
        correlations: Those that others refer to first.
        matched: Rule id to the events it matched.

    Returns:
        Correlation id to the events of each of its own matches.
    """
    order = {str(it["event.id"]): place for place, it in enumerate(arrived(matched))}
    known = [
        _match(rule, event, order[str(event["event.id"])])
        for rule, events in matched.items()
        for event in events
    ]
    found = chained(map(Correlator, correlations), known)
    return {rule.id: [it.events for it in ours] for rule, ours in found}


def arrived(matched: Mapping[str, Iterable[Event]]) -> list[Event]:
    """Return the events of several rules, each once, in the order in which they entered the store."""
    distinct = {str(it["event.id"]): it for events in matched.values() for it in events}
    return sorted(distinct.values(), key=ingestion)


def ingestion(event: Event) -> tuple[int, int]:
    """Return when an event entered the store, and when it happened, in nanoseconds."""
    return int(str(event.get("event.ingested", event["@timestamp"]))), time_of(event)


def texts_of(events: Events) -> dict[str, Said]:
    """Return all that the events of each module say, in lower case as the database writes it."""
    modules = {str(it) for it in events.column("event.module") if it is not None}
    return {
        it: Said.of(lower("\n".join(events.chosen(events.where("event.module", [it])).said())))
        for it in sorted(modules)
    }


@dataclass(frozen=True, slots=True)
class Said:
    """All that some events say, with every piece of `_PIECE` characters in it.

    To look a piece up costs the same whatever the text's length, so thousands of rules are soon passed over.
    """

    text: str
    pieces: frozenset[str]

    @classmethod
    def of(cls, text: str) -> Said:
        """Cut a text into its pieces."""
        shifted = (text[start:] for start in range(_PIECE))
        return cls(text, frozenset(map("".join, zip(*shifted, strict=False))))

    def has(self, clue: str) -> bool:
        """Tell whether a clue is in the text."""
        return (len(clue) < _PIECE or clue[:_PIECE] in self.pieces) and clue in self.text


def could_match(rule: Rule, texts: Mapping[str, Said]) -> bool:
    """Tell whether a rule needs asking: are there events of its modules, with one of its clues?"""
    said = [texts[module] for module in rule.modules if module in texts]
    return any(not rule.clues or any(it.has(text) for _, text in rule.clues) for it in said)


def _match(rule: str, event: Event, order: int) -> Match:
    return Match(time=time_of(event), order=order, rule=rule, events=(event,))


def _alerts(rule: Rule, matches: Iterable[Match], now: Moment) -> list[Alert]:
    """Make one alert for all matches that name the same entities."""
    cases: dict[Entities, list[Event]] = defaultdict(list)
    for match in matches:
        cases[tuple(entities_of(match.events).items())] += match.events
    return [_alert(rule, tuple(events), now) for events in cases.values()]


def _alert(
    rule: Rule | Correlation, events: tuple[Event, ...], now: Moment, below: Iterable[Named] = ()
) -> Alert:
    """Make an alert; a correlation's is also about the techniques of the rules it joined."""
    named = (rule, *below)
    ordered = tuple(sorted(events, key=time_of))
    return Alert(
        id=identity(rule.id, rule.hash, ordered),
        engine="sigma",
        rule_id=rule.id,
        rule_hash=rule.hash,
        title=rule.title,
        level=rule.level,
        risk=RISKS[rule.level],
        techniques=tuple(sorted({technique for it in named for technique in it.techniques})),
        tactics=tuple(sorted({tactic for it in named for tactic in it.tactics})),
        **facts(ordered, now),
    )
