"""A question is answered by a process of its own: its limits hold whatever the database does.

DuckDB does not look at the clock inside a function, and its limit of memory leaves out the answer. So whoever
asked watches the process, and ends it.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from lab.ask.asked import Asked
from lab.errors import BadFile, BadQuery, Problem
from lab.files import records

SECONDS: Final = 30.0
"""What a question may take, answer included."""

MEMORY: Final = 900 * 2**20
"""Bytes that the process may hold; with us who ask, a gigabyte."""

_LOOK_EVERY: Final = 0.05
_SERVE: Final = "from lab.ask.bounded import serve; serve()"
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a question gave, as JSON has it: a time is a text."""

    columns: tuple[str, ...] = ()
    """Names of the columns; equal ones are numbered."""

    rows: tuple[tuple[Any, ...], ...] = ()
    """The rows."""

    cut: bool = False
    """Whether there was more than is given."""

    parquet: bytes = b""
    """The answer as a Parquet file, where that was wanted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Said:
    """What the process writes."""

    answer: Answer = Answer()
    refused: str = ""
    problems: tuple[Problem, ...] = ()


def shown(value: object) -> str:
    """Write a value of an answer as text."""
    if value is None:
        return ""
    return value if isinstance(value, str) else records.to_json(value).strip('"')


def ask(run: Path, sql: str) -> Answer:
    """Answer a question about a run within its limits.

    Raises:
        BadQuery: the question is wrong, or took too much.
        BadFile: a file of the run cannot be read.
    """
    return ask_runs(Asked(runs={run.name: str(run)}, sql=sql))


def ask_runs(asked: Asked) -> Answer:
    """Answer a question about runs within its limits.

    Raises:
        BadQuery: the question is wrong, or took too much.
        BadFile: a file of the run cannot be read.
    """
    said, file = _asked(asked)
    return replace(said.answer, parquet=file)


def _asked(asked: Asked) -> tuple[_Said, bytes]:
    with _begun() as process:
        assert process.stdin is not None  # noqa: S101  # it was asked for
        process.stdin.write(records.to_json(asked).encode())
        process.stdin.close()
        head, _, file = _written(process, asked.sql).partition(b"\n")
    said = records.from_json(head, _Said)
    if said.problems:
        raise BadFile(*said.problems)
    if said.refused:
        raise BadQuery(asked.sql, said=said.refused)
    return said, file


@contextmanager
def _begun() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.stdout.close() if process.stdout else None
        process.wait()


def _written(process: subprocess.Popen[bytes], sql: str) -> bytes:
    """Read all that the process writes, and end it when it takes too much."""
    assert process.stdout is not None  # noqa: S101  # it was asked for
    end, written = time.monotonic() + SECONDS, bytearray()
    while True:
        if select.select([process.stdout], [], [], _LOOK_EVERY)[0]:
            chunk = os.read(process.stdout.fileno(), 2**20)
            if not chunk:
                break
            written += chunk
        if time.monotonic() > end:
            raise BadQuery(sql, said=f"it took longer than {SECONDS:g} s and was stopped")
        if _resident(process.pid) > MEMORY:
            raise BadQuery(sql, said="it needs more than 1 GB of memory; ask for less at a time")
    if process.wait():
        raise BadQuery(sql, said=f"the database ended with {process.returncode}; ask for less at a time")
    return bytes(written)


def _resident(process: int) -> int:
    """Return the bytes of memory that a process holds; none once it has ended (proc(5))."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def serve() -> None:
    """Answer the question on standard input: a line of JSON, and Parquet behind it where that is wanted."""
    from lab.ask.query import answered  # who only asks needs no database

    asked, file = records.from_json(sys.stdin.buffer.read(), Asked), b""
    try:
        if asked.parquet:
            file = answered(asked, lambda tables: tables.parquet(asked.sql, seconds=SECONDS))
            said = _Said()
        else:
            found = answered(asked, lambda tables: tables.ask(asked.sql, seconds=SECONDS))
            said = _Said(answer=Answer(columns=_distinct(found.columns), rows=found.rows, cut=found.cut))
    except BadFile as error:
        said = _Said(problems=error.problems)
    except BadQuery as error:
        said = _Said(refused=error.said)
    sys.stdout.buffer.write(records.to_json(said).encode() + b"\n" + file)
    sys.stdout.flush()
    os._exit(0)  # taking the database down takes longer than the answer


def _distinct(columns: tuple[str, ...]) -> tuple[str, ...]:
    """Number columns of one name, so that none hides another."""
    found: list[str] = []
    for column in columns:
        name, count = column, 1
        while name in found:
            count += 1
            name = f"{column}_{count}"
        found.append(name)
    return tuple(found)
