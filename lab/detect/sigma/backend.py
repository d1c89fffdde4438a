"""A rule's conditions as one DuckDB condition. A thin backend of pySigma.

Two things make its SQL different from a plain translation. In Sigma a missing field does not match,
and its negation does: SQL's NULL is made false below every NOT and at the top, and between them AND
and OR treat it as false anyway. And text compares without regard to case, as the specification has
it, unless a modifier says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast

from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionNOT,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.conversion.base import TextQueryBackend
from sigma.conversion.state import ConversionState
from sigma.correlations import SigmaCorrelationRule
from sigma.exceptions import SigmaError
from sigma.processing.conditions import RuleProcessingCondition
from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations import FieldMappingTransformation
from sigma.rule import SigmaRule
from sigma.types import (
    CompareOperators,
    SigmaCasedString,
    SigmaCIDRExpression,
    SigmaCompareExpression,
    SigmaFieldReference,
    SigmaNumber,
    SigmaRegularExpression,
    SigmaString,
    SigmaTimestampPart,
    SpecialChars,
)

from lab.detect.sigma.predicate import FUNCTIONS, Column, Columns, Test, in_block, literal, lower, match
from lab.detect.sigma.sources import LOG_SOURCES, LogSource
from lab.telemetry.conditions import Condition
from lab.telemetry.event import FIELDS


def field_mappings() -> ProcessingPipeline:
    """Map each log source's fields to ECS; ECS names stay as they are."""
    return ProcessingPipeline(
        name="homerange",
        items=[
            ProcessingItem(
                transformation=FieldMappingTransformation({**source.fields}),
                rule_conditions=[Means(source)],
            )
            for source in LOG_SOURCES
            if source.fields
        ],
    )


@dataclass
class Means(RuleProcessingCondition):
    """Whether a rule, or one of those that a correlation is about, means a log source."""

    source: LogSource

    def match(self, rule: SigmaRule | SigmaCorrelationRule) -> bool:
        """Compare with the entry of our list that counts for the rule."""
        if isinstance(rule, SigmaCorrelationRule):
            return any(self.match(it.rule) for it in rule.referenced_rules)
        try:
            return log_source_of(rule) is self.source
        except Refused:
            return False


class Refused(SigmaError):
    """A rule uses what cannot be evaluated here."""


class DuckDBBackend(TextQueryBackend):
    """Conditions of a rule as one DuckDB condition over the columns of an event; NULL counts as false."""

    name: ClassVar[str] = "DuckDB over a table of events"
    formats: ClassVar[dict[str, str]] = {"default": "a condition"}
    precedence = (ConditionNOT, ConditionAND, ConditionOR)
    group_expression: ClassVar[str | None] = "({expr})"
    or_token: ClassVar[str] = "OR"  # noqa: S105  # no password
    and_token: ClassVar[str] = "AND"  # noqa: S105  # no password
    not_token: ClassVar[str] = "NOT"  # noqa: S105  # no password

    def __init__(self, pipeline: ProcessingPipeline, columns: Columns) -> None:
        """Convert for one table of events.

        Args:
            pipeline: What is made of the rules before.
            columns: The table's columns.
        """
        super().__init__(pipeline)
        self._columns = columns
        self.fields: set[str] = set()
        """The fields that conditions have asked for; whoever wants those of one rule clears it before."""

    def _column(self, field: str) -> Column:
        self.fields.add(field)
        return self._columns.of(field)

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
        return match(self._column(cond.field), _text_test(cast("SigmaString", cond.value)), cased=False)

    def convert_condition_field_eq_val_str_case_sensitive(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Compare with a text, letter by letter."""
        test = _text_test(cast("SigmaCasedString", cond.value), cased=True)
        return match(self._column(cond.field), test)

    def convert_condition_field_eq_val_num(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Compare with a number."""
        number = cast("SigmaNumber", cond.value).number
        return match(self._column(cond.field), lambda value: f"TRY_CAST({value} AS DOUBLE) = {number}")

    def convert_condition_field_eq_val_timestamp_part(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Compare the hour, the day, ... of a time, in UTC."""
        asked = cast("SigmaTimestampPart", cond.value)
        part = asked.timestamp_part.name.lower()
        return match(
            self._column(cond.field),
            lambda value: f"date_part('{part}', TRY_CAST({value} AS TIMESTAMPTZ)) = {asked.number}",
        )

    def convert_condition_field_eq_val_bool(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Compare with true or false."""
        wanted = str(bool(cond.value)).lower()
        return match(self._column(cond.field), lambda value: f"{value} = '{wanted}'", cased=False)

    def convert_condition_field_eq_val_re(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Search for a regular expression."""
        return match(self._column(cond.field), _regex_test(cast("SigmaRegularExpression", cond.value)))

    def convert_condition_field_eq_val_cidr(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Tell whether an address is in a block."""
        block = cast("SigmaCIDRExpression", cond.value).network
        test = in_block(block.version, int(block.network_address), int(block.broadcast_address))
        return match(self._column(cond.field), test)

    def convert_condition_field_compare_op_val(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Compare by size."""
        asked = cast("SigmaCompareExpression", cond.value)
        sign = _COMPARISONS[asked.op]
        test: Test = lambda value: f"TRY_CAST({value} AS DOUBLE) {sign} {asked.number}"  # noqa: E731
        return match(self._column(cond.field), test)

    def convert_condition_field_eq_field(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Compare two fields of the same event."""
        value = cast("SigmaFieldReference", cond.value)
        function = FUNCTIONS[bool(value.ends_with), bool(value.starts_with)]
        other, ours = self._column(value.field), self._column(cond.field)
        if not other.many:
            return match(ours, lambda text: function.format(text, other.low), cased=False)
        return match(
            ours,
            lambda text: f"(len(list_filter({other.low}, lambda it: {function.format(text, 'it')})) > 0)",
            cased=False,
        )

    def convert_condition_field_eq_val_null(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Tell whether a field is absent."""
        return f"{self._column(cond.field).value} IS NULL"

    def convert_condition_field_exists(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Tell whether a field is there."""
        return f"{self._column(cond.field).value} IS NOT NULL"

    def convert_condition_field_not_exists(
        self, cond: ConditionFieldEqualsValueExpression, _state: ConversionState
    ) -> str:
        """Tell whether a field is absent."""
        return f"{self._column(cond.field).value} IS NULL"

    def convert_condition_val_str(self, cond: ConditionValueExpression, _state: ConversionState) -> str:
        """Look for a keyword anywhere in an event."""
        word = cast("SigmaString", cond.value)
        around, cased = (
            SigmaString("*") + word + SpecialChars.WILDCARD_MULTI,
            isinstance(word, SigmaCasedString),
        )
        return match(self._column(self._columns.anything), _text_test(around, cased=cased), cased=cased)

    def convert_condition_val_num(self, cond: ConditionValueExpression, _state: ConversionState) -> str:
        """Look for a number anywhere in an event."""
        number = cast("SigmaNumber", cond.value).number
        return match(self._column(self._columns.anything), lambda value: f"contains({value}, '{number}')")

    def convert_condition_val_re(self, cond: ConditionValueExpression, _state: ConversionState) -> str:
        """Search everything in an event for a regular expression."""
        test = _regex_test(cast("SigmaRegularExpression", cond.value))
        return match(self._column(self._columns.anything), test)

    def finish_query(self, _rule: Any, query: Any, _state: ConversionState) -> str:  # noqa: ANN401  # pySigma's
        """Take the condition as it is."""
        return f"({query})"


class EcsBackend(DuckDBBackend):
    """Conditions that pick the events of the rule's log source, among all of ours, as well."""

    _own_names = False

    def convert_rule(self, rule: SigmaRule, *others: Any, **named: Any) -> list[Any]:  # noqa: ANN401  # pySigma's
        """Convert a rule; fields that only Windows has are looked for in what its events say."""
        self._own_names = log_source_of(rule).own_names
        return super().convert_rule(rule, *others, **named)

    def _column(self, field: str) -> Column:
        if field in FIELDS or not self._own_names:
            return super()._column(field)
        self.fields.add("winlog.event_data")
        pointer = field.replace("~", "~0").replace("/", "~1")
        value = f'json_extract_string("winlog.event_data", {literal(f"/{pointer}")})'
        return Column(value=value, low=f"lower({value})")

    def finish_query(self, rule: Any, query: Any, _state: ConversionState) -> str:  # noqa: ANN401  # pySigma's
        """Add the condition for the log source."""
        asked = guard(log_source_of(rule), self._columns)
        self.fields |= asked.fields
        return f"({asked.sql} AND ({query}))"


def guard(source: LogSource, columns: Columns) -> Condition:
    """Return what an event of ours has to be to be of a log source."""
    sql = f'"event.module" IN ({", ".join(map(literal, source.modules))})'
    if source.begins is None:
        return Condition(sql=sql, fields=frozenset({"event.module"}))
    field, texts = source.begins
    value = columns.of(field).value
    begins = " OR ".join(f"starts_with({value}, {literal(it)})" for it in texts)
    return Condition(sql=f"{sql} AND ({begins})", fields=frozenset({"event.module", field}))


_COMPARISONS: Final = {
    CompareOperators.LT: "<",
    CompareOperators.LTE: "<=",
    CompareOperators.GT: ">",
    CompareOperators.GTE: ">=",
}


def _text_test(pattern: SigmaString, *, cased: bool = False) -> Test:
    """Compare with a pattern, by the quickest function that is exact.

    Args:
        pattern: The pattern.
        cased: Whether the value comes as it is; else both are in lower case.
    """
    parts = list(pattern.iter_parts())
    middle = [part for part in parts if part != SpecialChars.WILDCARD_MULTI]
    if all(isinstance(part, str) for part in middle) and len(middle) <= 1:
        plain = cast("str", middle[0]) if middle else ""
        before, after = (bool(parts) and parts[end] == SpecialChars.WILDCARD_MULTI for end in (0, -1))
        function, text = FUNCTIONS[before, after], literal(plain if cased else lower(plain))
    else:
        likes = "".join(_like(part, cased=cased) for part in parts)
        function, text = "{} LIKE {} ESCAPE '\\'", literal(likes)
    return lambda value: function.format(value, text)


def _like(part: object, *, cased: bool) -> str:
    if part == SpecialChars.WILDCARD_MULTI:
        return "%"
    if part == SpecialChars.WILDCARD_SINGLE:
        return "_"
    if not isinstance(part, str):
        raise Refused("a placeholder has no value here")
    text = part if cased else lower(part)
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _regex_test(expression: SigmaRegularExpression) -> Test:
    flags = "".join(sorted(SigmaRegularExpression.sigma_to_re_flag[flag] for flag in expression.flags))
    pattern = literal((f"(?{flags})" if flags else "") + str(expression.regexp))
    return lambda value: f"regexp_matches({value}, {pattern})"


def log_source_of(rule: SigmaRule) -> LogSource:
    """Return the log source a rule means.

    Raises:
        Refused: no source of ours gives such events.
    """
    asked = _asked(rule)
    for source in LOG_SOURCES:
        if all(asked[key] == value for key, value in source.named.items()):
            return source
    raise Refused(f"no log source here gives {in_words(rule) or 'events of no named source'}")


def _asked(rule: SigmaRule) -> dict[str, str | None]:
    found = rule.logsource
    return {"category": found.category, "product": found.product, "service": found.service}


def in_words(rule: SigmaRule) -> str:
    """Write what a rule says of its log source."""
    return ", ".join(f"{key} {value}" for key, value in _asked(rule).items() if value)
