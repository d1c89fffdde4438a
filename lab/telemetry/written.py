"""Conditions over events that others wrote as JSON, one a line, under field names of their own.

Each line is parsed once, for the fields that conditions ask for. Few lines hold a text that a condition
needs, and only these are kept; once enough are together, all conditions are asked of them at once. A field
that holds a list is compared entry by entry, which the second form of a condition does: few lines have one.
Columns of our own begin with `%`, which no field's column does.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final, Self

from lab.telemetry.conditions import Condition, bits, lowered, places_in, written_column
from lab.telemetry.database import Connection, connected, duckdb_errors, quoted, shut

_THREADS: Final = 2
"""Threads that lines are read with, and conditions asked with."""

_KEPT: Final = 100_000
"""Lines that are asked about together; planning what is asked takes half a millisecond for each condition."""

_KEPT_BYTES: Final = 64 * 2**20
"""Bytes of lines that are read until those kept are asked about, at least."""

_CLUES: Final = 500
"""Texts that are looked for at once; RE2 is slow beyond some thousand."""

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
class Question:
    """A condition in both its forms."""

    texts: Condition
    """Where every field is a text."""

    lists: Condition
    """Where every field is a list of texts."""

    clues: frozenset[tuple[str, str]]
    """Fields and ASCII texts in lower case, of which every event that fulfils the condition holds one; none
    where nothing can be said."""


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


class WrittenMatcher:
    """Conditions over lines, in the order of the lines."""

    def __init__(self, questions: Sequence[Question], shapes: Sequence[str] = SHAPES[:1]) -> None:
        """Prepare to ask.

        Args:
            questions: What is asked.
            shapes: Those of `SHAPES` that lines have.
        """
        self._asked = _Asked(questions, shapes)
        self._ends = ExitStack()
        database = self._ends.enter_context(connected(threads=1, memory_limit="600MB"))
        self._cursors = [self._ends.enter_context(database.cursor()) for _ in range(_THREADS)]
        for it in self._cursors:
            it.execute("PRAGMA disable_optimizer")
        shut(database)
        self._pool = self._ends.enter_context(ThreadPoolExecutor(_THREADS))
        self._read = 0
        self._lines = 0
        self._fresh()

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
        waiting: deque[Future[None]] = deque()
        for turn, chunk in enumerate(chunks):
            if len(waiting) == _THREADS:
                waiting.popleft().result()
            waiting.append(self._pool.submit(self._take, self._cursors[turn % _THREADS], chunk, self._lines))
            self._lines += chunk.count(b"\n") + (not chunk.endswith(b"\n"))
            self._read += len(chunk)
            if self._read >= _KEPT_BYTES and self._is_full(waiting):
                yield from self._answers()
        for it in waiting:
            it.result()
        yield from self._answers()

    def _is_full(self, waiting: deque[Future[None]]) -> bool:
        while waiting:
            waiting.popleft().result()
        self._read = 0
        found = (
            self._cursors[0].execute("SELECT count(*), coalesce(sum(strlen(line)), 0) FROM kept").fetchone()
        )
        return found is not None and (found[0] >= _KEPT or found[1] >= _KEPT_BYTES)

    def _take(self, cursor: Connection, chunk: bytes, before: int) -> None:
        """Parse lines, and keep those that a condition may hold for."""
        text = chunk.decode("utf-8", "replace")
        with duckdb_errors("lines"):
            cursor.execute(self._asked.take, [text, before])

    def _answers(self) -> Iterator[Answered]:
        """Ask about what is kept, and forget it."""
        halves = list(self._pool.map(self._ask, self._cursors, self._asked.halves()))
        met: dict[int, list[int]] = {}
        for number, place in (it for half in halves for it in half):
            met.setdefault(number, []).append(place)
        for number, line in self._worth_telling(met):
            yield Answered(number=number, line=line, met=tuple(sorted(met.get(number, ()))))
        self._fresh()

    def _ask(self, cursor: Connection, lanes: Sequence[_Lane]) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for lane in lanes:
            with duckdb_errors(lane.sql):
                rows = cursor.execute(lane.sql).fetchall()
            found += ((number, lane.places[place]) for number, place in places_in(rows))
        return found

    def _worth_telling(self, met: Iterable[int]) -> list[tuple[int, str]]:
        """Return the lines that fulfil something, and those that are no event."""
        cursor = self._cursors[0]
        cursor.execute("CREATE OR REPLACE TABLE met AS SELECT unnest($1::BIGINT[])", [list(met)])
        return cursor.execute(
            'SELECT "%number", "%line" FROM kept WHERE "%broken" OR "%number" IN (FROM met) ORDER BY 1'
        ).fetchall()

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
        self._keywords = "" in every
        self._shapes = shapes
        names = {it: written_column(it) for it in every}
        text = "\n".join(sqls)
        self._raw = [it for it in self._fields if f'"{names[it]}"' in text]
        self._low = [it for it in self._fields if f'"{lowered(names[it])}"' in text or it in self._clues]
        self.kept = self._table()
        self.take = self._insert()

    def halves(self) -> list[list[_Lane]]:
        """Deal the conditions out to two threads."""
        return [self._lanes(start) for start in range(_THREADS)]

    def _lanes(self, start: int) -> list[_Lane]:
        mine = range(start, len(self._questions), _THREADS)
        hinted = tuple(it for it in mine if self._questions[it].clues)
        others = tuple(it for it in mine if not self._questions[it].clues)
        lanes = [self._texts(hinted, ' AND "%hit"'), self._texts(others, ""), self._lists(tuple(mine))]
        return [it for it in lanes if it.places]

    def _texts(self, places: tuple[int, ...], also: str) -> _Lane:
        selected, some = bits([self._questions[it].texts.sql for it in places])
        where = f'NOT "%broken" AND NOT "%listed"{also}'
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
            columns += ['""', f'"{lowered("")}"']
        listed = ", ".join(['"%number"', *columns])
        inner = f'(SELECT {listed} FROM kept WHERE "%listed" AND NOT "%broken")'  # noqa: S608 -- our own names
        return _Lane(places=places, sql=_question(inner, "true", selected, some))

    def _table(self) -> str:
        columns = [f'"{written_column(it)}" VARCHAR' for it in self._raw]
        columns += [f'"{lowered(written_column(it))}" VARCHAR' for it in self._low]
        if self._keywords:
            columns += ['"" VARCHAR[]', f'"{lowered("")}" VARCHAR[]']
        fixed = [
            '"%number" BIGINT',
            '"%line" VARCHAR',
            *(f'"%{it}" BOOLEAN' for it in ("broken", "listed", "hit")),
        ]
        return f"CREATE OR REPLACE TABLE kept ({', '.join([*fixed, *columns])})"

    def _insert(self) -> str:
        """Parse, and keep what may matter."""
        found = [self._value(field) for field in self._fields]
        raw = [found[self._fields.index(it)] for it in self._raw]
        low = [f"lower({found[self._fields.index(it)]})" for it in self._low]
        names = [f'"{written_column(it)}"' for it in self._raw]
        names += [f'"{lowered(written_column(it))}"' for it in self._low]
        values = [*raw, *low]
        if self._keywords:
            names += ['""', f'"{lowered("")}"']
            values += ["words", "list_transform(words, lambda it: lower(it))"]
        pointers = ", ".join(it for field in self._fields for it in self._pointers(field)) or "'/'"
        listed = " OR ".join(f"{it}[1] IN ('[', '{{')" for it in found) or "false"
        words = ", TRY(json_extract_string(line, '$..*')) AS words" if self._keywords else ""
        selected = ", ".join(f"{value} AS {name}" for value, name in zip(values, names, strict=True))
        comma = ", " if selected else ""
        keep = '"%hit" OR "%broken" OR "%listed"' if all(it.clues for it in self._questions) else "true"
        return f"""INSERT INTO kept BY NAME
            WITH parts AS (SELECT string_split($1, chr(10)) AS parts),
            lines AS (SELECT unnest(parts) AS line, generate_subscripts(parts, 1) AS place FROM parts),
            parsed AS (SELECT line, place + $2 AS number,
                TRY(json_extract_string(line, [{pointers}])) AS v{words}
                FROM lines WHERE trim(line, ' \t\r') <> ''),
            named AS (SELECT number AS "%number", line AS "%line",
                v IS NULL OR ltrim(line)[1] <> '{{' AS "%broken",
                CASE WHEN {listed} THEN list_has_any(json_type(line, [{pointers}]), ['ARRAY', 'OBJECT'])
                    ELSE false END AS "%listed"{comma}{selected} FROM parsed),
            judged AS (SELECT *, {self._hit()} AS "%hit" FROM named)
            SELECT * FROM judged WHERE {keep}"""  # noqa: S608 -- our own names, quoted

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

    def _hit(self) -> str:
        """Ask whether a line holds a text that some condition needs."""
        asked = [
            f"coalesce(regexp_matches({_column(field)}, {quoted(pattern)}), false)"
            for field, texts in self._clues.items()
            for pattern in _patterns(texts)
        ]
        return f"({' OR '.join(asked)})" if asked else "false"


def _column(field: str) -> str:
    low = f'"{lowered(written_column(field))}"'
    return low if field else f"array_to_string({low}, chr(10))"


def _by_field(questions: Iterable[Question]) -> dict[str, list[str]]:
    found: dict[str, set[str]] = {}
    for field, text in (clue for it in questions for clue in it.clues):
        found.setdefault(field, set()).add(text)
    return {field: sorted(texts) for field, texts in sorted(found.items())}


def _patterns(texts: Sequence[str]) -> Iterator[str]:
    """Write texts as alternatives, for those that need not be looked for since another is in them."""
    kept = [it for it in texts if not any(other in it for other in texts if other != it)]
    for at in range(0, len(kept), _CLUES):
        yield "|".join(re.sub(r"([^a-z0-9 _/-])", r"\\\1", it) for it in kept[at : at + _CLUES])


def _question(source: str, where: str, selected: str, some: str) -> str:
    return f'SELECT * FROM (SELECT "%number", {selected} FROM {source} WHERE {where}) WHERE {some}'  # noqa: S608 -- conditions are SQL by contract
