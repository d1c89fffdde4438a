"""The loop by its commands: score again, ask why, compare, look back, export, and how quiet it is."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import click
import pytest
import typer.main

from lab.cli.main import app
from lab.cli.session import Outside, open_session
from lab.detect.again import Again
from lab.detect.detector import OWN_RULES
from lab.detect.sigma.compiled import rules_of
from lab.files import records
from lab.files.workplace import CARRIED
from lab.flow.loop import Rescored, Rescoring, rescore
from lab.runs.folder import RunFolder
from tests.cli.test_commands import Terminal, finished, last_run, standing, terminal

__all__ = ["finished", "standing", "terminal"]

ID = "20261123-200000-ssh-brute-force"

RULE = """\
title: Somebody asks
id: 00000000-0000-4000-8000-000000000001
tags: [attack.impact, attack.t1485]
logsource: {product: linux, category: process_creation}
detection: {s: {Image|endswith: /whoami}, condition: s}
level: low
"""


@pytest.fixture
def played(terminal: Terminal) -> Terminal:
    """A workplace with one recorded run, scored by today's rules."""
    folder = terminal.folder / "runs" / ID
    folder.parent.mkdir()
    shutil.copytree(CARRIED / "recordings" / "ssh-brute-force", folder)
    run = RunFolder(folder)
    text = (folder / "run.json").read_text(encoding="utf-8")
    header = json.loads(text) | {"id": ID}
    (folder / "run.json").write_text(json.dumps(header), encoding="utf-8")
    again = Again.of(run.noticed)
    records.append(run.noticed.alerts, again.alerts(rules_of([OWN_RULES])))
    terminal.lab("score", ID)
    return terminal


def files(folder: Path) -> dict[str, bytes]:
    return {str(it.relative_to(folder)): it.read_bytes() for it in folder.rglob("*") if it.is_file()}


# -- rescore ---------------------------------------------------------------------------------------


def test_with_the_same_rules_nothing_is_different_and_nothing_is_written(played: Terminal) -> None:
    before = files(played.folder / "runs")
    assert "nothing is different" in played.lab("rescore").out
    assert files(played.folder / "runs") == before


def test_a_rule_that_is_added_is_seen_at_once_verdict_by_verdict(played: Terminal) -> None:
    (played.folder / "mine.yml").write_text(RULE, encoding="utf-8")
    played.lab("rules", "add", "mine.yml")
    ended = played.lab("rescore", ID)
    assert "Ask who I am\tT1033\tdetected\t+ Somebody asks" in ended.out
    found = played.json("rescore", ID)
    assert isinstance(found, dict)
    assert [it["name"] for it in found["changes"]["steps"]] == ["Ask who I am"]


def test_gates_decide_how_it_ends_and_junit_says_why(played: Terminal) -> None:
    played.lab("rescore", "--min-recall", "0.9", "--max-fp", "5", "--junit", "j.xml")
    assert "<testsuite " in (played.folder / "j.xml").read_text(encoding="utf-8")
    (played.folder / "mine.yml").write_text(RULE.replace("/whoami", "/bash"), encoding="utf-8")
    played.lab("rules", "add", "mine.yml")
    ended = played.lab("rescore", "--max-fp", "0", code=1)
    assert "0 false alarms are allowed" in ended.said
    assert "--watch goes on" in played.lab("rescore", "--watch", "--max-fp", "0", code=2).said


def test_watched_rules_are_scored_on_each_save_and_half_a_file_is_waited_for(
    played: Terminal,
) -> None:
    mine = played.folder / "mine.yml"
    mine.write_text(RULE, encoding="utf-8")
    played.lab("rules", "add", "mine.yml")
    seen: list[Rescored] = []
    with app_context(played):
        context = open_session().context
        told: list[str] = []
        context.tell = told.append
        watcher = threading.Thread(
            target=rescore, args=(Rescoring(run=ID, on_score=seen.append), context), daemon=True
        )
        watcher.start()
        try:
            until(lambda: len(seen) == 1)
            mine.write_text("title: [", encoding="utf-8")
            until(lambda: bool(told))
            mine.write_text(RULE.replace("/whoami", "/uname"), encoding="utf-8")
            until(lambda: len(seen) == 2)
        finally:
            context.stop.set()
            watcher.join(10)
    assert "mine.yml:1" in told[0]
    names = {it.name for it in seen[1].changes.steps}
    assert names == {"Ask who I am", "Learn about the system"}


def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.05)


def app_context(played: Terminal) -> AbstractContextManager[object]:
    return click.Context(typer.main.get_command(app), obj=Outside(folder=played.folder)).scope()


# -- why -------------------------------------------------------------------------------------------


def test_of_a_run_in_which_all_was_detected_nothing_is_missed(played: Terminal) -> None:
    ended = played.lab("why")
    assert "missed" not in ended.out.replace("no step was missed", "")


def test_the_reason_of_one_step_is_asked_by_number_name_or_id(played: Terminal) -> None:
    by = {played.lab("why", ID, it).out for it in ("5", "Ask who I am", "who i am", "5-ask-who-i-am")}
    assert len(by) == 1
    assert "no step 'nothing'" in played.lab("why", ID, "nothing", code=2).said
    assert "there is: 1-find-hosts" in played.lab("why", ID, "nothing", code=2).said


def test_a_draft_is_written_beside_its_cases_and_replaces_nothing(played: Terminal) -> None:
    assert "for one step" in played.lab("why", "last", "--draft-rule", code=2).said
    assert "--to goes with" in played.lab("why", "last", "5", "--to", "x.yml", code=2).said
    played.lab("why", "last", "5", "--draft-rule", "--to", "who.yml")
    assert "experimental" in (played.folder / "who.yml").read_text(encoding="utf-8")
    played.lab("rules", "test", "who.yml")
    assert "there already" in played.lab("why", "last", "5", "--draft-rule", "--to", "who.yml", code=2).said


def test_near_misses_are_counted_when_asked_for(played: Terminal) -> None:
    found = played.json("why", ID, "--near")
    assert isinstance(found, dict)
    assert all(it["count"] > 0 for it in found["near_misses"])


# -- compare, history ------------------------------------------------------------------------------


def test_a_run_is_compared_with_itself(played: Terminal) -> None:
    out = played.lab("compare", ID, ID).out
    assert "have the same verdicts" in out
    assert "McNemar's exact p = 1" in out
    assert "takes two runs" in played.lab("compare", ID, code=2).said


def test_history_shows_runs_and_draws_them(played: Terminal) -> None:
    assert ID in played.lab("history").out
    assert ID in played.lab("history", "ssh-brute-force", "--chart", "h.svg").out
    assert "<svg" in (played.folder / "h.svg").read_text(encoding="utf-8")
    assert "no run so far" in played.lab("history", "recon").out


def test_a_degraded_run_is_in_histories_only_when_asked_for(played: Terminal) -> None:
    path = played.folder / "runs" / ID / "run.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"done"', '"degraded"'), encoding="utf-8")
    assert ID not in played.lab("history").out
    assert f"{ID} (degraded)" in played.lab("history", "--degraded").out


# -- exports ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["navigator", "attire", "timesketch", "iris", "stix", "coverage"])
def test_a_run_is_written_in_each_format(form: str, played: Terminal) -> None:
    played.lab("export", ID, "--as", form, "--to", "out")
    assert (played.folder / "out").stat().st_size > 100
    assert [it.name for it in played.folder.glob(".*draft")] == []


def test_what_is_asked_of_exports_wrongly_is_said(played: Terminal) -> None:
    assert "write  --as" in played.lab("export", code=2).said
    assert "are for --bundle" in played.lab("export", "--as", "stix", "--to", "x", "--replace", code=2).said
    assert "a layer alone" in played.lab("export", "history", "--as", "stix", "--to", "x", code=2).said
    assert "a format of its own" in played.lab("export", "--as", "stix", "--bundle", "x", code=2).said
    played.lab("export", "history", "--as", "navigator", "--to", "layer.json")
    assert json.loads((played.folder / "layer.json").read_text(encoding="utf-8"))["techniques"]


def test_a_bundle_comes_back_with_its_score(played: Terminal) -> None:
    played.lab("export", ID, "--bundle", "b.zip", "--replace")
    shutil.rmtree(played.folder / "runs" / ID)
    ended = played.lab("import", "b.zip")
    assert "its score is the one in the bundle" in ended.said
    assert "its run is there already" in played.lab("import", "b.zip", code=2).said


# -- quiet -----------------------------------------------------------------------------------------


def test_without_a_quiet_day_nothing_is_said(played: Terminal) -> None:
    assert "nothing can be said" in played.lab("quiet").out


def test_a_quiet_day_is_counted_with_its_exposure(played: Terminal) -> None:
    path = played.folder / "runs" / ID / "run.json"
    said = json.loads(path.read_text(encoding="utf-8")) | {"scenario": "quiet-day", "seed": 7}
    path.write_text(json.dumps(said), encoding="utf-8")
    found = played.json("quiet")
    assert isinstance(found, dict)
    (day,) = found["watched"]
    assert (day["seed"], day["hosts"] > 0, day["hours"] > 0) == (7, True, True)
    assert found["bound"] > 0
    out = played.lab("quiet", "--written-on", "7").out
    assert "not counted" in out
    assert "rules were written on its seed, 7" in out


def test_labelled_logs_of_others_are_measured_beside(played: Terminal) -> None:
    logs = played.folder / "ait" / "gather" / "mail" / "logs"
    labels = played.folder / "ait" / "labels" / "mail" / "logs"
    logs.mkdir(parents=True)
    labels.mkdir(parents=True)
    head = "Dec 10 07:{:02d}:{:02d} mail sshd[{}]: "
    guessing = [
        head.format(1, it // 10, it) + f"Failed password for root from 203.0.113.9 port {4000 + it} ssh2"
        for it in range(20)
    ]
    working = [
        head.format(40, it // 10, it) + f"Failed password for root from 203.0.113.7 port {5000 + it} ssh2"
        for it in range(20)
    ]
    (logs / "auth.log").write_text("\n".join([*guessing, *working]) + "\n", encoding="utf-8")
    marked = "".join(json.dumps({"line": it, "labels": ["attacker"]}) + "\n" for it in range(1, 21))
    (labels / "auth.log").write_text(marked, encoding="utf-8")
    found = played.json("quiet", "--dataset", "ait")
    assert isinstance(found, dict)
    (part,) = found["watched"]
    assert (part["name"], part["hosts"]) == ("mail", 1)
    assert part["hours"] == pytest.approx(39 / 60, abs=0.02)
    assert part["false_alarms"]["SSH password guessing from one address"] == 1
    assert found["false_alarms"] == sum(part["false_alarms"].values())


def test_data_of_another_layout_is_refused(played: Terminal) -> None:
    (played.folder / "other").mkdir()
    assert "gather/HOST/logs" in played.lab("quiet", "--dataset", "other", code=2).said


# -- run with gates --------------------------------------------------------------------------------


def test_a_run_is_repeated_with_a_seed_for_each_time(standing: Terminal) -> None:
    ended = standing.lab("run", "ssh-brute-force", "--seeds", "4,6-7", "--junit", "j.xml")
    seeds = [RunFolder(it).header().seed for it in sorted((standing.folder / "runs").iterdir())]
    assert sorted(seeds) == [4, 6, 7]
    assert "recall: " in ended.out
    assert (standing.folder / "j.xml").read_text(encoding="utf-8").count("<testsuite ") == 3


def test_a_run_that_does_not_reach_its_gate_ends_with_1(standing: Terminal) -> None:
    ended = standing.lab("run", "ssh-brute-force", "--max-fp", "0", "--min-recall", "1", code=None)
    assert last_run(standing).score.exists()
    assert ended.code in {0, 1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seeds", "x"], "--seeds x: write"),
        (["--seeds", "5-1"], "--seeds 5-1: write"),
        (["--seeds", "1-3", "--repeat", "2"], "do not go together"),
        (["--seeds", "1", "--seed", "1"], "take one of them"),
        (["--blind", "--max-fp", "1"], "--blind shows no score"),
        (["--min-recall", "2"], "--min-recall"),
    ],
)
def test_what_is_asked_of_runs_wrongly_is_said(words: list[str], said: str, terminal: Terminal) -> None:
    assert said in terminal.lab("run", "ssh-brute-force", *words, code=2).said
