"""Sigma rules -> values with a DuckDB condition each. The only module that imports pySigma.

pySigma parses and applies the field mappings; the backend below is thin. Two things make its SQL
different from a plain translation. In Sigma a missing field does not match, and its negation does:
SQL's NULL is made false below every NOT and at the top, and between them AND and OR treat it as
false anyway. And text compares without regard to case, as the specification has it, unless a
modifier says otherwise.

Beside its condition a rule gets its clues: texts of which one occurs in every event that can match.
Planning a condition costs DuckDB a millisecond; looking for a text in a batch costs microseconds.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar, Final, cast

from sigma.collection import SigmaCollection
from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionItem,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.conversion.base import TextQueryBackend
from sigma.conversion.state import ConversionState
from sigma.correlations import SigmaCorrelationCondition, SigmaCorrelationRule
from sigma.exceptions import SigmaError, SigmaRuleLocation
from sigma.filters import SigmaFilter
from sigma.processing.conditions import LogsourceCondition
from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations import FieldMappingTransformation
from sigma.rule import SigmaLevel, SigmaRule
from sigma.types import (
    CompareOperators,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
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
    "LogonId": "user.id",  # what Sysmon for Linux writes there: the number of the account
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
    "cs(user-agent)": "user_agent.original",
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

_LogSource = tuple[dict[str, str | None], tuple[str, ...], str, _Fields]

_LOG_SOURCES: Final[tuple[_LogSource, ...]] = (
    ({"category": "process_creation", "product": "linux"}, ("snoopy",), "", _PROCESS),
    ({"category": "process_creation", "product": None}, ("snoopy",), "", _PROCESS),
    ({"category": "webserver", "service": None}, ("apache",), "", _WEB),
    ({"service": "apache"}, ("apache", "apache_error"), "", _WEB),
    ({"product": "linux", "service": "sshd"}, ("sshd",), "\"process.name\" LIKE 'sshd%'", {}),
    ({"product": "linux", "service": "auth"}, ("sshd",), "", {}),
    ({"product": "linux", "service": "syslog"}, ("sshd", "syslog"), "", {}),
    (
        {"product": "linux", "service": None, "category": None},
        ("sshd", "syslog", "snoopy"),
        "",
        {},
    ),
    ({"product": "suricata"}, ("suricata",), "", {}),
)
"""Sigma's log source (None: must not be named), the modules that give its events, what else has to
hold for them, and its fields in ECS. The first entry whose keys all agree with the rule's counts."""


def _pipeline() -> ProcessingPipeline:
    """Map each log source's fields to ECS; ECS names stay as they are."""
    return ProcessingPipeline(
        name="homerange",
        items=[
            ProcessingItem(
                transformation=FieldMappingTransformation({**mapping}),
                rule_conditions=[LogsourceCondition(**source)],
            )
            for source, _, _, mapping in _LOG_SOURCES
            if mapping
        ],
    )


class _Refused(SigmaError):
    """A rule uses what cannot be evaluated here."""


_Test = Callable[[str], str]
"""From the SQL of a value to the SQL of a condition on it."""


class _DuckDB(TextQueryBackend):
    """Conditions of a rule as one DuckDB condition over the columns of an event."""

    name: ClassVar[str] = "DuckDB over ECS events"
    formats: ClassVar[dict[str, str]] = {"default": "a condition"}
    precedence = (ConditionNOT, ConditionAND, ConditionOR)
    group_expression: ClassVar[str | None] = "({expr})"
    or_token: ClassVar[str] = "OR"  # noqa: S105  # no password
    and_token: ClassVar[str] = "AND"  # noqa: S105  # no password
    not_token: ClassVar[str] = "NOT"  # noqa: S105  # no password

    def compare_precedence(self, _outer: Any, inner: Any) -> bool:  # noqa: ANN401  # pySigma's
        """Put parentheses around every group; nobody reads this but DuckDB."""
        return inner.__class__ not in self.precedence

    def convert_condition_not(self, cond: ConditionNOT, state: ConversionState) -> str:
        """Negate, with NULL counting as false."""
        return f"NOT coalesce({self.convert_condition(cond.args[0], state)}, false)"

    def convert_condition_field_eq_val_str(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Compare with a text that may hold wildcards."""
        return _match(cond.field, _text_test(cast("SigmaString", cond.value), cased=False))

    def convert_condition_field_eq_val_str_case_sensitive(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Compare with a text, letter by letter."""
        return _match(cond.field, _text_test(cast("SigmaCasedString", cond.value), cased=True))

    def convert_condition_field_eq_val_num(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Compare with a number."""
        number = cast("SigmaNumber", cond.value).number
        return _match(cond.field, lambda value: f"TRY_CAST({value} AS DOUBLE) = {number}")

    def convert_condition_field_eq_val_timestamp_part(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Compare the hour, the day, ... of a time, in UTC."""
        asked = cast("SigmaTimestampPart", cond.value)
        part = asked.timestamp_part.name.lower()
        return _match(
            cond.field,
            lambda value: f"date_part('{part}', TRY_CAST({value} AS TIMESTAMPTZ)) = {asked.number}",
        )

    def convert_condition_field_eq_val_bool(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Compare with true or false."""
        wanted = str(bool(cond.value)).lower()
        return _match(cond.field, lambda value: f"lower({value}) = '{wanted}'")

    def convert_condition_field_eq_val_re(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Search for a regular expression."""
        return _match(cond.field, _regex_test(cast("SigmaRegularExpression", cond.value)))

    def convert_condition_field_eq_val_cidr(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Tell whether an address is in a block."""
        return _match(cond.field, _block_test(cast("SigmaCIDRExpression", cond.value)))

    def convert_condition_field_compare_op_val(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Compare by size."""
        value = cast("SigmaCompareExpression", cond.value)
        sign = _COMPARISONS[value.op]
        return _match(cond.field, lambda column: f"TRY_CAST({column} AS DOUBLE) {sign} {value.number}")

    def convert_condition_field_eq_field(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Compare two fields of the same event."""
        value = cast("SigmaFieldReference", cond.value)
        if FIELDS.get(value.field) == "keywords":
            raise _Refused(f"{value.field!r} holds a list, which fieldref cannot compare with")
        other = f"lower(CAST({_column(value.field)} AS VARCHAR))"
        function = _FUNCTIONS[bool(value.ends_with), bool(value.starts_with)]
        return _match(cond.field, lambda column: function.format(f"lower({column})", other))

    def convert_condition_field_eq_val_null(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Tell whether a field is absent."""
        return f"{_column(cond.field)} IS NULL"

    def convert_condition_field_exists(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Tell whether a field is there."""
        return f"{_column(cond.field)} IS NOT NULL"

    def convert_condition_field_not_exists(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Tell whether a field is absent."""
        return f"{_column(cond.field)} IS NULL"

    def convert_condition_val_str(self, cond: ConditionValueExpression, _state: ConversionState) -> str:
        """Look for a keyword anywhere in the original line."""
        word = cast("SigmaString", cond.value)
        around = SigmaString("*") + word + SpecialChars.WILDCARD_MULTI
        return _match("event.original", _text_test(around, cased=isinstance(word, SigmaCasedString)))

    def convert_condition_val_num(self, cond: ConditionValueExpression, _state: ConversionState) -> str:
        """Look for a number anywhere in the original line."""
        number = cast("SigmaNumber", cond.value).number
        return _match("event.original", lambda value: f"contains({value}, '{number}')")

    def convert_condition_val_re(self, cond: ConditionValueExpression, _state: ConversionState) -> str:
        """Search the original line for a regular expression."""
        return _match("event.original", _regex_test(cast("SigmaRegularExpression", cond.value)))

    def finish_query(self, rule: Any, query: Any, _state: ConversionState) -> str:  # noqa: ANN401  # pySigma's
        """Add the condition that picks the events of the rule's log source."""
        modules, also = _log_source(rule)
        names = ", ".join(f"'{name}'" for name in modules)
        source = f'"event.module" IN ({names})' + (f" AND {also}" if also else "")
        return f"coalesce({source} AND ({query}), false)"


_COMPARISONS: Final = {
    CompareOperators.LT: "<",
    CompareOperators.LTE: "<=",
    CompareOperators.GT: ">",
    CompareOperators.GTE: ">=",
}

_FUNCTIONS: Final = {
    (False, False): "{} = {}",
    (True, False): "suffix({}, {})",
    (False, True): "starts_with({}, {})",
    (True, True): "contains({}, {})",
}
"""The quickest comparison of a value with a text: is something allowed before it, and after it?"""


def _column(field: str) -> str:
    """Name a column.

    Raises:
        _Refused: events have no such field, so the rule could never match.
    """
    if field not in FIELDS:
        raise _Refused(f"no event has the field {field!r}")
    return '"' + field + '"'


def _match(field: str, test: _Test) -> str:
    """Apply a test to a field; a list matches when one of its entries does."""
    column = _column(field)
    if FIELDS[field] == "keywords":
        return f"(len(list_filter({column}, lambda entry: {test('entry')})) > 0)"
    return f"({test(column if FIELDS[field] in {'keyword', 'ip'} else f'CAST({column} AS VARCHAR)')})"


def _literal(text: str) -> str:
    """Quote a text for SQL."""
    return "'" + text.replace("'", "''") + "'"


def _lower(text: str) -> str:
    """Write a text in lower case as DuckDB does: letter by letter, and `i` for the dotted capital."""
    return "".join("i" if letter == "\u0130" else letter.lower() for letter in text)


def _text_test(pattern: SigmaString, *, cased: bool) -> _Test:
    """Compare with a pattern, by the quickest function that is exact."""
    parts = list(pattern.iter_parts())
    middle = [part for part in parts if part != SpecialChars.WILDCARD_MULTI]
    if all(isinstance(part, str) for part in middle) and len(middle) <= 1:
        plain = cast("str", middle[0]) if middle else ""
        before, after = (bool(parts) and parts[end] == SpecialChars.WILDCARD_MULTI for end in (0, -1))
        function, text = _FUNCTIONS[before, after], _literal(plain if cased else _lower(plain))
    else:
        likes = "".join(_like(part, cased=cased) for part in parts)
        function, text = "{} LIKE {} ESCAPE '\\'", _literal(likes)
    return lambda value: function.format(value if cased else f"lower({value})", text)


def _like(part: object, *, cased: bool) -> str:
    if part == SpecialChars.WILDCARD_MULTI:
        return "%"
    if part == SpecialChars.WILDCARD_SINGLE:
        return "_"
    if not isinstance(part, str):
        raise _Refused("a placeholder has no value here")
    text = part if cased else _lower(part)
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _regex_test(expression: SigmaRegularExpression) -> _Test:
    flags = "".join(sorted(SigmaRegularExpression.sigma_to_re_flag[flag] for flag in expression.flags))
    pattern = _literal((f"(?{flags})" if flags else "") + str(expression.regexp))
    return lambda value: f"regexp_matches({value}, {pattern})"


def _block_test(expression: SigmaCIDRExpression) -> _Test:
    """Compare an address with the first and the last one of a block, as numbers.

    DuckDB's own type for addresses is an extension that would have to be fetched from the network.
    """
    network = expression.network
    low, high = int(network.network_address), int(network.broadcast_address)
    if network.version == 4:  # noqa: PLR2004  # IP versions
        return lambda value: f"({_IPV4_NUMBER.replace('?', value)}) BETWEEN {low} AND {high}"
    return lambda value: f"({_IPV6_DIGITS.replace('?', value)}) BETWEEN '{low:032x}' AND '{high:032x}'"


_IPV4_NUMBER: Final = (
    "CASE WHEN regexp_full_match(?, '[0-9]+([.][0-9]+){3}') THEN list_reduce("
    "list_transform(string_split(?, '.'), lambda part: TRY_CAST(part AS BIGINT)), "
    "lambda sum, part: sum * 256 + part) END"
)

_IPV6_GROUPS: Final = (
    "list_transform(list_filter(string_split(split_part(lower(?), '::', {side}), ':'), "
    "lambda part: part <> ''), lambda part: lpad(part, 4, '0'))"
)
_IPV6_LEFT, _IPV6_RIGHT = (_IPV6_GROUPS.format(side=side) for side in (1, 2))
_IPV6_DIGITS: Final = (
    "CASE WHEN contains(?, ':') THEN "
    f"array_to_string({_IPV6_LEFT} || list_resize(CAST([] AS VARCHAR[]), "
    f"CAST(greatest(0, 8 - len({_IPV6_LEFT}) - len({_IPV6_RIGHT})) AS BIGINT), '0000') || {_IPV6_RIGHT}, '') END"
)
"""All 32 digits of an address in its short form: what `::` stands for is filled in."""


def _log_source(rule: SigmaRule) -> tuple[tuple[str, ...], str]:
    """Return the modules of a rule's log source, and what else has to hold for its events.

    Raises:
        _Refused: no source of ours gives such events.
    """
    found = rule.logsource
    asked = {"category": found.category, "product": found.product, "service": found.service}
    for source, modules, also, _ in _LOG_SOURCES:
        if all(asked[key] == value for key, value in source.items()):
            return modules, also
    raise _Refused(f"no log source here gives {_named(rule) or 'events of no named source'}")


def _named(rule: SigmaRule) -> str:
    found = rule.logsource
    asked = {"category": found.category, "product": found.product, "service": found.service}
    return ", ".join(f"{key} {value}" for key, value in asked.items() if value)


def _clues(condition: object) -> frozenset[str]:
    """Find texts of which one occurs, in any case, in every event that fulfils a condition.

    Returns:
        ASCII texts in lower case; none when nothing can be said.
    """
    match condition:
        case ConditionAND(args=args):
            known = [clues for it in args if (clues := _clues(it))]
            return max(known, key=lambda clues: min(map(len, clues)), default=frozenset())
        case ConditionOR(args=args):
            return _either(_clues(it) for it in args)
        case ConditionFieldEqualsValueExpression(field=field, value=value) if FIELDS.get(field) != "date":
            return _clues_of(value)
        case ConditionValueExpression(value=value):
            return _clues_of(value)
        case _:
            return frozenset()


def _clues_of(value: object) -> frozenset[str]:
    match value:
        case SigmaExpansion(values=values):
            return _either(_clues_of(it) for it in values)
        case SigmaString():
            plain = [part for part in value.iter_parts() if isinstance(part, str)]
            found = [text.lower() for part in plain for text in re.findall(r"[\x20-\x7e]+", part)]
            return frozenset({max(found, key=len)}) if found else frozenset()
        case _:
            return frozenset()


def _either(alternatives: Iterable[frozenset[str]]) -> frozenset[str]:
    found = list(alternatives)
    return frozenset[str]().union(*found) if all(found) else frozenset()


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
