"""Questions in SQL about one run: its events, its alerts and, where it has one, its truth.

A question sees the run's own records and no other file, changes nothing, and is bounded in time,
memory and rows. The structures below are what SQL shows of `alerts.jsonl` and `truth.jsonl`; they
stand here by name, since telemetry knows neither alerts nor truth (a test compares them).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from lab.ask.asked import Asked
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
        "risk": "BIGINT",
        "techniques": ["VARCHAR"],
        "tactics": ["VARCHAR"],
        "first_event": "TIMESTAMPTZ",
        "ingested": "TIMESTAMPTZ",
        "raised": "TIMESTAMPTZ",
        "entities": "MAP(VARCHAR, VARCHAR[])",
        "event_ids": ["VARCHAR"],
        "evidence_count": "BIGINT",
        "score": "DOUBLE",
        "moved": "JSON",
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


Found = TypeVar("Found")


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
    asked = Asked(runs={run_folder.name: str(run_folder)}, sql=sql)
    return answered(asked, lambda tables: tables.ask(sql, seconds=seconds))


def answered(asked: Asked, ask: Callable[[Tables], Found]) -> Found:
    """Lay out the tables of some runs, and ask; again when segments were merged meanwhile.

    Raises:
        BadQuery: the question is wrong, asks for something else than the runs, or took too much.
        BadFile: a file of records cannot be read.
    """
    while True:
        with Tables() as tables:
            try:
                _lay_out(tables, asked)
                return ask(tables)
            except BadQuery:
                if not tables.outdated():
                    raise


def _lay_out(tables: Tables, asked: Asked) -> None:
    folders = {run: Path(folder) for run, folder in asked.runs.items()}
    tables.add_events({run: it / names.EVENTS for run, it in folders.items()}, since=asked.since)
    for name, file in _FILES.items():
        if asked.noticed_only and name == "truth":
            continue
        paths = {run: it / file for run, it in folders.items() if (it / file).exists()}
        if paths:
            _add(tables, name, paths)


def _add(tables: Tables, name: str, paths: Mapping[str, Path]) -> None:
    lines = {run: _whole_lines(path) for run, path in paths.items()}
    try:
        tables.add_records(name, lines, STRUCTURES[name])
    except BadQuery as error:
        what = f"is not a file of records: {error.said}"
        raise BadFile(*(Problem(path=str(it), line=0, what=what) for it in paths.values())) from error


def _whole_lines(path: Path) -> list[str]:
    """Read the lines that were written to their end; a kill may have torn the last."""
    try:
        text = careful.read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise BadFile(Problem(path=str(path), line=0, what="is not UTF-8")) from error
    return [line for line in text.rpartition("\n")[0].split("\n") if line]
