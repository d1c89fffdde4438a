"""Events as columns: the schema in Arrow's types, and the way between events and tables.

Columns are ECS names with dots. Times are nanoseconds in UTC; addresses are text in one short form (pandas,
polars and DuckDB all read text; Parquet has no type for addresses).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute as pc

from lab.moment import Moment
from lab.telemetry.event import ECS_VERSION, FIELDS, SCHEMA_VERSION, Event, FieldType, Value
from lab.telemetry.sources.reading import address

ARROW: Final[dict[FieldType, pa.DataType]] = {
    "keyword": pa.string(),
    "keywords": pa.list_(pa.string()),
    "long": pa.int64(),
    "float": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.timestamp("ns", "UTC"),
    "ip": pa.string(),
    "ips": pa.list_(pa.string()),
}
"""Arrow's type of each of ours."""

VERSIONS: Final[dict[str | bytes, str | bytes]] = {
    "homerange.schema": str(SCHEMA_VERSION),
    "homerange.ecs": ECS_VERSION,
}
"""What every segment says of itself."""

SCHEMA: Final = pa.schema([pa.field(name, ARROW[kind]) for name, kind in FIELDS.items()], metadata=VERSIONS)
"""Every column there can be, in order."""

Plain = dict[str, object]
"""An event as JSON has it."""

ValuesOf = Callable[["pa.ChunkedArray[Any]", FieldType], list[Any]]
"""From a column to what stands in it, in Python."""


def table_of(events: Sequence[Event]) -> pa.Table:
    """Make a table of the columns that some events need.

    Raises:
        ValueError: a field is not in `FIELDS`, or an address is none or not in its short form: a
            mistake of the source.
    """
    present: set[str] = set().union(*events)
    if unknown := present - FIELDS.keys():
        raise ValueError(f"not fields of the schema: {', '.join(sorted(unknown))}")
    held: dict[str, list[Value | None]] = {name: [None] * len(events) for name in FIELDS if name in present}
    for place, event in enumerate(events):  # each once: to ask every event for every field takes longer
        for name, value in event.items():
            held[name][place] = value
    return pa.table([_column(name, found) for name, found in held.items()], schema=schema_of(list(held)))


def schema_of(names: Sequence[str]) -> pa.Schema:
    """Return the schema of some columns, in the order of all."""
    wanted = set(names)
    return pa.schema([field for field in SCHEMA if field.name in wanted], metadata=VERSIONS)


def _column(name: str, values: Sequence[Value | None]) -> pa.Array[Any]:
    if FIELDS[name] == "ip":
        for value in set(values):
            if value is not None and address(str(value)) != value:
                raise ValueError(f"{name}: {value!r} is not an address in its short form")
    return pa.array(values, ARROW[FIELDS[name]])


def stamp(nanoseconds: int) -> Any:  # noqa: ANN401  # a scalar of some type
    """Return a moment as columns of dates are compared with."""
    return pa.scalar(nanoseconds, ARROW["date"])


def absent(length: int, kind: pa.DataType) -> pa.Array[Any]:
    """Make a column that holds nothing."""
    nulls: Any = pa.nulls
    return cast("pa.Array[Any]", nulls(length, kind))


def constant(value: str | int | None, kind: FieldType, length: int) -> pa.Array[Any]:
    """Make a column of one value, or of none; a date is given in nanoseconds."""
    scalar: Any = pa.scalar(value, ARROW[kind])
    found: Any = pa.repeat(scalar, length)
    return cast("pa.Array[Any]", found)


def widened(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give a table the columns of a schema, those it lacks without values."""
    held = set(table.column_names)
    columns = [table[it.name] if it.name in held else absent(len(table), it.type) for it in schema]
    return pa.table(columns, schema=schema)


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Put tables below one another, of which there are some, with the columns that they have together."""
    if len(tables) == 1:
        return tables[0]
    schema = schema_of([name for table in tables for name in table.column_names])
    return pa.concat_tables([widened(table, schema) for table in tables])


def gathered(tables: Iterable[pa.Table], *, size: int, rows: int = sys.maxsize) -> Iterator[pa.Table]:
    """Put tables together until they have so many bytes or rows: what is done with each has its price."""
    waiting: list[pa.Table] = []
    held = count = 0
    for table in tables:
        waiting.append(table)
        held, count = held + table.nbytes, count + len(table)
        if held >= size or count >= rows:
            yield joined(waiting)
            waiting, held, count = [], 0, 0
    if waiting:
        yield joined(waiting)


def without_absent(table: pa.Table) -> pa.Table:
    """Leave columns out that hold nothing: most events have a third of them."""
    return table.select([name for name in table.column_names if table[name].null_count < len(table)])


def events_of(table: pa.Table, values_of: ValuesOf | None = None) -> Iterator[Any]:
    """Turn rows back into events; absent fields are absent."""
    values_of = values_of or values
    names = [name for name in table.column_names if name in FIELDS and table[name].null_count < len(table)]
    for row in zip(*(values_of(table[name], FIELDS[name]) for name in names), strict=True):
        yield {name: value for name, value in zip(names, row, strict=True) if value is not None}


def values(column: pa.ChunkedArray[Any], kind: FieldType) -> list[Value | None]:
    """Return what stands in a column, as events have it."""
    if kind == "date":
        # Python's own times stop at microseconds; whole numbers keep every digit.
        numbers = column.cast(pa.int64()).to_pylist()
        return [None if number is None else Moment(number) for number in numbers]
    if kind in {"keywords", "ips"}:
        return [None if words is None else tuple(words) for words in column.to_pylist()]
    return cast("list[Value | None]", column.to_pylist())


def plain_values(column: pa.ChunkedArray[Any], kind: FieldType) -> list[Any]:
    """Return what stands in a column, as JSON has it: times as ISO 8601 with all nine decimals."""
    if kind == "date":
        return pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ").to_pylist()
    return column.to_pylist()


def where(mask: Any) -> list[int]:  # noqa: ANN401  # a column of truth values, whatever it is made of
    """Return the places at which a column is true."""
    return cast("list[int]", pc.indices_nonzero(mask).to_pylist())


NEEDED: Final = ("@timestamp", "event.id")
"""Columns that no event lacks."""


def checked(table: pa.Table, asked: Collection[str] = NEEDED) -> pa.Table:
    """Give columns their types, whatever wrote them; what is no field of ours is left out.

    Args:
        table: What was read.
        asked: What was asked for; of `NEEDED`, that must be there.

    Raises:
        pa.ArrowException: a column cannot be of its type.
        ValueError: there are events without time or id.
    """
    names = [name for name in table.column_names if name in FIELDS]
    for name in NEEDED:
        if name in asked and (name not in names or table[name].null_count):
            raise ValueError(f"it has events without {name}")
    return pa.table({name: table[name].cast(ARROW[FIELDS[name]]) for name in names})


def with_columns(table: pa.Table, columns: Mapping[str, pa.Array[Any] | pa.ChunkedArray[Any]]) -> pa.Table:
    """Return a table with some columns set, in the order of the schema."""
    held: dict[str, Any] = {name: table[name] for name in table.column_names} | dict(columns)
    schema = schema_of(list(held))
    return pa.table([held[it.name].cast(it.type) for it in schema], schema=schema)
