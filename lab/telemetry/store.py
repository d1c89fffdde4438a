"""Events on disk and in questions: Parquet segments, and DuckDB over them. Only importer of both.

A run's `events/` folder holds segments `00000001-00000001.parquet`: the numbers of the first and the
last batch inside. A batch is written under another name, synced and renamed, so a segment is whole or
absent. Compacting writes `00000001-00000480.parquet` and then removes what it covers; a reader leaves
out a segment whose numbers lie within those of another, so a kill in between doubles nothing.

Columns are ECS names with dots. Times are nanoseconds in UTC; addresses are text in one short form
(pandas, polars and DuckDB all read text; Parquet has no type for addresses). Every segment has every
column. In SQL times are `TIMESTAMPTZ`, in microseconds, since DuckDB's functions know no finer ones.
"""

from __future__ import annotations

import errno
import json
import os
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final, Self, cast

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lab.errors import BadQuery, DiskFull
from lab.moment import Moment
from lab.telemetry.event import ECS_VERSION, FIELDS, SCHEMA_VERSION, Event, FieldType, Value
from lab.telemetry.sources.reading import address

TIME_LIMIT: Final = 30.0
"""Seconds after which a question is stopped."""

MEMORY_LIMIT: Final = "1GB"
"""What a question may use; nothing is written to disk beyond it."""

MAX_ROWS: Final = 100_000
"""Rows an answer has at most; the rest is cut and said to be cut."""

_ARROW: Final[dict[FieldType, pa.DataType]] = {
    "keyword": pa.string(),
    "keywords": pa.list_(pa.string()),
    "long": pa.int64(),
    "float": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.timestamp("ns", "UTC"),
    "ip": pa.string(),
}

SCHEMA: Final = pa.schema(
    [pa.field(name, _ARROW[kind]) for name, kind in FIELDS.items()],
    metadata={"homerange.schema": str(SCHEMA_VERSION), "homerange.ecs": ECS_VERSION},
)
"""The columns of every segment, and the versions written into it."""

_SEGMENT: Final = re.compile(r"(\d{8})-(\d{8})\.parquet")
_GROUP: Final = 65_536
"""Rows gathered before compacting writes them, which bounds its memory."""

_SAFE: Final[dict[str, str | int | float | list[str]]] = {
    "threads": 2,
    "temp_directory": "",
    "python_enable_replacements": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
}
"""Settings of every connection: no spilling, no extensions, no reach into our own variables."""


def table_of(events: Sequence[Event]) -> pa.Table:
    """Make a table of all columns.

    Raises:
        ValueError: a field is not in `FIELDS`, or an address is none or not in its short form: a
            mistake of the source.
    """
    present: set[str] = set().union(*events)
    if unknown := present - FIELDS.keys():
        raise ValueError(f"not fields of the schema: {', '.join(sorted(unknown))}")
    columns = [
        _column(events, name) if name in present else _absent(len(events), _ARROW[FIELDS[name]])
        for name in FIELDS
    ]
    return pa.table(columns, schema=SCHEMA)


def _column(events: Sequence[Event], name: str) -> pa.Array[Any]:
    values = [event.get(name) for event in events]
    if FIELDS[name] == "ip":
        for value in values:
            if value is not None and address(str(value)) != value:
                raise ValueError(f"{name}: {value!r} is not an address in its short form")
    return pa.array(values, _ARROW[FIELDS[name]])


def _absent(length: int, kind: pa.DataType) -> pa.Array[Any]:
    return pa.array([None] * length, kind)


def _events_of(table: pa.Table) -> Iterator[Event]:
    """Turn rows back into events; absent fields are absent."""
    names = [name for name in table.column_names if name in FIELDS and table[name].null_count < len(table)]
    for row in zip(*(_values_of(table[name], FIELDS[name]) for name in names), strict=True):
        yield {name: value for name, value in zip(names, row, strict=True) if value is not None}


def _values_of(column: pa.ChunkedArray[Any], kind: FieldType) -> list[Value | None]:
    if kind == "date":
        # Python's own times stop at microseconds; whole numbers keep every digit.
        numbers = column.cast(pa.int64()).to_pylist()
        return [None if number is None else Moment(number) for number in numbers]
    if kind == "keywords":
        return [None if words is None else tuple(words) for words in column.to_pylist()]
    return cast("list[Value | None]", column.to_pylist())


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class _Segment:
    """One file of events."""

    first: int
    """Number of its first batch."""

    last: int
    """Number of its last batch; the same unless compacted."""

    path: Path
    """Where it is."""

    def within(self, other: _Segment) -> bool:
        """Tell whether another segment holds all of this one."""
        return self is not other and other.first <= self.first and self.last <= other.last


def _all_segments(folder: Path) -> list[_Segment]:
    found = ((_SEGMENT.fullmatch(path.name), path) for path in folder.glob("*.parquet"))
    return sorted(_Segment(first=int(m[1]), last=int(m[2]), path=path) for m, path in found if m)


def _segments(folder: Path) -> list[_Segment]:
    """List what is to be read, in order of time: nothing that another segment holds as well."""
    everything = _all_segments(folder)
    wide = [segment for segment in everything if segment.last > segment.first]
    return [one for one in everything if not any(one.within(other) for other in wide)]


@contextmanager
def _disk_errors(folder: Path) -> Iterator[None]:
    """Name the one fault of a disk that a user can mend.

    Raises:
        DiskFull: no space is left.
    """
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise DiskFull(
            f"no space is left for {folder}", remedy="make room, then repeat the command"
        ) from error


class Store:
    """The events of one run. One process writes; any number read meanwhile."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._next = 1 + max((segment.last for segment in _all_segments(folder)), default=0)

    def append(self, events: Sequence[Event]) -> None:
        """Write one batch; when this returns it is on disk. No events, no batch.

        Each event given gets `event.ingested`, so that who goes on with it knows when it was stored.

        Raises:
            DiskFull: no space is left; nothing of the batch is stored.
        """
        if not events:
            return
        now = Moment.now()
        for event in events:
            event["event.ingested"] = now
        self._write((table_of(events),), self._next, self._next)
        self._next += 1

    def events(self) -> Iterator[Event]:
        """Read all events back in the order they were stored, also while the store is compacted."""
        done = 0
        while True:
            try:
                for event in islice(_read(self._folder), done, None):
                    done += 1
                    yield event
            except FileNotFoundError:
                continue  # merged meanwhile; the order is the same, so go on where we were
            return

    def compact(self) -> None:
        """Merge all segments into one, and remove what an interrupted merge left."""
        segments = _segments(self._folder)
        if len(segments) > 1:
            self._write(_gathered(segments), segments[0].first, segments[-1].last)
        self._remove_covered()

    def _write(self, tables: Iterable[pa.Table], first: int, last: int) -> None:
        path = self._folder / f"{first:08d}-{last:08d}.parquet"
        draft = path.with_suffix(".draft")
        with _disk_errors(self._folder):
            with draft.open("wb") as file:
                with pq.ParquetWriter(
                    file, SCHEMA, compression="zstd", use_dictionary=last > first
                ) as writer:
                    for table in tables:
                        writer.write_table(table)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            self._sync_folder()

    def _sync_folder(self) -> None:
        """Make a rename last: the folder is a file too."""
        handle = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _remove_covered(self) -> None:
        kept = {segment.path for segment in _segments(self._folder)}
        for path in [
            *(segment.path for segment in _all_segments(self._folder)),
            *self._folder.glob("*.draft"),
        ]:
            if path not in kept:
                path.unlink(missing_ok=True)


def _read(folder: Path) -> Iterator[Event]:
    for segment in _segments(folder):
        with pq.ParquetFile(segment.path) as file:
            for batch in file.iter_batches():
                yield from _events_of(pa.Table.from_batches([batch]))


def _gathered(segments: Sequence[_Segment]) -> Iterator[pa.Table]:
    """Read segments of any schema version as tables of the present one, some ten thousand rows each."""
    waiting: list[pa.Table] = []
    for segment in segments:
        with pq.ParquetFile(segment.path) as file:
            for batch in file.iter_batches(batch_size=_GROUP):
                waiting.append(_widened(pa.Table.from_batches([batch])))
                if sum(map(len, waiting)) >= _GROUP:
                    yield pa.concat_tables(waiting)
                    waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _widened(table: pa.Table) -> pa.Table:
    """Give a table of an older version the columns it lacks."""
    if table.schema.equals(SCHEMA):
        return table
    held = set(table.column_names)
    columns = [
        table[field.name].cast(field.type) if field.name in held else _absent(len(table), field.type)
        for field in SCHEMA
    ]
    return pa.table(columns, schema=SCHEMA)


def _as_sql_types() -> str:
    """Select every column as SQL shows it."""
    dates = {name for name, kind in FIELDS.items() if kind == "date"}
    return ", ".join(
        f'"{name}"::TIMESTAMPTZ AS "{name}"' if name in dates else f'"{name}"' for name in FIELDS
    )


@contextmanager
def _duckdb_errors(sql: str) -> Iterator[None]:
    """Turn whatever DuckDB says into one error.

    Raises:
        BadQuery: with DuckDB's first words, and the place in the question if it names one.
    """
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise BadQuery(
            sql, said=f"it needs more than {MEMORY_LIMIT} of memory; ask for less at a time"
        ) from error
    except (duckdb.Error, pa.ArrowException) as error:
        raise BadQuery(sql, said=_clear(str(error))) from error


def _clear(said: str) -> str:
    """Shorten DuckDB's message to the lines that help a person."""
    lines = [line.rstrip() for line in said.splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("Traceback", "  File"))]
    return "\n    ".join(kept[:8]) or "the database gave no reason"


class Matcher:
    """Which events of one batch satisfy which conditions; holds the batch in memory.

    Many small questions of a small table: planning and waking threads cost more than running, so
    there is one thread and no optimizer (500 events load in 6 ms instead of 14).
    """

    def __init__(self) -> None:
        self._connection = duckdb.connect(":memory:", config={**_SAFE, "threads": 1, "memory_limit": "256MB"})
        self._connection.execute("SET TimeZone = 'UTC'; PRAGMA disable_optimizer")
        self._connection.execute("SET enable_external_access = false; SET lock_configuration = true")
        self._whole: set[str] = set()
        self.load(())

    def load(self, events: Sequence[Event]) -> None:
        """Replace the batch."""
        table = table_of(events).append_column("#row", pa.array(range(len(events)), pa.int64()))
        self._connection.register("loaded", table)
        self._connection.execute(
            f'CREATE OR REPLACE TABLE events AS SELECT "#row", {_as_sql_types()} FROM loaded'  # noqa: S608 -- our own names
        )
        self._connection.unregister("loaded")

    def matches(self, predicate: str) -> list[int]:
        """Return the places of the events that satisfy a condition, in rising order.

        Args:
            predicate: What could stand behind WHERE, over columns named like ECS fields.

        Raises:
            BadQuery: it is not a condition over events.
        """
        sql = f'SELECT "#row" FROM events WHERE (\n{predicate}\n)'  # noqa: S608 -- conditions are SQL by contract
        with _duckdb_errors(predicate):
            if predicate not in self._whole:
                _only_question(sql)
                _only_question(f"SELECT 1 WHERE {predicate}")  # fails when it closes our parenthesis
                self._whole.add(predicate)
            return sorted(row for (row,) in self._connection.execute(sql).fetchall())

    def close(self) -> None:
        """Give the memory back."""
        self._connection.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a question gave."""

    columns: tuple[str, ...]
    """Names of the columns."""

    types: tuple[str, ...]
    """DuckDB's types of the columns."""

    rows: tuple[tuple[object, ...], ...]
    """The rows; a time is a `Moment`, a length of time a `timedelta`."""

    cut: bool
    """Whether there were more rows than `MAX_ROWS`."""


class Tables:
    """A database in memory to question a run with: reads the run's files and nothing else."""

    def __init__(self) -> None:
        self._connection = duckdb.connect(":memory:", config={**_SAFE, "memory_limit": MEMORY_LIMIT})
        self._connection.execute("SET TimeZone = 'UTC'; CREATE SCHEMA stored")
        self._files: list[str] = []

    def __enter__(self) -> Self:
        """Use it for one question."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the memory back."""
        self._connection.close()

    def add_events(self, folder: Path) -> None:
        """Show a store as view `events`: all columns, whatever version wrote the segments.

        Raises:
            BadQuery: a segment cannot be read.
        """
        self._files = [str(segment.path.resolve()) for segment in _segments(folder)]
        self._connection.register("empty", SCHEMA.empty_table())
        self._connection.execute("CREATE TABLE stored.columns AS FROM empty")
        self._connection.unregister("empty")
        files = ", ".join(_quoted(path) for path in self._files)
        read = f" UNION ALL BY NAME FROM read_parquet([{files}], union_by_name = true)" if files else ""
        with _duckdb_errors("events"):
            self._connection.execute(f"CREATE VIEW stored.segments AS FROM stored.columns{read}")
            self._connection.execute(f"CREATE VIEW events AS SELECT {_as_sql_types()} FROM stored.segments")  # noqa: S608 -- our own names

    def outdated(self) -> bool:
        """Tell whether segments were merged away since they were added."""
        return not all(os.path.exists(path) for path in self._files)  # noqa: PTH110 -- thousands of plain texts

    def add_records(self, name: str, lines: Sequence[str], structure: Mapping[str, object]) -> None:
        """Show records as a table.

        Args:
            name: Name of the table.
            lines: One JSON object each.
            structure: DuckDB's type of each key to show, in the form its `from_json` takes.

        Raises:
            BadQuery: a line is not JSON, or a value is not of its type.
        """
        self._connection.register("lines", pa.table({"line": pa.array(lines, pa.string())}))
        shape = _quoted(json.dumps(structure))
        with _duckdb_errors(name):
            self._connection.execute(
                f'CREATE TABLE "{name}" AS SELECT unnest(from_json(line, {shape})) FROM lines'  # noqa: S608 -- our own names
            )
        self._connection.unregister("lines")

    def ask(self, sql: str, *, seconds: float) -> Answer:
        """Lock the database, then answer one question.

        Raises:
            BadQuery: the question is wrong, not a single SELECT, SHOW or DESCRIBE, or took too much.
        """
        with _duckdb_errors(sql):
            _only_question(sql)
            self._lock()
            try:
                with _stopped_after(self._connection, seconds):
                    return _answer(self._connection.sql(sql))
            except duckdb.InterruptException as error:
                raise BadQuery(sql, said=f"it took longer than {seconds:g} s and was stopped") from error

    def _lock(self) -> None:
        files = ", ".join(_quoted(path) for path in self._files)
        self._connection.execute(f"SET allowed_paths = [{files}]")
        self._connection.execute("SET enable_external_access = false; SET lock_configuration = true")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _only_question(sql: str) -> None:
    """Allow one statement that only asks; DuckDB's own parser decides, and counts SHOW as SELECT.

    Raises:
        BadQuery: it is anything else.
        duckdb.Error: it is not SQL.
    """
    statements = duckdb.extract_statements(sql)
    if len(statements) != 1:
        raise BadQuery(sql, said=f"one statement is wanted, not {len(statements)}")
    if statements[0].type != duckdb.StatementType.SELECT:
        kind = statements[0].type.name.replace("_", " ")
        raise BadQuery(sql, said=f"only SELECT, SHOW and DESCRIBE are allowed, not {kind}")


@contextmanager
def _stopped_after(connection: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
    timer = threading.Timer(seconds, connection.interrupt)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def _answer(relation: duckdb.DuckDBPyRelation) -> Answer:
    columns, types = tuple(relation.columns), tuple(map(str, relation.types))
    rows: list[tuple[object, ...]] = []
    with relation.to_arrow_reader(2048) as batches:
        for batch in batches:
            rows.extend(zip(*map(_shown, batch.columns), strict=True))
            if len(rows) > MAX_ROWS:
                break
    return Answer(columns=columns, types=types, rows=tuple(rows[:MAX_ROWS]), cut=len(rows) > MAX_ROWS)


def _shown(column: pa.Array[Any]) -> list[object]:
    """Turn a column of an answer into Python's values, times into moments."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        unit = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[kind.unit]
        return [None if n is None else Moment(n * unit) for n in column.cast(pa.int64()).to_pylist()]
    if pa.types.is_interval(kind):
        return [None if span is None else _length(*span) for span in column.to_pylist()]
    if pa.types.is_decimal(kind) and kind.scale == 0:  # sums of whole numbers
        return [None if number is None else int(number) for number in column.to_pylist()]
    return column.to_pylist()


def _length(months: int, days: int, nanoseconds: int) -> timedelta:
    """A month counts 30 days, as in DuckDB."""
    return timedelta(days=30 * months + days, microseconds=nanoseconds / 1000)
