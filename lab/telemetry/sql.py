"""Questions over events: DuckDB in memory, locked to the files it is given."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Self, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from lab.errors import BadQuery
from lab.moment import Moment
from lab.telemetry.database import (
    MEMORY_LIMIT,
    Relation,
    connected,
    duckdb_errors,
    only_question,
    quoted,
    shut,
    stopped_after,
)
from lab.telemetry.event import FIELDS
from lab.telemetry.segments import present_segments
from lab.telemetry.table import SCHEMA

Read = TypeVar("Read")

TIME_LIMIT: Final = 30.0
"""Seconds after which a question is stopped."""

MAX_BYTES: Final = 32 * 2**20
"""Bytes that an answer has at most, as the database holds it; the rest is cut likewise."""

MAX_ROWS: Final = 100_000
"""Rows an answer has at most; the rest is cut and said to be cut."""

MAX_PARQUET: Final = 256 * 2**20
"""Bytes that an answer in Parquet has at most."""

_MACROS: Final = (
    """CREATE MACRO address_number(ip) AS CASE WHEN regexp_full_match(ip, '[0-9]+([.][0-9]+){3}') THEN
        list_reduce(list_transform(string_split(ip, '.'), lambda part: TRY_CAST(part AS BIGINT)),
            lambda total, part: total * 256 + part) END""",
    """CREATE MACRO in_block(ip, block) AS address_number(ip) >> (32 - split_part(block, '/', 2)::INTEGER)
        = address_number(split_part(block, '/', 1)) >> (32 - split_part(block, '/', 2)::INTEGER)""",
    """CREATE MACRO is_private(ip) AS coalesce(in_block(ip, '10.0.0.0/8') OR in_block(ip, '172.16.0.0/12')
        OR in_block(ip, '192.168.0.0/16') OR in_block(ip, '127.0.0.0/8') OR in_block(ip, '169.254.0.0/16')
        OR regexp_matches(ip, '^(::1$|fe[89ab]|f[cd])'), false)""",
    "CREATE MACRO bucket(moment, width) AS time_bucket(width::INTERVAL, moment)",
)
"""Helpers for questions: addresses as numbers and in blocks, moments in buckets."""

_EARLIEST: Final = -62_135_596_800 * 10**9
_LATEST: Final = 253_402_300_799 * 10**9
"""The years 1 to 9999 in nanoseconds."""


def _as_sql_types() -> str:
    """Select every column as SQL shows it."""
    dates = {name for name, kind in FIELDS.items() if kind == "date"}
    return ", ".join(
        f'"{name}"::TIMESTAMPTZ AS "{name}"' if name in dates else f'"{name}"' for name in FIELDS
    )


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
        self._connection = connected(memory_limit=MEMORY_LIMIT)
        self._connection.execute("CREATE SCHEMA stored")
        for macro in _MACROS:
            self._connection.execute(macro)
        self._files: list[str] = []

    def __enter__(self) -> Self:
        """Use it for one question."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the memory back."""
        self._connection.close()

    def add_events(self, folders: Mapping[str, Path], *, since: float = 0) -> None:
        """Show stores as view `events`: all columns, whatever version wrote the segments.

        Args:
            folders: Name to store; where there are several, the name is the column `run`.
            since: Show only what happened in so many seconds before the last event; all when 0.

        Raises:
            BadQuery: a segment cannot be read.
        """
        self._connection.register("empty", SCHEMA.empty_table())
        self._connection.execute("CREATE TABLE stored.columns AS FROM empty")
        self._connection.unregister("empty")
        several = len(folders) > 1
        shown = []
        for place, (name, folder) in enumerate(folders.items()):
            files = [str(segment.path.resolve()) for segment in present_segments(folder)]
            self._files += files
            listed = ", ".join(quoted(path) for path in files)
            read = f" UNION ALL BY NAME FROM read_parquet([{listed}], union_by_name = true)" if files else ""
            with duckdb_errors("events"):
                self._connection.execute(f"CREATE VIEW stored.run{place} AS FROM stored.columns{read}")
            run = f"{quoted(name)} AS run, " if several else ""
            shown.append(f"SELECT {run}{_as_sql_types()} FROM stored.run{place}")  # noqa: S608 -- our own names
        with duckdb_errors("events"):
            self._connection.execute(f"CREATE VIEW stored.every AS {' UNION ALL '.join(shown)}")
            self._connection.execute(f"CREATE VIEW events AS FROM stored.every{self._from(since)}")

    def _from(self, since: float) -> str:
        if not since:
            return ""
        latest = self._connection.execute('SELECT epoch_us(max("@timestamp")) FROM stored.every').fetchone()
        if latest is None or latest[0] is None:
            return ""
        return f' WHERE "@timestamp" >= make_timestamptz({int(latest[0] - since * 1e6)})'

    def outdated(self) -> bool:
        """Tell whether segments were merged away since they were added."""
        return not all(os.path.exists(path) for path in self._files)  # noqa: PTH110 -- thousands of plain texts

    def add_records(
        self, name: str, lines: Mapping[str, Sequence[str]], structure: Mapping[str, object]
    ) -> None:
        """Show records as a table.

        Args:
            name: Name of the table.
            lines: Run to its records, one JSON object each; where there are several runs, and the records
                have no such column of their own, the run is the column `run`.
            structure: DuckDB's type of each key to show, in the form its `from_json` takes.

        Raises:
            BadQuery: a line is not JSON, or a value is not of its type.
        """
        texts = [text for several in lines.values() for text in several]
        runs = [run for run, several in lines.items() for _ in several]
        table = pa.table({"run": pa.array(runs, pa.string()), "line": pa.array(texts, pa.string())})
        self._connection.register("lines", table)
        shape = quoted(json.dumps(structure))
        run = "run, " if len(lines) > 1 and "run" not in structure else ""
        with duckdb_errors(name):
            self._connection.execute(
                f'CREATE TABLE "{name}" AS SELECT {run}unnest(from_json(line, {shape})) FROM lines'  # noqa: S608 -- our own names
            )
        self._connection.unregister("lines")

    def ask(self, sql: str, *, seconds: float) -> Answer:
        """Lock the database, then answer one question.

        Raises:
            BadQuery: the question is wrong, not a single SELECT, SHOW or DESCRIBE, or took too much.
        """
        return self._answered(sql, seconds, _answer)

    def parquet(self, sql: str, *, seconds: float) -> bytes:
        """Lock the database, then answer one question as a Parquet file, with the types that columns have.

        Raises:
            BadQuery: the question is wrong, not a single SELECT, SHOW or DESCRIBE, or took too much.
        """
        return self._answered(sql, seconds, _parquet)

    def _answered(self, sql: str, seconds: float, read: Callable[[Relation], Read]) -> Read:
        with duckdb_errors(sql):
            only_question(sql)
            shut(self._connection, self._files)
            try:
                with stopped_after(self._connection, sql, seconds):
                    return read(self._connection.sql(sql))
            except pa.ArrowException as error:
                raise BadQuery(sql, said=str(error)) from error


def _answer(relation: Relation) -> Answer:
    columns, types = tuple(relation.columns), tuple(map(str, relation.types))
    rows: list[tuple[object, ...]] = []
    left, cut = MAX_BYTES, False
    with relation.to_arrow_reader(2048) as batches:
        for batch in batches:
            fits = _fitting(batch, left)
            left -= batch.nbytes
            rows.extend(zip(*map(_shown, batch.slice(0, fits).columns), strict=True))
            cut = fits < len(batch) or len(rows) > MAX_ROWS
            if cut:
                break
    return Answer(columns=columns, types=types, rows=tuple(rows[:MAX_ROWS]), cut=cut)


def _parquet(relation: Relation) -> bytes:
    """Write an answer down, batch by batch."""
    file = io.BytesIO()
    with relation.to_arrow_reader(100_000) as batches, pq.ParquetWriter(file, batches.schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
            if file.tell() > MAX_PARQUET:
                raise BadQuery("", said=f"its answer has more than {MAX_PARQUET >> 20} MB; ask for less")
    return file.getvalue()


def _fitting(batch: pa.RecordBatch, left: int) -> int:
    """Return how many rows of a batch there is room for, at least one."""
    if batch.nbytes <= left:
        return len(batch)
    return max(1, len(batch) * max(left, 0) // max(1, batch.nbytes))


def _shown(column: pa.Array[Any]) -> list[object]:
    """Turn a column of an answer into Python's values, times into moments; what has none, into text."""
    kind = column.type
    if pa.types.is_timestamp(kind):
        unit = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[kind.unit]
        return [None if n is None else _moment(n * unit) for n in column.cast(pa.int64()).to_pylist()]
    if pa.types.is_time(kind):
        return [None if it is None else str(it) for it in column.cast(pa.string()).to_pylist()]
    if pa.types.is_interval(kind):
        return [None if span is None else _length(*span) for span in column.to_pylist()]
    if pa.types.is_decimal(kind) and kind.scale == 0:  # sums of whole numbers
        return [None if number is None else int(number) for number in column.to_pylist()]
    try:
        return column.to_pylist()
    except (OverflowError, ValueError, TypeError, pa.ArrowException):
        return [_as_text(it) for it in column]


def _as_text(value: pa.Scalar[Any]) -> str:
    """Write a value that Python has no type for: a date beyond its years, also inside a list."""
    try:
        return str(value)
    except (OverflowError, ValueError, TypeError, pa.ArrowException):
        return f"a {value.type} that cannot be shown"


def _moment(nanoseconds: int) -> Moment | str:
    """Return a moment, or what Python has no time for: DuckDB's infinities, and years beyond 9999."""
    if _EARLIEST <= nanoseconds <= _LATEST:
        return Moment(nanoseconds)
    return "infinity" if nanoseconds > 0 else "-infinity" if nanoseconds < -(2**62) else f"{nanoseconds} ns"


def _length(months: int, days: int, nanoseconds: int) -> timedelta | str:
    """A month counts 30 days, as in DuckDB; what Python has no length for is written out."""
    try:
        return timedelta(days=30 * months + days, microseconds=nanoseconds / 1000)
    except OverflowError:
        return f"{months} months {days} days {nanoseconds} ns"
