"""Comparisons with a column of events, in DuckDB's SQL.

A test turns the SQL of a value into the SQL of a condition on it, so that it serves a column and the
entries of a list alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

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


def column(field: str) -> str:
    """Name a column.

    Raises:
        ValueError: events have no such field, so nothing could ever match.
    """
    if field not in FIELDS:
        raise ValueError(f"no event has the field {field!r}")
    return '"' + field + '"'


def match(field: str, test: Test) -> str:
    """Apply a test to a field; a list matches when one of its entries does.

    Raises:
        ValueError: events have no such field.
    """
    name = column(field)
    if FIELDS[field] in {"keywords", "ips"}:
        return f"(len(list_filter({name}, lambda entry: {test('entry')})) > 0)"
    return f"({test(name if FIELDS[field] in {'keyword', 'ip'} else f'CAST({name} AS VARCHAR)')})"


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
