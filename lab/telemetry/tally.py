"""How many events there are of what: counted by column, in one pass over any number of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lab.moment import Moment
from lab.telemetry.event import FIELDS
from lab.telemetry.events import Events
from lab.telemetry.table import ARROW, absent

COUNTED: Final = (
    "@timestamp",
    "event.module",
    "event.outcome",
    "host.name",
    "log.file.path",
    "source.ip",
)
"""The fields that are read."""


@dataclass(slots=True)
class Tally:
    """What was counted."""

    totals: Counter[str] = field(default_factory=Counter)
    """Log to its events."""

    buckets: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Log and place in time, from 0, to events."""

    stored: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Host and file to events."""

    sources: Counter[str] = field(default_factory=Counter)
    """Source address to events."""

    failures: Counter[str] = field(default_factory=Counter)
    """Source address to events whose outcome is a failure."""

    latest: Moment | None = None
    """When the last of them happened."""

    def add(self, events: Events, started: Moment, width: int) -> None:
        """Count some more.

        Args:
            events: The events.
            started: Where time begins.
            width: Nanoseconds that are counted together.
        """
        span = events.span()
        if span is None:
            return
        self.latest = Moment(max(span[1], self.latest or span[1]))
        module, host, path, source, outcome = (
            _texts(events, it)
            for it in ("event.module", "host.name", "log.file.path", "source.ip", "event.outcome")
        )
        stamps: Any = events.table["@timestamp"].cast(pa.int64())
        # Whole numbers beyond 2^53 lose their last digits as floats; of bars of seconds that changes nothing.
        since: Any = pc.cast(pc.subtract(stamps, int(started)), pa.float64(), safe=False)
        places = pc.cast(pc.floor(pc.divide(since, float(width))), pa.int64())
        for (log,), count in _counts(module):
            self.totals[log] += count
        for (log, place), count in _counts(module, places):
            self.buckets[log, place] += count
        for (name, file), count in _counts(host, path):
            self.stored[name, file] += count
        for (address, result), count in _counts(source, outcome):
            if address:
                self.sources[address] += count
                self.failures[address] += count if result == "failure" else 0


def _texts(events: Events, name: str) -> Any:  # noqa: ANN401  # a column of texts
    held = name in events.table.column_names
    column: Any = events.table[name] if held else absent(len(events), ARROW[FIELDS[name]])
    return pc.fill_null(column, "")


def _counts(*columns: Any) -> list[tuple[tuple[Any, ...], int]]:  # noqa: ANN401  # columns of any type
    names = [str(place) for place in range(len(columns))]
    counted = pa.table(list(columns), names=names).group_by(names).aggregate([([], "count_all")])
    rows = zip(*(counted[name].to_pylist() for name in (*names, "count_all")), strict=True)
    return [(row[:-1], row[-1]) for row in rows]
