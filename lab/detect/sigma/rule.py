"""What a detection is once it has been read: values that know nothing of the format they came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lab.detect.alert import Level
from lab.telemetry.conditions import Condition, Question

CorrelationKind = Literal[
    "event_count",
    "value_count",
    "temporal",
    "temporal_ordered",
    "value_sum",
    "value_avg",
    "value_percentile",
    "value_median",
]
"""The kinds of Sigma correlation."""

Operator = Literal["gte", "gt", "lte", "lt", "eq", "neq"]
"""How a correlation compares what it counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """What every rule says of itself."""

    id: str
    """Sigma's UUID; its name or title where it has none."""

    hash: str
    """SHA-256 of its text in the file, and of the filters that change it."""

    path: str
    """The file it is from."""

    title: str
    """Its title."""

    level: Level
    """How urgent its author thinks it is."""

    techniques: tuple[str, ...]
    """ATT&CK technique ids of its tags, sorted."""

    tactics: tuple[str, ...]
    """ATT&CK tactic short names of its tags, sorted."""

    tags: tuple[str, ...]
    """Its tags, as written: `attack.t1110.001`."""

    alone: bool
    """Whether a match is worth telling by itself; a rule may serve correlations alone."""

    @property
    def alerts(self) -> bool:
        """Whether a match is an alert: by Sigma's specification, an informational rule only enriches."""
        return self.alone and self.level != "informational"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule(Named):
    """One Sigma rule, converted for events of ours."""

    log_source: str
    """The log source it asks for, in its own words."""

    modules: tuple[str, ...]
    """Values of `event.module` it can match."""

    clues: frozenset[tuple[str, str]]
    """Fields and ASCII texts in lower case, of which every event that matches holds one; an empty set says
    nothing."""

    where: Condition
    """What an event has to fulfil."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenRule(Named):
    """One Sigma rule, converted for events under names of their own."""

    log_source: str
    """The log source it asks for, in its own words."""

    question: Question
    """What an event has to fulfil."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Correlation(Named):
    """One Sigma correlation rule."""

    kind: CorrelationKind
    """What is looked for."""

    rules: tuple[str, ...]
    """Ids of the rules and correlations it is about, in the order of the file."""

    group_by: tuple[str, ...]
    """Fields or aliases whose values keep one case apart from another."""

    aliases: Mapping[str, Mapping[str, str]]
    """Alias to rule id to field: the same thing, which different rules' events call differently."""

    timespan: int
    """Length of the window in nanoseconds."""

    operator: Operator
    """How the count is compared; unused by `temporal_ordered`, which wants every rule."""

    count: int
    """What it is compared with."""

    fields: tuple[str, ...]
    """For `value_count`: the fields whose different values, taken together, are counted. For the statistical
    kinds: the field whose numbers are."""

    percentile: int = 50
    """For `value_percentile`: which one, from 0 to 100."""

    expression: tuple[str, ...] = ()
    """For temporal kinds with a condition of rules: ids of rules, `and`, `or` and `not` in postfix order;
    empty where every rule is wanted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unusable:
    """A rule that cannot be evaluated here, and which construct or field is the reason."""

    path: str
    """The file."""

    line: int
    """Line of its first word; 0 when unknown."""

    title: str
    """The rule's title, or its id."""

    why: str
    """The reason, for a person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleSet:
    """All that was read from some files, for events of ours."""

    rules: tuple[Rule, ...]
    """Rules on single events."""

    correlations: tuple[Correlation, ...]
    """Rules on several events, those that others refer to first."""

    unusable: tuple[Unusable, ...]
    """What could not be used; never dropped in silence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenRules:
    """All that was read from some files, for events under names of their own."""

    rules: tuple[WrittenRule, ...]
    """Rules on single events."""

    correlations: tuple[Correlation, ...]
    """Rules on several events, those that others refer to first."""

    unusable: tuple[Unusable, ...]
    """What could not be used; never dropped in silence."""

    elsewhere: tuple[str, ...]
    """Ids of the rules that ask for another log source than the one the events are of."""
