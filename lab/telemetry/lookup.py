"""The events of one run, looked up by a person who hunts: a page of them, one, how many, of what, when.

DuckDB in memory over the run's Parquet, for a process that stays: small memory, no file of its own, and new
segments are seen as they come. What a person types reaches the database as values; names of columns are those
of the schema. Does without pyarrow, which alone would take a third of the memory.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from lab.errors import BadQuery
from lab.moment import SECOND
from lab.telemetry.database import (
    OutOfMemory,
    connected,
    duckdb_errors,
    quoted,
    stopped_after,
)
from lab.telemetry.event import FIELDS, Event, FieldType, Value
from lab.telemetry.lineindex import LARGE, Block, LineIndex, begin, opened, tells
from lab.telemetry.segments import present_segments

MEMORY: Final = "40MB"
"""What the database may use: with the program around it, less than 150 MB."""

_MORE_MEMORY: Final = "400MB"
"""What a question may use that could not be answered with that."""

_GIVEN_BACK: Final = "2MB"
"""Memory that a question may leave behind before it is given back to the system."""

_SECONDS: Final = 20.0
"""What one look may take."""

_NARROW: Final = 16
"""A part of the whole span that is smaller than one in so many is read at once."""

_TYPES: Final[Mapping[FieldType, str]] = {
    "keyword": "VARCHAR",
    "keywords": "VARCHAR[]",
    "long": "BIGINT",
    "float": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "TIMESTAMPTZ_NS",
    "ip": "VARCHAR",
    "ips": "VARCHAR[]",
}
"""DuckDB's type of each of ours."""

_ASCII: Final = 0x7F
"""The last character of ASCII."""

Row = tuple[Any, ...]
"""A row of an answer."""

_MOST_BLOCKS: Final = 40
"""Blocks that a search looks into; where more may hold a text, it is frequent, or everything is read."""

_LAST_ROW: Final = 2**40
"""A row that no segment has."""

_MOST_SORTS: Final = 12
"""Sorts of files that are read apart."""


@dataclass(frozen=True, slots=True)
class Clause:
    """What is asked of one field."""

    field: str
    """Its name, of `FIELDS`."""

    value: str | None
    """What it holds; None asks whether it is there at all."""

    wanted: bool = True
    """Whether events are wanted of which this holds, or those of which it does not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Which events are meant."""

    text: str = ""
    """What stands somewhere in the line, whatever its case."""

    clauses: tuple[Clause, ...] = ()
    """What is asked of fields; all of it."""

    start: int | None = None
    """From when on, in nanoseconds; from the first when None."""

    end: int | None = None
    """Until before when; to the last when None."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bars:
    """How many events there were when."""

    start: int
    """When the first bar begins, in nanoseconds."""

    width: int
    """How long each is, in nanoseconds."""

    counts: tuple[int, ...]
    """How many events are in each."""


class Lookup:
    """The events of one run. May be asked by several threads, one after the other."""

    def __init__(self, folder: Path) -> None:
        """Look at a store, which may be empty and may grow.

        Args:
            folder: Its folder.
        """
        self._folder = folder
        self._connection = connected(memory_limit=MEMORY)
        for name in ("allocator_flush_threshold", "allocator_bulk_deallocation_flush_threshold"):
            self._connection.execute(f"SET {name} = {quoted(_GIVEN_BACK)}")
        self._lock = threading.Lock()
        self._seen: tuple[str, ...] | None = None
        self._columns: dict[str, frozenset[str]] = {}
        self._span: tuple[int, int] | None = None
        self._indexes: dict[str, LineIndex] = {}
        self._indexing: subprocess.Popen[bytes] | None = None

    def close(self) -> None:
        """Give the memory back; an index that is being made is left for another time."""
        with self._lock:
            self._connection.close()
        if self._indexing is not None:
            self._indexing.terminate()
            self._indexing.wait()

    # -- what is asked -----------------------------------------------------------------------------

    def span(self) -> tuple[int, int] | None:
        """Return when the first and the last event were, in nanoseconds; None without any."""
        if self._files() != self._seen or self._span is None:
            sql = 'SELECT epoch_ns(min("@timestamp")), epoch_ns(max("@timestamp")) FROM events'
            first, last = self._ask(sql, ())[0]
            self._span = None if first is None else (int(first), int(last))
        return self._span

    def count(self, asked: Asked) -> int:
        """Count events."""
        where, values = _where(asked)
        return int(self._ask(f"SELECT count(*) FROM events{where}", values)[0][0])  # noqa: S608 -- our own names

    def page(self, asked: Asked, fields: Sequence[str], *, skip: int = 0, size: int = 100) -> list[Event]:
        """Return some events, the newest first.

        Args:
            asked: Which.
            fields: What of them.
            skip: How many of the newest to leave out.
            size: How many at most.
        """
        held = self._by_index(asked)
        if held is not None:
            return self._rows([place for _, place in held[skip : skip + size]], fields)
        found: list[Row] = []
        for part in self._newest(asked):
            where, values = _where(part)
            order = '"@timestamp" DESC, filename DESC, file_row_number DESC'
            sql = f"SELECT filename, file_row_number FROM events{where} ORDER BY {order} LIMIT ? OFFSET ?"  # noqa: S608 -- our own names
            found = self._ask(sql, (*values, size, skip))
            if len(found) == size:
                break
        return self._rows(found, fields)

    def _newest(self, asked: Asked) -> Iterator[Asked]:
        """Narrow a question to the newest events, less and less: the rest need not be read for their page."""
        span = self.span()
        if span is not None:
            first, last = max(span[0], asked.start or span[0]), min(span[1], asked.end or span[1])
            if (last - first) * _NARROW > span[1] - span[0]:
                yield from (replace(asked, start=last - (last - first) // part) for part in (64, 16, 4))
        yield asked

    def _by_index(self, asked: Asked) -> list[tuple[int, Row]] | None:
        """Find all events that hold a text, the newest first, with when and where they are.

        None where the indexes cannot tell, or say that it is frequent: then it is found soon by reading.
        """
        blocks = self._blocks(asked.text) if tells(asked.text) else None
        if blocks is None or len(blocks) > _MOST_BLOCKS:
            return None
        if not blocks:
            return []
        with self._lock:
            self._refresh()
        where, values = _where(asked)
        names = {"@timestamp", "event.original", *(it.field for it in asked.clauses)}
        parts = [
            f'SELECT epoch_ns("@timestamp"), filename, file_row_number'  # noqa: S608 -- our own names
            f" FROM ({_selected((it.file,), self._columns.get(it.file, frozenset()), names=names)})"
            f"{where} AND file_row_number BETWEEN {it.first} AND {it.last}"
            for it in blocks
        ]
        found = self._ask(" UNION ALL ".join(parts), values * len(parts))
        return sorted(((int(at), (file, row)) for at, file, row in found), reverse=True)

    def _blocks(self, text: str) -> list[Block] | None:
        """Return the parts of the store that may hold a text; None while an index is missing."""
        found: list[Block] = []
        for file in self._files():
            if os.stat(file).st_size < LARGE:  # noqa: PTH116 -- asked for each segment of each search
                found.append(Block(file, 0, _LAST_ROW))
                continue
            index = self._indexes.get(file) or opened(file)
            if index is None:
                self._begin_indexing()
                return None
            self._indexes[file] = index
            found += index.holding(text)
        return found

    def _begin_indexing(self) -> None:
        if self._indexing is None or self._indexing.poll() is not None:
            self._indexing = begin(self._folder)

    def bars(self, asked: Asked, span: tuple[int, int], most: int = 120) -> Bars:
        """Count events over a span of time.

        Args:
            asked: Which.
            span: From when to when, in nanoseconds.
            most: How many bars at most.
        """
        start, width = _even(span, most)
        length = (span[1] - start) // width + 1
        held = self._by_index(asked)
        if held is not None:
            counted = Counter((at - start) // width for at, _ in held)
            return Bars(start=start, width=width, counts=tuple(counted[it] for it in range(length)))
        where, values = _where(asked)
        sql = f'SELECT (epoch_ns("@timestamp") - ?) // ? AS bar, count(*) FROM events{where} GROUP BY bar'  # noqa: S608 -- our own names
        found = {int(bar): int(count) for bar, count in self._ask(sql, (start, width, *values))}
        return Bars(start=start, width=width, counts=tuple(found.get(it, 0) for it in range(length)))

    def top(self, asked: Asked, field: str, most: int = 50) -> list[tuple[str | None, int]]:
        """Count events by the values of a field, the most frequent first.

        Args:
            asked: Which.
            field: By what.
            most: How many values.
        """
        where, values = _where(asked)
        each = f"unnest({_name(field)})" if _is_list(field) else _name(field)
        sql = f"SELECT value::VARCHAR, count(*) AS n FROM (SELECT {each} AS value FROM events{where}) GROUP BY value ORDER BY n DESC, value LIMIT {most:d}"  # noqa: S608, E501 -- our own names
        return [(value, int(count)) for value, count in self._ask(sql, values)]

    def event(self, identity: str, *, near: int | None = None) -> Event | None:
        """Return one event, whole; None when it is not there.

        Args:
            identity: Its `event.id`.
            near: When it happened, where that is known, in nanoseconds: that is quicker.
        """
        sql = 'SELECT filename, file_row_number FROM events WHERE "event.id" = ?'
        found: list[Row] = []
        if near is not None:
            found = self._ask(
                f'{sql} AND "@timestamp" = make_timestamp_ns(?)::TIMESTAMPTZ_NS', (identity, near)
            )
        whole = self._rows(found or self._ask(sql, (identity,)), ())
        return whole[0] if whole else None

    def events(self, identities: Sequence[str], fields: Sequence[str] = ()) -> list[Event]:
        """Return events by their ids, the earliest first.

        Args:
            identities: Their `event.id`.
            fields: What of them; all when empty.
        """
        marks = ", ".join("?" * len(identities))
        sql = f'SELECT filename, file_row_number FROM events WHERE "event.id" IN ({marks})'  # noqa: S608 -- marks
        found = self._rows(self._ask(sql, tuple(identities)), fields)
        return sorted(found, key=lambda it: int(str(it["@timestamp"])))

    def fresh(self, since: int) -> dict[str, int]:
        """Count events by log source that entered the store after a moment, in nanoseconds."""
        sql = 'SELECT "event.module", count(*) FROM events WHERE epoch_ns("event.ingested") > ? GROUP BY ALL'
        return {str(module): int(count) for module, count in self._ask(sql, (since,))}

    def last_by(self, field: str) -> dict[str, int]:
        """Return when the last event was, in nanoseconds, by the values of a field."""
        name = _name(field)
        sql = f'SELECT {name}, epoch_ns(max("@timestamp")) FROM events WHERE {name} IS NOT NULL GROUP BY ALL'  # noqa: S608 -- our own names
        return {str(value): int(moment) for value, moment in self._ask(sql, ())}

    def between(self, asked: Asked, first: str, second: str) -> list[tuple[str, str, int]]:
        """Count events by two fields together, the most frequent first; those that lack one are left out."""
        where, values = _where(asked)
        sql = f"SELECT a, b, count(*) AS n FROM (SELECT {_name(first)} AS a, {_name(second)} AS b FROM events{where}) WHERE a IS NOT NULL AND b IS NOT NULL GROUP BY a, b ORDER BY n DESC LIMIT 400"  # noqa: S608, E501 -- our own names
        return [(str(a), str(b), int(n)) for a, b, n in self._ask(sql, values)]

    # -- how ---------------------------------------------------------------------------------------

    def _rows(self, places: Sequence[Row], fields: Sequence[str]) -> list[Event]:
        """Read rows by where they stand, in that order."""
        names = list(dict.fromkeys(("@timestamp", "event.id", *fields))) if fields else list(FIELDS)
        read: dict[Row, Event] = {}
        for file in dict.fromkeys(file for file, _ in places):
            wanted = sorted(int(row) for one, row in places if one == file)
            kept = [it for it in names if it in self._columns.get(file, ())]
            shown = ", ".join(map(_read, kept))
            rows = (
                f"BETWEEN {wanted[0]} AND {wanted[-1]} AND file_row_number IN ({', '.join(map(str, wanted))})"
            )
            source = f"read_parquet({quoted(file)}, file_row_number = true)"
            sql = f"SELECT file_row_number, {shown} FROM {source} WHERE file_row_number {rows}"  # noqa: S608 -- our own names
            for row, *values in self._ask(sql, ()):
                read[file, row] = _event(kept, values)
        return [read[it] for it in places if it in read]

    def _ask(self, sql: str, values: Sequence[object]) -> list[Row]:
        """Ask, again when segments were merged away meanwhile."""
        with self._lock:
            for again in (True, False):
                self._refresh()
                try:
                    with duckdb_errors(sql), stopped_after(self._connection, sql, _SECONDS):
                        return self._answered(sql, list(values))
                except BadQuery:
                    if not again or self._files() == self._seen:
                        raise
        return []

    def _answered(self, sql: str, values: list[object]) -> list[Row]:
        """Ask with little memory; where lines are so long that it does not suffice, once with more."""
        try:
            return self._connection.execute(sql, values).fetchall()
        except OutOfMemory:
            self._connection.execute(f"SET memory_limit = {quoted(_MORE_MEMORY)}")
            self._connection.execute("SET threads = 1")
        try:
            return self._connection.execute(sql, values).fetchall()
        finally:
            self._connection.execute("SET threads = 2")
            self._connection.execute(f"SET memory_limit = {quoted(MEMORY)}")

    def _files(self) -> tuple[str, ...]:
        return tuple(str(it.path.resolve()) for it in present_segments(self._folder))

    def _refresh(self) -> None:
        """Show the segments that are there now."""
        files = self._files()
        if files == self._seen:
            return
        with duckdb_errors("events"):
            self._columns = {it: self._columns.get(it) or self._columns_of(it) for it in files}
            parts = [_selected(*it) for it in self._alike(files)] or [_selected((), frozenset())]
            self._connection.execute(f"CREATE OR REPLACE VIEW events AS {' UNION ALL '.join(parts)}")
        self._seen = files

    def _columns_of(self, file: str) -> frozenset[str]:
        """Return the columns of a segment in which anything stands; large ones have all there can be."""
        if os.stat(file).st_size < LARGE:  # noqa: PTH116 -- as above
            told = self._connection.execute(f"DESCRIBE FROM read_parquet({quoted(file)})").fetchall()
            return frozenset(str(it[0]) for it in told)
        filled = "sum(num_values) > sum(coalesce(stats_null_count, 0))"
        told = self._connection.execute(
            f"SELECT path_in_schema FROM parquet_metadata({quoted(file)}) GROUP BY ALL HAVING {filled}"  # noqa: S608 -- our own names
        ).fetchall()
        return frozenset(str(it[0]).partition(", list")[0] for it in told)

    def _alike(self, files: Sequence[str]) -> list[tuple[tuple[str, ...], frozenset[str], str]]:
        """Put files of the same columns together; all, where there are many sorts.

        DuckDB looks into each file before each question where it has to compare their columns.
        """
        sorts: dict[frozenset[str], list[str]] = {}
        for it in files:
            sorts.setdefault(self._columns[it], []).append(it)
        if len(sorts) > _MOST_SORTS:
            return [(tuple(files), frozenset().union(*sorts), "true")]
        return [(tuple(them), columns, "false") for columns, them in sorts.items()]


def _selected(
    files: Sequence[str],
    columns: frozenset[str],
    mixed: str = "false",
    *,
    names: Collection[str] = FIELDS.keys(),
) -> str:
    """Select columns of the schema from some files, with where each row stands; all of them, or some."""
    shown = ", ".join(
        f'"{name}"' if name in columns else f'NULL::{_TYPES[kind]} AS "{name}"'
        for name, kind in FIELDS.items()
        if name in names
    )
    if not files:
        return f"SELECT '' AS filename, 0::BIGINT AS file_row_number, {shown} WHERE false"
    listed = ", ".join(map(quoted, files))
    read = f"read_parquet([{listed}], union_by_name = {mixed}, filename = true, file_row_number = true)"
    return f"SELECT filename, file_row_number, {shown} FROM {read}"  # noqa: S608 -- our own names


def _even(span: tuple[int, int], most: int) -> tuple[int, int]:
    """Return when bars begin and how long each is: whole seconds, minutes or hours where that fits."""
    length = max(1, span[1] - span[0])
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400)
    fitting = (it * SECOND for it in steps if it * SECOND * most >= length)
    width = next(fitting, -(-length // most))
    return span[0] // width * width, width


def _is_list(field: str) -> bool:
    return FIELDS.get(field) in {"keywords", "ips"}


def _name(field: str) -> str:
    """Return a column.

    Raises:
        BadQuery: the schema has no such field.
    """
    if field not in FIELDS:
        raise BadQuery(field, said=f"{field!r} is no field of an event")
    return f'"{field}"'


def _read(field: str) -> str:
    """Return a column as Python reads it: moments as nanoseconds."""
    return f'epoch_ns("{field}")' if FIELDS[field] == "date" else f'"{field}"'


def _event(names: Sequence[str], values: Sequence[object]) -> Event:
    found: dict[str, Value] = {}
    for name, value in zip(names, values, strict=True):
        if isinstance(value, list):
            found[name] = tuple(map(str, value))
        elif isinstance(value, str | int | float | bool):
            found[name] = value
    return found


def _where(asked: Asked) -> tuple[str, tuple[object, ...]]:
    """Say what is asked in SQL, and the values that go with it."""
    parts: list[str] = []
    values: list[object] = []
    for bound, sign in ((asked.start, ">="), (asked.end, "<")):
        if bound is not None:
            parts.append(f'"@timestamp" {sign} make_timestamp_ns(?)::TIMESTAMPTZ_NS')
            values.append(bound)
    for clause in asked.clauses:
        said, given = _clause(clause)
        parts.append(said)
        values += given
    if asked.text:
        cased = asked.text.lower() != asked.text.upper()
        parts.append(_HAS_CASE if cased else _HAS)
        values.append(_as_pattern(asked.text) if cased else asked.text)
    return (f" WHERE {' AND '.join(parts)}" if parts else ""), tuple(values)


_HAS: Final = 'contains("event.original", ?)'
"""How digits and signs are looked for, which have no case: that is quicker."""

_HAS_CASE: Final = 'regexp_matches("event.original", ?)'
"""How letters are looked for, whatever their case: half as long as to lower all lines."""


def _as_pattern(text: str) -> str:
    """Write a text as a regular expression that matches it alone, whatever its case (RE2's syntax)."""
    signs = (it if it.isalnum() or ord(it) > _ASCII else f"\\x{{{ord(it):x}}}" for it in text)
    return "(?i)" + "".join(signs)


def _clause(clause: Clause) -> tuple[str, tuple[object, ...]]:
    name = _name(clause.field)
    if clause.value is None:
        return f"{name} IS {'NOT ' if clause.wanted else ''}NULL", ()
    if _is_list(clause.field):
        holds = f"list_contains({name}, ?)"
    elif FIELDS[clause.field] in {"keyword", "ip"}:
        holds = f"{name} = ?"
    else:
        holds = f"{name}::VARCHAR = ?"
    return (holds if clause.wanted else f"NOT coalesce({holds}, false)"), (clause.value,)
