"""Other processes that read lines as well: Python reads on one processor only, and a machine has several.

A helper is handed lines as an Arrow stream and gives events as another. It ends when we hang up, however we
end.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, Final

import pyarrow as pa

from lab.moment import Moment
from lab.telemetry.event import UNPARSED, Event, Line, Source, parsed
from lab.telemetry.lines import Lines
from lab.telemetry.table import joined, table_of

_SERVE: Final = "from lab.telemetry.helpers import serve; serve()"
_LENGTH: Final = struct.Struct("<Q")
_PLACE: Final = "#place"

_WORTHWHILE: Final = 5000
"""Lines from which on handing them over saves time; to start a helper takes half a second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Helped:
    """What helpers read."""

    events: pa.Table
    """The fields that lines have."""

    places: list[int]
    """The place of each event's line."""

    unparsed: int
    """How many of them say that a line could not be read."""


class Helpers:
    """As many processes as this machine has processors; none before they are needed."""

    def __init__(self, count: int = 0) -> None:
        """Prepare.

        Args:
            count: How many; as many as there are processors when 0.
        """
        self._count = count or os.cpu_count() or 1
        self._processes: list[subprocess.Popen[bytes]] = []
        self._pool = ThreadPoolExecutor(max_workers=self._count)

    def worthwhile(self, source: Source, lines: int) -> bool:
        """Tell whether so many lines of a source are better read by several."""
        return source.stateless and self._count > 1 and lines >= _WORTHWHILE

    def read(self, source: Source, lines: Lines, places: Sequence[int]) -> Helped:
        """Read the lines at some places, each helper a part."""
        if not self._processes:
            self._processes = [_started() for _ in range(self._count)]
        size = -(-len(places) // self._count)
        parts = [places[begin : begin + size] for begin in range(0, len(places), size)]
        asked = [partial(_asked, *pair, source, lines) for pair in zip(self._processes, parts, strict=False)]
        found = list(self._pool.map(_call, asked))
        return Helped(
            events=joined([it.events for it in found]),
            places=[place for it in found for place in it.places],
            unparsed=sum(it.unparsed for it in found),
        )

    def close(self) -> None:
        """Let them end."""
        self._pool.shutdown()
        for process in self._processes:
            process.stdin.close() if process.stdin else None
            process.stdout.close() if process.stdout else None
            process.wait()


def _call(ask: Callable[[], Helped]) -> Helped:
    return ask()


def _started() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for us; a helper ends when we do
    )


def _asked(process: subprocess.Popen[bytes], places: Sequence[int], source: Source, lines: Lines) -> Helped:
    assert process.stdin is not None  # noqa: S101  # it was asked for
    assert process.stdout is not None  # noqa: S101  # it was asked for
    chosen = pa.array(places, pa.int64())
    numbers: Any = pa.array(lines.numbers, pa.int64())
    said = {"source": source.name, "host": lines.host, "path": lines.path, "created": str(int(lines.created))}
    table = pa.table({"text": lines.texts.take(chosen), "number": numbers.take(chosen), _PLACE: chosen})
    _write(process.stdin, table.replace_schema_metadata(dict(said)))
    found = _read(process.stdout)
    if found is None:
        raise ChildProcessError("a process that reads lines has ended")
    unparsed = int((found.schema.metadata or {})[b"unparsed"])
    at: Any = found[_PLACE].to_pylist()
    return Helped(events=found.drop_columns([_PLACE]), places=at, unparsed=unparsed)


def _write(file: IO[bytes], table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    payload = sink.getvalue()
    file.write(_LENGTH.pack(payload.size))
    file.write(memoryview(payload))
    file.flush()


def _read(file: IO[bytes]) -> pa.Table | None:
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    with pa.ipc.open_stream(file.read(_LENGTH.unpack(head)[0])) as reader:
        return reader.read_all()


def serve() -> None:
    """Read lines as they are handed over, until nobody hands over any more."""
    from lab.telemetry.sources import source_named

    while (asked := _read(sys.stdin.buffer)) is not None:
        said = {key.decode(): value.decode() for key, value in (asked.schema.metadata or {}).items()}
        source, created = source_named(said["source"]), Moment(int(said["created"]))
        events: list[Event] = []
        places: list[int] = []
        rows = zip(*(asked[name].to_pylist() for name in ("text", "number", _PLACE)), strict=True)
        for text, number, place in rows:
            line = Line(text=text, host=said["host"], path=said["path"], number=number, created=created)
            if (event := parsed(source, line)) is not None:
                events.append(event)
                places.append(place)
        unparsed = sum(it.get("event.kind") == UNPARSED for it in events)
        table = table_of(events).append_column(_PLACE, pa.array(places, pa.int64()))
        _write(sys.stdout.buffer, table.replace_schema_metadata({"unparsed": str(unparsed)}))
