"""The queue of alerts: grouped over all of them, and acted on as a whole. Pure, but for what is appended."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from lab.detect.alert import LEVELS, Level
from lab.runs.triage import UNTOUCHED, Standing
from lab.web.alerts import Row

By = Literal["pair", "rule", "incident", "source", "technique", "alert"]
"""What makes alerts one line: rule with source and target; rule; one story; source; technique; nothing."""

BYS: Final[tuple[By, ...]] = get_args(By)

State = Literal["open", "escalated", "done", "all"]
"""Which alerts are shown: those nobody is done with; those another is to look at; the rest; all."""

STATES: Final[tuple[State, ...]] = get_args(State)


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """Which alerts are shown, and how."""

    by: By = "pair"
    """What makes alerts one line."""

    state: State = "open"
    """Which, by what was made of them."""

    text: str = ""
    """What stands in title, technique or entity, whatever its case."""

    level: Level = "informational"
    """The least urgent that are shown."""

    rule: str = ""
    """Only those of one rule; of all when empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """One line of the queue."""

    key: str
    """Names it in an address."""

    title: str
    """What it is about."""

    level: Level
    """The most urgent level in it."""

    source: str
    """Who, where that is one."""

    target: str
    """To whom, where that is one."""

    techniques: tuple[str, ...]
    """All techniques in it, in the order of their first event."""

    first: int
    """When its first event was, in nanoseconds."""

    last: int
    """When an alert of it was raised last."""

    alerts: tuple[str, ...]
    """Ids of its alerts, the latest last."""

    escalated: int
    """How many of them somebody else is to look at."""

    dispositions: Mapping[str, int]
    """What they turned out to be, and how often."""


class Lines:
    """The lines of the queue, the most urgent first, of these the latest; each is made when it is shown."""

    def __init__(self, found: Mapping[str, Sequence[Row]], standing: Mapping[str, Standing], by: By) -> None:
        """Put lines in order.

        Args:
            found: What a line is known by, and its alerts.
            standing: What was made of alerts.
            by: What makes alerts one line.
        """
        self._found = found
        self._standing = standing
        self._by = by
        self._order = sorted(found, key=self._urgency)

    def _urgency(self, name: str) -> tuple[int, int, str]:
        rows = self._found[name]
        if len(rows) == 1:  # most lines, where there are many
            return -rows[0].rank, -rows[0].raised, name
        return -max(row.rank for row in rows), -max(row.raised for row in rows), name

    def __len__(self) -> int:
        """Count the lines."""
        return len(self._order)

    @property
    def total(self) -> int:
        """How many alerts they have; one that is in several lines counts once."""
        if self._by == "technique":
            return len({row.id for rows in self._found.values() for row in rows})
        return sum(map(len, self._found.values()))

    def page(self, start: int, size: int) -> tuple[Group, ...]:
        """Return some lines."""
        return tuple(self._group(name) for name in self._order[start : start + size])

    def find(self, key: str) -> Group | None:
        """Return the line of a key; None when there is none any more."""
        return next((self._group(name) for name in self._order if self._key(name) == key), None)

    def alerts(self, keys: Collection[str] | None) -> tuple[str, ...]:
        """Return the ids of the alerts of some lines, each once; of all lines when None."""
        names = self._order if keys is None else [it for it in self._order if self._key(it) in keys]
        return tuple(dict.fromkeys(row.id for name in names for row in self._found[name]))

    def _key(self, name: str) -> str:
        return hashlib.sha256(f"{self._by}\0{name}".encode()).hexdigest()[:12]

    def _group(self, name: str) -> Group:
        rows = sorted(self._found[name], key=lambda row: (row.raised, row.id))
        held = [self._standing.get(row.id, UNTOUCHED) for row in rows]
        counted = Counter(str(it.disposition) for it in held if it.disposition)
        in_time = sorted(rows, key=lambda it: it.first)
        return Group(
            key=self._key(name),
            title=_title(rows, name, self._by),
            level=max((row.level for row in rows), key=LEVELS.index),
            source=_one(row.source for row in rows),
            target=_one(row.target for row in rows),
            techniques=tuple(dict.fromkeys(it for row in in_time for it in row.techniques)),
            first=in_time[0].first,
            last=rows[-1].raised,
            alerts=tuple(row.id for row in rows),
            escalated=sum(it.escalated for it in held),
            dispositions=dict(counted),
        )


def lines(
    rows: Iterable[Row], standing: Mapping[str, Standing], view: View, stories: Mapping[str, str]
) -> Lines:
    """Group all alerts that a view shows.

    Args:
        rows: All alerts.
        standing: What was made of them.
        view: Which are shown, and how.
        stories: Alert id to the incident it is of; needed for `incident` alone.
    """
    found: dict[str, list[Row]] = {}
    for row in _shown(rows, standing, view):
        for name in _names(row, view.by, stories):
            found.setdefault(name, []).append(row)
    return Lines(found, standing, view.by)


def _shown(rows: Iterable[Row], standing: Mapping[str, Standing], view: View) -> Iterable[Row]:
    """Leave out what a view does not show; a condition is looked at only where it can leave anything out."""
    if view.state == "open":
        rows = [it for it in rows if not standing.get(it.id, UNTOUCHED).acknowledged]
    elif view.state == "done":
        rows = [it for it in rows if standing.get(it.id, UNTOUCHED).acknowledged]
    elif view.state == "escalated":
        rows = [it for it in rows if standing.get(it.id, UNTOUCHED).escalated]
    if view.level != LEVELS[0]:
        least = LEVELS.index(view.level)
        rows = [it for it in rows if it.rank >= least]
    if view.rule:
        rows = [it for it in rows if it.rule == view.rule]
    if view.text:
        text = view.text.lower()
        rows = [it for it in rows if text in it.words]
    return rows


def _names(row: Row, by: By, stories: Mapping[str, str]) -> Sequence[str]:
    match by:
        case "pair":
            return (row.pair,)
        case "rule":
            return (row.rule,)
        case "incident":
            return (stories.get(row.id, row.id),)
        case "source":
            return (row.source,)
        case "technique":
            return row.techniques or ("",)
        case _:
            return (row.id,)


def _title(rows: Sequence[Row], name: str, by: By) -> str:
    rules = tuple(dict.fromkeys(row.title for row in rows))
    if by == "source":
        return f"{name or 'nobody named'}: {_plural(len(rules), 'rule')}"
    if by == "technique":
        return f"{name or 'no technique'}: {_plural(len(rules), 'rule')}"
    return rules[0] if len(rules) == 1 else f"{rules[0]} and {_plural(len(rules) - 1, 'other rule')}"


def _plural(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _one(values: Iterable[str]) -> str:
    """Return what all say, or how many different things they say."""
    found = tuple(dict.fromkeys(values))
    return found[0] if len(found) == 1 else f"{len(found)} different"
