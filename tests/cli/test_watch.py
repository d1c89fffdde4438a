"""`lab watch` and `lab mark`: a lab that is attacked by hand, and a run that somebody else plays."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.files.workplace import Workplace
from lab.moment import Moment
from lab.provision.lock import locked
from lab.runs import folder
from lab.runs.folder import RunFolder
from lab.runs.marks import read_marks
from tests.cli.test_commands import Terminal, finished, last_run, standing, terminal

__all__ = ["finished", "standing", "terminal"]  # fixtures


@pytest.fixture
def going(finished: Terminal) -> RunFolder:
    """Return a run that goes on, of a lab that is held."""
    run = last_run(finished)
    run.write_header(replace(run.header(), state="running", ended=None))
    return run


def test_a_lab_without_an_exercise_is_watched_and_kept_as_a_run(standing: Terminal) -> None:
    ended = standing.lab("watch", "--for", "1", "--every", "0.5")
    run = last_run(standing)
    header = run.header()
    assert (header.scenario, header.lab, header.judged) == ("free", "starter", False)
    assert header.state in {"done", "degraded"}
    assert header.rules
    assert "watching; attack with" in ended.said
    assert " events, " in ended.said
    assert str(run.report) in ended.out
    assert "what of it was an attack, nobody has written down" in run.report.read_text(encoding="utf-8")
    standing.lab("run", "ssh-brute-force")  # the lab is free again


def test_a_note_goes_into_the_run_that_goes_on_and_its_report(finished: Terminal, going: RunFolder) -> None:
    with locked("starter", doing="lab watch"):
        said = finished.lab("mark", "guessed a <password>").out
    (note,) = read_marks(going.happened)
    assert said == f"{note.time.iso()}  guessed a <password>\n"
    finished.lab("report", going.path.name)
    page = going.report.read_text(encoding="utf-8")
    assert "What you noted, and what was raised" in page
    assert "guessed a &lt;password&gt;" in page
    assert "guessed a" in going.report_text.read_text(encoding="utf-8")


def test_a_note_without_a_run_that_goes_on_is_refused(finished: Terminal, going: RunFolder) -> None:
    refused = finished.lab("mark", "hello", code=2)  # its run was killed: nobody holds the lab
    assert "no run that goes on" in refused.said
    assert "lab watch  opens one" in refused.said
    assert read_marks(going.happened) == ()


def test_a_run_that_somebody_plays_is_followed_by_its_files(finished: Terminal, going: RunFolder) -> None:
    with locked("starter", doing="lab run ssh-brute-force"):
        ended = finished.lab("watch", "--for", "0.1", "--every", "0.5")
    assert ended.said.count("SSH log-in after password guessing") == 1
    assert "INCIDENT" in ended.said
    assert " a second: " in ended.said
    assert len(folder.list_runs(Workplace(finished.folder))) == 1
    assert going.header().state == "running"


def test_a_run_that_is_over_is_shown_and_left(finished: Terminal) -> None:
    run = last_run(finished)
    before = run.header()
    assert "INCIDENT" in finished.lab("watch", run.path.name).said
    assert run.header() == before
    assert before.ended is not None
    assert before.ended <= Moment.now()


def test_what_else_holds_the_lab_is_named(finished: Terminal) -> None:
    with locked("starter", doing="lab reset"):
        assert "lab reset" in finished.lab("watch", code=None).said


def test_without_a_lab_there_is_nothing_to_watch(terminal: Terminal) -> None:
    assert "lab up" in terminal.lab("watch", code=2).said


@pytest.mark.parametrize("command", ["resume", "clean"])
def test_what_was_done_by_hand_is_nothing_to_go_on_with(standing: Terminal, command: str) -> None:
    standing.lab("watch", "--for", "0.5")
    run = last_run(standing)
    run.write_header(replace(run.header(), state="running", ended=None))
    refused = standing.lab(command, code=2)
    assert "no run of a scenario" in refused.said
    assert "done by hand" in refused.said
