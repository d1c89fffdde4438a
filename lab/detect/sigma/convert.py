"""Parsed rules -> values with a DuckDB condition each; what cannot be evaluated is named with its reason."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar, cast

from sigma.collection import SigmaCollection
from sigma.correlations import SigmaCorrelationCondition, SigmaCorrelationRule
from sigma.exceptions import SigmaError
from sigma.rule import SigmaLevel, SigmaRule

from lab import attack
from lab.detect.alert import Level
from lab.detect.sigma.backend import EcsBackend, Refused, field_mappings, in_words, log_source_of
from lab.detect.sigma.clues import clues_in, either
from lab.detect.sigma.predicate import EcsColumns, known
from lab.detect.sigma.rule import Correlation, CorrelationKind, Operator, Rule, RuleSet, Unusable
from lab.errors import BadQuery
from lab.moment import SECOND
from lab.telemetry.conditions import Condition, Trial, event_columns

FAULTS: Final = (SigmaError, AttributeError, KeyError, NameError, NotImplementedError, TypeError, ValueError)
"""How pySigma says that a document is wrong, and how it takes one of a shape it does not expect."""


_Parsed = TypeVar("_Parsed", SigmaRule, SigmaCorrelationRule)
_Made = TypeVar("_Made", Rule, Correlation)


class Conversion:
    """Turns parsed rules into values; what cannot be evaluated is named with its reason."""

    def __init__(self, collection: SigmaCollection, hashes: Mapping[str, str]) -> None:
        self._rules = collection
        self._hashes = hashes
        self._backend = EcsBackend(field_mappings(), EcsColumns())
        self._backend.init_processing_pipeline()
        self._trial = Trial(event_columns())
        self._unusable: list[Unusable] = []
        self._silent: set[str] = set()

    def rule_set(self) -> RuleSet:
        """Convert everything."""
        chained = [it for it in self._rules.rules if isinstance(it, SigmaCorrelationRule)]
        related = [it for it in chained if self._resolved(it)]
        self._silent = _silent(related)
        rules = [self._tried(it, self._rule) for it in self._rules.rules if isinstance(it, SigmaRule)]
        correlations = [self._tried(it, self._correlation) for it in related]
        self._trial.close()
        usable = tuple(it for it in rules if it)
        return RuleSet(
            rules=usable,
            correlations=self._ordered([it for it in correlations if it], {it.id for it in usable}),
            unusable=tuple(self._unusable),
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

    def _tried(self, rule: _Parsed, convert: Callable[[_Parsed], _Made]) -> _Made | None:
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

    def _rule(self, rule: SigmaRule) -> Rule:
        source = log_source_of(rule)
        self._backend.fields.clear()
        self._backend.convert_rule(rule)  # returns nothing for a rule that only serves correlations
        where = " OR ".join(rule.get_conversion_result())
        self._trial.check(where)  # a regular expression that DuckDB cannot run shows here
        return Rule(
            where=Condition(sql=where, fields=frozenset(self._backend.fields)),
            modules=source.modules,
            clues=either(clues_in(it.parsed, EcsColumns.anything) for it in rule.detection.parsed_condition),
            log_source=in_words(rule),
            **self._common(rule),
        )

    def _correlation(self, rule: SigmaCorrelationRule) -> Correlation:
        self._backend.last_processing_pipeline.apply(rule)
        condition = rule.condition
        if not isinstance(condition, SigmaCorrelationCondition):
            raise Refused("extended correlation conditions are not evaluated")
        kind = rule.type.name.lower()
        if kind not in {"event_count", "value_count", "temporal", "temporal_ordered"}:
            raise Refused(f"correlations of type {kind} are not evaluated")
        counted = condition.fieldref or []
        aliases = {
            alias.alias: {identity_of(it.rule): field for it, field in alias.mapping.items()}
            for alias in rule.aliases
        }
        fields = (counted,) if isinstance(counted, str) else tuple(counted)
        _known((*(rule.group_by or ()), *fields), aliases)
        return Correlation(
            kind=cast("CorrelationKind", kind),
            rules=tuple(identity_of(it.rule) for it in rule.referenced_rules),
            group_by=tuple(rule.group_by or ()),
            aliases=aliases,
            timespan=rule.timespan.seconds * SECOND,
            operator=cast("Operator", condition.op.name.lower()),
            count=condition.count,
            fields=fields,
            **self._common(rule),
        )

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
            "tactics": tuple(sorted(tag for it in tags if (tag := it.replace("_", "-")) in shortnames)),
            # Sigma's specification: an informational rule enriches, and no alert comes of it.
            "alerts": rule.level is not SigmaLevel.INFORMATIONAL and identity_of(rule) not in self._silent,
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


def _silent(correlations: Iterable[SigmaCorrelationRule]) -> set[str]:
    """Name the rules that only serve correlations, none of which says `generate`."""
    quiet: set[str] = set()
    loud: set[str] = set()
    for rule in correlations:
        (loud if rule.generate else quiet).update(identity_of(it.rule) for it in rule.referenced_rules)
    return quiet - loud


def _known(fields: Iterable[str], aliases: Mapping[str, Mapping[str, str]]) -> None:
    for field in fields:
        for name in aliases[field].values() if field in aliases else (field,):
            known(name)
