"""Many lines at once: what sources say in SQL (`lab.telemetry.event.Quick`), run by DuckDB over a batch."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lab.moment import Moment
from lab.telemetry.database import connected, shut
from lab.telemetry.event import FIELDS, FieldType, Quick
from lab.telemetry.table import ARROW

TAKEN: Final = "#taken"
"""The column that says whether a line was read; where it was not, the others mean nothing."""

_SORT: Final = "#sort"
_PLACE: Final = "#place"

_NOTHING: Final = pa.table({"line": pa.array([], pa.string()), _PLACE: pa.array([], pa.int64())})

_AT_A_TIME: Final = 8192
"""Lines that one thread takes at a time."""

_TYPES: Final[dict[FieldType, str]] = {
    "keyword": "VARCHAR",
    "keywords": "VARCHAR[]",
    "long": "BIGINT",
    "float": "DOUBLE",
    "boolean": "BOOLEAN",
    "date": "BIGINT",
    "ip": "VARCHAR",
    "ips": "VARCHAR[]",
}


class QuickReader:
    """Runs what one source says of many lines."""

    def __init__(self, quick: Quick) -> None:
        self._connection = connected(memory_limit="400MB")
        self._connection.execute("PRAGMA disable_optimizer")  # it takes longer than it saves, of one table
        shut(self._connection)
        self._give(_NOTHING)
        # Said once, run again with what `lines` is by then: to plan it takes up to 20 ms.
        self._found = self._connection.sql(_select(quick))
        self._same = {
            name: pa.array([it.get(name) for it in quick.sorts], ARROW[FIELDS[name]])
            for name in FIELDS
            if any(name in it for it in quick.sorts)
        }

    def read(self, texts: pa.Array[Any], collected: Moment) -> pa.Table:
        """Read what the source takes of some lines.

        Args:
            texts: The lines.
            collected: When they were read, for times without a year.

        Returns:
            A row for each line: `TAKEN`, and its fields.
        """
        places = pa.array(range(len(texts)), pa.int64())
        lines = pa.Table.from_batches(pa.table({"line": texts, _PLACE: places}).to_batches(_AT_A_TIME))
        self._connection.execute(f"SET VARIABLE collected = {int(collected)}::BIGINT")
        self._connection.execute(f"SET VARIABLE year = {collected.iso()[:4]}::INTEGER")
        self._give(lines)
        found = self._found.to_arrow_table()
        self._give(_NOTHING)
        if not found[_PLACE].combine_chunks().equals(places):  # several threads give what is done first
            found = found.sort_by(_PLACE)
        sorts = found[_SORT]
        same: dict[str, Any] = {name: values.take(sorts) for name, values in self._same.items()}
        held: dict[str, Any] = {
            name: found[name].cast(ARROW[FIELDS[name]]) for name in found.column_names if name in FIELDS
        }
        for name in set(same).intersection(held):
            same[name] = pc.coalesce(held[name], same[name])
        return pa.table({TAKEN: found[TAKEN], **held, **same})

    def _give(self, lines: pa.Table) -> None:
        self._connection.register("lines", lines)

    def close(self) -> None:
        """Give the memory back."""
        self._connection.close()


def _select(quick: Quick) -> str:
    source = "lines"
    for part in quick.parts:
        source = f"(SELECT *, {', '.join(f'{sql} AS {name}' for name, sql in part.items())} FROM {source})"  # noqa: S608 -- our own sources
    fields = ", ".join(f'{_typed(name, sql)} AS "{name}"' for name, sql in quick.fields.items())
    # A column and no WHERE: to leave a line out here would copy all the others.
    said = f'coalesce({quick.takes}, false) AS "{TAKEN}", coalesce({quick.sort}, 0)::INTEGER AS "{_SORT}"'
    said = f'"{_PLACE}", {said}'
    return f"SELECT {said}, {fields} FROM {source}"  # noqa: S608 -- our own sources


def _typed(name: str, sql: str) -> str:
    kind = FIELDS[name]
    return f"nullif({sql}, '')" if kind in {"keyword", "ip"} else f"CAST({sql} AS {_TYPES[kind]})"
