"""Events on disk and in questions: Parquet segments, and DuckDB over them. Only importer of both.

A run's `events/` folder holds segments `00000001-00000001.parquet`: the numbers of the first and the
last batch inside. A batch is written under another name, synced and renamed, so a segment is whole or
absent. Compacting writes `00000001-00000480.parquet` and then removes what it covers; a reader leaves
out a segment whose numbers lie within those of another, so a kill in between doubles nothing.

Columns are ECS names with dots. Times are nanoseconds in UTC; addresses are text in one short form
(pandas, polars and DuckDB all read text; Parquet has no type for addresses). A segment has the
columns that its events need. In SQL times are `TIMESTAMPTZ`, in microseconds, since DuckDB's functions
know no finer ones.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lab.errors import BadFile, DiskFull, Problem
from lab.files import careful
from lab.moment import Moment
from lab.telemetry.event import ECS_VERSION, FIELDS, SCHEMA_VERSION, Event, FieldType, Value
from lab.telemetry.sources.reading import address

_ARROW: Final[dict[FieldType, pa.DataType]] = {
    "keyword": pa.string(),
    "keywords": pa.list_(pa.string()),
    "long": pa.int64(),
    "float": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.timestamp("ns", "UTC"),
    "ip": pa.string(),
}

_VERSIONS: Final[dict[str | bytes, str | bytes]] = {
    "homerange.schema": str(SCHEMA_VERSION),
    "homerange.ecs": ECS_VERSION,
}

SCHEMA: Final = pa.schema(
    [pa.field(name, _ARROW[kind]) for name, kind in FIELDS.items()],
    metadata=_VERSIONS,
)
"""The columns of every segment, and the versions written into it."""

_SEGMENT: Final = re.compile(r"(\d{8})-(\d{8})\.parquet")
_MERGE_EVERY: Final = 128
"""Batches after which the smallest segments become one: half a minute of a live run."""

_GROUP: Final = 65_536
"""Rows gathered before compacting writes them, which bounds its memory."""


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


def _events_of(table: pa.Table, values_of: Callable[..., list[Any]]) -> Iterator[Any]:
    """Turn rows back into events; absent fields are absent."""
    names = [name for name in table.column_names if name in FIELDS and table[name].null_count < len(table)]
    for row in zip(*(values_of(table[name], FIELDS[name]) for name in names), strict=True):
        yield {name: value for name, value in zip(names, row, strict=True) if value is not None}


def _values_of(column: pa.ChunkedArray[Any], kind: FieldType) -> list[Value | None]:
    if kind == "date":
        # Python's own times stop at microseconds; whole numbers keep every digit.
        numbers = column.cast(pa.int64()).to_pylist()
        return [None if number is None else Moment(number) for number in numbers]
    if kind == "keywords":
        return [None if words is None else tuple(words) for words in column.to_pylist()]
    return cast("list[Value | None]", column.to_pylist())


Plain = dict[str, object]
"""An event as JSON has it."""


def _plain_values(column: pa.ChunkedArray[Any], kind: FieldType) -> list[Any]:
    if kind == "date":
        return pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ").to_pylist()  # seconds with all nine decimals
    return column.to_pylist()


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
    """List the segments; what a link leads to is not ours.

    Raises:
        BadFile: the folder, or a segment, is a link.
    """
    for path in (folder, *folder.glob("*.parquet")):
        if path.is_symlink():
            raise BadFile(Problem(path=str(path), line=0, what="is a link; a run's folder must not have any"))
    found = ((_SEGMENT.fullmatch(path.name), path) for path in folder.glob("*.parquet"))
    return sorted(_Segment(first=int(m[1]), last=int(m[2]), path=path) for m, path in found if m)


def present_segments(folder: Path) -> list[_Segment]:
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
        self._merged = self._next

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
        self._write((_without_absent(table_of(events)),), self._next, self._next)
        self._next += 1
        if self._next - self._merged > _MERGE_EVERY:
            self._merge(self._merged)

    def _merge(self, first: int) -> None:
        """Merge the segments from a number on, so that a long run is not thousands of files."""
        segments = [it for it in present_segments(self._folder) if it.first >= first]
        self._write(_gathered(segments), segments[0].first, segments[-1].last)
        self._remove_covered()
        self._merged = self._next

    def __iter__(self) -> Iterator[Event]:
        """Read all events back, each time anew."""
        return self.events()

    def events(self, *, skip: int = 0) -> Iterator[Event]:
        """Read events back in the order they were stored, also while the store is compacted.

        Args:
            skip: How many of the first to leave out.
        """
        return self._resumed(skip, _values_of)

    def plain(self, *, skip: int = 0) -> Iterator[Plain]:
        """Read events back as JSON has them, times as ISO 8601: column by column, which is quicker.

        Args:
            skip: How many of the first to leave out.
        """
        return self._resumed(skip, _plain_values)

    def _resumed(self, done: int, values_of: Callable[..., list[Any]]) -> Iterator[Any]:
        """Read on where we were whenever the store is merged meanwhile; the order stays the same."""
        while True:
            try:
                for event in _read(self._folder, done, values_of):
                    done += 1
                    yield event
            except FileNotFoundError:
                continue
            return

    def count(self) -> int:
        """Count the events."""
        while True:
            try:
                return sum(map(_rows, present_segments(self._folder)))
            except FileNotFoundError:
                continue  # merged meanwhile

    def compact(self) -> None:
        """Merge all segments into one, and remove what an interrupted merge left."""
        segments = present_segments(self._folder)
        if len(segments) > 1:
            self._write(_gathered(segments), segments[0].first, segments[-1].last)
        self._remove_covered()

    def _write(self, tables: Iterable[pa.Table], first: int, last: int) -> None:
        path = self._folder / f"{first:08d}-{last:08d}.parquet"
        draft = path.with_suffix(".draft")
        with _disk_errors(self._folder):
            with careful.open_new(draft) as file:
                _write_tables(file, tables, use_dictionary=last > first)
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
        kept = {segment.path for segment in present_segments(self._folder)}
        for path in [
            *(segment.path for segment in _all_segments(self._folder)),
            *self._folder.glob("*.draft"),
        ]:
            if path not in kept:
                path.unlink(missing_ok=True)


def _write_tables(file: IO[bytes], tables: Iterable[pa.Table], *, use_dictionary: bool) -> None:
    """Write tables of one schema, that of the first."""
    waiting = iter(tables)
    first = next(waiting)
    with pq.ParquetWriter(file, first.schema, compression="zstd", use_dictionary=use_dictionary) as writer:
        writer.write_table(first)
        for table in waiting:
            writer.write_table(table)


def _without_absent(table: pa.Table) -> pa.Table:
    """Leave columns out that hold nothing: most events have a third of them."""
    return table.select([name for name in table.column_names if table[name].null_count < len(table)])


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    """Say of a segment that cannot be read which file it is.

    Raises:
        BadFile: it is not Parquet, or its columns are not those of events.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, OverflowError) as error:
        what = f"is no segment of events: {str(error).splitlines()[0] if str(error) else error!r}"
        raise BadFile(Problem(path=str(path), line=0, what=what)) from error


def _batches(segment: _Segment, size: int) -> Iterator[pa.Table]:
    with _file_errors(segment.path), pq.ParquetFile(segment.path) as file:
        for batch in file.iter_batches(batch_size=size):
            yield _plain(pa.Table.from_batches([batch]))


def _plain(table: pa.Table) -> pa.Table:
    """Give columns their types, whatever wrote them.

    Raises:
        pa.ArrowException: one cannot be of its type.
    """
    names = [name for name in table.column_names if name in FIELDS]
    for name in ("@timestamp", "event.id"):
        if name not in names or table[name].null_count:
            raise ValueError(f"it has events without {name}")
    return pa.table({name: table[name].cast(_ARROW[FIELDS[name]]) for name in names})


def _read(folder: Path, skip: int, values_of: Callable[..., list[Any]]) -> Iterator[Any]:
    for segment in present_segments(folder):
        rows = _rows(segment) if skip else 0
        if skip < rows or not skip:
            yield from islice(_events_in(segment, values_of), skip, None)
        skip = max(0, skip - rows)


def _events_in(segment: _Segment, values_of: Callable[..., list[Any]]) -> Iterator[Any]:
    for table in _batches(segment, _GROUP):
        with _file_errors(segment.path):
            yield from _events_of(table, values_of)


def _rows(segment: _Segment) -> int:
    with _file_errors(segment.path), pq.ParquetFile(segment.path) as file:
        return int(file.metadata.num_rows)


def _gathered(segments: Sequence[_Segment]) -> Iterator[pa.Table]:
    """Read segments of any schema version as tables with the columns that they have together."""
    present = {name for it in segments for name in _columns(it)}
    schema = pa.schema([field for field in SCHEMA if field.name in present], metadata=_VERSIONS)
    waiting: list[pa.Table] = []
    for segment in segments:
        for table in _batches(segment, _GROUP):
            waiting.append(_widened(table, schema))
            if sum(map(len, waiting)) >= _GROUP:
                yield pa.concat_tables(waiting)
                waiting = []
    if waiting:
        yield pa.concat_tables(waiting)


def _columns(segment: _Segment) -> list[str]:
    with _file_errors(segment.path), pq.ParquetFile(segment.path) as file:
        return list(file.schema_arrow.names)


def _widened(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Give a table the columns it lacks."""
    held = set(table.column_names)
    columns = [
        table[field.name] if field.name in held else _absent(len(table), field.type) for field in schema
    ]
    return pa.table(columns, schema=schema)
