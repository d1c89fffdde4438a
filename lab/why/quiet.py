"""How seldom rules cry wolf: false alarms over benign hours, as a bound, and which rules looked at nothing.

No false alarm in T host-hours bounds the rate at 3.0 / T and no lower. A rule whose log source was silent, or
whose fields no event had, was not quiet but blind, and is told apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from lab.detect.sigma.explain import Taken
from lab.detect.sigma.rule import Correlation, Rule, RuleSet
from lab.score.intervals import upper_bound
from lab.telemetry.events import Events
from lab.telemetry.matching import Matcher
from lab.why.benign import NearMiss

Sight = Literal["looked", "source silent", "field absent", "unusable"]
"""Whether a rule looked at anything."""

DAY: Final = 24
"""Hours of a day and the night after it, which people live through in a run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """What one rule looked at."""

    rule: str
    """Its title."""

    path: str
    """Its file."""

    sight: Sight
    """Whether it looked at anything."""

    events: int
    """How many events of its log source there were; of a correlation, events that its rules match."""

    why: str = ""
    """What it lacked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """One stretch of benign work."""

    name: str
    """The run, or the part of a data set."""

    hosts: int
    """How many hosts were watched."""

    hours: float
    """For how long, by the clock."""

    lived: float
    """How many hours people lived through meanwhile; the same where time was not compressed."""

    seed: int | None = None
    """What chance was drawn from."""

    cast: tuple[str, ...] = ()
    """Who worked: characters, sorted."""

    ordinary: Mapping[str, int] = field(default_factory=dict)
    """Kind of ordinary action to how often it was done."""

    suspicious: Mapping[str, int] = field(default_factory=dict)
    """Kind of action that looks bad to how often it was done."""

    false_alarms: Mapping[str, int] = field(default_factory=dict)
    """Title of a rule to its false alarms, deduplicated as in the score."""

    near_misses: tuple[NearMiss, ...] = ()
    """Benign events that one clause alone kept from an alert."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quiet:
    """The rate of false alarms, with its exposure."""

    watched: tuple[Watched, ...]
    """What was watched."""

    left_out: tuple[tuple[str, str], ...]
    """What was not counted, and why."""

    looked: tuple[Looked, ...]
    """What each rule looked at, by title."""

    false_alarms: int
    """How many there were."""

    host_hours: float
    """Hosts times hours, by the clock."""

    lived_hours: float
    """Hosts times the hours that people lived through."""

    bound: float | None
    """The most false alarms per host-hour by the clock, 95 %; None when nothing was looked at."""

    lived_bound: float | None
    """The same per host-hour that people lived through."""

    @property
    def blind(self) -> tuple[Looked, ...]:
        """Rules that looked at nothing, for which nothing can be said."""
        return tuple(it for it in self.looked if it.sight != "looked")


def quiet(watched: Sequence[Watched], left_out: Sequence[tuple[str, str]], looked: Sequence[Looked]) -> Quiet:
    """Sum up; where no rule looked at anything, there is no bound."""
    false = sum(sum(it.false_alarms.values()) for it in watched)
    hours = sum(it.hosts * it.hours for it in watched)
    lived = sum(it.hosts * it.lived for it in watched)
    seeing = any(it.sight == "looked" for it in looked)
    return Quiet(
        watched=tuple(watched),
        left_out=tuple(left_out),
        looked=tuple(sorted(looked, key=lambda it: (it.rule, it.path))),
        false_alarms=false,
        host_hours=hours,
        lived_hours=lived,
        bound=upper_bound(false) / hours if hours and seeing else None,
        lived_bound=upper_bound(false) / lived if lived and seeing else None,
    )


class Sighting:
    """Counts what rules look at, run by run."""

    def __init__(self, rules: RuleSet, taken: Mapping[str, Taken]) -> None:
        """Begin.

        Args:
            rules: All rules.
            taken: Id to rule on single events, taken apart.
        """
        self._rules = rules
        self._taken = taken
        self._matcher = Matcher()
        self._of_source: Counter[str] = Counter()
        self._filled: dict[str, set[str]] = {}

    def feed(self, events: Events) -> None:
        """Look at some events."""
        for rule in self._rules.rules:
            taken = self._taken.get(rule.id)
            if taken is None:
                continue
            (rows,) = self._matcher.places(events, [taken.source])
            self._of_source[rule.id] += len(rows)
            ours = events.chosen(rows)
            filled = self._filled.setdefault(rule.id, set())
            for name in {name for it in taken.clauses for name in it.fields} - filled:
                if any(value is not None for value in ours.column(name)):
                    filled.add(name)

    def close(self) -> tuple[Looked, ...]:
        """Say what each rule looked at."""
        self._matcher.close()
        single = {it.id: self._rule(it) for it in self._rules.rules}
        found: dict[str, Looked] = dict(single)
        for it in self._rules.correlations:  # those that others refer to first
            found[it.id] = self._correlation(it, found)
        unusable = (
            Looked(rule=it.title, path=it.path, sight="unusable", events=0, why=it.why)
            for it in self._rules.unusable
        )
        return (*found.values(), *unusable)

    def _rule(self, rule: Rule) -> Looked:
        taken, events = self._taken.get(rule.id), self._of_source[rule.id]
        if taken is None or not events:
            asks = rule.log_source or "events of no named source"
            return _looked(rule, "source silent", events, f"no event of {asks}")
        lacking = sorted(_blocking(taken, self._filled.get(rule.id, set())))
        if lacking:
            return _looked(rule, "field absent", events, f"no event of its source has {', '.join(lacking)}")
        return _looked(rule, "looked", events, "")

    def _correlation(self, rule: Correlation, known: Mapping[str, Looked]) -> Looked:
        below = [known[it] for it in rule.rules if it in known]
        blind = [it for it in below if it.sight != "looked"]
        needs_all = rule.kind in {"temporal", "temporal_ordered"} and not rule.expression
        if blind and (needs_all or len(blind) == len(below)):
            first = blind[0]
            return _looked(rule, first.sight, 0, f"it rests on {first.rule!r}: {first.why}")
        return _looked(rule, "looked", sum(it.events for it in below), "")


def _looked(rule: Rule | Correlation, sight: Sight, events: int, why: str) -> Looked:
    return Looked(rule=rule.title, path=rule.path, sight=sight, events=events, why=why)


def _blocking(taken: Taken, filled: set[str]) -> set[str]:
    """Return the fields without which a rule can match nothing, and that no event had.

    A clause without its field holds for nothing, unless it asks for its absence; where the rest can hold
    without it, nothing is blocked.
    """
    every = frozenset({0})
    dead = [bool(set(it.fields) - filled) and not _of_absence(it.words) for it in taken.clauses]
    for wanted in _assignments(len(taken.clauses), dead):
        if taken.tree.holds(wanted, every):
            return set()
    gone = (it for it, lacks in zip(taken.clauses, dead, strict=True) if lacks)
    return {name for it in gone for name in it.fields} - filled


def _of_absence(words: str) -> bool:
    return words.endswith(" nothing") or " exists " in words


_MOST: Final = 12
"""Clauses of which all combinations are tried; of more, all living ones are tried as fulfilled."""


def _assignments(count: int, dead: Sequence[bool]) -> Iterable[list[frozenset[int]]]:
    """Give ways in which the clauses may hold for an event; dead ones never do."""
    yes, no = frozenset({0}), frozenset[int]()
    living = [place for place in range(count) if not dead[place]]
    if len(living) > _MOST:
        yield [no if it else yes for it in dead]
        return
    for chosen in range(2 ** len(living)):
        holding = {place for number, place in enumerate(living) if chosen >> number & 1}
        yield [yes if place in holding else no for place in range(count)]
