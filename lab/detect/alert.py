"""What a rule raised."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypedDict

from lab.files import records
from lab.moment import Moment
from lab.runs.noticed import Noticed
from lab.telemetry.event import Event

Level = Literal["informational", "low", "medium", "high", "critical"]
"""Sigma's levels, from the least to the most urgent."""

LEVELS: Final[tuple[Level, ...]] = ("informational", "low", "medium", "high", "critical")
"""The levels in rising order."""


RISKS: Final[Mapping[Level, int]] = {
    "informational": 1,
    "low": 21,
    "medium": 47,
    "high": 73,
    "critical": 99,
}
"""Risk by level, from 0 to 100: the scores that Elastic gives rules by default."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """One rule firing on one or more events."""

    id: str
    """Content address: the same rule on the same evidence has the same id."""

    engine: Literal["sigma", "suricata", "model"]
    """What raised it."""

    rule_id: str
    """Sigma's UUID, or Suricata's `gid:sid`."""

    rule_hash: str
    """SHA-256 of the rule's content, hexadecimal."""

    title: str
    """The rule's title."""

    level: Level
    """How urgent the rule's author thinks it is."""

    risk: int = 0
    """How bad that is, from 0 to 100, by `RISKS`; 0 in the files of older versions."""

    techniques: tuple[str, ...] = ()
    """ATT&CK technique ids from the rule's tags, upper case, sorted."""

    tactics: tuple[str, ...] = ()
    """ATT&CK tactic short names from the rule's tags, sorted, `credential-access`."""

    first_event: Moment
    """Time of the first evidence event."""

    ingested: Moment
    """When the last evidence event that completed the match entered the store."""

    raised: Moment
    """When the alert was raised."""

    entities: Mapping[str, tuple[str, ...]]
    """ECS field name to the values found in the evidence: addresses, host, user."""

    event_ids: tuple[str, ...]
    """`event.id` of the evidence, in order of time, at most `MAX_EVIDENCE`."""

    evidence_count: int
    """How many events matched, also those beyond `MAX_EVIDENCE`."""

    score: float | None = None
    """What a model says of the evidence, as log-odds; None for what a rule raised."""

    moved: tuple[tuple[str, float], ...] = ()
    """The features that moved a model most, each with its share of the score."""


MAX_EVIDENCE: Final = 100
"""Evidence ids kept per alert: enough to show, bounded under a flood."""

ENTITY_FIELDS: Final = ("source.ip", "destination.ip", "host.name", "user.name")
"""The fields that say who and where."""


_BEHIND: Final = {"source.ip": "process.entry_leader.entry_meta.source.ip"}
"""What says the same of an event of a log-in session: a command names no address, its session does."""


def _names(event: Event, name: str) -> bool:
    return name in event or _BEHIND.get(name, "") in event


FACT_FIELDS: Final = frozenset(
    {*ENTITY_FIELDS, *_BEHIND.values(), "@timestamp", "event.id", "event.ingested"}
)
"""The fields of its evidence that an alert is made of."""


class Facts(TypedDict):
    """The part of an alert that its evidence decides."""

    first_event: Moment
    ingested: Moment
    raised: Moment
    entities: Mapping[str, tuple[str, ...]]
    event_ids: tuple[str, ...]
    evidence_count: int


def facts(events: Sequence[Event], now: Moment) -> Facts:
    """Collect what an alert says of its evidence.

    Args:
        events: The evidence, in order of time.
        now: When the alert is raised.
    """
    return {
        "first_event": Moment(time_of(events[0])),
        "ingested": Moment(max(int(str(event["event.ingested"])) for event in events)),
        "raised": now,
        "entities": entities_of(events),
        "event_ids": tuple(str(event["event.id"]) for event in events[:MAX_EVIDENCE]),
        "evidence_count": len(events),
    }


def time_of(event: Event) -> int:
    """Return when an event happened, in nanoseconds."""
    return int(str(event["@timestamp"]))


def entities_of(events: Sequence[Event]) -> dict[str, tuple[str, ...]]:
    """Return who and where: each entity field with its values."""
    found = {
        name: sorted({str(it.get(name, it.get(_BEHIND.get(name, "")))) for it in events if _names(it, name)})
        for name in ENTITY_FIELDS
    }
    return {name: tuple(values) for name, values in found.items() if values}


def identity(rule: str, digest: str, events: Iterable[Event]) -> str:
    """Name an alert by its content, so that the same rule on the same evidence is the same alert."""
    parts = (rule, digest, *(str(event["event.id"]) for event in events))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def in_order(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    """Sort alerts of one batch, so that the same evidence gives the same file."""
    return tuple(sorted(alerts, key=lambda alert: (alert.first_event, alert.rule_id, alert.id)))


def read_alerts(noticed: Noticed) -> tuple[Alert, ...]:
    """Read what was raised in a run."""
    return records.read_lines(noticed.alerts, Alert)
