"""Conditions over batches of events of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from lab.telemetry.conditions import Condition, bits, lowered, patterns, places
from lab.telemetry.database import connected, duckdb_errors, quoted, shut
from lab.telemetry.event import FIELDS
from lab.telemetry.events import Events
from lab.telemetry.table import SCHEMA, absent


class Matcher:
    """Conditions over batches of events of a run, in columns named like ECS fields."""

    def __init__(self) -> None:
        self._connection = connected(threads=1, memory_limit="256MB")
        self._connection.execute("PRAGMA disable_optimizer")
        shut(self._connection)

    def places(self, events: Events, conditions: Sequence[Condition]) -> list[list[int]]:
        """Return for each condition the places of the events that satisfy it, in rising order.

        Raises:
            BadQuery: one of them is not a condition over events.
        """
        if not conditions or not len(events):
            return [[] for _ in conditions]
        fields = sorted(frozenset[str]().union(*(it.fields for it in conditions)))
        selected, some = bits([it.sql for it in conditions])
        named = ", ".join(['"#row"', *_columns(fields)])
        sql = f'SELECT * FROM (SELECT "#row", {selected} FROM (SELECT {named} FROM loaded)) WHERE {some}'  # noqa: S608 -- conditions are SQL by contract
        self._connection.register("loaded", _table(events, fields))
        try:
            with duckdb_errors(sql):
                return places(self._connection.execute(sql).fetchall(), len(conditions))
        finally:
            self._connection.unregister("loaded")

    def close(self) -> None:
        """Give the memory back."""
        self._connection.close()


def holding(field: str, texts: Iterable[str]) -> Condition:
    """Ask whether a field holds one of some texts, in any case.

    Args:
        field: The field.
        texts: ASCII texts in lower case.
    """
    if FIELDS[field] in {"keywords", "ips"}:
        value = f'array_to_string("{field}", chr(10))'
    else:
        value = f'"{field}"' if FIELDS[field] in {"keyword", "ip"} else f'CAST("{field}" AS VARCHAR)'
    asked = (f"regexp_matches({value}, {quoted(f'(?i){it}')})" for it in patterns(texts))
    return Condition(sql=f"({' OR '.join(asked)})", fields=frozenset({field}))


def _table(events: Events, fields: Iterable[str]) -> pa.Table:
    """Take the columns that are asked for."""
    given, count = events.table, len(events)
    columns: dict[str, Any] = {
        name: given[name] if name in given.column_names else absent(count, SCHEMA.field(name).type)
        for name in fields
    }
    return pa.table({"#row": pa.array(range(count), pa.int64()), **columns})


def _columns(fields: Iterable[str]) -> Iterator[str]:
    """Select columns as conditions name them."""
    for name in fields:
        kind = FIELDS[name]
        yield f'"{name}"::TIMESTAMPTZ AS "{name}"' if kind == "date" else f'"{name}"'
        if kind in {"keyword", "ip"}:
            yield f'lower("{name}") AS "{lowered(name)}"'
        elif kind in {"keywords", "ips"}:
            yield f'list_transform("{name}", lambda it: lower(it)) AS "{lowered(name)}"'
