"""Questions: what they answer, and what they can never reach."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from lab.ask.query import STRUCTURES, query
from lab.detect.alert import Alert
from lab.errors import BadFile, BadQuery
from lab.exercise.truth import Truth
from lab.files import records
from lab.moment import SECOND, Moment
from lab.telemetry.event import FIELDS
from lab.telemetry.events import Events
from lab.telemetry.sql import MAX_ROWS, Answer, Tables
from lab.telemetry.store import Store

START = Moment.parse("2026-11-23T22:00:00.123456Z")
ALERT = Alert(
    id="a1",
    engine="sigma",
    rule_id="r1",
    rule_hash="00",
    title="'; DROP TABLE alerts; --",
    level="high",
    techniques=("T1110.001",),
    first_event=START,
    ingested=START,
    raised=Moment(START + SECOND),
    entities={"source.ip": ("10.0.0.9",)},
    event_ids=("e1",),
    evidence_count=1,
)
TRUTH = Truth(run="x", step="1-look", name="look", label="attack", start=START, end=START, processes=("id",))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    moments = [Moment(START + number * SECOND) for number in range(4)]
    Store(folder / "events").append(
        Events.of(
            [
                {"@timestamp": at, "event.id": f"e{number}", "source.port": number, "event.type": ("start",)}
                for number, at in enumerate(moments)
            ]
        )
    )
    records.append(folder / "alerts.jsonl", [ALERT])
    records.append(folder / "truth.jsonl", [TRUTH])
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "note.txt").write_text("secret")
    return folder


def rows(run: Path, sql: str) -> tuple[tuple[object, ...], ...]:
    return query(run, sql).rows


def test_an_answer_has_columns_types_and_rows(run: Path) -> None:
    sql = (
        'SELECT "@timestamp" AS moment, sum("source.port") AS ports, "event.type"'
        " FROM events GROUP BY ALL ORDER BY moment"
    )
    answer = query(run, sql)
    assert answer == Answer(
        columns=("moment", "ports", "event.type"),
        types=("TIMESTAMP WITH TIME ZONE", "HUGEINT", "VARCHAR[]"),
        rows=tuple((Moment(START + n * SECOND), n, ["start"]) for n in range(4)),
        cut=False,
    )


def test_times_can_be_put_into_buckets_and_subtracted(run: Path) -> None:
    sql = (
        'SELECT date_trunc(\'minute\', "@timestamp"), count(*), max("@timestamp") - min("@timestamp")'
        " FROM events GROUP BY 1"
    )
    assert rows(run, sql) == ((Moment.parse("2026-11-23T22:00:00Z"), 4, timedelta(seconds=3)),)


def test_alerts_and_truth_can_be_asked(run: Path) -> None:
    assert rows(
        run, "SELECT title, techniques[1], entities['source.ip'], raised - first_event FROM alerts"
    ) == (("'; DROP TABLE alerts; --", "T1110.001", ["10.0.0.9"], timedelta(seconds=1)),)
    assert rows(run, "SELECT label, occurred, processes FROM truth") == (("attack", None, ["id"]),)
    assert rows(run, 'SELECT a.title FROM alerts a JOIN events e ON list_contains(a.event_ids, e."event.id")')


def test_the_tables_there_are_can_be_listed_and_described(run: Path) -> None:
    assert rows(run, "SHOW TABLES") == (("alerts",), ("events",), ("truth",))
    assert [row[0] for row in rows(run, "DESCRIBE events")] == list(FIELDS)
    assert rows(run, "-- a comment\nSELECT 1;") == ((1,),)


def test_a_run_without_anything_has_events_that_are_none(tmp_path: Path) -> None:
    assert rows(tmp_path, "SHOW TABLES") == (("events",),)
    assert rows(tmp_path, 'SELECT count(*), max("source.port") FROM events') == ((0, None),)


def test_a_torn_last_line_and_an_empty_file_are_no_records(run: Path) -> None:
    with (run / "alerts.jsonl").open("a") as file:
        file.write('{"id": "torn')
    (run / "truth.jsonl").write_text("")
    assert rows(run, "SELECT id FROM alerts") == (("a1",),)
    assert rows(run, "SELECT * FROM truth") == ()


def test_a_broken_file_of_records_is_told(run: Path) -> None:
    (run / "alerts.jsonl").write_text("{]\n")
    with pytest.raises(BadFile, match=r"alerts\.jsonl: is not a file of records: .*Malformed JSON"):
        query(run, "SELECT 1")
    (run / "alerts.jsonl").write_bytes(b"\xff\n")
    with pytest.raises(BadFile, match="not UTF-8"):
        query(run, "SELECT 1")


def test_rows_beyond_the_limit_are_cut_and_said_to_be(run: Path) -> None:
    answer = query(run, "SELECT * FROM range(1000000000000)")
    assert (len(answer.rows), answer.cut) == (MAX_ROWS, True)


def test_a_question_that_takes_too_long_is_stopped(run: Path) -> None:
    began = time.monotonic()
    with pytest.raises(BadQuery, match=r"took longer than 0\.3 s"):
        query(
            run,
            "SELECT count(*) FROM range(100000000000) a, range(1000) b WHERE a.range % 7 = b.range",
            seconds=0.3,
        )
    assert time.monotonic() - began < 5


def test_a_question_that_needs_too_much_memory_is_stopped(run: Path) -> None:
    with pytest.raises(BadQuery, match="memory"):
        query(run, "SELECT list(repeat('x', 1000000) || range) FROM range(100000)")
    assert not Path(".tmp").exists()


ESCAPES = [
    "SELECT * FROM read_text('{outside}')",
    "SELECT * FROM read_blob('{outside}')",
    "SELECT * FROM read_csv('{outside}')",
    "SELECT * FROM '{outside}'",
    "SELECT * FROM read_json('{outside}')",
    "SELECT * FROM read_parquet('{outside}')",
    "SELECT * FROM parquet_metadata('{outside}')",
    "SELECT * FROM sniff_csv('{outside}')",
    "SELECT * FROM glob('{folder}/*')",
    "SELECT * FROM read_text('{run}/events/../../secret.txt')",
    "SELECT * FROM read_text('{run}/note.txt')",
    "SELECT * FROM read_text('{run}/events/00000001-00000001.parquet/../../note.txt')",
    "SELECT * FROM read_text('file://{outside}')",
    "SELECT * FROM read_text('/proc/self/environ')",
    "SELECT * FROM read_csv('http://127.0.0.1:9/x')",
    "SELECT * FROM query('SELECT * FROM read_text(''{outside}'')')",
    "SELECT * FROM query_table('{outside}')",
    "SELECT * FROM read_duckdb('{outside}')",
    "SELECT getenv('HOME')",
    "SELECT * FROM marker",
    "SELECT * FROM enable_logging('FileSystem', storage = 'file', storage_path = '{folder}/log')",
    "SELECT * FROM pandas_scan(1::POINTER)",
    "SELECT * FROM enable_profiling(save_location = '{folder}/profile')",
    "SELECT * FROM import_database('{folder}')",
    "SELECT * FROM copy_database('memory', 'x')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('FROM read_text(''{outside}'')'))",
    "WITH x AS (COPY (SELECT 1) TO '{folder}/made') SELECT * FROM x",
    "COPY (SELECT 1) TO '{folder}/made'",
    "COPY events FROM '{outside}'",
    "EXPORT DATABASE '{folder}/made'",
    "ATTACH '{folder}/made.db'",
    "INSTALL httpfs",
    "LOAD '{outside}'",
    "CREATE TABLE t AS SELECT 1",
    "INSERT INTO alerts VALUES (1)",
    "DELETE FROM alerts",
    "DROP VIEW events",
    "SET enable_external_access = true",
    "SET allowed_directories = ['/']",
    "RESET lock_configuration",
    "PRAGMA enable_profiling = 'json'",
    "CALL enable_logging()",
    "CREATE SECRET s (TYPE http)",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{folder}/made'",
    "PREPARE p AS COPY (SELECT 1) TO '{folder}/made'",
    "SELECT 1; COPY (SELECT 1) TO '{folder}/made'",
    "SELECT 1; SELECT 2",
    "SELECT set_config('enable_external_access', 'true')",
    "",
    "-- nothing",
    "SELEC 1",
]


@pytest.mark.parametrize("sql", ESCAPES)
def test_a_question_reaches_nothing_but_the_run(run: Path, sql: str) -> None:
    marker = [1]  # noqa: F841 -- DuckDB would find it by name in the caller's variables
    folder = run.parent
    before = sorted(os.walk(folder))
    with pytest.raises(BadQuery) as caught:
        query(run, sql.format(outside=folder / "secret.txt", folder=folder, run=run))
    assert sorted(os.walk(folder)) == before
    assert caught.value.exit_code == 2
    assert str(caught.value).startswith("cannot answer: ")
    assert "Traceback" not in str(caught.value)


def test_what_a_question_changes_in_memory_is_gone_with_it(run: Path) -> None:
    before = (run / "alerts.jsonl").read_bytes()
    assert rows(run, "WITH gone AS (DELETE FROM alerts) FROM gone") == ((1,),)
    assert rows(run, "SELECT count(*) FROM alerts") == ((1,),)
    assert (run / "alerts.jsonl").read_bytes() == before


def test_a_question_is_asked_again_when_segments_are_merged_under_it(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(run / "events")
    store.append(Events.of([{"@timestamp": START, "event.id": "e4"}]))
    add_events = Tables.add_events

    def merged_meanwhile(tables: Tables, folders: Mapping[str, Path], *, since: float = 0) -> None:
        add_events(tables, folders, since=since)
        store.compact()

    monkeypatch.setattr(Tables, "add_events", merged_meanwhile)
    assert rows(run, 'SELECT count(*), max("event.id") FROM events') == ((5, "e4"),)


@pytest.mark.parametrize(("name", "record"), [("alerts", Alert), ("truth", Truth)])
def test_tables_show_every_field_of_their_records(name: str, record: type[Alert | Truth]) -> None:
    assert list(STRUCTURES[name]) == [field.name for field in dataclasses.fields(record)]
