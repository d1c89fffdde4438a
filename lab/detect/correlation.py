"""Sigma correlations over matched events, batch by batch, with the state between them.

A window of `timespan` ends at each match and looks back. A case (one set of values of the fields of
`group-by`) that has fired is silent until an event lies outside the window of the firing, so one
attack is one alert and not one for each further event. An ordered correlation fires at each match of
its last rule instead: every log-in after the guessing is news. Events may come late: the window is over
event time, and what is kept covers two windows. Conditions that only hold for lack of events (lt,
lte, eq, neq) are decided at each match as well, which is as much as can be known while it happens.
"""

from __future__ import annotations

import operator
from bisect import insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from lab.detect.rule import Correlation
from lab.telemetry.event import Event

Case = tuple[str, ...]
"""The values of the fields of `group-by`."""

_COMPARE: Final[dict[str, Callable[[int, int], bool]]] = {
    "gte": operator.ge,
    "gt": operator.gt,
    "lte": operator.le,
    "lt": operator.lt,
    "eq": operator.eq,
    "neq": operator.ne,
}


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Match:
    """One rule that matched, with the events that made it match."""

    time: int
    """Time of the last of its events, in nanoseconds."""

    rule: str
    """Id of the rule or correlation."""

    event_ids: tuple[str, ...]
    """Its events, in order of time."""

    events: tuple[Event, ...] = field(compare=False)
    """The same events, whole."""


@dataclass(slots=True)
class _Window:
    """What is remembered of one case."""

    matches: list[Match] = field(default_factory=list)
    fired: int | None = None


class Correlator:
    """Evaluates one correlation."""

    def __init__(self, rule: Correlation) -> None:
        self.rule = rule
        self._cases: dict[Case, _Window] = {}

    def feed(self, matches: Iterable[Match]) -> list[Match]:
        """Take the matches of the rules this one is about, and return its own."""
        wanted = [match for match in matches if match.rule in self.rule.rules]
        return [found for match in sorted(wanted) for found in self._one(match)]

    def _one(self, match: Match) -> list[Match]:
        case = self._case(match)
        if case is None:
            return []
        window = self._cases.setdefault(case, _Window())
        insort(window.matches, match)
        newest = window.matches[-1].time
        window.matches = [it for it in window.matches if it.time > newest - 2 * self.rule.timespan]
        if self._is_silent(window, match):
            return []
        inside = [it for it in window.matches if match.time - self.rule.timespan <= it.time <= match.time]
        chosen = self._holds(inside)
        if not chosen:
            return []
        window.fired = match.time
        return [_joined(self.rule.id, chosen)]

    def _is_silent(self, window: _Window, match: Match) -> bool:
        """Tell whether a case has fired already for what goes on, or waits for its last rule."""
        if self.rule.kind == "temporal_ordered":
            return match.rule != self.rule.rules[-1]
        return window.fired is not None and match.time - window.fired <= self.rule.timespan

    def _case(self, match: Match) -> Case | None:
        """Return the case a match belongs to; one that lacks a field belongs to none."""
        values = [_value(match, name) for name in self.rule.group_by]
        return None if None in values else tuple(str(value) for value in values)

    def _holds(self, inside: list[Match]) -> list[Match]:
        """Return the matches that fulfil the condition, or none."""
        compare = _COMPARE[self.rule.operator]
        if self.rule.kind == "event_count":
            return inside if compare(len(inside), self.rule.count) else []
        if self.rule.kind == "value_count":
            values = {value for it in inside if (value := _value(it, self.rule.field)) is not None}
            return inside if compare(len(values), self.rule.count) else []
        if self.rule.kind == "temporal":
            return inside if {it.rule for it in inside} >= set(self.rule.rules) else []
        return _in_order(inside, self.rule.rules)


def _in_order(inside: list[Match], rules: tuple[str, ...]) -> list[Match]:
    """Find one match of each rule, in the order the rules are named, the last one being the newest."""
    *earlier, last = inside
    found: list[Match] = []
    for match in earlier:
        if len(found) < len(rules) - 1 and match.rule == rules[len(found)]:
            found.append(match)
    return [*found, last] if len(found) == len(rules) - 1 else []


def _value(match: Match, name: str) -> object:
    """Return a field's value of the last event that has it."""
    return next((event[name] for event in reversed(match.events) if name in event), None)


def _joined(rule: str, matches: list[Match]) -> Match:
    """Make one match of several, each event once, in order of time."""
    events = {str(event["event.id"]): event for match in matches for event in match.events}
    ordered = sorted(
        events.values(), key=lambda event: (int(str(event["@timestamp"])), str(event["event.id"]))
    )
    return Match(
        time=matches[-1].time,
        rule=rule,
        event_ids=tuple(str(event["event.id"]) for event in ordered),
        events=tuple(ordered),
    )
