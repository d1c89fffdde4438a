"""What a detection is once it has been read: values that know nothing of the format they came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lab.detect.alert import Level

CorrelationKind = Literal["event_count", "value_count", "temporal", "temporal_ordered"]
"""The kinds of Sigma correlation that are evaluated."""

Operator = Literal["gte", "gt", "lte", "lt", "eq", "neq"]
"""How a correlation compares what it counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """One Sigma rule, converted."""

    id: str
    """Sigma's UUID."""

    name: str
    """The name by which correlations refer to it; may be empty."""

    hash: str
    """SHA-256 of the rule's content."""

    title: str
    """Its title."""

    level: Level
    """How urgent its author thinks it is."""

    techniques: tuple[str, ...]
    """ATT&CK technique ids of its tags, sorted."""

    tactics: tuple[str, ...]
    """ATT&CK tactic short names of its tags, sorted."""

    where: str
    """DuckDB condition over the columns of an event; never NULL."""

    alerts: bool
    """Whether a match is an alert of its own; a rule may serve correlations alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Correlation:
    """One Sigma correlation rule."""

    id: str
    """Sigma's UUID."""

    name: str
    """The name by which other correlations refer to it; may be empty."""

    hash: str
    """SHA-256 of the rule's content."""

    title: str
    """Its title."""

    level: Level
    """How urgent its author thinks it is."""

    techniques: tuple[str, ...]
    """ATT&CK technique ids of its tags, sorted."""

    tactics: tuple[str, ...]
    """ATT&CK tactic short names of its tags, sorted."""

    kind: CorrelationKind
    """What is looked for."""

    rules: tuple[str, ...]
    """Ids of the rules and correlations it is about, in the order of the file."""

    group_by: tuple[str, ...]
    """ECS fields whose values keep one case apart from another."""

    timespan: int
    """Length of the window in nanoseconds."""

    operator: Operator
    """How the count is compared; unused by the temporal kinds."""

    count: int
    """What it is compared with."""

    field: str
    """For `value_count`: the field whose different values are counted."""

    alerts: bool
    """Whether a match is an alert of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unusable:
    """A rule that cannot be evaluated here, and which construct or field is the reason."""

    path: str
    """The file."""

    title: str
    """The rule's title, or its id."""

    why: str
    """The reason, for a person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleSet:
    """All that was read from some files."""

    rules: tuple[Rule, ...]
    """Rules on single events."""

    correlations: tuple[Correlation, ...]
    """Rules on several events, those that others refer to first."""

    unusable: tuple[Unusable, ...]
    """What could not be used; never dropped in silence."""
