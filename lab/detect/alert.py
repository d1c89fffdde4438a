"""What a rule raised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from lab.moment import Moment

Level = Literal["informational", "low", "medium", "high", "critical"]
"""Sigma's levels, from the least to the most urgent."""

LEVELS: Final[tuple[Level, ...]] = ("informational", "low", "medium", "high", "critical")
"""The levels in rising order."""


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


MAX_EVIDENCE: Final = 100
"""Evidence ids kept per alert: enough to show, bounded under a flood."""

ENTITY_FIELDS: Final = ("source.ip", "destination.ip", "host.name", "user.name")
"""The fields that say who and where."""
