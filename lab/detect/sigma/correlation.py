"""Sigma correlations over matched events, one at a time, with the state between them.

A window of `timespan` ends at each match and looks back. Matches count in the order their events
arrive, whatever the batches, so a stream gives the same result however it is cut. An event that comes
late is sorted in by its own time, and the windows that end after it are looked at again; what is
older than the window and `LATE` besides is forgotten.

A case (one set of values of the fields of `group-by`) that has fired is silent until an event lies
outside the window of the firing, so one attack is one alert and not one for each further event. An
ordered correlation fires at each match of its last rule instead: every log-in after the guessing is
news. Conditions that hold for lack of events (lt, lte, eq, neq) are decided at each match as well, on
what has arrived by then: nothing is ever raised for silence, which is as much as can be known live.
"""

from __future__ import annotations

import operator
from bisect import bisect_left, bisect_right, insort_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from math import fsum, isfinite
from typing import Final

from lab.detect.sigma.rule import Correlation
from lab.moment import SECOND
from lab.telemetry.event import Event

Group = tuple[str, ...]
"""The values of the fields of `group-by`."""

LATE: Final = 60 * SECOND
"""How much later than others of its case an event may come and still count, in nanoseconds."""

MAX_KEPT: Final = 10_000
"""Matches remembered per case. Beyond it repeats are forgotten first, so that a flood of one value
does not hide the others."""

MAX_CASES: Final = 100_000
"""Cases remembered per correlation; beyond it those are forgotten that have been idle longest."""

STATISTICS: Final = ("value_sum", "value_avg", "value_percentile", "value_median")
"""The kinds that calculate with the numbers of a field."""

_MOST_WAYS: Final = 1000
"""Ways in which a condition of rules may hold; each is looked for at each match."""

_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "gte": operator.ge,
    "gt": operator.gt,
    "lte": operator.le,
    "lt": operator.lt,
    "eq": operator.eq,
    "neq": operator.ne,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """One rule that matched, with the events that made it match."""

    time: int
    """Time of the last of its events, in nanoseconds."""

    order: int
    """How many events had arrived when it matched; decides between equal times."""

    rule: str
    """Id of the rule or correlation."""

    events: tuple[Event, ...]
    """Its events, in order of time."""

    rests_on: frozenset[str] = frozenset()
    """Ids of the rules and correlations whose matches it joins, at any depth."""


@dataclass(slots=True)
class _Case:
    """What is remembered of one case."""

    kept: list[Match] = field(default_factory=list)
    """Matches in order of time, then of arrival."""

    kinds: Counter[object] = field(default_factory=Counter)
    """How many of those kept are of each kind; the kinds are what the condition counts."""

    fired: int | None = None
    """End of the window that fired last."""

    told: set[tuple[int, str]] = field(default_factory=set)
    """For ordered correlations: `order` and rule of the matches that an alert has been raised at."""

    sweep: int = 0
    """Which sweep comes next after its last match."""


def _time(match: Match) -> int:
    return match.time


class Correlator:
    """Evaluates one correlation."""

    def __init__(self, rule: Correlation) -> None:
        self.rule = rule
        self._ways = ways(rule.expression) if rule.expression else [Way(rule.rules)]
        self._horizon = rule.timespan + LATE
        self._lasts = {way.wanted[-1] for way in self._ways if way.wanted}
        self._limit = max(MAX_KEPT, 2 * rule.count)
        self._cases: dict[Group, _Case] = {}
        self._newest = 0
        self._sweeps = 0
        self._sweep_at = 1000
        self._sweep_after = 0

    def feed(self, matches: Iterable[Match]) -> list[Match]:
        """Take the matches of the rules this one is about, and return its own.

        Args:
            matches: Those of the events that are new, in any order; `order` says how they arrived.
        """
        wanted = [match for match in matches if match.rule in self.rule.rules]
        wanted.sort(key=lambda match: (match.order, match.time, self.rule.rules.index(match.rule)))
        return _distinct(found for match in wanted for found in self._one(match))

    def _one(self, match: Match) -> list[Match]:
        group = self._group(match)
        if group is None:
            return []
        case = self._cases.setdefault(group, _Case())
        case.sweep = self._sweeps
        insort_right(case.kept, match, key=_time)
        case.kinds[self._kind(match)] += 1
        self._forget(case)
        found = list(self._fired(case, match)) if self._may_hold(case) else []
        self._newest = max(self._newest, match.time)
        self._sweep()
        return found

    def _fired(self, case: _Case, match: Match) -> Iterator[Match]:
        """Look at each window that a new match lies in."""
        first = bisect_left(case.kept, match.time, key=_time)
        last = bisect_right(case.kept, match.time + self.rule.timespan, key=_time)
        for end in case.kept[first:last]:
            chosen = [] if self._is_silent(case, end) else self._holds(case, end)
            if chosen:
                case.fired = end.time
                case.told.add((end.order, end.rule))
                yield _joined(self.rule.id, chosen, match.order)

    def _is_silent(self, case: _Case, end: Match) -> bool:
        """Tell whether a case has fired already for what goes on, or waits for its last rule."""
        if self.rule.kind == "temporal_ordered":
            return end.rule not in self._lasts or (end.order, end.rule) in case.told
        return case.fired is not None and abs(end.time - case.fired) <= self.rule.timespan

    def _holds(self, case: _Case, end: Match) -> list[Match]:
        """Return the matches of a window that fulfil the condition, or none."""
        first = bisect_left(case.kept, end.time - self.rule.timespan, key=_time)
        last = bisect_right(case.kept, end.time, key=_time)
        if self.rule.kind == "event_count":
            return case.kept[first:last] if self._compare(last - first) else []
        inside = case.kept[first:last]
        if self.rule.kind in STATISTICS:
            numbers = [number for it in inside if (number := self._number(it)) is not None]
            return inside if numbers and self._compare(self._statistic(numbers)) else []
        if self.rule.kind == "temporal_ordered":
            return next(filter(None, (_in_order(inside, way, end) for way in self._ways)), [])
        if self.rule.expression:
            return next(filter(None, (_together(inside, way) for way in self._ways)), [])
        kinds = {kind for it in inside if (kind := self._kind(it)) is not None}
        return inside if self._compare(len(kinds)) else []

    def _may_hold(self, case: _Case) -> bool:
        """Tell whether any window of a case could fulfil the condition, without looking at windows."""
        if self.rule.operator not in {"gte", "gt"} or self.rule.kind not in {"value_count", "temporal"}:
            return True
        return self._compare(len(case.kinds) - (None in case.kinds))

    def _compare(self, counted: float) -> bool:
        return _COMPARE[self.rule.operator](counted, self.rule.count)

    def _kind(self, match: Match) -> object:
        """Return what the condition counts different ones of; None for what it does not count."""
        if self.rule.kind == "event_count":
            return True
        if self.rule.kind in STATISTICS:
            return match.order  # each number counts, also one that there was before
        if self.rule.kind != "value_count":
            return match.rule
        values = tuple(self._value(match, name) for name in self.rule.fields)
        return None if None in values else values

    def _group(self, match: Match) -> Group | None:
        """Return the case a match belongs to; one that lacks a field belongs to none."""
        values = [self._value(match, name) for name in self.rule.group_by]
        return None if None in values else tuple(str(value) for value in values)

    def _value(self, match: Match, name: str) -> object:
        """Return a field's value of the last event that has it."""
        column = self.rule.aliases.get(name, {}).get(match.rule, name)
        return next((event[column] for event in reversed(match.events) if column in event), None)

    def _number(self, match: Match) -> float | None:
        """Return the number that a match is about; None when its field holds none."""
        try:
            found = float(str(self._value(match, self.rule.fields[0])))
        except ValueError:
            return None
        return found if isfinite(found) else None

    def _statistic(self, numbers: list[float]) -> float:
        if self.rule.kind == "value_sum":
            return fsum(numbers)
        if self.rule.kind == "value_avg":
            return fsum(numbers) / len(numbers)
        return _percentile(numbers, 50 if self.rule.kind == "value_median" else self.rule.percentile)

    def _forget(self, case: _Case) -> None:
        """Drop what no window needs any more, and repeats when there is too much."""
        old = bisect_left(case.kept, case.kept[-1].time - self._horizon, key=_time)
        if old:
            self._drop(case, case.kept[:old])
            del case.kept[:old]
        if len(case.kept) > self._limit:
            half = len(case.kept) // 2
            newest = {self._kind(it): it for it in case.kept[:half]}
            repeats = [it for it in case.kept[:half] if newest[self._kind(it)] is not it]
            case.kept[:half] = newest.values()
            case.kept.sort(key=_time)
            self._drop(case, repeats)

    def _drop(self, case: _Case, matches: Iterable[Match]) -> None:
        for match in matches:
            kind = self._kind(match)
            case.kinds[kind] -= 1
            if not case.kinds[kind]:
                del case.kinds[kind]
            case.told.discard((match.order, match.rule))

    def _sweep(self) -> None:
        """Drop idle cases, whenever time has moved on by all that is remembered or their number has doubled.

        Idle are those that had no match since the last sweep and are too old besides: one event with a
        time far ahead makes nothing forgotten that goes on.
        """
        if len(self._cases) < self._sweep_at and self._newest < self._sweep_after:
            return
        recent = self._newest - self._horizon
        alive = [
            (group, case)
            for group, case in self._cases.items()
            if case.sweep == self._sweeps or case.kept[-1].time >= recent
        ]
        if len(alive) > MAX_CASES:
            alive = sorted(alive, key=lambda it: (it[1].kept[-1].time, it[0]))[-MAX_CASES // 2 :]
        self._cases = dict(alive)
        self._sweeps += 1
        self._sweep_at = max(1000, 2 * len(alive))
        self._sweep_after = self._newest + self._horizon


def chained(
    correlators: Iterable[Correlator], matches: Iterable[Match]
) -> Iterator[tuple[Correlation, list[Match]]]:
    """Feed matches to correlations, and what each finds to those behind it as well.

    Args:
        correlators: Those that others refer to first.
        matches: Those of rules on single events.
    """
    known = list(matches)
    for correlator in correlators:
        found = correlator.feed(known)
        known += found
        yield correlator.rule, found


@dataclass(frozen=True, slots=True)
class Way:
    """One of the ways in which a condition of rules holds."""

    wanted: tuple[str, ...]
    """Rules that match, in the order in which the condition names them."""

    unwanted: frozenset[str] = frozenset()
    """Rules that do not."""


def ways(expression: tuple[str, ...]) -> list[Way]:
    """Return all ways in which a condition of rules holds.

    Args:
        expression: Ids of rules, `and`, `or` and `not` in postfix order.

    Raises:
        ValueError: it never holds, or in too many ways.
    """
    stack: list[tuple[list[Way], list[Way]]] = []  # of each part: how it holds, and how it does not
    for it in expression:
        if it == "not":
            holds, fails = stack.pop()
            stack.append((fails, holds))
        elif it in {"and", "or"}:
            (holds, fails), (also, nor) = stack[-2], stack[-1]
            both = (_both(holds, also), fails + nor)
            stack[-2:] = [both if it == "and" else (holds + also, _both(fails, nor))]
        else:
            stack.append(([Way((it,))], [Way((), frozenset({it}))]))
    if not stack[0][0]:
        raise ValueError("the condition can never hold")
    return stack[0][0]


def _both(some: list[Way], others: list[Way]) -> list[Way]:
    """Combine what holds together; what a rule is wanted and unwanted in can never hold."""
    if len(some) * len(others) > _MOST_WAYS:
        raise ValueError(f"the condition holds in more than {_MOST_WAYS} ways")
    combined = (
        Way(tuple(dict.fromkeys(one.wanted + it.wanted)), one.unwanted | it.unwanted)
        for one in some
        for it in others
    )
    return [it for it in combined if not it.unwanted.intersection(it.wanted)]


def _together(inside: list[Match], way: Way) -> list[Match]:
    """Return the matches of the rules that are wanted, if all are there and none that is not."""
    present = {it.rule for it in inside}
    if not present.issuperset(way.wanted) or present & way.unwanted:
        return []
    return [it for it in inside if it.rule in way.wanted]


def _distinct(matches: Iterable[Match]) -> list[Match]:
    """Make one of the matches that arrived together on the same events, for whatever rules below."""
    found: dict[tuple[int, tuple[str, ...]], Match] = {}
    for it in matches:
        key = (it.order, tuple(str(event["event.id"]) for event in it.events))
        known = found.get(key)
        found[key] = replace(it, rests_on=it.rests_on | known.rests_on) if known else it
    return list(found.values())


def _percentile(numbers: list[float], percent: int) -> float:
    """Return a percentile, between two numbers in proportion, as SQL's PERCENTILE_CONT does."""
    ordered = sorted(numbers)
    place = (len(ordered) - 1) * percent / 100
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _in_order(inside: list[Match], way: Way, end: Match) -> list[Match]:
    """Find one match of each rule, in the order the rules are named, the last one being the end.

    Matches of one moment count as being in any order: many logs have no finer time than a second.
    """
    rules = way.wanted
    if not rules or rules[-1] != end.rule or any(it.rule in way.unwanted for it in inside):
        return []
    found: list[Match] = []
    for rule in rules[:-1]:
        since = found[-1].time if found else 0
        unused = (it for it in inside if it.rule == rule and it.time >= since)
        match = next((it for it in unused if it is not end and it not in found), None)
        if match is None:
            return []
        found.append(match)
    return [*found, end]


def _joined(rule: str, matches: list[Match], order: int) -> Match:
    """Make one match of several, each event once, in order of time."""
    events = {str(event["event.id"]): event for match in matches for event in match.events}
    ordered = sorted(
        events.values(), key=lambda event: (int(str(event["@timestamp"])), str(event["event.id"]))
    )
    below = frozenset().union(*({it.rule} | it.rests_on for it in matches))
    return Match(time=matches[-1].time, order=order, rule=rule, events=tuple(ordered), rests_on=below)
