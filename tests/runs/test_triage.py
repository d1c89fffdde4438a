"""What people make of alerts, and the file that keeps it."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from lab.errors import BadFile
from lab.moment import Moment
from lab.runs.case import CaseEntry, new_entry, present
from lab.runs.diary import Diary
from lab.runs.triage import Disposition, Triage, answered, new_act, standings


def disposed(disposition: Disposition | None, reason: str = "") -> Triage:
    return replace(new_act("dispose", ["a"]), disposition=disposition, reason=reason)


def test_an_acknowledged_alert_is_reopened_by_an_act_or_by_undoing() -> None:
    done = new_act("acknowledge", ["a", "b"])
    assert standings([done])["a"].acknowledged
    assert not standings([done, new_act("reopen", ["a"])])["a"].acknowledged
    assert standings([done, new_act("reopen", ["a"])])["b"].acknowledged
    assert standings([done, new_act("undo", undoes=done.id)]) == {}


def test_undoing_brings_back_what_was_before() -> None:
    first, second = disposed("TruePositive", "T1110"), disposed("FalsePositive", "the backup")
    assert standings([first, second])["a"].disposition == "FalsePositive"
    back = standings([first, second, new_act("undo", undoes=second.id)])["a"]
    assert (back.disposition, back.reason) == ("TruePositive", "T1110")


def test_to_escalate_is_not_to_acknowledge() -> None:
    found = standings([new_act("escalate", ["a"])])["a"]
    assert (found.escalated, found.acknowledged) == (True, False)
    assert not standings([new_act("escalate", ["a"]), new_act("calm", ["a"])])["a"].escalated


def test_notes_are_kept_in_order() -> None:
    acts = [new_act("note", ["a"], note="one"), new_act("acknowledge", ["a"], note="two")]
    assert standings(acts)["a"].notes == ("one", "two")


def test_answers_end_where_they_are_handed_in() -> None:
    before, after = disposed("TruePositive"), disposed("FalsePositive")
    assert answered([before]) is None
    assert answered([before, new_act("answer"), after]) == (before,)


def test_a_case_has_what_was_not_taken_out_in_the_order_of_what_happened() -> None:
    late = new_entry("entry", text="late", when=Moment(20))
    early = new_entry("pin", event="e", when=Moment(10))
    note = new_entry("note", text="x")
    gone = new_entry("note", text="wrong")
    taken = new_entry("removed", removes=gone.id)
    assert present([late, note, gone, early, taken]) == (early, late, note)


def test_a_diary_reads_what_others_write(tmp_path: Path) -> None:
    path = tmp_path / "case.jsonl"
    ours, theirs = Diary(path, CaseEntry), Diary(path, CaseEntry)
    assert ours.entries() == ()
    one, two = new_entry("note", text="1"), new_entry("note", text="2")
    theirs.add(one)
    assert ours.entries() == (one,)
    ours.add(two)
    assert theirs.entries() == ours.entries() == (one, two)


def test_a_torn_line_was_never_written(tmp_path: Path) -> None:
    path = tmp_path / "case.jsonl"
    one, two = new_entry("note", text="1"), new_entry("note", text="2")
    Diary(path, CaseEntry).add(one)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"id":"half')
    found = Diary(path, CaseEntry)
    assert found.entries() == (one,)
    found.add(two)
    assert Diary(path, CaseEntry).entries() == found.entries() == (one, two)


def test_many_who_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "case.jsonl"
    diaries = [Diary(path, CaseEntry) for _ in range(4)]

    def write(diary: Diary[CaseEntry]) -> None:
        for _ in range(25):
            diary.add(new_entry("note", text="x" * 300))

    workers = [threading.Thread(target=write, args=(it,)) for it in diaries]
    for it in workers:
        it.start()
    for it in workers:
        it.join()
    assert {len(it.entries()) for it in diaries} == {100}


def test_a_wrong_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "triage.jsonl"
    path.write_text('{"id":"x","at":"2026-11-27T00:00:00Z","act":"note"}\n{"id":7}\n', encoding="utf-8")
    with pytest.raises(BadFile, match=r"triage\.jsonl:2: not a Triage record"):
        Diary(path, Triage).entries()


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("kept", encoding="utf-8")
    (tmp_path / "case.jsonl").symlink_to(target)
    with pytest.raises(BadFile):
        Diary(tmp_path / "case.jsonl", CaseEntry).add(new_entry("note", text="x"))
    assert target.read_text("utf-8") == "kept"
