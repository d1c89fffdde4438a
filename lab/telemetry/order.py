"""Stored events in the order in which they happened, however they came, in bounded memory.

Minutes are counted first, and joined to spans that hold about as many events as memory may. Where segments
follow one another in time, as those of one log do, each span is looked up by itself. Where they do not (files
of many months at once), that would read all of them for each span: so the events are dealt out to a file for
each span, in one pass, and each is sorted as it is read. A minute that holds too many is ordered by itself in
the same way, by parts of a minute, down to a single moment, whose events come as they are stored.
"""

from __future__ import annotations

import shutil
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from lab.moment import SECOND
from lab.telemetry.events import Events
from lab.telemetry.table import SCHEMA, gathered, joined, schema_of, stamp, widened, without_absent

MINUTE: Final = 60 * SECOND
"""In nanoseconds."""

_FINER: Final = 1000
"""Into how many parts a minute is cut that holds too many events, and each of these again."""

_SCATTERED: Final = 4
"""How many times the events would be read, span by span, before dealing them out is quicker."""

_HELD: Final = 64_000_000
"""Bytes that are dealt out together."""

_DEALT: Final = ".sorting"
"""The folder of what is dealt out; a kill may leave it, and the next who sorts removes it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A stretch of time."""

    begin: int
    """Nanoseconds."""

    end: int
    """Nanoseconds; it is over before."""

    rows: int
    """Events in it."""


class Scan(Protocol):
    """Reads stored events, batch by batch."""

    def __call__(self, columns: Sequence[str] = ..., wanted: Any = ...) -> Iterator[pa.Table]:  # noqa: ANN401  # Arrow's expression has no public type
        """Read some columns of those events that are wanted."""
        ...


def in_order(scan: Scan, folder: Path, size: int, unit: int = MINUTE) -> Iterator[Events]:
    """Read all events by when they happened, in batches of about so many; those of one moment as they came.

    Args:
        scan: Reads them.
        folder: Where they are; holds what is dealt out, for a while.
        size: Events of a batch.
        unit: Nanoseconds that are counted together at first.
    """
    counted: Counter[int] = Counter()
    batches: list[tuple[int, int, int]] = []
    for table in scan(["@timestamp"]):
        found = _counted(table, unit)
        counted.update(found)
        if found:
            batches.append((table.num_rows, min(found) * unit, max(found) * unit))
    spans = list(_spans(counted, unit, size))
    read = _looked_up if _passes(batches, spans) <= _SCATTERED else _dealt_out
    for span, part in read(scan, folder, spans):
        if span.rows <= 2 * size:
            yield _sorted(joined([SCHEMA.empty_table(), *part()]))
        elif unit > 1:
            yield from in_order(part, folder / _DEALT, size, max(1, unit // _FINER))
        else:
            yield from map(_sorted, part())


def _sorted(table: pa.Table) -> Events:
    # Columns that hold nothing are left out before, since they would be sorted too.
    held = without_absent(table) if len(table) else table
    return Events(held.sort_by([("@timestamp", "ascending"), ("event.id", "ascending")]))


def _counted(table: pa.Table, unit: int) -> Counter[int]:
    stamps: Any = table["@timestamp"].cast(pa.int64())
    counted = pc.value_counts(pc.divide(stamps, unit)).to_pylist()
    return Counter({it["values"]: it["counts"] for it in counted})


def _spans(counted: Mapping[int, int], unit: int, size: int) -> Iterator[Span]:
    """Join units to spans of about some size; one that holds more is a span of its own."""
    begin, rows = 0, 0
    known = sorted(counted)
    for place, it in enumerate(known):
        begin = begin if rows else it
        rows += counted[it]
        if place == len(known) - 1 or rows + counted[known[place + 1]] > size:
            yield Span(begin=begin * unit, end=(it + 1) * unit, rows=rows)
            rows = 0


def _passes(batches: Sequence[tuple[int, int, int]], spans: Sequence[Span]) -> float:
    """Tell how many times all events would be read if each span were looked up by itself."""
    begins = [it.begin for it in spans]
    read = total = 0
    for rows, earliest, latest in batches:
        read += rows * (bisect_right(begins, latest) - bisect_right(begins, earliest) + 1)
        total += rows
    return read / total if total else 0


def _looked_up(scan: Scan, _: Path, spans: Sequence[Span]) -> Iterator[tuple[Span, Scan]]:
    moment = pc.field("@timestamp")
    for it in spans:
        yield it, partial(_narrowed, scan, (moment >= stamp(it.begin)) & (moment < stamp(it.end)))


def _narrowed(
    scan: Scan,
    held: Any,  # noqa: ANN401  # Arrow's expression has no public type
    columns: Sequence[str] = tuple(SCHEMA.names),
    wanted: Any = None,  # noqa: ANN401
) -> Iterator[pa.Table]:
    return scan(columns, held if wanted is None else held & wanted)


def _dealt_out(scan: Scan, folder: Path, spans: Sequence[Span]) -> Iterator[tuple[Span, Scan]]:
    begins = [it.begin for it in spans]
    dealt = folder / _DEALT
    shutil.rmtree(dealt, ignore_errors=True)
    dealt.mkdir(parents=True)
    try:
        for table in gathered(map(without_absent, scan()), size=_HELD):
            for place, part in _parts(table, begins):
                _put(dealt / f"{place}.arrow", part)
        for place, span in enumerate(spans):
            path = dealt / f"{place}.arrow"
            yield span, partial(_from_file, path)
            path.unlink()
    finally:
        shutil.rmtree(dealt, ignore_errors=True)


def _from_file(
    path: Path,
    columns: Sequence[str] = tuple(SCHEMA.names),
    wanted: Any = None,  # noqa: ANN401  # Arrow's expression has no public type
) -> Iterator[pa.Table]:
    schema = schema_of(columns)
    for table in _parts_in(path):
        yield widened(table if wanted is None else table.filter(wanted), schema)


def _put(path: Path, part: pa.Table) -> None:
    """Write a part behind others, as a stream of its own: each has its own columns."""
    options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
    with path.open("ab") as file, pa.ipc.new_stream(file, part.schema, options=options) as writer:
        writer.write_table(part)


def _parts_in(path: Path) -> Iterator[pa.Table]:
    size = path.stat().st_size
    with path.open("rb") as file:
        while file.tell() < size:
            with pa.ipc.open_stream(file) as reader:
                yield reader.read_all()


def _parts(table: pa.Table, begins: Sequence[int]) -> Iterator[tuple[int, pa.Table]]:
    """Split events by the span that they are of; all are moved at once, since each move has its price."""
    stamps: list[Any] = table["@timestamp"].cast(pa.int64()).to_pylist()
    places = [bisect_right(begins, it) - 1 for it in stamps]
    rows = sorted(range(len(places)), key=places.__getitem__)
    ordered, at = table.take(pa.array(rows, pa.int64())), 0
    for place, count in sorted(Counter(places).items()):
        yield place, ordered.slice(at, count)
        at += count
