"""Parsed rules -> values with a DuckDB condition each; what cannot be evaluated is named with its reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar, cast

from sigma.collection import SigmaCollection
from sigma.correlations import (
    CorrelationConditionAND,
    CorrelationConditionItem,
    CorrelationConditionNOT,
    SigmaCorrelationCondition,
    SigmaCorrelationRule,
    SigmaRuleReference,
)
from sigma.exceptions import SigmaError
from sigma.processing.pipeline import ProcessingPipeline
from sigma.rule import SigmaLevel, SigmaRule

from lab import attack
from lab.detect.alert import Level
from lab.detect.sigma.backend import (
    DuckDBBackend,
    EcsBackend,
    Refused,
    field_mappings,
    in_words,
    log_source_of,
)
from lab.detect.sigma.clues import Clue, clues_in, either
from lab.detect.sigma.correlation import STATISTICS, ways
from lab.detect.sigma.predicate import EcsColumns, WrittenColumns, known
from lab.detect.sigma.rule import Correlation, CorrelationKind, Operator, Rule, Unusable, WrittenRule
from lab.detect.sigma.taxonomy import Source, guards, joined
from lab.errors import BadQuery
from lab.moment import SECOND
from lab.telemetry.conditions import Condition, Question, Trial, event_columns, written_columns

FAULTS: Final = (SigmaError, AttributeError, KeyError, NameError, NotImplementedError, TypeError, ValueError)
"""How pySigma says that a document is wrong, and how it takes one of a shape it does not expect."""


_Parsed = TypeVar("_Parsed", SigmaRule, SigmaCorrelationRule)
_Result = TypeVar("_Result")
_Made = TypeVar("_Made", Rule, WrittenRule)
_Made_co = TypeVar("_Made_co", covariant=True)


class Target(Protocol[_Made_co]):
    """What rules are converted for."""

    def rule(self, rule: SigmaRule, said: Mapping[str, Any]) -> _Made_co | None:
        """Convert a rule on single events; None where it asks for another log source.

        Args:
            rule: The rule.
            said: What it says of itself.

        Raises:
            Refused: it uses what cannot be evaluated.
        """
        ...

    def apply(self, rule: SigmaCorrelationRule) -> None:
        """Make the names of its fields those of the events."""
        ...

    def known(self, field: str) -> None:
        """Make sure that events can have a field.

        Raises:
            ValueError: they cannot.
        """
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class EcsTarget:
    """For events of ours."""

    def __init__(self, pipelines: Sequence[ProcessingPipeline] = ()) -> None:
        """Convert for events of ours.

        Args:
            pipelines: What users want made of rules before.
        """
        self._backend = EcsBackend(sum(pipelines, ProcessingPipeline()) + field_mappings(), EcsColumns())
        self._backend.init_processing_pipeline()
        self._trial = Trial()

    def rule(self, rule: SigmaRule, said: Mapping[str, Any]) -> Rule:
        """Convert a rule on single events."""
        where, clues = _converted(rule, self._backend, EcsColumns.anything)
        self._trial.check(where.sql, event_columns(where.fields))
        source = log_source_of(rule)
        return Rule(where=where, modules=source.modules, clues=clues, log_source=in_words(rule), **said)

    def apply(self, rule: SigmaCorrelationRule) -> None:
        """Name its fields as ECS does."""
        self._backend.last_processing_pipeline.apply(rule)

    def known(self, field: str) -> None:
        """Make sure that ECS has a field."""
        known(field)

    def close(self) -> None:
        """Give the trial's memory back."""
        self._trial.close()


class WrittenTarget:
    """For events under names of their own."""

    def __init__(self, source: Source | None, pipelines: Sequence[ProcessingPipeline] = ()) -> None:
        """Convert for such events.

        Args:
            source: The log source of all of them; each one's is found from its fields when None.
            pipelines: What users want made of rules before.
        """
        self._source = source
        self._texts = DuckDBBackend(sum(pipelines, ProcessingPipeline()), WrittenColumns(many=False))
        self._lists = DuckDBBackend(ProcessingPipeline(), WrittenColumns(many=True))
        self._texts.init_processing_pipeline()
        self._lists.init_processing_pipeline()
        self._trial = Trial()

    def rule(self, rule: SigmaRule, said: Mapping[str, Any]) -> WrittenRule | None:
        """Convert a rule on single events."""
        texts, clues = _converted(rule, self._texts, WrittenColumns.anything)
        lists, _ = _converted(rule, self._lists, WrittenColumns.anything)
        asked = Source.of(rule)
        if self._source is None:
            texts, lists = (joined(seen, it) for seen, it in zip(guards(asked), (texts, lists), strict=True))
        elif not asked.includes(self._source):
            return None
        self._trial.check(texts.sql, written_columns(texts.fields, many=False))
        self._trial.check(lists.sql, written_columns(lists.fields, many=True))
        question = Question(texts=texts, lists=lists, clues=clues)
        return WrittenRule(question=question, log_source=in_words(rule), **said)

    def apply(self, rule: SigmaCorrelationRule) -> None:
        """Name its fields as the users' pipelines want."""
        self._texts.last_processing_pipeline.apply(rule)

    def known(self, field: str) -> None:
        """Take any field: events of others may have any."""

    def close(self) -> None:
        """Give the trial's memory back."""
        self._trial.close()


def _converted(rule: SigmaRule, backend: DuckDBBackend, anything: str) -> tuple[Condition, frozenset[Clue]]:
    """Return what an event has to fulfil, and texts of which one is in each that does."""
    backend.fields.clear()
    backend.convert_rule(rule)  # returns nothing for a rule that only serves correlations
    where = " OR ".join(rule.get_conversion_result())
    clues = either(clues_in(it.parsed, anything) for it in rule.detection.parsed_condition)
    return Condition(sql=f"({where})", fields=frozenset(backend.fields)), clues


@dataclass(frozen=True, kw_only=True, slots=True)
class Converted(Generic[_Made]):
    """What came of rules."""

    rules: tuple[_Made, ...]
    """Those on single events."""

    correlations: tuple[Correlation, ...]
    """Those on several events, those that others refer to first."""

    unusable: tuple[Unusable, ...]
    """Those that could not be used."""

    elsewhere: tuple[str, ...]
    """Ids of those that ask for another log source."""


class Conversion(Generic[_Made]):
    """Turns parsed rules into values; what cannot be evaluated is named with its reason."""

    def __init__(self, collection: SigmaCollection, hashes: Mapping[str, str], target: Target[_Made]) -> None:
        self._rules = collection
        self._hashes = hashes
        self._target: Target[_Made] = target
        self._unusable: list[Unusable] = []
        self._elsewhere: list[str] = []
        self._silent: set[str] = set()

    def converted(self) -> Converted[_Made]:
        """Convert everything."""
        chained = [it for it in self._rules.rules if isinstance(it, SigmaCorrelationRule)]
        related = [it for it in chained if self._resolved(it)]
        self._silent = _silent(related)
        rules = [self._tried(it, self._rule) for it in self._rules.rules if isinstance(it, SigmaRule)]
        correlations = [self._tried(it, self._correlation) for it in related]
        self._target.close()
        usable = tuple(it for it in rules if it)
        return Converted(
            rules=usable,
            correlations=self._ordered([it for it in correlations if it], {it.id for it in usable}),
            unusable=tuple(self._unusable),
            elsewhere=tuple(self._elsewhere),
        )

    def _refuse(self, rule: SigmaRule | SigmaCorrelationRule | Correlation, why: str) -> None:
        place = rule.source if not isinstance(rule, Correlation) else None
        path = rule.path if isinstance(rule, Correlation) else str(place.path) if place else ""
        self._unusable.append(
            Unusable(
                path=path,
                line=(place.line or 0) if place else 0,
                title=rule.title or str(rule.id),
                why=why.splitlines()[0] if why else "unknown",
            )
        )

    def _tried(self, rule: _Parsed, convert: Callable[[_Parsed], _Result]) -> _Result | None:
        try:
            return convert(rule)
        except RecursionError:
            self._refuse(rule, "refers to itself")
        except (*FAULTS, BadQuery) as error:
            said = str(error.args[0] if isinstance(error, SigmaError) and error.args else error)
            self._refuse(rule, re.sub(r" \(while [^()]* rule .*\)$", "", said))  # `_refuse` says which
        return None

    def _resolved(self, rule: SigmaCorrelationRule) -> bool:
        try:
            rule.resolve_rule_references(self._rules)
        except FAULTS as error:
            self._refuse(rule, str(error.args[0]))
            return False
        return True

    def _rule(self, rule: SigmaRule) -> _Made | None:
        made = self._target.rule(rule, self._common(rule))
        if made is None:
            self._elsewhere.append(identity_of(rule))
        return made

    def _correlation(self, rule: SigmaCorrelationRule) -> Correlation | None:
        if any(identity_of(it.rule) in self._elsewhere for it in rule.referenced_rules):
            self._elsewhere.append(identity_of(rule))
            return None
        self._target.apply(rule)
        names = {it.reference: identity_of(it.rule) for it in rule.referenced_rules}
        aliases = {
            alias.alias: {_named(it, names): field for it, field in alias.mapping.items()}
            for alias in rule.aliases
        }
        asked: dict[str, Any] = _condition(rule)
        self._known((*(rule.group_by or ()), *asked["fields"]), aliases)
        return Correlation(
            kind=cast("CorrelationKind", rule.type.name.lower()),
            rules=tuple(identity_of(it.rule) for it in rule.referenced_rules),
            group_by=tuple(rule.group_by or ()),
            aliases=aliases,
            timespan=rule.timespan.seconds * SECOND,
            **asked,
            **self._common(rule),
        )

    def _known(self, fields: Iterable[str], aliases: Mapping[str, Mapping[str, str]]) -> None:
        for field in fields:
            for name in aliases[field].values() if field in aliases else (field,):
                self._target.known(name)

    def _common(self, rule: SigmaRule | SigmaCorrelationRule) -> dict[str, Any]:
        tags = [tag.name.lower() for tag in rule.tags if tag.namespace == "attack"]
        shortnames = {tactic.shortname for tactic in attack.tactics().values()}
        return {
            "id": identity_of(rule),
            "hash": self._hashes.get(str(rule.source), ""),
            "path": str(rule.source.path) if rule.source else "",
            "title": rule.title,
            "level": cast("Level", (rule.level or SigmaLevel.MEDIUM).name.lower()),
            "techniques": tuple(
                sorted(tag.upper() for tag in tags if tag[:1] == "t" and tag[1:2].isdecimal())
            ),
            "tags": tuple(str(tag) for tag in rule.tags),
            "tactics": tuple(sorted(tag for it in tags if (tag := it.replace("_", "-")) in shortnames)),
            "alone": identity_of(rule) not in self._silent,
        }

    def _ordered(self, waiting: list[Correlation], ready: set[str]) -> tuple[Correlation, ...]:
        """Put those first that others refer to; each batch is then evaluated in one pass.

        Args:
            waiting: All correlations.
            ready: Ids of the rules on single events.
        """
        found: list[Correlation] = []
        while following := [it for it in waiting if ready.issuperset(it.rules)]:
            found += following
            ready |= {it.id for it in following}
            waiting = [it for it in waiting if it not in following]
        for it in waiting:
            lacking = ", ".join(sorted(set(it.rules) - ready))
            self._refuse(it, f"refers to what cannot be evaluated, or to itself: {lacking}")
        return tuple(found)


def identity_of(rule: SigmaRule | SigmaCorrelationRule) -> str:
    """Return what a rule is called: its UUID, else what others refer to it by."""
    return str(rule.id or rule.name or rule.title)


def _named(reference: SigmaRuleReference, names: Mapping[str, str]) -> str:
    """Return the id of a rule that an alias is about.

    Raises:
        Refused: the correlation is not about that rule.
    """
    if reference.reference not in names:
        raise Refused(f"an alias is for {reference.reference}, which is not among its rules")
    return names[reference.reference]


def _silent(correlations: Iterable[SigmaCorrelationRule]) -> set[str]:
    """Name the rules that only serve correlations, none of which says `generate`."""
    quiet: set[str] = set()
    loud: set[str] = set()
    for rule in correlations:
        (loud if rule.generate else quiet).update(identity_of(it.rule) for it in rule.referenced_rules)
    return quiet - loud


def _condition(rule: SigmaCorrelationRule) -> dict[str, Any]:
    """Return what a correlation wants of the matches in its window.

    Raises:
        Refused: a statistical one does not name one field with numbers, or no percentile.
    """
    condition = rule.condition
    if not isinstance(condition, SigmaCorrelationCondition):
        names = {it.reference: identity_of(it.rule) for it in rule.referenced_rules}
        expression = tuple(_postfix(condition.parsed, names))
        ways(expression)
        return {"operator": "gte", "count": 0, "fields": (), "expression": expression}
    counted = condition.fieldref or []
    fields = (counted,) if isinstance(counted, str) else tuple(counted)
    kind = rule.type.name.lower()
    if kind.startswith("value_") and not fields:
        raise Refused(f"a correlation of type {kind} needs a field in its condition")
    if kind in STATISTICS and len(fields) > 1:
        raise Refused(f"a correlation of type {kind} takes one field, not {len(fields)}")
    if kind == "value_percentile" and condition.percentile not in range(101):
        raise Refused("a correlation of type value_percentile needs a percentile from 0 to 100")
    return {
        "operator": cast("Operator", condition.op.name.lower()),
        "count": condition.count,
        "fields": fields,
        "percentile": condition.percentile or 0,
    }


def _postfix(node: CorrelationConditionItem | SigmaRuleReference, names: Mapping[str, str]) -> Iterator[str]:
    if isinstance(node, SigmaRuleReference):
        yield names[node.reference]
        return
    for place, it in enumerate(node.args):
        yield from _postfix(it, names)
        if isinstance(node, CorrelationConditionNOT):
            yield "not"
        elif place:
            yield "and" if isinstance(node, CorrelationConditionAND) else "or"
