"""A question has thirty seconds and a gigabyte, answer included, whatever the database does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from lab.ask import bounded
from lab.ask.bounded import ask
from lab.errors import BadFile, BadQuery
from lab.telemetry.events import Events
from lab.telemetry.store import Store

ENDLESS: Final = (
    "SELECT count(*) FROM range(100000000000) a, range(1000) b WHERE hash(a.range) = hash(b.range)"
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    Store(tmp_path / "events").append(Events.of([{"@timestamp": 1, "event.id": "e1"}]))
    return tmp_path


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT repeat('x', 200000) FROM range(100000)",
        "SELECT list(repeat('x', 1000000) || range) FROM range(100000)",
        "SELECT repeat('x', 2000000000)",
    ],
)
def test_what_needs_too_much_memory_is_ended(run: Path, sql: str) -> None:
    with pytest.raises(BadQuery, match=r"memory|ask for less"):
        ask(run, sql)


def test_what_cannot_be_interrupted_is_ended(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "SECONDS", 1.0)
    monkeypatch.setattr(bounded, "MEMORY", 2**40)
    begun = time.monotonic()
    with pytest.raises(BadQuery, match="took longer than 1 s"):
        ask(
            run,
            "SELECT count(*) FROM range(100000000000) a, range(1000) b WHERE hash(a.range) = hash(b.range)",
        )
    assert time.monotonic() - begun < 5


def test_a_large_answer_is_cut_and_said_to_be(run: Path) -> None:
    found = ask(run, "SELECT repeat('x', 2000) FROM range(100000)")
    assert found.cut
    assert 10_000 < len(found.rows) < 20_000


def test_columns_of_one_name_are_numbered(run: Path) -> None:
    found = ask(run, "SELECT 1 AS a, 2 AS a, 3 AS a_2")
    assert found.columns == ("a", "a_2", "a_2_2")
    assert found.rows == ((1, 2, 3),)


@pytest.mark.parametrize(
    "value",
    [
        *(
            "'infinity'::TIMESTAMPTZ",
            "'-infinity'::TIMESTAMP",
            "INTERVAL 99999999 MONTH",
            "'12:00:01'::TIME_NS",
        ),
        *("'294247-01-01'::DATE", "['294247-01-01'::DATE]", "{a: 'infinity'::TIMESTAMP}", "'nan'::DOUBLE"),
        *("'infinity'::FLOAT", "'\\xff'::BLOB", "MAP{1: 2}", "uuid()", "1::HUGEINT", "'1'::BIT", "NULL"),
    ],
)
def test_every_value_is_shown_somehow(run: Path, value: str) -> None:
    assert len(ask(run, f"SELECT {value} AS v").rows) == 1  # what is asked is the test


def test_files_that_are_wrong_are_named(run: Path) -> None:
    (run / "truth.jsonl").write_bytes(b"\xff\n")
    with pytest.raises(BadFile, match=r"truth\.jsonl: is not UTF-8"):
        ask(run, "SELECT 1")


def test_ctrl_c_ends_a_question_at_once(run: Path) -> None:
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        f"from pathlib import Path\nfrom lab.ask.bounded import ask\nask(Path({str(run)!r}), {ENDLESS!r})"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as asking:
        time.sleep(1.5)
        children = Path(f"/proc/{asking.pid}/task/{asking.pid}/children").read_text(encoding="ascii").split()
        begun = time.monotonic()
        asking.send_signal(signal.SIGINT)
        asking.wait(10)
    assert time.monotonic() - begun < 2
    assert children
    assert not any(os.path.exists(f"/proc/{child}") for child in children)  # noqa: PTH110  # a plain text
