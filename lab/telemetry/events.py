"""Events that came together, as columns; as single events only where somebody needs these."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lab.moment import Moment
from lab.telemetry.event import UNPARSED, Event
from lab.telemetry.table import absent, constant, events_of, joined, table_of, where, with_columns


class Events:
    """A batch of events. It does not change; what is added makes another."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        """Columns named like ECS fields, those that the batch needs."""

    @classmethod
    def of(cls, events: Iterable[Event]) -> Events:
        """Make a batch of single events.

        Raises:
            ValueError: a field is not of the schema, or an address is not in its short form.
        """
        return cls(table_of(list(events)))

    @classmethod
    def all_of(cls, batches: Sequence[Events]) -> Events:
        """Put batches behind one another."""
        filled = [it.table for it in batches if len(it)]
        return cls(joined(filled)) if filled else cls.of(())

    def __len__(self) -> int:
        """Count them."""
        return len(self.table)

    def __iter__(self) -> Iterator[Event]:
        """Give them one by one."""
        return iter(events_of(self.table))

    def at(self, places: Sequence[int]) -> list[Event]:
        """Give those at some places, in that order."""
        return list(events_of(self.table.take(pa.array(places, pa.int64())))) if places else []

    def stored(self, now: Moment) -> Events:
        """Return the same events, which enter the store now."""
        return Events(with_columns(self.table, {"event.ingested": constant(int(now), "date", len(self))}))

    def chosen(self, places: Sequence[int]) -> Events:
        """Return a batch of those at some places, in that order."""
        if len(places) == len(self):
            return self
        return Events(self.table.take(pa.array(places, pa.int64())))

    def part(self, begin: int, count: int) -> Events:
        """Return a batch of so many from a place on."""
        return Events(self.table.slice(begin, count))

    def only(self, names: Collection[str]) -> Events:
        """Return the same events with some of their fields: the fewer, the quicker they are read.

        Args:
            names: The fields; those that no event has are left out.
        """
        return Events(self.table.select([it for it in self.table.column_names if it in names]))

    def by_arrival(self) -> Events:
        """Return the same events in the order in which they entered the store.

        One that does not say when that was entered it when it happened.
        """
        if not len(self):
            return self
        entered: Any = pc.coalesce(self.table["event.ingested"], self.table["@timestamp"])
        known = with_columns(self.table, {"event.ingested": entered})
        order: Any = pc.sort_indices(entered.cast(pa.int64()))  # a stable sort
        return Events(known.take(order))

    def said(self) -> Iterator[str]:
        """Give every word and number in them, each at least once."""
        for column in self.table.columns:
            if pa.types.is_timestamp(column.type):
                continue
            flat = pc.list_flatten(column) if pa.types.is_list(column.type) else column
            yield from (str(it) for it in pc.unique(flat).drop_null().to_pylist())

    def span(self) -> tuple[int, int] | None:
        """Return when the first and the last of them happened, in nanoseconds; None when there are none."""
        if not len(self):
            return None
        found: Any = pc.min_max(self.table["@timestamp"].cast(pa.int64()))
        return int(found["min"].as_py()), int(found["max"].as_py())

    def after_line(self, number: int) -> Events:
        """Return those of lines behind a number."""
        if not number or not len(self):
            return self
        later: Any = pc.greater(self.table["homerange.line"], pa.scalar(number, pa.int64()))
        return Events(self.table.filter(later))

    def of_their_hosts(self) -> Events:
        """Return the same events, each of the host that its line names, where it names one."""
        if "log.syslog.hostname" not in self.table.column_names:
            return self
        named = pc.coalesce(self.table["log.syslog.hostname"], self.table["host.name"])
        return Events(with_columns(self.table, {"host.name": named}))

    def unparsed(self, most: int) -> list[Event]:
        """Return the first of those that say that a line could not be read."""
        return self.at(self.where("event.kind", [UNPARSED])[: max(0, most)])

    def rewritten(self, change: Callable[[str], str]) -> Events:
        """Return the same events, each text in them changed; ids stay.

        Args:
            change: From a text to another; asked once of each.
        """
        changed = {
            name: _rewritten(self.table[name].combine_chunks(), change)
            for name in self.table.column_names
            if name != "event.id"
        }
        return Events(with_columns(self.table, {name: it for name, it in changed.items() if it is not None}))

    def column(self, name: str) -> list[Any]:
        """Return a field of every event, None where it is absent; a time is a number of nanoseconds."""
        if name not in self.table.column_names:
            return [None] * len(self)
        column = self.table[name]
        return (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()

    def where(self, name: str, values: Iterable[str]) -> list[int]:
        """Return the places of the events of which a field has one of some values."""
        column = self.table[name] if name in self.table.column_names else absent(len(self), pa.string())
        wanted = pa.array(sorted(values), pa.string())
        return where(pc.is_in(column, value_set=wanted))


def _rewritten(column: Any, change: Callable[[str], str]) -> Any:  # noqa: ANN401  # Arrow's columns
    """Change each text of a column; None for one that holds none."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_list(column.type):
        values = _rewritten(column.values, change)
        return (
            None
            if values is None
            else pa.ListArray.from_arrays(column.offsets, values, mask=column.is_null())
        )
    if not pa.types.is_string(column.type):
        return None
    coded = column.dictionary_encode()
    texts = [None if it is None else change(it) for it in coded.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(coded.indices)
