"""`lab import` and questions about what it brought, from their words to their exit codes."""

from __future__ import annotations

import pyarrow.parquet as pq
import pytest

from lab.files.workplace import Workplace
from lab.runs.folder import list_runs
from tests.cli.test_commands import Terminal, terminal
from tests.support import SAMPLES

__all__ = ["terminal"]  # a fixture

OPENSSH = str(SAMPLES / "loghub" / "openssh.log")


@pytest.fixture
def brought(terminal: Terminal) -> Terminal:
    terminal.lab("import", OPENSSH)
    return terminal


def test_an_import_is_a_run_with_alerts_a_report_and_no_recall(terminal: Terminal) -> None:
    found = terminal.json("import", OPENSSH)
    assert isinstance(found, dict)
    (file,) = found["files"]
    assert (file["source"], file["unparsed"], file["whole"]) == ("syslog", 0, True)
    assert found["suspects"][0]["address"]
    assert "SSH password guessing from one address" in str(found["suspects"])
    (run,) = list_runs(Workplace(terminal.folder))
    assert (run.header().scenario, run.header().state) == ("import", "done")
    assert run.report.exists()
    assert terminal.json("score", run.path.name) is not None
    scored = terminal.lab("score", run.path.name)
    assert "have no truth, so nothing is rated" in scored.said
    assert "precision" not in scored.out
    page = run.report.read_text(encoding="utf-8")
    assert "what of it was an attack, nobody has written down" in page
    assert "Precision" not in page
    assert "alarm" not in page
    assert "REPLAY" not in page


def test_the_same_again_changes_nothing_and_says_so(brought: Terminal) -> None:
    again = brought.lab("import", OPENSSH)
    assert "imported before" in again.said
    assert len(list_runs(Workplace(brought.folder))) == 1
    assert brought.lab("query", "SELECT count(*) FROM events").out.strip() == "251"


def test_what_cannot_be_read_is_said_at_once_and_nothing_is_made(terminal: Terminal) -> None:
    (terminal.folder / "noise").write_bytes(bytes(range(256)) * 20)
    refused = terminal.lab("import", "noise", "not-there", code=2)
    assert "noise: is no log that is known here" in refused.said
    assert "not-there: is not there" in refused.said
    assert "--as" in refused.said
    assert list_runs(Workplace(terminal.folder)) == ()


def test_an_unknown_kind_names_the_known_ones(terminal: Terminal) -> None:
    assert "apache" in terminal.lab("import", OPENSSH, "--as", "diary", code=2).said


def test_a_line_that_could_not_be_read_is_shown(terminal: Terminal) -> None:
    (terminal.folder / "a.log").write_text("Dec 10 06:55:46 LabSZ app: x\nno line of a syslog\n")
    said = terminal.lab("import", "a.log").said
    assert "a.log:2: does not begin with a syslog time" in said
    assert "no line of a syslog" in terminal.lab("query", "unparsed").out


def test_questions_are_listed_and_asked_by_name(brought: Terminal) -> None:
    assert "failed-logins-by-source" in brought.lab("query", "--list").out
    asked = brought.lab("query", "failed-logins-by-source")
    assert "SELECT" in asked.said  # it teaches
    assert asked.out.splitlines()
    assert "there is: failed-logins-by-source" in brought.lab("query", "no-such-question", code=2).said


def test_every_question_that_ships_can_be_asked(brought: Terminal) -> None:
    listed = brought.json("query", "--list")
    assert isinstance(listed, list)
    for it in listed:
        brought.lab("query", it["name"], "--format", "csv")


def test_an_answer_is_drawn(brought: Terminal) -> None:
    first, *_ = brought.lab("query", "failed-logins-by-source", "--chart").out.splitlines()
    assert "\u2588" * 50 in first


def test_only_the_last_minutes_are_asked_about(brought: Terminal) -> None:
    count = "SELECT count(*) FROM events"
    some = int(brought.lab("query", count, "--since", "5m").out)
    assert 0 < some < int(brought.lab("query", count).out)
    assert "write" in brought.lab("query", count, "--since", "soon", code=2).said


def test_several_runs_are_asked_together(brought: Terminal) -> None:
    (brought.folder / "b.log").write_text("Dec 10 06:55:46 LabSZ app: x\n")
    brought.lab("import", "b.log")
    rows = brought.lab(
        "query", "SELECT run, count(*) FROM events GROUP BY 1", "--run", "all"
    ).out.splitlines()
    assert sorted(it.split("\t")[1] for it in rows) == ["1", "251"]


def test_an_answer_in_parquet_keeps_its_types(brought: Terminal) -> None:
    sql = 'SELECT "@timestamp", "source.port" FROM events'
    brought.lab("query", sql, "--format", "parquet", "--to", "a.parquet")
    schema = pq.read_schema(brought.folder / "a.parquet")
    assert [str(it) for it in schema.types] == ["timestamp[us, tz=UTC]", "int64"]
    assert "go together" in brought.lab("query", sql, "--format", "parquet", code=2).said
