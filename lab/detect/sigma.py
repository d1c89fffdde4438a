"""Sigma rules -> values with a DuckDB condition each. The only module that imports pySigma.

pySigma parses and applies the field mappings; the backend below is thin. Two things make its SQL
different from a plain translation. Every comparison is wrapped so that it is never NULL: in Sigma a
missing field does not match, and its negation does. And text compares without regard to case, as
the specification has it, unless a modifier says otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Final, cast

from sigma.collection import SigmaCollection
from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.conversion.base import TextQueryBackend
from sigma.conversion.state import ConversionState
from sigma.correlations import SigmaCorrelationCondition, SigmaCorrelationRule
from sigma.exceptions import SigmaError, SigmaRuleLocation
from sigma.processing.conditions import LogsourceCondition
from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations import FieldMappingTransformation
from sigma.rule import SigmaLevel, SigmaRule
from sigma.types import (
    CompareOperators,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaFieldReference,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SpecialChars,
)

from lab import attack, loader
from lab.detect.alert import Level
from lab.detect.rule import Correlation, CorrelationKind, Operator, Rule, RuleSet, Unusable
from lab.errors import BadFile, BadQuery, Problem
from lab.moment import SECOND
from lab.telemetry.event import FIELDS
from lab.telemetry.store import Matcher

_Fields = dict[str | None, str | list[str]]
"""A field mapping as pySigma wants it."""

_PROCESS: Final[_Fields] = {
    "Image": "process.executable",
    "OriginalFileName": "process.name",
    "CommandLine": "process.command_line",
    "CurrentDirectory": "process.working_directory",
    "ProcessId": "process.pid",
    "User": "user.name",
    "ParentImage": "process.parent.executable",
    "ParentCommandLine": "process.parent.command_line",
    "ParentProcessId": "process.parent.pid",
}
_WEB: Final[_Fields] = {
    "cs-method": "http.request.method",
    "cs-uri": "url.original",
    "c-uri": "url.original",
    "cs-uri-query": "url.query",
    "c-uri-query": "url.query",
    "cs-uri-stem": "url.path",
    "c-uri-stem": "url.path",
    "cs-user-agent": "user_agent.original",
    "c-useragent": "user_agent.original",
    "cs-referer": "http.request.referrer",
    "cs-referrer": "http.request.referrer",
    "cs-host": "url.domain",
    "cs-username": "user.name",
    "sc-status": "http.response.status_code",
    "sc-bytes": "http.response.body.bytes",
    "c-ip": "source.ip",
    "src_ip": "source.ip",
    "s-ip": "destination.ip",
}

_LOG_SOURCES: Final[tuple[tuple[dict[str, str], str, _Fields], ...]] = (
    ({"category": "process_creation", "product": "linux"}, "\"event.module\" = 'snoopy'", _PROCESS),
    ({"category": "webserver"}, "\"event.module\" = 'apache'", _WEB),
    ({"service": "apache"}, "\"event.module\" IN ('apache', 'apache_error')", _WEB),
    (
        {"product": "linux", "service": "sshd"},
        "\"event.module\" = 'sshd' AND \"process.name\" LIKE 'sshd%'",
        {},
    ),
    ({"product": "linux", "service": "auth"}, "\"event.module\" = 'sshd'", {}),
    ({"product": "linux", "service": "syslog"}, "\"event.module\" IN ('sshd', 'syslog')", {}),
    ({"product": "suricata"}, "\"event.module\" = 'suricata'", {}),
)
"""Sigma's log source, the condition that picks its events among ours, and its fields in ECS.
The first entry whose keys all agree with the rule's is the one that counts."""


def _pipeline() -> ProcessingPipeline:
    """Map each log source's fields to ECS; ECS names stay as they are."""
    return ProcessingPipeline(
        name="homerange",
        items=[
            ProcessingItem(
                transformation=FieldMappingTransformation({**mapping}),
                rule_conditions=[LogsourceCondition(**source)],
            )
            for source, _, mapping in _LOG_SOURCES
            if mapping
        ],
    )


class _Refused(SigmaError):
    """A rule uses what cannot be evaluated here."""


class _DuckDB(TextQueryBackend):
    """Conditions of a rule as one DuckDB condition over the columns of an event."""

    name: ClassVar[str] = "DuckDB over ECS events"
    formats: ClassVar[dict[str, str]] = {"default": "a condition"}
    precedence = (ConditionNOT, ConditionAND, ConditionOR)
    group_expression: ClassVar[str | None] = "({expr})"
    or_token: ClassVar[str] = "OR"  # noqa: S105  # no password
    and_token: ClassVar[str] = "AND"  # noqa: S105  # no password
    not_token: ClassVar[str] = "NOT"  # noqa: S105  # no password

    def compare_precedence(self, outer: Any, inner: Any) -> bool:  # noqa: ANN401  # pySigma's
        """Put parentheses around every group; nobody reads this but DuckDB."""
        del outer
        return inner.__class__ not in self.precedence

    def convert_condition_field_eq_val_str(
        self, cond: ConditionFieldEqualsValueExpression, state: ConversionState
    ) -> str:
        """Compare with a text that may hold wildcards."""
        del state
        return _match(cond.field, _text_test(cast("SigmaString", cond.value), cased=False))

    def convert_condition_field_eq_val_str_case_sensitive(
        self, cond: ConditionFieldEqualsValueExpression, state: ConversionState
    ) -> str:
        """Compare with a text, letter by letter."""
        del state
        return _match(cond.field, _text_test(cast("SigmaCasedString", cond.value), cased=True))

    def convert_condition_field_eq_val_num(
        self, cond: ConditionFieldEqualsValueExpression, state: ConversionState
    ) -> str:
        """Compare with a number."""
        del state
        return _match(cond.field, f"TRY_CAST({{}} AS DOUBLE) = {cast('SigmaNumber', cond.value).number}")

    def convert_condition_field_eq_val_bool(
        self, cond: ConditionFieldEqualsValueExpression, state: ConversionState
    ) -> str:
        """Compare with true or false."""
        del state
        return _match(cond.field, f"lower({{}}) = '{str(bool(cond.value)).lower()}'")

    def convert_condition_field_eq_val_re(
        self, cond: ConditionFieldEqualsValueExpression, state: ConversionState
    ) -> str:
        """Search for a regular expression."""
        del state
        return _match(cond.field, _regex_test(cast("SigmaRegularExpression", cond.value)))

    def convert_condition_field_eq_val_cidr(
        self, cond: ConditionFieldEqualsValueExpression, state: ConversionState
    ) -> str:
        """Tell whether an address is in a block."""
        network = cast("SigmaCIDRExpression", cond.value).network
        if network.version != 4:  # noqa: PLR2004  # IP versions
            patterns = [SigmaString(text) for text in cast("SigmaCIDRExpression", cond.value).expand()]
            return _match(cond.field, " OR ".join(_text_test(it, cased=False) for it in patterns))
        low, high = int(network.network_address), int(network.broadcast_address)
        del state
        return _match(cond.field, f"({_IPV4_AS_NUMBER}) BETWEEN {low} AND {high}")

    def convert_condition_field_compare_op_val(
        self, cond: ConditionFieldEqualsValueExpression, state: ConversionState
    ) -> str:
        """Compare by size."""
        del state
        value = cast("SigmaCompareExpression", cond.value)
        return _match(cond.field, f"TRY_CAST({{}} AS DOUBLE) {_COMPARISONS[value.op]} {value.number}")

    def convert_condition_field_eq_field(
        self, cond: ConditionFieldEqualsValueExpression, state: ConversionState
    ) -> str:
        """Compare two fields of the same event."""
        del state
        value = cast("SigmaFieldReference", cond.value)
        other = f"lower(CAST({_column(value.field)} AS VARCHAR))"
        test = {
            (False, False): f"lower({{}}) = {other}",
            (True, False): f"starts_with(lower({{}}), {other})",
            (False, True): f"suffix(lower({{}}), {other})",
            (True, True): f"contains(lower({{}}), {other})",
        }
        return _match(cond.field, test[value.starts_with, value.ends_with])

    def convert_condition_field_eq_val_null(
        self, cond: ConditionFieldEqualsValueExpression, state: ConversionState
    ) -> str:
        """Tell whether a field is absent."""
        del state
        return f"{_column(cond.field)} IS NULL"

    def convert_condition_field_exists(
        self, cond: ConditionFieldEqualsValueExpression, state: ConversionState
    ) -> str:
        """Tell whether a field is there."""
        del state
        return f"{_column(cond.field)} IS NOT NULL"

    def convert_condition_field_not_exists(
        self, cond: ConditionFieldEqualsValueExpression, state: ConversionState
    ) -> str:
        """Tell whether a field is absent."""
        del state
        return f"{_column(cond.field)} IS NULL"

    def convert_condition_val_str(self, cond: ConditionValueExpression, state: ConversionState) -> str:
        """Look for a keyword anywhere in the original line."""
        del state
        word = cast("SigmaString", cond.value)
        around = SigmaString("*") + word + SpecialChars.WILDCARD_MULTI
        return _match("event.original", _text_test(around, cased=isinstance(word, SigmaCasedString)))

    def convert_condition_val_num(self, cond: ConditionValueExpression, state: ConversionState) -> str:
        """Look for a number anywhere in the original line."""
        del state
        return _match("event.original", f"contains({{}}, '{cast('SigmaNumber', cond.value).number}')")

    def convert_condition_val_re(self, cond: ConditionValueExpression, state: ConversionState) -> str:
        """Search the original line for a regular expression."""
        del state
        return _match("event.original", _regex_test(cast("SigmaRegularExpression", cond.value)))

    def finish_query(self, rule: Any, query: Any, state: ConversionState) -> str:  # noqa: ANN401  # pySigma's
        """Add the condition that picks the events of the rule's log source."""
        del state
        return f"({_log_source(rule)}) AND ({query})"


_COMPARISONS: Final = {
    CompareOperators.LT: "<",
    CompareOperators.LTE: "<=",
    CompareOperators.GT: ">",
    CompareOperators.GTE: ">=",
}

_IPV4_AS_NUMBER: Final = (
    "CASE WHEN regexp_full_match({}, '[0-9]{{1,3}}([.][0-9]{{1,3}}){{3}}') THEN "
    "split_part({}, '.', 1)::BIGINT * 16777216 + split_part({}, '.', 2)::BIGINT * 65536 + "
    "split_part({}, '.', 3)::BIGINT * 256 + split_part({}, '.', 4)::BIGINT END"
)


def _column(field: str) -> str:
    """Name a column.

    Raises:
        _Refused: events have no such field, so the rule could never match.
    """
    if field not in FIELDS:
        raise _Refused(f"no event has the field {field!r}")
    return '"' + field + '"'


def _match(field: str, test: str) -> str:
    """Apply a test to a field; a missing field does not match, a list matches when one entry does."""
    column = _column(field)
    if FIELDS[field] == "keywords":
        return f"coalesce(len(list_filter({column}, lambda entry: {_filled(test, 'entry')})) > 0, false)"
    value = column if FIELDS[field] in {"keyword", "ip"} else f"CAST({column} AS VARCHAR)"
    return f"coalesce({_filled(test, value)}, false)"


def _filled(test: str, value: str) -> str:
    return f"({test.replace('{{', chr(1)).replace('}}', chr(2)).replace('{}', value)})".replace(
        chr(1), "{"
    ).replace(chr(2), "}")


def _literal(text: str) -> str:
    """Quote a text for SQL, and keep braces out of the template's way."""
    quoted = text.replace("'", "''").replace("{", "{{").replace("}", "}}")
    return f"'{quoted}'"


def _text_test(pattern: SigmaString, *, cased: bool) -> str:
    """Compare with a pattern, by the quickest function that is exact."""
    value = "{}" if cased else "lower({})"
    parts = list(pattern.iter_parts())
    middle = [part for part in parts if part != SpecialChars.WILDCARD_MULTI]
    if all(isinstance(part, str) for part in middle) and len(middle) <= 1:
        plain = cast("str", middle[0]) if middle else ""
        text = _literal(plain if cased else plain.lower())
        before = bool(parts) and parts[0] == SpecialChars.WILDCARD_MULTI
        after = bool(parts) and parts[-1] == SpecialChars.WILDCARD_MULTI
        return {
            (False, False): f"{value} = {text}",
            (True, False): f"suffix({value}, {text})",
            (False, True): f"starts_with({value}, {text})",
            (True, True): f"contains({value}, {text})",
        }[before, after]
    return f"{value} LIKE {_literal(''.join(_like(part, cased=cased) for part in parts))} ESCAPE '\\'"


def _like(part: object, *, cased: bool) -> str:
    if part == SpecialChars.WILDCARD_MULTI:
        return "%"
    if part == SpecialChars.WILDCARD_SINGLE:
        return "_"
    if not isinstance(part, str):
        raise _Refused("a placeholder has no value here")
    text = part if cased else part.lower()
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _regex_test(expression: SigmaRegularExpression) -> str:
    flags = "".join(sorted(flag.name[0].lower() for flag in expression.flags))
    prefix = f"(?{flags})" if flags else ""
    return f"regexp_matches({{}}, {_literal(prefix + str(expression.regexp))})"


def _log_source(rule: SigmaRule) -> str:
    """Return the condition that picks the events of a rule's log source.

    Raises:
        _Refused: no source of ours gives such events.
    """
    found = rule.logsource
    asked = {"category": found.category, "product": found.product, "service": found.service}
    for source, condition, _ in _LOG_SOURCES:
        if all(asked[key] == value for key, value in source.items()):
            return condition
    words = ", ".join(f"{key} {value}" for key, value in asked.items() if value)
    raise _Refused(f"no log source here gives {words or 'events of no named source'}")


def read_rules(paths: Iterable[Path]) -> RuleSet:
    """Read Sigma files, and folders of them.

    Raises:
        BadFile: a file is not Sigma; every problem of every file is named.
    """
    problems: list[Problem] = []
    collections = [it for path in paths for it in _collections(path, problems)]
    if problems:
        raise BadFile(*problems)
    try:
        merged = SigmaCollection.merge(collections)
    except SigmaError as error:  # a correlation refers to what is not there
        raise BadFile(Problem(path=", ".join(map(str, paths)), line=0, what=str(error))) from error
    return _convert(merged)


def _collections(path: Path, problems: list[Problem]) -> Iterator[SigmaCollection]:
    for file in sorted(path.rglob("*.yml")) if path.is_dir() else [path]:
        try:
            text = file.read_text(encoding="utf-8")
            loader.check_yaml(text, str(file))
            found = SigmaCollection.from_yaml(
                text,
                collect_errors=True,
                source=SigmaRuleLocation(file),
                collect_filters=True,
                resolve_references=False,
            )
        except BadFile as error:
            problems += error.problems
            continue
        except (OSError, UnicodeDecodeError, SigmaError) as error:
            problems.append(Problem(path=str(file), line=0, what=f"is not a Sigma rule: {error}"))
            continue
        problems += [Problem(path=str(file), line=0, what=str(error)) for error in found.errors]
        for rule in found.rules:
            problems += [Problem(path=str(file), line=0, what=str(error)) for error in rule.errors]
        yield found


def _convert(collection: SigmaCollection) -> RuleSet:
    """Turn parsed rules into values; what cannot be evaluated is named with its reason."""
    unusable: list[Unusable] = []
    backend, trial = _DuckDB(_pipeline()), Matcher()
    silent = _silent(collection)
    rules: list[Rule] = []
    correlations: list[Correlation] = []
    for rule in collection.rules:
        try:
            if isinstance(rule, SigmaCorrelationRule):
                correlations.append(_correlation(rule, silent))
            else:
                rules.append(_rule(rule, backend, trial, silent))
        except (SigmaError, NotImplementedError, BadQuery, ValueError) as error:
            unusable.append(_unusable(rule, str(error)))
    trial.close()
    return RuleSet(rules=tuple(rules), correlations=_ordered(correlations), unusable=tuple(unusable))


def _unusable(rule: SigmaRule | SigmaCorrelationRule, why: str) -> Unusable:
    path = str(rule.source.path) if rule.source else ""
    return Unusable(
        path=path, title=rule.title or str(rule.id), why=why.splitlines()[0] if why else "unknown"
    )


def _silent(collection: SigmaCollection) -> frozenset[str]:
    """Name the rules that only serve correlations, none of which says `generate`."""
    quiet: set[str] = set()
    loud: set[str] = set()
    for rule in collection.rules:
        if isinstance(rule, SigmaCorrelationRule):
            (loud if rule.generate else quiet).update(it.reference for it in rule.rules or ())
    return frozenset(quiet - loud)


def _rule(rule: SigmaRule, backend: _DuckDB, trial: Matcher, silent: frozenset[str]) -> Rule:
    content = rule.to_dict()  # before the field mapping is applied
    backend.convert_rule(rule)
    where = " OR ".join(f"({query})" for query in rule.get_conversion_result())
    trial.load([])
    trial.matches(where)  # a regular expression that DuckDB cannot run shows here
    return Rule(where=where, **_common(rule, content, silent))


def _correlation(rule: SigmaCorrelationRule, silent: frozenset[str]) -> Correlation:
    kind = rule.type.name.lower()
    if kind not in {"event_count", "value_count", "temporal", "temporal_ordered"}:
        raise _Refused(f"correlations of type {kind} are not evaluated")
    condition = rule.condition
    if not isinstance(condition, SigmaCorrelationCondition):
        raise _Refused("extended correlation conditions are not evaluated")
    fieldref = condition.fieldref
    for field in (*(rule.group_by or ()), *([fieldref] if isinstance(fieldref, str) else ())):
        _column(field)
    return Correlation(
        kind=cast("CorrelationKind", kind),
        rules=tuple(it.reference for it in rule.rules or ()),
        group_by=tuple(rule.group_by or ()),
        timespan=rule.timespan.seconds * SECOND,
        operator=cast("Operator", condition.op.name.lower()),
        count=condition.count,
        field=fieldref if isinstance(fieldref, str) else "",
        **_common(rule, rule.to_dict(), silent),
    )


def _common(
    rule: SigmaRule | SigmaCorrelationRule, content: dict[str, Any], silent: frozenset[str]
) -> dict[str, Any]:
    tags = [tag.name.lower() for tag in rule.tags if tag.namespace == "attack"]
    shortnames = {tactic.shortname for tactic in attack.tactics().values()}
    identity = str(rule.id or rule.title)
    return {
        "id": identity,
        "name": rule.name or "",
        "hash": hashlib.sha256(repr(sorted(content.items())).encode()).hexdigest(),
        "title": rule.title,
        "level": cast("Level", (rule.level or SigmaLevel.MEDIUM).name.lower()),
        "techniques": tuple(sorted(tag.upper() for tag in tags if tag[:1] == "t" and tag[1:2].isdecimal())),
        "tactics": tuple(sorted(tag for it in tags if (tag := it.replace("_", "-")) in shortnames)),
        # Sigma's specification: an informational rule enriches, and no alert comes of it.
        "alerts": rule.level is not SigmaLevel.INFORMATIONAL and not silent & {identity, rule.name},
    }


def _ordered(correlations: list[Correlation]) -> tuple[Correlation, ...]:
    """Put those first that others refer to; each batch is then evaluated in one pass."""
    waiting, found = list(correlations), list[Correlation]()
    while waiting:
        names = {name for it in waiting for name in (it.id, it.name) if name}
        ready = [it for it in waiting if not names.intersection(it.rules) - {it.id, it.name}]
        if not ready:  # they refer to each other
            break
        found += ready
        waiting = [it for it in waiting if it not in ready]
    return tuple(found)
