"""Why a rule said nothing of some events: which of its parts is at fault, in words and with counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from lab.detect.alert import time_of
from lab.detect.sigma.explain import Clause, Taken
from lab.detect.sigma.rule import Correlation, Named, Rule, RuleSet
from lab.moment import SECOND
from lab.telemetry.event import Event
from lab.telemetry.events import Events
from lab.telemetry.matching import Matcher

Fault = Literal[
    "unusable",
    "log source",
    "field",
    "clause",
    "condition",
    "level",
    "window",
    "count",
    "group",
    "lacking",
    "tags",
    "elsewhere",
]
"""What of a rule is at fault."""

_ORDER: Final[Sequence[Fault]] = (
    *("unusable", "tags", "level", "window", "count", "group", "clause", "condition"),
    *("field", "lacking", "elsewhere", "log source"),
)
"""Which cause is told first: what is nearest to a detection."""

_QUIET: Final = "but its level, informational, raises nothing"

_FAR: Final = 0.34
"""A rule of which no event fulfils a greater part than this is about something else."""

_LONGEST: Final = 120
"""Characters of a value that are shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """Why one rule said nothing."""

    rule: str
    """Its title."""

    path: str
    """Its file."""

    fault: Fault
    """What of it is at fault."""

    why: str
    """The reason, in one sentence, with its counts."""

    near: float = 0
    """Of the clauses of the rule, the part that the nearest event fulfils."""


def nearest_first(causes: Iterable[Cause]) -> tuple[Cause, ...]:
    """Sort causes: what is nearest to a detection first, and last what fits hardly any clause."""
    return tuple(sorted(causes, key=lambda it: (is_far(it), _ORDER.index(it.fault), -it.near, it.rule)))


def is_far(cause: Cause) -> bool:
    """Tell whether a rule fits so little that it is about something else."""
    return cause.fault in {"clause", "condition", "field", "log source"} and cause.near < _FAR


@dataclass(kw_only=True, slots=True)
class Diagnosis:
    """Asks rules about the events of one step."""

    rules: RuleSet
    """All rules."""

    taken: Mapping[str, Taken]
    """Id to rule on single events, taken apart."""

    step: Events
    """The events of the step."""

    matched: Mapping[str, Sequence[Event]]
    """Id of a rule or correlation to the events that it matched in the whole run."""

    matcher: Matcher
    """Asks the database."""

    _by_id: dict[str, Named] = field(init=False, default_factory=dict)
    _ids: frozenset[str] = field(init=False, default=frozenset())

    def __post_init__(self) -> None:
        """Look rules up by id."""
        self._by_id = {it.id: it for it in (*self.rules.rules, *self.rules.correlations)}
        self._ids = frozenset(map(str, self.step.column("event.id")))

    def of(self, name: str) -> Cause | None:
        """Say why a rule, by its id, raised nothing on the step; None where it did."""
        rule = self._by_id.get(name)
        if isinstance(rule, Correlation):
            return self._of_correlation(rule)
        return self._of_rule(rule) if isinstance(rule, Rule) and name in self.taken else None

    def alerts(self, name: str) -> bool:
        """Tell whether a rule raises anything by itself."""
        return self._by_id[name].alerts

    def above(self, name: str) -> tuple[str, ...]:
        """Return the correlations that rest on a rule, and those on them."""
        found: list[str] = []
        for it in self.rules.correlations:  # those that others refer to first
            if name in it.rules or not set(found).isdisjoint(it.rules):
                found.append(it.id)
        return tuple(found)

    # -- rules on single events ------------------------------------------------------------------

    def _of_rule(self, rule: Rule) -> Cause | None:
        taken = self.taken[rule.id]
        asked = [taken.source, taken.whole, *(it.condition for it in taken.clauses)]
        source, whole, *clauses = map(set, self.matcher.places(self.step, asked))
        if whole:
            return self._matching(rule, _events(len(whole)))
        if not source:
            logs = ", ".join(sorted({str(it) for it in self.step.column("event.dataset") if it}))
            asks = taken.log_source or "events of no named source"
            return _cause(rule, "log source", f"it asks for {asks}; the step's events are of {logs}")
        return _Failed(rule, taken, self.step, source, [it & source for it in clauses]).cause()

    def _matching(self, rule: Rule, events: str) -> Cause | None:
        """Say why a rule that matches raised nothing."""
        above = [self._by_id[it].title for it in self.above(rule.id)]
        if rule.alerts:
            return None
        if above:
            more = " or ".join(map(repr, above[:2]))
            why = f"it matches {events} of the step, but by itself it raises nothing: {more} does, with more"
            return _cause(rule, "lacking", why)
        return _cause(rule, "level", f"it matches {events} of the step, {_QUIET}")

    # -- correlations ----------------------------------------------------------------------------

    def _of_correlation(self, rule: Correlation) -> Cause | None:
        if any(str(it["event.id"]) in self._ids for it in self.matched.get(rule.id, ())):
            if rule.alerts:
                return None
            return _cause(rule, "level", f"it finds the step, {_QUIET}")
        ours = {it: self._own(it) for it in rule.rules}
        if not any(ours.values()):
            below = [cause for it in rule.rules if (cause := self.of(it))]
            return self._below(rule, nearest_first(below))
        if rule.kind in {"event_count", "value_count"}:
            return self._counting(rule, [it for events in ours.values() for it in events])
        return self._missing(rule, ours)

    def _own(self, name: str) -> list[Event]:
        return [it for it in self.matched.get(name, ()) if str(it["event.id"]) in self._ids]

    def _below(self, rule: Correlation, causes: Sequence[Cause]) -> Cause:
        if not causes:
            names = ", ".join(repr(self._by_id[it].title) for it in rule.rules[:3] if it in self._by_id)
            return _cause(
                rule, "lacking", f"none of the rules it counts matches an event of the step: {names}"
            )
        first = causes[0]
        return _cause(rule, first.fault, f"it rests on {first.rule!r}: {first.why}", first.near / 2)

    def _counting(self, rule: Correlation, events: Sequence[Event]) -> Cause:
        grouped: dict[tuple[object, ...], list[Event]] = defaultdict(list)
        for it in events:
            grouped[tuple(it.get(name) for name in rule.group_by)].append(it)
        lacking = [name for name in rule.group_by if all(name not in it for it in events)]
        if lacking:
            return _cause(
                rule, "group", f"it groups by {', '.join(lacking)}, which none of the events it counts has"
            )
        if any(name not in it for it in events for name in rule.fields) and rule.fields:
            absent = [name for name in rule.fields if all(name not in it for it in events)]
            if absent:
                return _cause(rule, "field", f"it counts values of {absent[0]}, which none of the events has")
        wanted = f"{rule.operator} {rule.count} within {rule.timespan / SECOND:g} s"
        inside = max(_most(rule, it, rule.timespan) for it in grouped.values())
        whole = max(_size(rule, it) for it in grouped.values())
        together = _size(rule, list(events))
        if whole >= rule.count > inside:
            return _cause(
                rule,
                "window",
                f"it wants {wanted}; at most {inside} lie so close, and {whole} in the whole step",
                1,
            )
        if together >= rule.count > whole:
            by = ", ".join(rule.group_by)
            return _cause(
                rule,
                "group",
                f"it wants {wanted}; grouped by {by} there are at most {whole}, and {together} without",
                1,
            )
        return _cause(
            rule, "count", f"it wants {wanted}; the step gives {inside}", inside / max(1, rule.count)
        )

    def _missing(self, rule: Correlation, ours: Mapping[str, Sequence[Event]]) -> Cause:
        never = [it for it in rule.rules if not self.matched.get(it)]
        there = [self._by_id[it].title for it in rule.rules if ours[it]]
        if never and not rule.expression:
            names = ", ".join(repr(self._by_id[it].title) for it in never)
            return _cause(
                rule, "lacking", f"{there[0]!r} matches the step, but {names} matches nothing in the run"
            )
        others = [self._by_id[it].title for it in rule.rules if not ours[it]]
        span = f"{rule.timespan / SECOND:g} s"
        same = f"within {span} and by the same {', '.join(rule.group_by)}"
        why = f"{there[0]!r} matches the step, but not {same} as {' or '.join(map(repr, others[:3]))}"
        return _cause(rule, "window", why, 0.5)


class _Failed:
    """A rule of which events have the log source, and none matches."""

    def __init__(
        self, rule: Rule, taken: Taken, step: Events, source: set[int], held: Sequence[set[int]]
    ) -> None:
        self._rule = rule
        self._taken = taken
        self._step = step
        self._source = source
        self._held = held
        self._empty = {name for name in _fields(taken) if not self._values(name)}
        fulfilled = {row: sum(row in it for it in held) for row in sorted(source)}
        self._best = max(fulfilled, key=lambda row: fulfilled[row])
        self._near = fulfilled[self._best] / max(1, len(held))

    def cause(self) -> Cause:
        """Name the clause, the field or the condition that is at fault."""
        decisive = [place for place in range(len(self._held)) if self._decides(place)]
        if decisive:
            self._near = max(self._near, 0.5)
            return self._one(min(decisive, key=lambda place: len(self._held[place])))
        clauses = list(zip(self._taken.clauses, self._held, strict=True))
        dead = [clause for clause, held in clauses if not held]
        for clause in dead:
            if gone := self._gone(clause):
                return gone
        if dead:
            failing = [clause for clause, held in clauses if self._best not in held]
            said = "; ".join(map(_short, failing[:2]))
            return self._say(
                "clause", f"the nearest event fails {len(failing)} of {len(clauses)} clauses: {said}"
            )
        formula = " or ".join(self._taken.formula)
        return self._say(
            "condition", f"each clause holds for some event of the step, but none fulfils {formula}"
        )

    def _decides(self, place: int) -> bool:
        """Tell whether some event would match if one clause were otherwise."""
        turned = [*self._held[:place], self._source - self._held[place], *self._held[place + 1 :]]
        return bool(self._taken.tree.holds(turned, self._source))

    def _one(self, place: int) -> Cause:
        """Say that one clause alone stands between the rule and an event."""
        clause, held = self._taken.clauses[place], self._held[place]
        if held == self._source:  # one that must not hold
            return self._say(
                "clause", f"all else fits, and this rules the step's events out: {_short(clause)}"
            )
        if gone := self._gone(clause):
            return gone
        shown = [it for name in clause.fields[:1] for it in self._values(name)]
        there = f"; there it is {shown[0][:_LONGEST]!r}" if shown else ""
        failing = f"{_events(len(self._source) - len(held))} of {len(self._source)}"
        why = f"one clause alone fails, for {failing}: {_short(clause)}{there}"
        return self._say("clause", why)

    def _gone(self, clause: Clause) -> Cause | None:
        """Say that no event has a field that a clause asks for."""
        names = ", ".join(sorted(self._empty.intersection(clause.fields)))
        why = f"no event of the step has {names}, which {clause.words!r} asks for"
        return self._say("field", why) if names else None

    def _values(self, name: str) -> list[str]:
        column = self._step.column(name)
        return [str(column[row]) for row in sorted(self._source) if column[row] is not None]

    def _say(self, fault: Fault, why: str) -> Cause:
        return _cause(self._rule, fault, why, self._near)


def _cause(rule: Named, fault: Fault, why: str, near: float = 0) -> Cause:
    return Cause(rule=rule.title, path=rule.path, fault=fault, why=why, near=near)


def _short(clause: Clause) -> str:
    """Say a clause, and not all of it when it is long."""
    words = clause.words if len(clause.words) <= _LONGEST else clause.words[:_LONGEST] + " ..."
    return f"{clause.search}: {words}"


def _fields(taken: Taken) -> Iterator[str]:
    yield from sorted({name for it in taken.clauses for name in it.fields if name != "event.original"})


def _events(count: int) -> str:
    return "1 event" if count == 1 else f"{count} events"


def _size(rule: Correlation, events: Sequence[Event]) -> int:
    if rule.kind == "event_count":
        return len({str(it["event.id"]) for it in events})
    return len({tuple(it.get(name) for name in rule.fields) for it in events})


def _most(rule: Correlation, events: Sequence[Event], span: int) -> int:
    """Return the most that any window of a length holds."""
    ordered = sorted(events, key=time_of)
    return max(
        _size(rule, [it for it in ordered if time_of(first) <= time_of(it) <= time_of(first) + span])
        for first in ordered
    )
