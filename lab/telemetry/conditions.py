"""Conditions on events: any number of them is one question to DuckDB.

Planning a question costs a millisecond, so one for each rule would be most of the work. Here the answer to
each condition is one bit of a number, and DuckDB's CASE looks at the rest of a condition only for the events
that passed its beginning. A table has its texts in lower case beside those as they are, once for all rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lab.telemetry.database import connected, duckdb_errors, only_question, shut
from lab.telemetry.event import FIELDS

_TEXTS: Final = 500
"""Texts that are looked for at once; RE2 is slow beyond some thousand."""

_BITS: Final = 62
"""Conditions that share a number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Condition:
    """What is asked of an event."""

    sql: str
    """What could stand behind WHERE; NULL counts as false."""

    fields: frozenset[str]
    """The fields it looks at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A condition in both its forms."""

    texts: Condition
    """Where every field is a text."""

    lists: Condition
    """Where every field is a list of texts."""

    clues: frozenset[tuple[str, str]]
    """Fields and ASCII texts in lower case, of which every event that fulfils the condition holds one; none
    where nothing can be said."""


def lowered(column: str) -> str:
    """Name the column that holds another one in lower case."""
    return f"~{column}"


def patterns(texts: Iterable[str]) -> Iterator[str]:
    """Write texts as alternatives of a regular expression, but for those in which another one is.

    Args:
        texts: ASCII texts in lower case.
    """
    known = sorted(set(texts))
    kept = [it for it in known if not any(other in it for other in known if other != it)]
    for at in range(0, len(kept), _TEXTS):
        yield "|".join(re.sub(r"([^a-z0-9 _/-])", r"\\\1", it) for it in kept[at : at + _TEXTS])


def bits(conditions: Sequence[str]) -> tuple[str, str]:
    """Write numbers whose bits say which conditions hold, and the condition that one does.

    Returns:
        What to select, and what to ask of that.
    """
    groups = [conditions[at : at + _BITS] for at in range(0, len(conditions), _BITS)]
    numbers = [
        " | ".join(f"CASE WHEN {it} THEN {1 << bit} ELSE 0::BIGINT END" for bit, it in enumerate(group))
        for group in groups
    ]
    selected = ", ".join(f'({number}) AS "#{place}"' for place, number in enumerate(numbers))
    return selected, " OR ".join(f'"#{place}" <> 0' for place in range(len(groups)))


def places(rows: Iterable[tuple[int, ...]], count: int) -> list[list[int]]:
    """Return of each condition the rows at which it holds, in rising order.

    Args:
        rows: Of each row its place, and the numbers of `bits`.
        count: How many conditions there are.
    """
    found: list[list[int]] = [[] for _ in range(count)]
    for place, condition in sorted(places_in(rows)):
        found[condition].append(place)
    return found


def places_in(rows: Iterable[tuple[int, ...]]) -> Iterator[tuple[int, int]]:
    """Return each row with each condition that holds there, in no order."""
    for place, *numbers in rows:
        for group, number in enumerate(numbers):
            for bit in _set(number):
                yield place, group * _BITS + bit


def _set(number: int) -> Iterator[int]:
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest


class Trial:
    """Where conditions are tried on an event that has no field."""

    def __init__(self) -> None:
        self._connection = connected(threads=1, memory_limit="64MB")
        self._connection.execute("PRAGMA disable_optimizer")
        shut(self._connection)

    def check(self, condition: str, columns: Mapping[str, str]) -> None:
        """Try a condition.

        Args:
            condition: The condition.
            columns: The columns that it may name, each with DuckDB's type.

        Raises:
            BadQuery: it is no condition over these, or has a regular expression that DuckDB cannot run.
        """
        values = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in columns.items()) or "1"
        with duckdb_errors(condition):
            only_question(f"SELECT 1 WHERE {condition}")  # fails when it closes a parenthesis of ours
            self._connection.execute(f"SELECT 1 FROM (SELECT {values}) WHERE (\n{condition}\n)")  # noqa: S608 -- conditions are SQL by contract

    def close(self) -> None:
        """Give the memory back."""
        self._connection.close()


def event_columns(fields: Iterable[str]) -> dict[str, str]:
    """Return the columns that hold fields of ours, each with DuckDB's type."""
    types = {"keyword": "VARCHAR", "ip": "VARCHAR", "keywords": "VARCHAR[]", "ips": "VARCHAR[]"}
    others = {"date": "TIMESTAMPTZ", "long": "BIGINT", "float": "DOUBLE", "boolean": "BOOLEAN"}
    kinds = {name: {**types, **others}[FIELDS[name]] for name in fields}
    return kinds | {lowered(name): kinds[name] for name in fields if FIELDS[name] in types}


def written_columns(fields: Iterable[str], *, many: bool) -> dict[str, str]:
    """Return the columns that hold fields whose names may be any, each with DuckDB's type.

    Args:
        fields: The fields; the empty name is that of everything in an event.
        many: Whether each is a list.
    """
    kinds = {written_column(it): "VARCHAR[]" if many or not it else "VARCHAR" for it in fields}
    return kinds | {lowered(name): kind for name, kind in kinds.items()}


def written_column(field: str) -> str:
    """Name the column of a field whose name may be any.

    DuckDB takes `User` and `user` for one, so the name says which letters are capitals. It holds no quotes,
    and none is what `lowered` makes of another. The empty name is that of the list of everything in an event.
    """
    if not field:
        return "%any"
    capitals = sum(1 << place for place, letter in enumerate(field) if letter.lower() != letter)
    plain = re.sub(r'["%#~]', lambda found: f"%{ord(found[0]):x}", field)
    return f"{plain}#{capitals:x}" if capitals else plain
