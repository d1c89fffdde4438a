"""What a person is shown of alerts: repeats as one with a count, what belongs together as an incident.

Rules raise each time they match, and the score wants to know every time. An analyst wants to know once that a
rule fires on somebody, how often by now, and what else that somebody did. So a queue holds one entry for each
rule and actor, and an incident all entries that one story connects. Both follow from the alerts alone, one
after another, so that a queue filled while a run goes on is the queue of its file afterwards.

The actor is who did it: the address it came from, or else the account on the host. Two entries belong to one
story when they name the same actor, or an account on the same host, or when the one comes from what the other
went to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from lab.detect.alert import ENTITY_FIELDS, LEVELS, RISKS, Alert, Level
from lab.moment import SECOND, Moment

PAUSE: Final = 3600 * SECOND
"""How long nobody may be heard of, in nanoseconds, until what follows is another matter."""

_MORE: Final = 5
"""Risk that each further rule adds to an incident, as far as 100."""

Actor = tuple[str, ...]
"""Who did it, as far as alerts say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A rule that fired on somebody."""

    alerts: tuple[Alert, ...]
    """Each time it was raised, in that order."""

    entities: Mapping[str, tuple[str, ...]]
    """Who and where: all that these name."""

    @property
    def first(self) -> Alert:
        """How it was raised first."""
        return self.alerts[0]

    @property
    def began(self) -> Moment:
        """Time of its first evidence; alerts need not come in the order of their events."""
        return min(it.first_event for it in self.alerts)

    @property
    def evidence(self) -> int:
        """How many events it rests on."""
        return sum(it.evidence_count for it in self.alerts)

    @property
    def last_raised(self) -> Moment:
        """When it was raised last."""
        return max(it.raised for it in self.alerts)

    @property
    def risk(self) -> int:
        """How bad it is, from 0 to 100."""
        return RISKS[self.first.level]


@dataclass(frozen=True, kw_only=True, slots=True)
class Incident:
    """What belongs to one story."""

    entries: tuple[Entry, ...]
    """Its entries, in the order of their first events."""

    @property
    def id(self) -> str:
        """Name it by the alert that began it."""
        return self.entries[0].first.id

    @property
    def level(self) -> Level:
        """The most urgent level in it."""
        return max((it.first.level for it in self.entries), key=LEVELS.index)

    @property
    def risk(self) -> int:
        """How bad it is, from 0 to 100: as its worst entry, and more with each further rule."""
        return min(100, max(it.risk for it in self.entries) + _MORE * (len(self.entries) - 1))

    @property
    def chain(self) -> tuple[str, ...]:
        """Techniques in the order in which they were first seen."""
        return tuple(dict.fromkeys(name for it in self.entries for name in it.first.techniques))

    @property
    def entities(self) -> Mapping[str, tuple[str, ...]]:
        """Who and where: all that its entries name."""
        return _merged(it.entities for it in self.entries)

    @property
    def alert_ids(self) -> tuple[str, ...]:
        """Ids of all alerts in it."""
        return tuple(alert.id for it in self.entries for alert in it.alerts)

    @property
    def began(self) -> Moment:
        """Time of its first evidence."""
        return self.entries[0].began

    @property
    def last_raised(self) -> Moment:
        """When an alert of it was raised last."""
        return max(it.last_raised for it in self.entries)


@dataclass(slots=True)
class _Gathering:
    """An entry that grows."""

    alerts: list[Alert] = field(default_factory=list)
    entities: dict[str, set[str]] = field(default_factory=dict)

    def add(self, alert: Alert) -> None:
        """Take one more alert of it."""
        self.alerts.append(alert)
        for name, values in alert.entities.items():
            self.entities.setdefault(name, set()).update(values)

    def entry(self) -> Entry:
        """Say what it is by now."""
        return Entry(alerts=tuple(self.alerts), entities=_ordered(self.entities))


class Queue:
    """The entries of one run."""

    def __init__(self, alerts: Iterable[Alert] = ()) -> None:
        self._entries: list[_Gathering] = []
        self._latest: dict[tuple[str, Actor], _Gathering] = {}
        for it in alerts:
            self.add(it)

    def add(self, alert: Alert) -> int:
        """Take an alert, and return how often its entry has been raised by now."""
        key = alert.rule_id, actor(alert)
        entry = self._latest.get(key)
        if entry is None or alert.first_event - entry.alerts[-1].first_event > PAUSE:
            entry = self._latest[key] = _Gathering()
            self._entries.append(entry)
        entry.add(alert)
        return len(entry.alerts)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All entries, in the order in which they were first raised."""
        return tuple(it.entry() for it in self._entries)

    @property
    def incidents(self) -> tuple[Incident, ...]:
        """All incidents, in the order of their first events; every entry is in one."""
        return incidents_of(self.entries)


def actor(alert: Alert) -> Actor:
    """Return who did it: the address it came from, or else the account on the host, or else the host."""
    named = alert.entities
    return named.get("source.ip") or (*named.get("host.name", ()), *named.get("user.name", ()))


def incidents_of(entries: Iterable[Entry]) -> tuple[Incident, ...]:
    """Put together what belongs to one story."""
    stories: dict[int, list[Entry]] = {}
    # By what a story is known: the story, and when it was last heard of.
    belongs: dict[str, tuple[int, Moment]] = {}
    for place, entry in enumerate(sorted(entries, key=lambda it: (it.began, it.first.id))):
        begun = entry.began
        known = (belongs[it] for it in _signs(entry, "source.ip") if it in belongs)
        related = {story for story, heard in known if begun - heard <= PAUSE}
        story = min(related, default=place)
        for other in related - {story}:
            moved = stories.pop(other)
            stories[story] += moved
            signs = (sign for it in moved for sign in _signs(it, "destination.ip"))
            belongs |= {sign: (story, belongs[sign][1]) for sign in signs}
        stories.setdefault(story, []).append(entry)
        heard = max(it.first_event for it in entry.alerts)
        belongs |= dict.fromkeys(_signs(entry, "destination.ip"), (story, heard))
    found = (sorted(it, key=lambda one: (one.began, one.first.id)) for it in stories.values())
    return tuple(sorted((Incident(entries=tuple(it)) for it in found), key=lambda it: (it.began, it.id)))


def _signs(entry: Entry, end: str) -> Iterator[str]:
    """Give what an entry is known by: where it came from, accounts on hosts, and one end of its connections.

    A story goes on where an address it went to is one that something comes from.
    """
    named = entry.entities
    yield from (f"from {it}" for it in named.get("source.ip", ()))
    for host in named.get("host.name", ()):
        yield from (f"{user}@{host}" for user in named.get("user.name", ()))
    yield from (f"to {it}" for it in named.get(end, ()))


def _merged(several: Iterable[Mapping[str, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for name, values in (it for one in several for it in one.items()):
        found.setdefault(name, set()).update(values)
    return _ordered(found)


def _ordered(found: Mapping[str, set[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(sorted(found[name])) for name in ENTITY_FIELDS if name in found}
