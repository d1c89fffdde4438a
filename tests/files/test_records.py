"""Records on disk: what is written is read again, and a torn line is left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import BadFile
from lab.files import records
from lab.moment import Moment


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """A record to try."""

    text: str
    when: Moment
    many: tuple[int, ...] = ()


notes = st.builds(
    Note,
    text=st.text(),
    when=st.integers(min_value=0, max_value=2**62).map(Moment),
    many=st.lists(st.integers(-(2**31), 2**31)).map(tuple),
)


@given(note=notes)
def test_what_is_written_is_read_again(note: Note) -> None:
    assert records.from_json(records.to_json(note), Note) == note
    assert records.from_json(records.to_json(note, indent=2), Note) == note


@given(note=notes)
def test_a_record_is_one_line(note: Note) -> None:
    assert len(records.to_json(note).encode().splitlines()) == 1


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    whole = [Note(text=str(number), when=Moment(number)) for number in range(3)]
    records.append(path, whole)
    for cut in range(1, len(records.to_json(whole[-1])) + 1):
        path.write_bytes(path.read_bytes()[:-1])
        assert records.read_lines(path, Note) == tuple(whole[:2]), cut


def test_a_line_that_is_no_record_is_named_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    records.append(path, [Note(text="a", when=Moment(1))])
    with path.open("a", encoding="utf-8") as file:
        file.write('{"text": 1}\n[]\n')
    with pytest.raises(BadFile) as caught:
        records.read_lines(path, Note)
    assert [problem.line for problem in caught.value.problems] == [2, 3]


def test_a_file_that_is_absent_has_no_lines(tmp_path: Path) -> None:
    assert records.read_lines(tmp_path / "none.jsonl", Note) == ()


def test_replacing_a_file_leaves_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    for text in ("first", "second"):
        records.write(path, Note(text=text, when=Moment(0)))
    assert records.read(path, Note).text == "second"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_no_record_is_a_bad_file(tmp_path: Path) -> None:
    (tmp_path / "note.json").write_text("{", encoding="utf-8")
    with pytest.raises(BadFile, match=r"note\.json"):
        records.read(tmp_path / "note.json", Note)
