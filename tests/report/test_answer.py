"""What was done about a run stands on the axis of the run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.files.workplace import Workplace
from lab.moment import SECOND, Moment
from lab.report.answer import read_answer
from lab.report.timeline import draw
from lab.runs import folder
from lab.runs.case import new_entry, new_finding, opened_with
from lab.runs.folder import RunFolder
from lab.runs.header import Header
from lab.runs.response import Response
from tests.report.storybook import STARTED, story


def at(seconds: float) -> Moment:
    return Moment(STARTED + round(seconds * SECOND))


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """Return a run with an act, two findings, and evidence."""
    found = folder.create(Workplace(tmp_path), "x", STARTED)
    header = Header(id="r", lab="l", scenario="x", summary="", version="1", started=STARTED, ended=at(100))
    found.write_header(header)
    begun = Response(id="a", at=at(40), state="begun", action="block", node="shop")
    found.response.add(begun)
    found.response.add(replace(begun, at=at(42), state="done", said="shop sends nothing there"))
    found.response.add(Response(id="b", at=at(900), state="done", action="isolate", node="shop"))
    found.case.add(opened_with(()))
    found.case.add(new_finding(host="shop", technique="T1190", when=at(12), text="<b>it began</b>"))
    found.case.add(replace(new_entry("note", text="asked"), at=at(50)))
    evidence = found.path / "evidence" / "shop-080000-ab12"
    evidence.mkdir(parents=True)
    second, early = at(20) // SECOND, at(-50) // SECOND
    lines = [f"0|/srv/{it}.php|1|r/-rw-r--r--|0|0|1|1|{second}|1|0" for it in range(6)]
    lines += [f"0|/etc/old|1|r/-rw-r--r--|0|0|1|1|{early}|1|0", f"0|/var/log/x|1|r/-|0|0|1|1|{second}|1|0"]
    (evidence / "bodyfile.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return found


def test_acts_findings_notes_and_files_are_told_in_the_order_of_time(run: RunFolder) -> None:
    told = [(it.lane, it.words[0]) for it in read_answer(run)]
    assert told == [
        ("case", "finding T1190 shop"),
        ("files", "written on shop"),
        ("acts", "block shop"),
        ("case", "note"),
    ]
    files = read_answer(run)[1].words
    assert files == (
        "written on shop", "/srv/0.php", "/srv/1.php", "/srv/2.php", "/srv/3.php", "and 2 more",
    )  # fmt: skip


def test_they_are_drawn_below_the_rest(run: RunFolder) -> None:
    drawn = draw(replace(story(), answer=read_answer(run)))
    assert [it.title for it in drawn.rows][-1] == "Response"
    assert [it.label for it in drawn.rows[-1].lanes] == ["acts", "case", "files"]
    bars = [it for it in drawn.bars if it.role in {"acts", "case", "files"}]
    assert len(bars) == 4
    assert all(it.width > 0 for it in bars)
    assert {"response", "case", "files written"} <= {it.label for it in drawn.keys}


def test_a_run_that_nobody_answered_has_no_such_row() -> None:
    assert "Response" not in [it.title for it in draw(story()).rows]
