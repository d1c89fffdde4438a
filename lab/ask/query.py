"""Questions in SQL about one run: its events, its alerts and, where it has one, its truth.

A question sees the run's own records and no other file, changes nothing, and is bounded in time,
memory and rows. The structures below are what SQL shows of `alerts.jsonl` and `truth.jsonl`; they
stand here by name, since telemetry knows neither alerts nor truth (a test compares them).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lab.errors import BadFile, BadQuery, Problem
from lab.files import careful
from lab.runs import names
from lab.telemetry.sql import TIME_LIMIT, Answer, Tables

_PARTIES: Final = [{"node": "VARCHAR", "addresses": ["VARCHAR"]}]

STRUCTURES: Final[dict[str, dict[str, object]]] = {
    "alerts": {
        "id": "VARCHAR",
        "engine": "VARCHAR",
        "rule_id": "VARCHAR",
        "rule_hash": "VARCHAR",
        "title": "VARCHAR",
        "level": "VARCHAR",
        "techniques": ["VARCHAR"],
        "tactics": ["VARCHAR"],
        "first_event": "TIMESTAMPTZ",
        "ingested": "TIMESTAMPTZ",
        "raised": "TIMESTAMPTZ",
        "entities": "MAP(VARCHAR, VARCHAR[])",
        "event_ids": ["VARCHAR"],
        "evidence_count": "BIGINT",
    },
    "truth": {
        "run": "VARCHAR",
        "step": "VARCHAR",
        "attempt": "BIGINT",
        "name": "VARCHAR",
        "note": "VARCHAR",
        "label": "VARCHAR",
        "action": "VARCHAR",
        "suspicious": "BOOLEAN",
        "technique": "VARCHAR",
        "tactics": ["VARCHAR"],
        "attack_version": "VARCHAR",
        "start": "TIMESTAMPTZ",
        "end": "TIMESTAMPTZ",
        "status": "VARCHAR",
        "occurred": "BOOLEAN",
        "reason": "VARCHAR",
        "timed_out": "BOOLEAN",
        "exit_code": "BIGINT",
        "sources": _PARTIES,
        "targets": _PARTIES,
        "users": ["VARCHAR"],
        "processes": ["VARCHAR"],
        "started": [
            {
                "pid": "BIGINT",
                "parent": "BIGINT",
                "started": "TIMESTAMPTZ",
                "code": "BIGINT",
                "command_line": "VARCHAR",
            }
        ],
        "evidence": "JSON",
        "wide": ["VARCHAR"],
        "expected_rules": ["VARCHAR"],
        "limit": "BIGINT",
    },
}
"""Columns and DuckDB types of each table that is a file of records."""

_FILES: Final = {"alerts": names.ALERTS, "truth": names.TRUTH}


def query(run_folder: Path, sql: str, *, seconds: float = TIME_LIMIT) -> Answer:
    """Answer a question about a run, also while the run goes on.

    Args:
        run_folder: The run. `events` is always there, empty before the first event; `alerts` and
            `truth` are there when their files are.
        sql: One SELECT, SHOW or DESCRIBE in DuckDB's SQL.
        seconds: When to stop it.

    Raises:
        BadQuery: the question is wrong, asks for something else than the run, or took too much.
        BadFile: a file of records cannot be read.
    """
    while True:
        with Tables() as tables:
            try:
                return _ask(tables, run_folder, sql, seconds)
            except BadQuery:
                if not tables.outdated():
                    raise


def _ask(tables: Tables, run_folder: Path, sql: str, seconds: float) -> Answer:
    tables.add_events(run_folder / names.EVENTS)
    for name, file in _FILES.items():
        path = run_folder / file
        if path.exists():
            _add(tables, name, path)
    return tables.ask(sql, seconds=seconds)


def _add(tables: Tables, name: str, path: Path) -> None:
    try:
        tables.add_records(name, _whole_lines(path), STRUCTURES[name])
    except BadQuery as error:
        problem = Problem(path=str(path), line=0, what=f"is not a file of records: {error.said}")
        raise BadFile(problem) from error


def _whole_lines(path: Path) -> list[str]:
    """Read the lines that were written to their end; a kill may have torn the last."""
    try:
        text = careful.read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise BadFile(Problem(path=str(path), line=0, what="is not UTF-8")) from error
    return [line for line in text.rpartition("\n")[0].split("\n") if line]
