"""Lines to events, as columns: what a source reads at once, and what it reads line by line, in one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lab.telemetry.event import UNPARSED, Event, Quick, Source, parsed
from lab.telemetry.events import Events
from lab.telemetry.helpers import Helpers
from lab.telemetry.lines import Lines, identities
from lab.telemetry.quick import TAKEN, QuickReader
from lab.telemetry.table import constant, schema_of, table_of, where, widened, with_columns

WORTHWHILE: Final = 400
"""Lines from which on reading them at once takes less time than one by one: a query costs some 5 ms."""

TakenAtOnce = pa.Table
"""What was read at once of some lines: a row for each, with its fields, and whether it was read."""

_STITCHES: Final = 100
"""Rows up to which laying them between others is quicker than copying all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What some lines gave."""

    events: Events
    """The events, in the order of their lines, with all that every event carries."""

    read: int
    """How many lines there were."""

    unparsed: int
    """How many of the events say that a line could not be read."""


class AtOnce:
    """Reads what a source can read at once, of all its files together: a query costs as much for few."""

    def __init__(self, source: Source, *, worthwhile: int = WORTHWHILE) -> None:
        """Prepare.

        Args:
            source: What reads the lines.
            worthwhile: Lines from which on they are read at once, by a source that can.
        """
        self._worthwhile = worthwhile
        self._quick = QuickReader(source.quick) if isinstance(source.quick, Quick) else None

    def read(self, files: Sequence[Lines]) -> list[TakenAtOnce | None]:
        """Read lines of some files; for each a row for each line, or None where nothing was read at once."""
        if self._quick is None or sum(map(len, files)) < self._worthwhile:
            return [None] * len(files)
        texts = pa.concat_arrays([it.texts for it in files])
        found = self._quick.read(texts, files[-1].created)
        ends = list(accumulate(map(len, files)))
        return [found.slice(end - len(it), len(it)) for it, end in zip(files, ends, strict=True)]

    def close(self) -> None:
        """Give the memory back."""
        if self._quick:
            self._quick.close()


class Reader:
    """Reads the lines of one file, batch after batch."""

    def __init__(self, source: Source, *, helpers: Helpers | None = None) -> None:
        """Prepare to read one file.

        Args:
            source: What reads its lines.
            helpers: Who reads with us, where many lines are to be read one by one.
        """
        self.source = source
        self._helpers = helpers
        self._last: Lines | None = None

    def read(self, lines: Lines, quick: TakenAtOnce | None = None) -> Reading:
        """Read lines to whole events; one that does not parse becomes an event that says so.

        Args:
            lines: What to read.
            quick: What `AtOnce` has read of them; without it, they are read one by one.
        """
        self._last = lines
        every = range(len(lines))
        left = every if quick is None else _left(quick)
        places: Sequence[int]
        found, places, unparsed = self._one_by_one(lines, left)
        if quick is not None:
            found = _together(quick.drop_columns([TAKEN]), left, found, places)
            silent = set(left).difference(places)
            places = [place for place in range(len(lines)) if place not in silent] if silent else every
        return Reading(
            events=Events(_complete(found, lines, places, self.source.name)),
            read=len(lines),
            unparsed=unparsed,
        )

    def _one_by_one(self, lines: Lines, left: Sequence[int]) -> tuple[pa.Table, list[int], int]:
        if self._helpers and self._helpers.worthwhile(self.source, len(left)):
            helped = self._helpers.read(self.source, lines, left)
            return helped.events, helped.places, helped.unparsed
        places: list[int] = []
        events: list[Event] = []
        unparsed = 0
        for place, line in zip(left, lines.at(left), strict=True):
            event = parsed(self.source, line)
            if event is not None:
                unparsed += event.get("event.kind") == UNPARSED
                places.append(place)
                events.append(event)
        return table_of(events), places, unparsed

    def rest(self) -> Events:
        """Give the events that waited for lines that do not come any more."""
        events = list(self.source.rest())
        if not events or self._last is None:
            return Events.of(())
        places = [0] * len(events)
        return Events(_complete(table_of(events), self._last.last(), places, self.source.name))


def _left(quick: pa.Table) -> list[int]:
    """Return the places of the lines that were not read at once."""
    return where(pc.invert(quick[TAKEN]))


def _together(quick: pa.Table, left: Sequence[int], slow: pa.Table, places: Sequence[int]) -> pa.Table:
    """Put what was read at once, and what was not, in the order of the lines.

    Args:
        quick: A row for each line; those of `left` mean nothing.
        left: The places of the lines that were not read at once, rising.
        slow: What was read line by line.
        places: Of which lines: those of `left` that are events.
    """
    if not left:
        return quick
    schema = schema_of([*quick.column_names, *slow.column_names])
    many, few = widened(quick, schema), widened(slow, schema)
    if len(left) <= _STITCHES:
        return pa.concat_tables(_stitched(many, left, few, places))
    order: list[int | None] = list(range(len(many)))
    for place in left:
        order[place] = None
    for row, place in enumerate(places, len(many)):
        order[place] = row
    wanted = pa.array([row for row in order if row is not None], pa.int64())
    return pa.concat_tables([many, few]).take(wanted)


def _stitched(
    many: pa.Table, left: Sequence[int], few: pa.Table, places: Sequence[int]
) -> Iterator[pa.Table]:
    """Lay a few rows between many, which copies nothing."""
    row_of = {place: row for row, place in enumerate(places)}
    begin = 0
    for place in left:
        yield many.slice(begin, place - begin)
        if place in row_of:
            yield few.slice(row_of[place], 1)
        begin = place + 1
    yield many.slice(begin)


def _complete(found: pa.Table, lines: Lines, places: Sequence[int], module: str) -> pa.Table:
    """Add what every event carries: where it came from, its original text and its id.

    What the source has set is kept.

    Args:
        found: What the source has set.
        lines: The lines they are of.
        places: The line of each event.
        module: What the source is called.
    """
    count, texts = len(found), lines.texts
    numbers: pa.Array[Any] = pa.array(lines.numbers, pa.int64())
    if len(places) < len(lines):
        texts, numbers = (it.take(pa.array(places, pa.int64())) for it in (texts, numbers))
    created = constant(int(lines.created), "date", count)
    usual: dict[str, Any] = {
        "@timestamp": created,
        "event.created": created,
        "event.kind": constant("event", "keyword", count),
        "event.module": constant(module, "keyword", count),
        "event.original": texts,
        "message": texts,
        "log.file.path": constant(lines.path, "keyword", count),
        "homerange.line": numbers,
        "host.name": constant(lines.host, "keyword", count),
    }
    held = {name: found[name] for name in found.column_names}
    whole = {name: _or(held.get(name), usual[name]) for name in usual}
    whole["event.id"] = identities(lines.file, whole["homerange.line"].to_pylist())
    return with_columns(found, whole)


def _or(own: pa.ChunkedArray[Any] | None, usual: Any) -> Any:  # noqa: ANN401  # any array
    return usual if own is None else own if not own.null_count else pc.coalesce(own, usual)
