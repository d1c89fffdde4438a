"""Databases in memory, locked to what they are given. Only importer of duckdb; does without pyarrow."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import duckdb

from lab.errors import BadQuery

Connection = duckdb.DuckDBPyConnection
"""A database, or one of several ways into it."""

Relation = duckdb.DuckDBPyRelation
"""What a question gives, before it is fetched."""

OutOfMemory = duckdb.OutOfMemoryException
"""What a question that needs more than it may have ends in."""

MEMORY_LIMIT: Final = "600MB"
"""What a database may use; nothing is written to disk beyond it."""

_SAFE: Final[dict[str, str | int | float | list[str]]] = {
    "threads": 2,
    "temp_directory": "",
    "python_enable_replacements": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
}
"""Settings of every connection: no spilling, no extensions, no reach into our own variables."""


@contextmanager
def duckdb_errors(sql: str) -> Iterator[None]:
    """Turn whatever DuckDB says into one error.

    Raises:
        BadQuery: with DuckDB's first words, and the place in the question if it names one.
    """
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise BadQuery(
            sql, said=f"it needs more than {MEMORY_LIMIT} of memory; ask for less at a time"
        ) from error
    except duckdb.Error as error:
        raise BadQuery(sql, said=_clear(str(error))) from error


def _clear(said: str) -> str:
    """Shorten DuckDB's message to the lines that help a person."""
    lines = [line.rstrip() for line in said.splitlines() if line.strip()]
    kept = [line for line in lines if not line.startswith(("Traceback", "  File"))]
    return "\n    ".join(kept[:8]) or "the database gave no reason"


def connected(**settings: str | int) -> duckdb.DuckDBPyConnection:
    """Return a database in memory; whoever asks for it shuts it (`shut`) once it has what it needs.

    Args:
        settings: DuckDB's own, as `threads`, `memory_limit`.
    """
    connection = duckdb.connect(":memory:", config={**_SAFE, **settings})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")  # it would write onto our terminal
    return connection


def shut(connection: duckdb.DuckDBPyConnection, files: Sequence[str] = ()) -> None:
    """Let a database reach nothing any more but some files, and no one change that."""
    listed = ", ".join(map(quoted, files))
    connection.execute(f"SET allowed_paths = [{listed}]")
    connection.execute("SET enable_external_access = false; SET lock_configuration = true")


def quoted(text: str) -> str:
    """Write a text as SQL does."""
    return "'" + text.replace("'", "''") + "'"


def only_question(sql: str) -> None:
    """Allow one statement that only asks; DuckDB's own parser decides, and counts SHOW as SELECT.

    Raises:
        BadQuery: it is anything else.
        duckdb.Error: it is not SQL.
    """
    statements = duckdb.extract_statements(sql)
    if len(statements) != 1:
        raise BadQuery(sql, said=f"one statement is wanted, not {len(statements)}")
    if statements[0].type != duckdb.StatementType.SELECT:
        kind = statements[0].type.name.replace("_", " ")
        raise BadQuery(sql, said=f"only SELECT, SHOW and DESCRIBE are allowed, not {kind}")


@contextmanager
def stopped_after(connection: duckdb.DuckDBPyConnection, sql: str, seconds: float) -> Iterator[None]:
    """Interrupt what a database does while the body runs, after some seconds.

    Raises:
        BadQuery: it was interrupted.
    """
    timer = threading.Timer(seconds, connection.interrupt)
    timer.start()
    try:
        yield
    except duckdb.InterruptException as error:
        raise BadQuery(sql, said=f"it took longer than {seconds:g} s and was stopped") from error
    finally:
        timer.cancel()
        timer.join()
