"""Models of windows, from quiet days alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab.detect.description import Description
from lab.errors import WrongInput
from lab.learn import days
from tests.learn import data

DESCRIBED = Description(
    name="flood", kind="destination-window", title="x", level="medium", techniques=(), tactics=(),
    threshold=0, weights="", version="0",
)  # fmt: skip


@pytest.fixture
def quiet(tmp_path: Path) -> list[days.Day]:
    return [days.quiet(data.run(tmp_path / "runs" / f"d{it}", data.visits(it))) for it in (1, 2, 3)]


def test_a_flood_is_found_and_a_day_that_was_not_learnt_from_is_quiet(
    quiet: list[days.Day], tmp_path: Path
) -> None:
    learnt = days.learn(quiet, DESCRIBED, 1.0)
    step = data.step("flood", "10.0.0.1", 300, 309)
    runs = [data.run(tmp_path / "f", data.flooded(4), [step]), data.run(tmp_path / "q", data.visits(5))]
    found = days.tried(learnt, [days.day(it) for it in runs])
    assert found.recall_novel.value == 1
    assert found.ordinary.hits == 0
    alone = {it.name.partition(" alone")[0]: it.recall for it in found.baselines}
    assert (alone["to one port"], alone["ports"]) == (1, 0)


def test_each_day_is_held_out_from_the_model_that_scores_it(quiet: list[days.Day], tmp_path: Path) -> None:
    """A day unlike the others moves the threshold beyond itself: its scorer had not learnt from it."""
    plain = days.learn(quiet, DESCRIBED, 1.0)
    odd = days.quiet(data.run(tmp_path / "odd", data.flooded(9)))
    with_odd = days.learn([*quiet, odd], DESCRIBED, 1.0)
    assert with_odd.model.description.threshold > 3 * plain.model.description.threshold


def test_fewer_false_alerts_take_a_higher_threshold(quiet: list[days.Day]) -> None:
    often, rarely = (days.learn(quiet, DESCRIBED, it).model.description.threshold for it in (50.0, 0.1))
    assert often < rarely


def test_one_day_is_too_few(quiet: list[days.Day]) -> None:
    with pytest.raises(WrongInput, match="at least 2"):
        days.learn(quiet[:1], DESCRIBED, 1.0)


def test_a_day_of_nothing_is_refused(quiet: list[days.Day], tmp_path: Path) -> None:
    empty = days.quiet(data.run(tmp_path / "n", [data.base(1, 0)]))
    with pytest.raises(WrongInput, match="nothing in n is in a window"):
        days.learn([*quiet, empty], DESCRIBED, 1.0)


def test_learn_from_runs_and_raise_in_a_replay(tmp_path: Path) -> None:
    """On the command line: quiet days, a model of each sort, its card, its alerts beside the rules."""

    def lab(*words: str, code: int = 0) -> str:
        entry = "from lab.cli.entry import entry; entry()"
        ended = subprocess.run(
            [sys.executable, "-c", entry, *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended.stdout

    for it in (1, 2, 3):
        events = data.visits(it) + [data.command(7000 + at, "/bin/ls", at) for at in range(0, 600, 5)]
        data.run(tmp_path / "runs" / f"d{it}", events)
    benign = [word for it in (1, 2, 3) for word in ("--benign", f"d{it}")]
    said = json.loads(lab("learn", "flood", *benign, "--format", "json"))
    assert said["false_positive_rate"]["mean"] == 0
    assert said["an_hour"] > 100
    lab("learn", "hosts", *benign)
    lab("learn", "hosts", *benign, "--name", "again", "--test", "d9", code=2)
    for name in ("flood", "hosts"):
        lab("model", "use", name)
    lab("replay", "ssh-brute-force")
    run = next(it for it in (tmp_path / "runs").iterdir() if "ssh-brute-force" in it.name)
    raised = {json.loads(it)["rule_id"] for it in (run / "alerts.jsonl").read_text("utf-8").splitlines()}
    assert "model:hosts" in raised
    first = lab("score", run.name, "--by", "rules,models,both").splitlines()[0].split("\t")
    assert len(first) == 5  # a step, its technique, and what each found
