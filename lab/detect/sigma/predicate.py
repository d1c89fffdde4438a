"""Comparisons with a field of events, in DuckDB's SQL.

A test turns the SQL of a value into the SQL of a condition on it, so that it serves a text and the
entries of a list alike. What fields are called in SQL is a matter of the table that holds the events:
those of a run have the columns of ECS, those of a file that names its fields as Sigma does have the
columns that its rules ask for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from lab.telemetry.conditions import lowered, written_column
from lab.telemetry.event import FIELDS

Test = Callable[[str], str]
"""From the SQL of a value to the SQL of a condition on it."""

FUNCTIONS: Final = {
    (False, False): "{} = {}",
    (True, False): "suffix({}, {})",
    (False, True): "starts_with({}, {})",
    (True, True): "contains({}, {})",
}
"""The quickest comparison of a value with a text: is something allowed before it, and after it?"""

_IPV4_NUMBER: Final = (
    "CASE WHEN regexp_full_match(?, '[0-9]+([.][0-9]+){3}') THEN list_reduce("
    "list_transform(string_split(?, '.'), lambda part: TRY_CAST(part AS BIGINT)), "
    "lambda sum, part: sum * 256 + part) END"
)

_IPV6_GROUPS: Final = (
    "list_transform(list_filter(string_split(split_part(lower(?), '::', {side}), ':'), "
    "lambda part: part <> ''), lambda part: lpad(part, 4, '0'))"
)
_LEFT, _RIGHT = (_IPV6_GROUPS.format(side=side) for side in (1, 2))
_IPV6_DIGITS: Final = (
    f"CASE WHEN contains(?, ':') THEN array_to_string({_LEFT} || list_resize(CAST([] AS VARCHAR[]), "
    f"CAST(greatest(0, 8 - len({_LEFT}) - len({_RIGHT})) AS BIGINT), '0000') || {_RIGHT}, '') END"
)
"""All 32 digits of an address in its short form: what `::` stands for is filled in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """What a field is in SQL."""

    value: str
    """Its value as text, or as a list of texts; NULL where an event lacks it."""

    low: str
    """The same in lower case."""

    many: bool = False
    """Whether it is a list."""


class Columns(Protocol):
    """The columns of a table of events."""

    anything: str
    """The field that keywords are looked for in."""

    def of(self, field: str) -> Column:
        """Return what a field is.

        Raises:
            ValueError: events have no such field, so nothing could ever match.
        """
        ...


class EcsColumns:
    """The columns of events of ours."""

    anything = "event.original"

    def of(self, field: str) -> Column:
        """Return the column of a field of ECS, as a `Matcher` has it.

        Raises:
            ValueError: the schema has no such field.
        """
        known(field)
        many = FIELDS[field] in {"keywords", "ips"}
        if many or FIELDS[field] in {"keyword", "ip"}:
            return Column(value=f'"{field}"', low=f'"{lowered(field)}"', many=many)
        text = f'CAST("{field}" AS VARCHAR)'
        return Column(value=text, low=text)


class QueryColumns(EcsColumns):
    """The columns of events as `lab query` shows them, which has none in lower case."""

    def of(self, field: str) -> Column:
        """Return the column of a field of ECS."""
        found = super().of(field)
        if found.low == found.value:
            return found
        low = (
            f"list_transform({found.value}, lambda it: lower(it))" if found.many else f"lower({found.value})"
        )
        return Column(value=found.value, low=low, many=found.many)


@dataclass(frozen=True, slots=True)
class WrittenColumns:
    """The columns of events whose fields have names of their own, which may be any."""

    many: bool
    """Whether each of them is a list."""

    anything = ""

    def of(self, field: str) -> Column:
        """Return the column of a field, as a `WrittenMatcher` has it."""
        name = written_column(field)
        return Column(value=f'"{name}"', low=f'"{lowered(name)}"', many=self.many or not field)


def known(field: str) -> None:
    """Make sure that events of ours can have a field.

    Raises:
        ValueError: they cannot, so nothing could ever match.
    """
    if field not in FIELDS:
        raise ValueError(f"no event has the field {field!r}")


def match(column: Column, test: Test, *, cased: bool = True) -> str:
    """Apply a test to a field; a list matches when one of its entries does.

    Args:
        column: The field.
        test: What is asked of a value.
        cased: Whether the test sees the value as it is; else in lower case.
    """
    value = column.value if cased else column.low
    if column.many:
        return f"(len(list_filter({value}, lambda entry: {test('entry')})) > 0)"
    return f"({test(value)})"


def literal(text: str) -> str:
    """Quote a text for SQL."""
    return "'" + text.replace("'", "''") + "'"


def lower(text: str) -> str:
    """Write a text in lower case as DuckDB does.

    The two differ in the dotted capital I, which Python makes two letters of, and in the sigma at the
    end of a word.
    """
    return text.replace("\u0130", "i").replace("\u03a3", "\u03c3").lower()


def in_block(version: int, first: int, last: int) -> Test:
    """Compare an address with the first and the last one of a block, as numbers.

    DuckDB's own type for addresses is an extension that would have to be fetched from the network.

    Args:
        version: 4 or 6.
        first: The lowest address.
        last: The highest address.
    """
    if version == 4:  # noqa: PLR2004  # IP versions
        return lambda value: f"({_IPV4_NUMBER.replace('?', value)}) BETWEEN {first} AND {last}"
    return lambda value: f"({_IPV6_DIGITS.replace('?', value)}) BETWEEN '{first:032x}' AND '{last:032x}'"
