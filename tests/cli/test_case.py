"""`lab case`, `lab respond` and `lab grade` of a response, on a lab in memory."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace

import pytest

from lab.detect.alert import read_alerts
from lab.runs.case import frozen
from lab.runs.folder import RunFolder
from lab.telemetry.store import Store
from tests.cli.test_commands import Terminal, finished, last_run, standing, terminal

__all__ = ["finished", "standing", "terminal"]  # fixtures


@pytest.fixture
def opened(finished: Terminal) -> RunFolder:
    run = last_run(finished)
    finished.lab("case", "open", run.path.name, "--alert", read_alerts(run.noticed)[0].id[:8])
    return run


def test_a_case_is_opened_told_closed_and_reported(finished: Terminal, opened: RunFolder) -> None:
    event = str(next(iter(Store(opened.noticed.events).events()))["event.id"])
    finished.lab("case", "note", "asked |maria|: it was not she")
    said = ("--host", "bastion", "--account", "maria", "--technique", "t1110.001", "--time", "+4")
    finished.lab("case", "finding", *said, "--event", event, "passwords are guessed")
    finished.lab("case", "close", "done")
    entries = opened.case.entries()
    assert [it.sort for it in entries] == ["opened", "note", "finding", "closed"]
    assert entries[0].alerts == (read_alerts(opened.noticed)[0].id,)
    assert (entries[2].technique, entries[2].events) == ("T1110.001", (event,))
    assert entries[2].when == opened.header().started + 4 * 10**9
    found = frozen(entries)
    assert found.untouched
    assert found.closed == entries[3].at
    text = finished.lab("case", "report").out
    assert "| T1110.001 | bastion | maria |" in text
    assert "asked \\|maria\\|: it was not she" in text
    finished.lab("case", "report", "--to", "case.md")
    assert (finished.folder / "case.md").read_text(encoding="utf-8") == text


def test_a_case_that_is_closed_takes_nothing_more(finished: Terminal, opened: RunFolder) -> None:
    finished.lab("case", "close")
    before = opened.case.entries()
    assert "no open case" in finished.lab("case", "note", "late", code=2).said
    assert "is closed" in finished.lab("case", "note", "late", "--run", opened.path.name, code=2).said
    assert "is open already" in finished.lab("case", "open", opened.path.name, code=2).said
    assert opened.case.entries() == before


def test_all_that_is_wrong_with_a_finding_is_said_at_once(finished: Terminal, opened: RunFolder) -> None:
    wrong = ("--host", "moon", "--address", "there", "--technique", "T0", "--event", "none")
    said = finished.lab("case", "finding", *wrong, code=2).said
    for it in ("no node 'moon'", "'there' is no address", "unknown technique 'T0'", "the id none"):
        assert it in said
    assert "names a host" in finished.lab("case", "finding", "something", code=2).said
    assert "is no time" in finished.lab("case", "finding", "--host", "bastion", "--time", "noon", code=2).said
    assert [it.sort for it in opened.case.entries()] == ["opened"]


def test_an_alert_that_is_none_opens_no_case(finished: Terminal) -> None:
    run = last_run(finished)
    assert "no alert in" in finished.lab("case", "open", run.path.name, "--alert", "zz", code=2).said
    assert run.case.entries() == ()


def test_a_changed_case_is_noticed(finished: Terminal, opened: RunFolder) -> None:
    finished.lab("case", "note", "before")
    finished.lab("case", "close")
    path = opened.path / "case.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("before", "behind"), encoding="utf-8")
    assert not frozen(opened.case.entries()).untouched
    assert "Its file was changed since" in finished.lab("case", "report").out
    told = finished.json("grade", opened.path.name)
    assert isinstance(told, dict)
    assert "changed since it was closed" in told["notes"][0]


def test_a_response_is_written_into_the_run_and_taken_back(finished: Terminal, opened: RunFolder) -> None:
    done = finished.json("respond", "isolate", "bastion", "--network", "outside")
    assert isinstance(done, dict)
    assert (done["state"], done["react"]) == ("done", "RA3102")
    assert finished.lab("respond", "undo").out.startswith(done["id"])
    assert [it.state for it in opened.response.entries()] == ["begun", "begun", "done", "undoing", "undone"]
    assert "isolate bastion: taken back" in finished.lab("case", "report").out
    assert "can be taken back" in finished.lab("respond", "undo", code=2).said


def test_a_playbook_is_handed_in_by_its_hash_and_a_wrong_one_changes_nothing(
    finished: Terminal, opened: RunFolder
) -> None:
    handed = finished.lab("respond", "plan", "ssh", "--set", "node=bastion").out
    assert "'Somebody came in over SSH' was handed in" in handed
    (line,) = opened.response.entries()
    assert (line.action, len(line.digest)) == ("plan", 64)
    (finished.folder / "mine.json").write_text('{"type": "playbook"}', encoding="utf-8")
    said = finished.lab("respond", "plan", "./mine.json", code=2).said
    assert "mine.json:1: a playbook needs 'workflow'" in said
    assert "write  name=value" in finished.lab("respond", "plan", "ssh", "--set", "node", code=2).said
    assert "no variable moon" in finished.lab("respond", "plan", "ssh", "--set", "moon=x", code=2).said
    assert "there is: exfiltration, ssh, web-shell" in finished.lab("respond", "plan", "none", code=2).said
    assert opened.response.entries() == (line,)


def test_the_attackers_own_machine_is_out_of_reach(finished: Terminal, opened: RunFolder) -> None:
    text = opened.happened.scenario.read_text(encoding="utf-8")
    way = "  - {name: x, from: attacker, http: {target: shop}, shows: x}\n"
    opened.happened.scenario.write_text(f"{text}\naccess:\n{way}", encoding="utf-8")
    said = "attacker is the attacker's own machine"
    assert said in finished.lab("respond", "isolate", "attacker", code=2).said
    assert said in finished.lab("evidence", "attacker", code=2).said
    finished.lab("respond", "isolate", "bastion")
    assert "there is: attacker, bastion" in finished.lab("respond", "isolate", "router", code=2).said


def test_a_response_without_a_run_is_refused(standing: Terminal) -> None:
    said = standing.lab("respond", "isolate", "bastion", code=2).said
    assert "no run in the lab starter" in said
    assert "lab watch  keeps one" in said


def test_a_grade_shows_seven_parts_beside_two_floors(finished: Terminal, opened: RunFolder) -> None:
    finished.lab("case", "close")
    shown = finished.lab("grade", opened.path.name)
    assert len(shown.out.split("\n\n")[0].splitlines()) >= 7
    for part in (
        "preparation",
        "identification",
        "containment",
        "eradication",
        "recovery",
        "lessons learned",
    ):
        assert part in shown.out
    assert "acknowledged:" in shown.said
    told = finished.json("grade", opened.path.name)
    assert isinstance(told, dict)
    assert [it["name"] for it in told["floors"]] == ["do nothing", "reset everything at once"]
    assert told == finished.json("grade", opened.path.name), "the same files give the same grade"
    assert "answers handed in" in finished.lab("grade", opened.path.name, "--answers", code=2).said


def test_a_case_of_what_was_done_by_hand_is_not_graded(standing: Terminal) -> None:
    standing.lab("watch", "--for", "1", "--every", "0.5")
    run = last_run(standing)
    standing.lab("case", "open", run.path.name)
    standing.lab("case", "close")
    assert "nobody knows what of it was an attack" in standing.lab("grade", run.path.name, code=2).said


def test_a_scenario_without_ways_in_cannot_be_responded_to(standing: Terminal) -> None:
    said = standing.lab("run", "ssh-brute-force", "--respond", code=2).said
    assert "its file says no  access" in said
    assert "--pause" in standing.lab("run", "mock-breach", "--respond", "--pause", code=2).said
    assert "add --respond" in standing.lab("run", "mock-breach", "--playbook", "ssh", code=2).said


def test_a_case_of_another_run_is_not_taken_for_this_one(finished: Terminal, opened: RunFolder) -> None:
    finished.lab("run", "ssh-brute-force")
    finished.lab("case", "note", "of the first")
    assert [it.text for it in opened.case.entries() if it.sort == "note"] == ["of the first"]
    assert last_run(finished).case.entries() == ()


def test_what_was_handed_in_after_the_close_is_not_graded(finished: Terminal, opened: RunFolder) -> None:
    finished.lab("case", "close")
    finished.lab("respond", "plan", "ssh")
    run = last_run(finished)
    run.write_header(replace(run.header(), ended=run.header().ended))
    told = json.loads(finished.lab("grade", opened.path.name, "--format", "json").out)
    assert told["parts"][0]["missed"] == ["no playbook was handed in"]


def test_a_bundle_carries_the_response_and_none_of_what_undoing_needs(
    finished: Terminal, opened: RunFolder
) -> None:
    finished.lab("respond", "isolate", "bastion", "--network", "outside")
    assert any(it.kept for it in opened.response.entries())
    finished.lab("case", "close")
    finished.lab("export", opened.path.name, "--bundle", "run.zip")
    with zipfile.ZipFile(finished.folder / "run.zip") as archive:
        lines = archive.read("response.jsonl").decode().splitlines()
        assert "case.jsonl" in archive.namelist()
    assert [json.loads(it)["state"] for it in lines] == ["begun", "begun", "done"]
    assert not any(json.loads(it)["kept"] for it in lines)
