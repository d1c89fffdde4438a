"""A learner's timeline, as YAML and CSV: what it may say, and every problem at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.errors import BadFile
from lab.learn.timeline import moment_of, read_timeline
from lab.moment import SECOND, Moment

BEGUN = Moment.parse("2026-11-25T23:59:00Z")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("+63", 63),
        ("+1:03", 63),
        ("+0.5", 0.5),
        ("23:59:10", 10),
        ("00:01", 120),  # past midnight
        ("2026-11-26T00:00:00Z", 60),
    ],
)
def test_a_time_is_told_in_several_ways(text: str, seconds: float) -> None:
    assert moment_of(text, BEGUN) - BEGUN == seconds * SECOND


@pytest.mark.parametrize("text", ["", "soon", "25:00:00", "+", "+1:2:3", "12"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        moment_of(text, BEGUN)


def test_yaml_and_csv_say_the_same(tmp_path: Path) -> None:
    whole, table = tmp_path / "a.yml", tmp_path / "a.csv"
    whole.write_text(
        "timeline:\n"
        '  - {time: "+70", technique: t1110, indicators: [10.1.0.5, maria], what: guesses}\n'
        '  - {time: "+5", technique: T1046}\n',
        encoding="utf-8",
    )
    table.write_text(
        "time,technique,indicators,what\n+70,T1110,10.1.0.5; maria,guesses\n+5,T1046,,\n", encoding="utf-8"
    )
    first, second = (read_timeline(it, BEGUN) for it in (whole, table))
    assert [it.technique for it in first] == ["T1046", "T1110"]
    assert first[1].indicators == ("10.1.0.5", "maria")
    told = [[(it.time, it.technique, it.indicators, it.what) for it in found] for found in (first, second)]
    assert told[0] == told[1]


def test_every_problem_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.yml"
    path.write_text("- {time: soon, technique: T9}\n- {technique: T1046}\n- {time: '+1', who: me}\n", "utf-8")
    with pytest.raises(BadFile) as caught:
        read_timeline(path, BEGUN)
    lines = [it.line for it in caught.value.problems]
    assert lines == [1, 1, 2, 3]


def test_an_unknown_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("when,technique\n+1,T1046\n", encoding="utf-8")
    with pytest.raises(BadFile, match="unknown column 'when'"):
        read_timeline(path, BEGUN)


@pytest.mark.parametrize("content", ["", "[]", "timeline: []"])
def test_a_timeline_says_something(tmp_path: Path, content: str) -> None:
    path = tmp_path / "empty.yml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadFile):
        read_timeline(path, BEGUN)


@pytest.mark.parametrize(
    ("written", "seconds"), [("+63", 63), ("+1:03", 63), ("+0.5", 0.5), ("23:59:10", 10), ("00:01:00", 120)]
)
def test_a_time_in_yaml_needs_no_quotes(tmp_path: Path, written: str, seconds: float) -> None:
    path = tmp_path / "a.yml"
    path.write_text(f"- {{time: {written}}}\n", encoding="utf-8")
    (found,) = read_timeline(path, BEGUN)
    assert found.time - BEGUN == seconds * SECOND


def test_a_table_that_is_none_says_where(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(f"time,technique\n+1,T1046,more\n+2,{'x' * 200_000}\n", encoding="utf-8")
    with pytest.raises(BadFile) as caught:
        read_timeline(path, BEGUN)
    assert [it.line for it in caught.value.problems] == [2, 3]
