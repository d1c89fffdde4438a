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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar, cast

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
    SigmaExpansion,
    SigmaFieldReference,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    SpecialChars,
)

from lab import attack
from lab.detect.alert import Level
from lab.detect.sigma.predicate import FUNCTIONS, Test, column, in_block, literal, lower, match
from lab.detect.sigma.rule import Correlation, CorrelationKind, Operator, Rule, RuleSet, Unusable
from lab.detect.sigma.sources import LOG_SOURCES, LogSource
from lab.errors import BadFile, BadQuery, Problem
from lab.files import loader
from lab.files.loader import Item
from lab.moment import SECOND
from lab.telemetry.event import FIELDS
from lab.telemetry.sql import Matcher


def _pipeline() -> ProcessingPipeline:
    """Map each log source's fields to ECS; ECS names stay as they are."""
    return ProcessingPipeline(
        name="homerange",
        items=[
            ProcessingItem(
                transformation=FieldMappingTransformation({**source.fields}),
                rule_conditions=[LogsourceCondition(**source.named)],
            )
            for source in LOG_SOURCES
            if source.fields
        ],
    )


_FAULTS: Final = (SigmaError, AttributeError, KeyError, NameError, NotImplementedError, TypeError, ValueError)
"""How pySigma says that a document is wrong, and how it takes one of a shape it does not expect."""


class _Refused(SigmaError):
    """A rule uses what cannot be evaluated here."""


_Parsed = TypeVar("_Parsed", SigmaRule, SigmaCorrelationRule)
_Made = TypeVar("_Made", Rule, Correlation)


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
        return match(cond.field, _text_test(cast("SigmaString", cond.value), cased=False))

    def convert_condition_field_eq_val_str_case_sensitive(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Compare with a text, letter by letter."""
        return match(cond.field, _text_test(cast("SigmaCasedString", cond.value), cased=True))

    def convert_condition_field_eq_val_num(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Compare with a number."""
        number = cast("SigmaNumber", cond.value).number
        return match(cond.field, lambda value: f"TRY_CAST({value} AS DOUBLE) = {number}")

    def convert_condition_field_eq_val_timestamp_part(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Compare the hour, the day, ... of a time, in UTC."""
        asked = cast("SigmaTimestampPart", cond.value)
        part = asked.timestamp_part.name.lower()
        return match(
            cond.field,
            lambda value: f"date_part('{part}', TRY_CAST({value} AS TIMESTAMPTZ)) = {asked.number}",
        )

    def convert_condition_field_eq_val_bool(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Compare with true or false."""
        wanted = str(bool(cond.value)).lower()
        return match(cond.field, lambda value: f"lower({value}) = '{wanted}'")

    def convert_condition_field_eq_val_re(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Search for a regular expression."""
        return match(cond.field, _regex_test(cast("SigmaRegularExpression", cond.value)))

    def convert_condition_field_eq_val_cidr(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Tell whether an address is in a block."""
        block = cast("SigmaCIDRExpression", cond.value).network
        test = in_block(block.version, int(block.network_address), int(block.broadcast_address))
        return match(cond.field, test)

    def convert_condition_field_compare_op_val(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Compare by size."""
        asked = cast("SigmaCompareExpression", cond.value)
        sign = _COMPARISONS[asked.op]
        return match(cond.field, lambda value: f"TRY_CAST({value} AS DOUBLE) {sign} {asked.number}")

    def convert_condition_field_eq_field(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Compare two fields of the same event."""
        value = cast("SigmaFieldReference", cond.value)
        if FIELDS.get(value.field) == "keywords":
            raise _Refused(f"{value.field!r} holds a list, which fieldref cannot compare with")
        other = f"lower(CAST({column(value.field)} AS VARCHAR))"
        function = FUNCTIONS[bool(value.ends_with), bool(value.starts_with)]
        return match(cond.field, lambda ours: function.format(f"lower({ours})", other))

    def convert_condition_field_eq_val_null(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Tell whether a field is absent."""
        return f"{column(cond.field)} IS NULL"

    def convert_condition_field_exists(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Tell whether a field is there."""
        return f"{column(cond.field)} IS NOT NULL"

    def convert_condition_field_not_exists(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Tell whether a field is absent."""
        return f"{column(cond.field)} IS NULL"

    def convert_condition_val_str(self, cond: ConditionValueExpression, _state: ConversionState) -> str:
        """Look for a keyword anywhere in the original line."""
        word = cast("SigmaString", cond.value)
        around = SigmaString("*") + word + SpecialChars.WILDCARD_MULTI
        return match("event.original", _text_test(around, cased=isinstance(word, SigmaCasedString)))

    def convert_condition_val_num(self, cond: ConditionValueExpression, _state: ConversionState) -> str:
        """Look for a number anywhere in the original line."""
        number = cast("SigmaNumber", cond.value).number
        return match("event.original", lambda value: f"contains({value}, '{number}')")

    def convert_condition_val_re(self, cond: ConditionValueExpression, _state: ConversionState) -> str:
        """Search the original line for a regular expression."""
        return match("event.original", _regex_test(cast("SigmaRegularExpression", cond.value)))

    def finish_query(self, rule: Any, query: Any, _state: ConversionState) -> str:  # noqa: ANN401  # pySigma's
        """Add the condition that picks the events of the rule's log source."""
        source = _log_source(rule)
        names = ", ".join(f"'{name}'" for name in source.modules)
        also = f" AND {source.also}" if source.also else ""
        return f'coalesce("event.module" IN ({names}){also} AND ({query}), false)'


_COMPARISONS: Final = {
    CompareOperators.LT: "<",
    CompareOperators.LTE: "<=",
    CompareOperators.GT: ">",
    CompareOperators.GTE: ">=",
}


def _text_test(pattern: SigmaString, *, cased: bool) -> Test:
    """Compare with a pattern, by the quickest function that is exact."""
    parts = list(pattern.iter_parts())
    middle = [part for part in parts if part != SpecialChars.WILDCARD_MULTI]
    if all(isinstance(part, str) for part in middle) and len(middle) <= 1:
        plain = cast("str", middle[0]) if middle else ""
        before, after = (bool(parts) and parts[end] == SpecialChars.WILDCARD_MULTI for end in (0, -1))
        function, text = FUNCTIONS[before, after], literal(plain if cased else lower(plain))
    else:
        likes = "".join(_like(part, cased=cased) for part in parts)
        function, text = "{} LIKE {} ESCAPE '\\'", literal(likes)
    return lambda value: function.format(value if cased else f"lower({value})", text)


def _like(part: object, *, cased: bool) -> str:
    if part == SpecialChars.WILDCARD_MULTI:
        return "%"
    if part == SpecialChars.WILDCARD_SINGLE:
        return "_"
    if not isinstance(part, str):
        raise _Refused("a placeholder has no value here")
    text = part if cased else lower(part)
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _regex_test(expression: SigmaRegularExpression) -> Test:
    flags = "".join(sorted(SigmaRegularExpression.sigma_to_re_flag[flag] for flag in expression.flags))
    pattern = literal((f"(?{flags})" if flags else "") + str(expression.regexp))
    return lambda value: f"regexp_matches({value}, {pattern})"


def _log_source(rule: SigmaRule) -> LogSource:
    """Return the log source a rule means.

    Raises:
        _Refused: no source of ours gives such events.
    """
    asked = _asked(rule)
    for source in LOG_SOURCES:
        if all(asked[key] == value for key, value in source.named.items()):
            return source
    raise _Refused(f"no log source here gives {_named(rule) or 'events of no named source'}")


def _asked(rule: SigmaRule) -> dict[str, str | None]:
    found = rule.logsource
    return {"category": found.category, "product": found.product, "service": found.service}


def _named(rule: SigmaRule) -> str:
    return ", ".join(f"{key} {value}" for key, value in _asked(rule).items() if value)


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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    """What one document of a file says."""

    collection: SigmaCollection
    """Its rules, one unless the file uses `action`."""

    place: SigmaRuleLocation
    """File and line of the document; what pySigma makes of it carries the same."""

    hash: str
    """SHA-256 of the document's text."""


def read_rules(paths: Iterable[Path]) -> RuleSet:
    """Read Sigma files, and folders of them.

    Raises:
        BadFile: a file is not Sigma; every problem of every file is named.
    """
    problems: list[Problem] = []
    found = [it for path in paths for file in _files(path) for it in _documents(file, problems)]
    if problems:
        raise BadFile(*problems)
    merged = SigmaCollection.merge([it.collection for it in found], resolve_references=False)
    # A filter changes rules of other files: what a rule means then depends on the filters as well.
    filters = "".join(it.hash for it in found if it.collection.filters)
    hashes = {
        str(it.place): hashlib.sha256((it.hash + filters).encode()).hexdigest() if filters else it.hash
        for it in found
    }
    return _Conversion(merged, hashes).rule_set()


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(it for it in path.rglob("*") if it.suffix in {".yml", ".yaml"} and it.is_file())


def _documents(file: Path, problems: list[Problem]) -> Iterator[_Read]:
    """Read each document of a file by itself, so that it has a line and a hash of its own."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(path=str(file), line=0, what=f"cannot be read: {error}"))
        return
    if re.search(r"^action\s*:", text, re.MULTILINE):  # these documents are made of one another
        yield from _document(file, 1, text, problems)
        return
    starts = [0, *(mark.end() for mark in re.finditer(r"^---(?=\s)[^\n]*\n?", text, re.MULTILINE)), len(text)]
    for start, end in pairwise(starts):
        document = re.sub(r"^---[^\n]*\n?\Z", "", text[start:end], flags=re.MULTILINE)
        if re.search(r"^[^\s#]", document, re.MULTILINE):
            yield from _document(file, text.count("\n", 0, start) + 1, document, problems)


def _document(file: Path, first: int, text: str, problems: list[Problem]) -> Iterator[_Read]:
    place = SigmaRuleLocation(file, first)
    try:
        root = _checked(file, first, text)
    except BadFile as error:
        problems += error.problems
        return
    try:
        found = SigmaCollection.from_yaml(
            text, collect_errors=True, source=place, collect_filters=True, resolve_references=False
        )
    except _FAULTS as error:
        problems.append(_problem(file, first, root, error))
        return
    problems += [_problem(file, first, root, error) for error in found.errors]
    yield _Read(collection=found, place=place, hash=hashlib.sha256(text.encode()).hexdigest())


def _checked(file: Path, first: int, text: str) -> Item:
    """Make sure that a text is YAML and a mapping, before pySigma reads it.

    Raises:
        BadFile: it is not, or gives a key twice, of which YAML keeps one in silence.
    """
    reading = loader.Reading(file)
    if re.search(r"^---\s", text, re.MULTILINE):  # documents made of one another
        loader.check_yaml(text, str(file))
        return Item({}, first)
    root = loader.parse("\n" * (first - 1) + text, reading)
    reading.mapping(root, "a rule")
    reading.finish()
    return root


def _problem(file: Path, first: int, root: Item, error: Exception) -> Problem:
    """Place an error: pySigma names its errors for the keys they are about, `SigmaLevelError`."""
    name = type(error).__name__.removeprefix("Sigma").removesuffix("Error")
    keys = [name.lower(), *(word.lower() for word in reversed(re.findall(r"[A-Z][a-z]+", name)))]
    lines = (line for key in [*keys, "correlation", "detection"] if (line := _line(root, key)))
    said = str(error.args[0]) if error.args else type(error).__name__
    expected = isinstance(error, SigmaError)
    what = said if expected else f"is not shaped like a Sigma rule ({said})"
    return Problem(path=str(file), line=next(lines, first), what=what)


def _line(item: Item, key: str) -> int:
    """Find the line of a key, at any depth; 0 when it is nowhere."""
    if not isinstance(item.value, dict):
        return 0
    if key in item.value:
        return item.value[key].line
    return next((line for it in item.value.values() if (line := _line(it, key))), 0)


class _Conversion:
    """Turns parsed rules into values; what cannot be evaluated is named with its reason."""

    def __init__(self, collection: SigmaCollection, hashes: Mapping[str, str]) -> None:
        self._rules = collection
        self._hashes = hashes
        self._backend = _DuckDB(_pipeline())
        self._backend.init_processing_pipeline()
        self._trial = Matcher()
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
        except (*_FAULTS, BadQuery) as error:
            said = str(error.args[0] if isinstance(error, SigmaError) and error.args else error)
            self._refuse(rule, re.sub(r" \(while [^()]* rule .*\)$", "", said))  # `_refuse` says which
        return None

    def _resolved(self, rule: SigmaCorrelationRule) -> bool:
        try:
            rule.resolve_rule_references(self._rules)
        except _FAULTS as error:
            self._refuse(rule, str(error.args[0]))
            return False
        return True

    def _rule(self, rule: SigmaRule) -> Rule:
        source = _log_source(rule)
        self._backend.convert_rule(rule)  # returns nothing for a rule that only serves correlations
        where = " OR ".join(f"({query})" for query in rule.get_conversion_result())
        self._trial.matches(where)  # a regular expression that DuckDB cannot run shows here
        return Rule(
            where=where,
            modules=source.modules,
            clues=_either(_clues(it.parsed) for it in rule.detection.parsed_condition),
            log_source=_named(rule),
            **self._common(rule),
        )

    def _correlation(self, rule: SigmaCorrelationRule) -> Correlation:
        self._backend.last_processing_pipeline.apply(rule)
        condition = rule.condition
        if not isinstance(condition, SigmaCorrelationCondition):
            raise _Refused("extended correlation conditions are not evaluated")
        kind = rule.type.name.lower()
        if kind not in {"event_count", "value_count", "temporal", "temporal_ordered"}:
            raise _Refused(f"correlations of type {kind} are not evaluated")
        counted = condition.fieldref or []
        aliases = {
            alias.alias: {_identity(it.rule): field for it, field in alias.mapping.items()}
            for alias in rule.aliases
        }
        fields = (counted,) if isinstance(counted, str) else tuple(counted)
        _known((*(rule.group_by or ()), *fields), aliases)
        return Correlation(
            kind=cast("CorrelationKind", kind),
            rules=tuple(_identity(it.rule) for it in rule.referenced_rules),
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
            "id": _identity(rule),
            "hash": self._hashes.get(str(rule.source), ""),
            "path": str(rule.source.path) if rule.source else "",
            "title": rule.title,
            "level": cast("Level", (rule.level or SigmaLevel.MEDIUM).name.lower()),
            "techniques": tuple(
                sorted(tag.upper() for tag in tags if tag[:1] == "t" and tag[1:2].isdecimal())
            ),
            "tactics": tuple(sorted(tag for it in tags if (tag := it.replace("_", "-")) in shortnames)),
            # Sigma's specification: an informational rule enriches, and no alert comes of it.
            "alerts": rule.level is not SigmaLevel.INFORMATIONAL and _identity(rule) not in self._silent,
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


def _identity(rule: SigmaRule | SigmaCorrelationRule) -> str:
    return str(rule.id or rule.name or rule.title)


def _silent(correlations: Iterable[SigmaCorrelationRule]) -> set[str]:
    """Name the rules that only serve correlations, none of which says `generate`."""
    quiet: set[str] = set()
    loud: set[str] = set()
    for rule in correlations:
        (loud if rule.generate else quiet).update(_identity(it.rule) for it in rule.referenced_rules)
    return quiet - loud


def _known(fields: Iterable[str], aliases: Mapping[str, Mapping[str, str]]) -> None:
    for field in fields:
        for name in aliases[field].values() if field in aliases else (field,):
            column(name)
