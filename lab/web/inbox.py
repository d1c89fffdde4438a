"""The queue of alerts: grouped over all of them, and acted on as a whole. Pure, but for what is appended."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(slots=True)
class _Gathering:
    rows: list[Row] = field(default_factory=list)
    standings: list[Standing] = field(default_factory=list)


def groups(
    rows: Iterable[Row], standing: Mapping[str, Standing], view: View, stories: Mapping[str, str]
) -> tuple[Group, ...]:
    """Group all alerts that a view shows, the most urgent first and of these the latest.

    Args:
        rows: All alerts.
        standing: What was made of them.
        view: Which are shown, and how.
        stories: Alert id to the incident it is of; needed for `incident` alone.
    """
    found: dict[str, _Gathering] = {}
    for row in rows:
        held = standing.get(row.id, UNTOUCHED)
        if _shown(row, held, view):
            for name in _names(row, view.by, stories):
                gathering = found.setdefault(name, _Gathering())
                gathering.rows.append(row)
                gathering.standings.append(held)
    made = (_group(name, it, view.by) for name, it in found.items())
    return tuple(sorted(made, key=lambda it: (-LEVELS.index(it.level), -it.last, it.key)))


def _shown(row: Row, held: Standing, view: View) -> bool:
    match view.state:
        case "open":
            wanted = not held.acknowledged
        case "escalated":
            wanted = held.escalated
        case "done":
            wanted = held.acknowledged
        case _:
            wanted = True
    return (
        wanted
        and LEVELS.index(row.level) >= LEVELS.index(view.level)
        and view.rule in {"", row.rule}
        and (not view.text or _says(row, view.text.lower()))
    )


def _says(row: Row, text: str) -> bool:
    values = (value for them in row.entities.values() for value in them)
    return any(text in it.lower() for it in (row.title, row.rule, *row.techniques, *values))


def _names(row: Row, by: By, stories: Mapping[str, str]) -> Sequence[str]:
    match by:
        case "pair":
            return (f"{row.rule}\0{row.source}\0{row.target}",)
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


def _group(name: str, it: _Gathering, by: By) -> Group:
    rows = sorted(it.rows, key=lambda row: (row.raised, row.id))
    counted = Counter(held.disposition for held in it.standings if held.disposition)
    return Group(
        key=hashlib.sha256(f"{by}\0{name}".encode()).hexdigest()[:12],
        title=_title(rows, name, by),
        level=max((row.level for row in rows), key=LEVELS.index),
        source=_one(row.source for row in rows),
        target=_one(row.target for row in rows),
        techniques=tuple(
            dict.fromkeys(t for row in sorted(rows, key=lambda it: it.first) for t in row.techniques)
        ),
        first=min(row.first for row in rows),
        last=rows[-1].raised,
        alerts=tuple(row.id for row in rows),
        escalated=sum(held.escalated for held in it.standings),
        dispositions=dict(counted),
    )


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
