"""Conditions over events that others wrote as JSON, one a line, under field names of their own.

Each line is parsed once, for the fields that conditions ask for. Few lines hold a text that a condition
needs, and only these are kept; once enough are together, all conditions are asked of them at once. A field
that holds a list is compared entry by entry, which the second form of a condition does: few lines have one.
Columns of our own begin with `%`, which no field's column does.
"""

from __future__ import annotations

import ctypes
import itertools
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, Self

from lab.errors import BadQuery
from lab.telemetry.conditions import Question, bits, lowered, patterns, places_in, written_column
from lab.telemetry.database import Connection, connected, duckdb_errors, quoted, shut

_THREADS: Final = 2
"""Threads that lines are read with, and conditions asked with."""

_TOGETHER: Final = 96 * 2**20
"""Bytes that are read until conditions are asked; planning that takes half a millisecond for each."""

_TURN: Final = 32
"""Bits of a line's number within its chunk; those above say which chunk."""

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
"""What glibc's `mallopt` calls these."""

SHAPES: Final = (
    "",
    "/Event/System",
    "/Event/EventData",
    "/Event/UserData",
    "/EventData",
    "/winlog/event_data",
)
"""Objects of a line that its fields may lie in, as JSON pointers, by tools that turn EVTX into JSON."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """A line that fulfils conditions, or that is no event."""

    number: int
    """Number of the line, from 1."""

    line: str
    """The line."""

    met: tuple[int, ...]
    """Places of the conditions that it fulfils; none where it is no JSON object."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lane:
    """Conditions that are asked of the same lines."""

    places: tuple[int, ...]
    """Their places among all."""

    sql: str
    """The question."""


def _keep_memory() -> None:
    """Let glibc keep memory that was freed: to get it anew from the kernel takes as long as to parse."""
    adjust = getattr(ctypes.CDLL(None), "mallopt", None)
    if adjust:
        adjust(_MMAP_THRESHOLD, 32 * 2**20)
        adjust(_TRIM_THRESHOLD, 512 * 2**20)


class WrittenMatcher:
    """Conditions over lines, in the order of the lines."""

    def __init__(self, questions: Sequence[Question], shapes: Sequence[str] = SHAPES[:1]) -> None:
        """Prepare to ask.

        Args:
            questions: What is asked.
            shapes: Those of `SHAPES` that lines have.
        """
        _keep_memory()
        self._asked = _Asked(questions, shapes)
        self._ends = ExitStack()
        database = self._ends.enter_context(connected(threads=1, memory_limit="600MB"))
        self._cursors = [self._ends.enter_context(database.cursor()) for _ in range(_THREADS)]
        for it in self._cursors:
            it.execute("PRAGMA disable_optimizer")
        shut(database)
        self._pool = self._ends.enter_context(ThreadPoolExecutor(_THREADS))
        self._lines = 0

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the memory back."""
        self._ends.close()

    @property
    def lines(self) -> int:
        """How many lines have been read."""
        return self._lines

    def answers(self, chunks: Iterable[bytes]) -> Iterator[Answered]:
        """Ask about lines.

        Args:
            chunks: The lines, in pieces of whole ones.
        """
        waiting: deque[Future[int]] = deque()
        counts: list[int] = []
        read = 0
        self._fresh()
        for turn, chunk in enumerate(chunks):
            if len(waiting) == _THREADS:
                counts.append(waiting.popleft().result())
            waiting.append(self._pool.submit(self._take, self._cursors[turn % _THREADS], chunk, turn))
            read += len(chunk)
            if read >= _TOGETHER:
                counts += [it.result() for it in waiting]
                waiting.clear()
                read = 0
                yield from self._answers(counts)
                self._fresh()
        counts += [it.result() for it in waiting]
        yield from self._answers(counts)
        self._lines += sum(counts)

    def _take(self, cursor: Connection, chunk: bytes, turn: int) -> int:
        """Parse lines, keep those that a condition may hold for, and count all."""
        text = chunk.decode("utf-8", "replace")
        try:
            with duckdb_errors("lines"):
                cursor.execute(self._asked.take, [text, turn << _TURN])
        except BadQuery:  # a line is no JSON; to expect it costs a third more
            with duckdb_errors("lines"):
                cursor.execute(self._asked.take_broken, [text, turn << _TURN])
        return chunk.count(b"\n") + (not chunk.endswith(b"\n"))

    def _answers(self, counts: Sequence[int]) -> Iterator[Answered]:
        """Ask about what is kept.

        Args:
            counts: How many lines each chunk has.
        """
        before = [self._lines, *(self._lines + it for it in itertools.accumulate(counts))]
        listed = self._cursors[0].execute('SELECT 1 FROM kept WHERE "%listed" LIMIT 1').fetchone()
        met: dict[int, list[int]] = {}
        for half in self._pool.map(self._ask, self._cursors, self._asked.halves(lists=bool(listed))):
            for number, place in half:
                met.setdefault(number, []).append(place)
        for number, line in self._worth_telling(met):
            if line.strip():
                place = before[number >> _TURN] + (number & ((1 << _TURN) - 1))
                yield Answered(number=place, line=line, met=tuple(sorted(met.get(number, ()))))

    def _worth_telling(self, met: Iterable[int]) -> list[tuple[int, str]]:
        """Return the lines that fulfil something, and those that are no event."""
        cursor = self._cursors[0]
        cursor.execute("CREATE OR REPLACE TABLE met AS SELECT unnest($1::BIGINT[])", [list(met)])
        return cursor.execute(
            'SELECT "%number", "%line" FROM kept WHERE "%broken" OR "%number" IN (FROM met) ORDER BY 1'
        ).fetchall()

    def _ask(self, cursor: Connection, lanes: Sequence[_Lane]) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for lane in lanes:
            with duckdb_errors(lane.sql):
                rows = cursor.execute(lane.sql).fetchall()
            found += ((number, lane.places[place]) for number, place in places_in(rows))
        return found

    def _fresh(self) -> None:
        """Forget what is kept."""
        self._cursors[0].execute(self._asked.kept)


class _Asked:
    """What is asked, in SQL."""

    def __init__(self, questions: Sequence[Question], shapes: Sequence[str]) -> None:
        self._questions = questions
        sqls = [it.texts.sql for it in questions]
        every = sorted(frozenset[str]().union(*(it.texts.fields for it in questions)))
        self._clues = _by_field(questions)
        self._fields = [it for it in every if it]
        self._hits = {field: f'"%hit{place}"' for place, field in enumerate(self._clues)}
        self._keywords = "" in every
        self._shapes = shapes
        names = {it: written_column(it) for it in every}
        text = "\n".join(sqls)
        self._raw = [it for it in self._fields if f'"{names[it]}"' in text]
        self._low = [it for it in self._fields if f'"{lowered(names[it])}"' in text or it in self._clues]
        self._found = {field: f'"%{place}"' for place, field in enumerate(self._fields)}
        self._judged = "".join(f", {self._hit(field)} AS {flag}" for field, flag in self._hits.items())
        self.kept = self._table()
        self.take = self._insert(broken=False)
        self.take_broken = self._insert(broken=True)

    def halves(self, *, lists: bool) -> list[list[_Lane]]:
        """Deal the conditions out to two threads.

        Args:
            lists: Whether some line has a list in a field.
        """
        return [self._lanes(start, lists=lists) for start in range(_THREADS)]

    def _lanes(self, start: int, *, lists: bool) -> list[_Lane]:
        mine = range(start, len(self._questions), _THREADS)
        by_fields: dict[frozenset[str], list[int]] = {}
        for it in mine:
            by_fields.setdefault(frozenset(field for field, _ in self._questions[it].clues), []).append(it)
        lanes = [self._texts(tuple(places), fields) for fields, places in by_fields.items()]
        return [*lanes, self._lists(tuple(mine))] if lists and mine else lanes

    def _texts(self, places: tuple[int, ...], fields: frozenset[str]) -> _Lane:
        """Ask about the lines that hold a clue in one of some fields; about all when there are none."""
        selected, some = bits([self._questions[it].texts.sql for it in places])
        hit = " OR ".join(self._hits[it] for it in sorted(fields)) or "true"
        where = f'NOT "%broken" AND NOT "%listed" AND ({hit})'
        return _Lane(places=places, sql=_question("kept", where, selected, some))

    def _lists(self, places: tuple[int, ...]) -> _Lane:
        selected, some = bits([self._questions[it].lists.sql for it in places])
        columns = []
        for field in self._fields:
            name = written_column(field)
            first = ", ".join(f'json_extract("%line", {it})' for it in self._pointers(field))
            found = f"coalesce({first})" if ", " in first else first
            value = (
                f"CASE json_type({found}) WHEN 'ARRAY' THEN from_json({found}, '[\"VARCHAR\"]')"
                f" WHEN 'OBJECT' THEN NULL WHEN 'NULL' THEN NULL ELSE [{found} ->> '$'] END"
            )
            low = f"list_transform({value}, lambda it: lower(it))"
            columns += [f'{value} AS "{name}"', f'{low} AS "{lowered(name)}"']
        if self._keywords:
            columns += [f'"{written_column("")}"', f'"{lowered(written_column(""))}"']
        listed = ", ".join(['"%number"', *columns])
        inner = f'(SELECT {listed} FROM kept WHERE "%listed" AND NOT "%broken")'  # noqa: S608 -- our own names
        return _Lane(places=places, sql=_question(inner, "true", selected, some))

    def _table(self) -> str:
        columns = [f'"{written_column(it)}" VARCHAR' for it in self._raw]
        columns += [f'"{lowered(written_column(it))}" VARCHAR' for it in self._low]
        if self._keywords:
            columns += [f'"{written_column("")}" VARCHAR[]', f'"{lowered(written_column(""))}" VARCHAR[]']
        fixed = [
            '"%number" BIGINT',
            '"%line" VARCHAR',
            *(f"{it} BOOLEAN" for it in ('"%broken"', '"%listed"', *self._hits.values())),
        ]
        return f"CREATE OR REPLACE TABLE kept ({', '.join([*fixed, *columns])})"

    def _insert(self, *, broken: bool) -> str:
        """Parse lines, and keep those that may matter.

        Args:
            broken: Whether there are lines that are no JSON.
        """
        found = self._found
        values = "".join(f", {self._value(it)} AS {found[it]}" for it in self._fields)
        also = ", words" if self._keywords else ""
        columns = [f'{found[it]} AS "{written_column(it)}"' for it in self._raw]
        columns += [f'lower({found[it]}) AS "{lowered(written_column(it))}"' for it in self._low]
        if self._keywords:
            low = "list_transform(words, lambda it: lower(it))"
            columns += [f'words AS "{written_column("")}"', f'{low} AS "{lowered(written_column(""))}"']
        pointers = ", ".join(it for field in self._fields for it in self._pointers(field)) or "'/'"
        listed = " OR ".join(f"starts_with({it}, '[') OR starts_with({it}, '{{')" for it in found.values())
        words = ", json_extract_string(line, '$..*') AS words" if self._keywords else ""
        parsed = f"json_extract_string(line, [{pointers}]) AS v{words}"
        if broken:
            parsed = re.sub(r"(json_extract_string\(.*?\)) AS", r"TRY(\1) AS", parsed)
        flags = ['"%broken"', '"%listed"', *self._hits.values()]
        keep = " OR ".join(flags) if all(it.clues for it in self._questions) else "true"
        selected = ", ".join(['"%number"', *flags, *columns])
        return f"""INSERT INTO kept BY NAME
            WITH parts AS (SELECT string_split($1, chr(10)) AS parts),
            lines AS (SELECT unnest(parts) AS line, generate_subscripts(parts, 1) AS place FROM parts),
            parsed AS (SELECT line, place + $2 AS "%number", {parsed} FROM lines WHERE line <> ''),
            apart AS (SELECT line, "%number", v IS NULL AS "%none"{also}{values} FROM parsed),
            judged AS (SELECT *,
                CASE WHEN "%none" THEN true WHEN starts_with(line, '{{') THEN false
                    ELSE NOT starts_with(ltrim(line), '{{') END AS "%broken",
                CASE WHEN {listed or "false"}
                    THEN list_has_any(json_type(line, [{pointers}]), ['ARRAY', 'OBJECT'])
                    ELSE false END AS "%listed"{self._judged} FROM apart)
            SELECT {selected}, line AS "%line" FROM judged WHERE {keep}"""  # noqa: S608 -- our own names, quoted

    def _value(self, field: str) -> str:
        """Write where among what was parsed a field is."""
        counts = [len(self._pointers(it)) for it in self._fields]
        at = sum(counts[: self._fields.index(field)])
        found = [f"v[{at + it + 1}]" for it in range(len(self._pointers(field)))]
        return found[0] if len(found) == 1 else f"coalesce({', '.join(found)})"

    def _pointers(self, field: str) -> list[str]:
        """Write where a field may lie in a line: as it is called, and where its dots lead."""
        name = field.replace("~", "~0").replace("/", "~1")
        ways = [name] if "." not in field else [name, name.replace(".", "/")]
        return [quoted(f"{shape}/{way}") for shape in self._shapes for way in ways]

    def _hit(self, field: str) -> str:
        """Ask whether a field holds a text that some condition needs, before it is put in lower case."""
        value = self._found.get(field, "array_to_string(words, chr(10))")
        asked = (f"regexp_matches({value}, {quoted(f'(?i){it}')})" for it in patterns(self._clues[field]))
        return f"coalesce({' OR '.join(asked)}, false)"


def _by_field(questions: Iterable[Question]) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for field, text in (clue for it in questions for clue in it.clues):
        found.setdefault(field, set()).add(text)
    return {field: sorted(texts) for field, texts in sorted(found.items())}


def _question(source: str, where: str, selected: str, some: str) -> str:
    return f'SELECT * FROM (SELECT "%number", {selected} FROM {source} WHERE {where}) WHERE {some}'  # noqa: S608 -- conditions are SQL by contract
