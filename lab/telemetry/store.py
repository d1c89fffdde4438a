"""Events on disk: Parquet segments.

A run's `events/` folder holds segments `00000001-00000001.parquet`: the numbers of the first and the
last batch inside. A batch is written under another name, synced and renamed, so a segment is whole or
absent. Compacting writes `00000001-00000480.parquet` and then removes what it covers; a reader leaves
out a segment whose numbers lie within those of another, so a kill in between doubles nothing.

A segment has the columns that its events need (`lab.telemetry.table`). In SQL times are `TIMESTAMPTZ`, in
microseconds, since DuckDB's functions know no finer ones.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import dataset

from lab.errors import BadFile, DiskFull, Problem
from lab.files import careful
from lab.moment import Moment
from lab.telemetry.event import Event
from lab.telemetry.events import Events
from lab.telemetry.order import in_order
from lab.telemetry.segments import Segment, all_segments, present_segments
from lab.telemetry.table import (
    NEEDED,
    SCHEMA,
    Plain,
    ValuesOf,
    checked,
    events_of,
    gathered,
    plain_values,
    schema_of,
    stamp,
    values,
    widened,
    without_absent,
)
from lab.telemetry.tally import COUNTED, Tally

_AT_A_TIME: Final = 50_000
"""Events that are read together."""

_MERGE_EVERY: Final = 128
"""Batches after which small segments become one: half a minute of a live run."""

_BATCH: Final = 16_384
"""Rows that are read at once: whole events of web servers take 2 kB each while they are decoded."""

_GROUP: Final = 65_536
"""Rows gathered before compacting writes them, if they are small."""

_GATHERED: Final = 64_000_000
"""Bytes gathered before compacting writes them, which bounds its memory."""

_LARGE: Final = 50_000
"""Rows from which on a segment stays as it is: to write it again would cost more than it saves."""

_TIDY_AFTER: Final = 100_000
"""Rows after which small segments become one, however few they are."""

_FEW: Final = 2_000
"""Rows below which a list of distinct words takes longer than it saves."""

_DISTINCT: Final = frozenset({"event.id", "event.original", "message", "homerange.line", "@timestamp"})
"""Columns in which few values come twice."""

_LARGEST: Final = 1_000_000
"""Rows that merging puts into one segment at most."""


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


_ARRIVALS: Final = ("event.module", "event.ingested", "@timestamp")
"""Fields that say what arrives, and when."""


class Store:
    """The events of one run. One process writes; any number read meanwhile.

    One thread appends; another may tidy up beside it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._next = 1 + max((segment.last for segment in all_segments(folder)), default=0)
        self._merged = self._next
        self._appended = self._tidied = 0

    def append(self, events: Events) -> Events:
        """Write one batch; when this returns it is on disk. No events, no batch.

        Returns:
            The events with `event.ingested`, so that who goes on with them knows when they were stored.

        Raises:
            DiskFull: no space is left; nothing of the batch is stored.
        """
        if not len(events):
            return events
        stored = events.stored(Moment.now())
        fitted = _whole if len(stored) >= _LARGE else without_absent
        self._write((fitted(stored.table),), self._next, self._next)
        self._appended += len(stored)
        self._next += 1
        return stored

    def rewrite(self, folder: Path, change: Callable[[str], str]) -> None:
        """Write all events into another folder, each text in them changed; when they were stored stays.

        Args:
            folder: An empty one.
            change: From a text to another.
        """
        other = Store(folder)
        for number, events in enumerate(self.batches(), 1):
            other._write((events.rewritten(change).table,), number, number)

    def tidy(self) -> None:
        """Merge what has come since, once it is much: a long run is not thousands of files."""
        rows, end = self._appended, self._next
        if rows - self._tidied >= _TIDY_AFTER or end - self._merged > _MERGE_EVERY:
            self._merge(self._merged, at_the_end=False)
            self._tidied, self._merged = rows, end

    def _merge(self, first: int, *, at_the_end: bool) -> None:
        """Merge small segments from a number on; with all columns only at the end: that takes longer."""
        for segments in _small([it for it in present_segments(self._folder) if it.first >= first]):
            whole = at_the_end and sum(map(_rows, segments)) >= _LARGE
            schema = SCHEMA if whole else _schema_of(segments)
            self._write(_gathered(segments, schema), segments[0].first, segments[-1].last)
        self._remove_covered()

    def _remove_covered(self) -> None:
        kept = {it.path for it in present_segments(self._folder)}
        for it in all_segments(self._folder):
            if it.path not in kept:
                it.path.unlink(missing_ok=True)

    def __iter__(self) -> Iterator[Event]:
        """Read all events back, each time anew."""
        return self.events()

    def events(self, *, skip: int = 0) -> Iterator[Event]:
        """Read events back in the order they were stored, also while the store is compacted.

        Args:
            skip: How many of the first to leave out.
        """
        return self._resumed(skip, values)

    def plain(self, *, skip: int = 0) -> Iterator[Plain]:
        """Read events back as JSON has them, times as ISO 8601: column by column, which is quicker.

        Args:
            skip: How many of the first to leave out.
        """
        return self._resumed(skip, plain_values)

    def _resumed(self, done: int, values_of: ValuesOf) -> Iterator[Any]:
        """Read on where we were whenever the store is merged meanwhile; the order stays the same."""
        while True:
            try:
                for event in _read(self._folder, done, values_of):
                    done += 1
                    yield event
            except FileNotFoundError:
                continue
            return

    def batches(self) -> Iterator[Events]:
        """Read all events in the order in which they entered, in batches; nobody merges meanwhile."""
        return map(Events, self._scan())

    def stored_after(self, moment: Moment) -> Iterator[Events]:
        """Read what entered after a moment: log, time and when it entered; others may store meanwhile."""
        later: Any = pc.greater(pc.field("event.ingested"), stamp(int(moment)))
        while True:
            try:
                found = [Events(it) for it in self._scan(_ARRIVALS, later) if len(it)]
            except FileNotFoundError:
                continue
            yield from found
            return

    def in_order(self, size: int = _AT_A_TIME) -> Iterator[Events]:
        """Read all events in the order in which they happened, in batches of about that many; one is held."""
        return in_order(self._scan, self._folder, size)

    def some(
        self, columns: Iterable[str], *, span: tuple[int, int] | None, ids: Collection[str]
    ) -> Iterator[Event]:
        """Read some fields of those events that happened in a span of time, or have one of some ids.

        What is not asked for is not read: of a large run that is nearly everything.

        Args:
            columns: The fields.
            span: From when to when, in nanoseconds, both included; none when None.
            ids: What else is wanted.
        """
        wanted: Any = pc.is_in(pc.field("event.id"), value_set=pa.array(sorted(ids), pa.string()))
        if span is not None:
            moment = pc.field("@timestamp")
            wanted = wanted | ((moment >= stamp(span[0])) & (moment <= stamp(span[1])))
        names = [name for name in SCHEMA.names if name in set(columns)]
        for table in self._scan(names, wanted):
            yield from events_of(table)

    def tally(self, started: Moment, width: int) -> Tally:
        """Count all events by log, file, address and time, column by column.

        Args:
            started: Where time begins.
            width: Nanoseconds that are counted together.
        """
        found = Tally()
        for table in self._scan(COUNTED):
            found.add(Events(table), started, width)
        return found

    def last_line(self, file: str) -> int:
        """Return the highest number of the lines of a file that events are of; 0 when there are none."""
        held: Any = pc.starts_with(pc.field("event.id"), file)
        tables = self._scan(["homerange.line"], held)
        return max((int(pc.max(it["homerange.line"]).as_py() or 0) for it in tables), default=0)

    def _scan(
        self,
        columns: Sequence[str] = tuple(SCHEMA.names),
        wanted: Any = None,  # noqa: ANN401  # Arrow's expression has no public type
    ) -> Iterator[pa.Table]:
        """Read some columns of all segments, or of those events that are wanted, batch by batch."""
        segments = present_segments(self._folder)
        if wanted is None:  # file by file: a scanner reads ahead without bounds where its reader is slow
            schema = schema_of(columns)
            for it in segments:
                for table in _batches(it, _BATCH, columns):
                    yield widened(table, schema)
            return
        if not segments:
            return
        with _file_errors(self._folder):
            files = [str(it.path) for it in segments]
            found = dataset.dataset(files, schema=SCHEMA, format="parquet")
            for it in found.get_fragments(wanted):
                for batch in it.to_batches(
                    SCHEMA, columns=list(columns), filter=wanted, batch_size=_BATCH, batch_readahead=1
                ):
                    yield pa.Table.from_batches([batch])

    def count(self) -> int:
        """Count the events."""
        while True:
            try:
                return sum(map(_rows, present_segments(self._folder)))
            except FileNotFoundError:
                continue  # merged meanwhile

    def compact(self) -> None:
        """Merge small segments, and remove what an interrupted merge left; nobody appends meanwhile.

        Where several remain, each gets every column: many readers take the columns of a folder from its
        first file.
        """
        self._merge(0, at_the_end=True)
        for draft in self._folder.glob("*.draft"):
            draft.unlink(missing_ok=True)
        segments = present_segments(self._folder)
        for it in segments if len(segments) > 1 else ():
            if len(_columns(it)) < len(SCHEMA.names):
                self._write(_gathered([it], SCHEMA), it.first, it.last)

    def _write(self, tables: Iterable[pa.Table], first: int, last: int) -> None:
        path = self._folder / f"{first:08d}-{last:08d}.parquet"
        draft = path.with_suffix(".draft")
        with _disk_errors(self._folder):
            with careful.open_new(draft) as file:
                _write_tables(file, tables)
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


def _whole(table: pa.Table) -> pa.Table:
    return widened(table, SCHEMA)


def _small(segments: Sequence[Segment]) -> Iterator[list[Segment]]:
    """Group neighbours that are to become one segment: each small, and all together not too large."""
    group: list[Segment] = []
    rows = 0
    for segment in segments:
        own = _rows(segment)
        if group and (own >= _LARGE or rows + own > _LARGEST):
            yield from [group] if len(group) > 1 else []
            group, rows = [], 0
        if own < _LARGE:
            group.append(segment)
            rows += own
    if len(group) > 1:
        yield group


def _write_tables(file: IO[bytes], tables: Iterable[pa.Table]) -> None:
    """Write tables of one schema, that of the first; words that come again and again are written once."""
    waiting = iter(tables)
    first = next(waiting)
    repeats: Any = [name for name in first.column_names if len(first) > _FEW and _repeats(first, name)]
    options: dict[str, Any] = {
        "compression": "zstd",
        "use_dictionary": repeats or False,
    }
    with pq.ParquetWriter(file, first.schema, **options) as writer:
        writer.write_table(first)
        del first  # each is let go before the next is made, since they may be large
        while (table := next(waiting, None)) is not None:
            writer.write_table(table)
            del table


def _repeats(table: pa.Table, name: str) -> bool:
    return name not in _DISTINCT and table[name].null_count < len(table)


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


def _batches(segment: Segment, size: int, columns: Sequence[str] = ()) -> Iterator[pa.Table]:
    """Read a segment batch by batch: all of it, or some columns, as far as it has them."""
    with _file_errors(segment.path), pq.ParquetFile(segment.path) as file:
        held = [name for name in file.schema_arrow.names if name in columns] if columns else None
        for batch in file.iter_batches(batch_size=size, columns=held):
            yield checked(pa.Table.from_batches([batch]), columns or NEEDED)


def _read(folder: Path, skip: int, values_of: ValuesOf) -> Iterator[Any]:
    for segment in present_segments(folder):
        rows = _rows(segment) if skip else 0
        if skip < rows or not skip:
            yield from islice(_events_in(segment, values_of), skip, None)
        skip = max(0, skip - rows)


def _events_in(segment: Segment, values_of: ValuesOf) -> Iterator[Any]:
    for table in _batches(segment, _GROUP):
        with _file_errors(segment.path):
            yield from events_of(table, values_of)


def _rows(segment: Segment) -> int:
    with _file_errors(segment.path), pq.ParquetFile(segment.path) as file:
        return int(file.metadata.num_rows)


def _schema_of(segments: Sequence[Segment]) -> pa.Schema:
    return schema_of([name for it in segments for name in _columns(it)])


def _gathered(segments: Sequence[Segment], schema: pa.Schema) -> Iterator[pa.Table]:
    """Read segments of any schema version as tables of one schema, neither many nor large."""
    tables = (widened(table, schema) for it in segments for table in _batches(it, _BATCH))
    return gathered(tables, size=_GATHERED, rows=_GROUP)


def _columns(segment: Segment) -> list[str]:
    with _file_errors(segment.path), pq.ParquetFile(segment.path) as file:
        return list(file.schema_arrow.names)
