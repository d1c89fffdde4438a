"""Training: what may be learnt from, what is held out, and what a card must say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lab.detect.description import Description
from lab.detect.features import normal
from lab.errors import BadFile, WrongInput
from lab.files.workplace import CARRIED
from lab.learn.corpora import Corpus, attack_file, benign_run, parted
from lab.learn.made import families, made
from lab.learn.values import judged, train
from lab.runs.folder import RunFolder

DESCRIBED = Description(
    name="sqli", kind="http-value", title="x", level="high", techniques=("T1190",), tactics=(), threshold=0,
    weights="", version="0",
)  # fmt: skip


def small(count: int = 250, seed: int = 1) -> list[Corpus]:
    """Make corpora of all families, so small that a model is trained in a second."""
    return [
        Corpus(
            name=it.name, attack=it.sort == "attack", hard=it.sort == "hard", read=count, hash="",
            values=tuple(dict.fromkeys(map(normal, made(it, count, seed)))),
        )
        for it in families()
    ]  # fmt: skip


def of(name: str, *values: str, attack: bool = True) -> Corpus:
    return Corpus(name=name, attack=attack, values=values, read=len(values), hash="")


def test_no_row_is_in_two_corpora_or_on_both_sides() -> None:
    found = parted([of("a", "1", "2"), of("b", "2", "3", "both"), of("c", "3", "4", "both", attack=False)])
    assert {it.name: it.values for it in found.corpora} == {"a": ("1", "2"), "c": ("4",)}
    assert (found.shared, found.disputed) == (1, 2)


def test_a_run_with_an_attack_in_it_is_refused() -> None:
    with pytest.raises(WrongInput, match="has an attack in it"):
        benign_run(RunFolder(CARRIED / "recordings" / "ssh-brute-force"))


def test_a_file_of_no_payloads_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("# only a comment\n\n", encoding="utf-8")
    for path in (tmp_path / "p.txt", tmp_path / "nothing.txt", tmp_path):
        with pytest.raises(BadFile):
            attack_file(path)


def test_what_is_held_out_is_not_trained_on() -> None:
    """Nonsense that is called an attack is flagged by the whole model, and by no fold without it."""
    odd = of("odd", *(f"zzqy{it:04d}zqqz".replace("0", "x").replace("1", "w") for it in range(300)))
    parts = parted([*small(120), odd])
    trained = train(parts, DESCRIBED, 1, lambda _line: None)
    held = {it.corpus: it.flagged for it in trained.held}
    assert (held["odd"].value or 0) < 0.2
    threshold = trained.model.description.threshold
    assert sum(trained.model.score_normal(it) >= threshold for it in odd.values) > 0.8 * len(odd.values)


def test_a_model_of_made_up_payloads_finds_those_of_others_and_few_ordinary_values() -> None:
    trained = train(parted(small(700)), DESCRIBED, 1, lambda _line: None)
    threshold = trained.model.description.threshold
    theirs = (
        "1' OR '1'='1' -- ", "-1 UNION ALL SELECT user,pass FROM wp_users--", "admin'--",
        "1;DROP TABLE books",
        "1 AND SLEEP(5)#", "%27%20or%201%3D1%23", "1' AND extractvalue(1,concat(0x5c,version()))-- ",
        "x' UNION SELECT NULL,NULL,@@version-- -",
    )  # fmt: skip
    plain = (
        "lamp", "red table lamp", "O'Neill", "2026-11-27", "blue & white", "it's raining", "select a size",
        "100%",
        "drop-down desk", "jane.doe@mail.example", "c++ or rust", "chairs (set of 4)", '7 1/2"', "true", "",
    )  # fmt: skip
    assert [it for it in theirs if trained.model.score(it) < threshold] == []
    assert [it for it in plain if trained.model.score(it) >= threshold] == []


def test_rows_of_a_test_that_were_trained_on_do_not_count() -> None:
    parts = parted(small(60))
    trained = train(parts, DESCRIBED, 1, lambda _line: None)
    known = next(it for it in parts.corpora if it.attack)
    fresh = judged(trained.model, of("test", *known.values[:20], "1' or 'never'='seen'"), parts)
    assert fresh.flagged.total == 1


def test_too_little_to_hold_some_out_is_refused() -> None:
    with pytest.raises(WrongInput, match="two of each are wanted"):
        train(parted([of("a", "1"), of("b", "2", attack=False)]), DESCRIBED, 1, lambda _line: None)


def test_learn_use_replay_and_score(tmp_path: Path) -> None:
    """From nothing to alerts of a model in a replay, on the command line."""

    def lab(*words: str, code: int = 0) -> str:
        entry = "from lab.cli.entry import entry; entry()"
        ended = subprocess.run(
            [sys.executable, "-c", entry, *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert ended.returncode == code, ended.stdout + ended.stderr
        return ended.stdout

    (tmp_path / "theirs.txt").write_text("1' or 1=1--\n-1 union select 1,2,3\n", encoding="utf-8")
    said = json.loads(lab("learn", "sqli", "--seeds", "1", "--test", "theirs.txt", "--format", "json"))
    assert said["test"]["recall"]["hits"] == 2
    assert said["folds"]["recall_novel"]["value"] > 0.7
    assert "made up here alone" in " ".join(said["warnings"])
    assert said["folds"]["ordinary"]["value"] <= 0.002
    lab("learn", "sqli", code=2)
    assert json.loads(lab("model", "list", "--format", "json"))[0]["used"] is False
    assert "## Before you believe it" in lab("model", "show", "sqli")
    assert "<h1>Model sqli</h1>" in (tmp_path / "models" / "sqli" / "card.html").read_text("utf-8")
    lab("model", "use", "sqli")
    lab("replay", "ssh-brute-force")
    (run,) = (tmp_path / "runs").iterdir()
    assert "model:sqli" in json.loads((run / "run.json").read_text("utf-8"))["rules"]
    weights = tmp_path / "models" / "sqli" / "weights.npz"
    weights.write_bytes(weights.read_bytes() + b" ")
    lab("replay", "ssh-brute-force", code=2)
    lab("model", "check", "sqli", code=2)
    lab("model", "forget", "sqli")
    assert json.loads(lab("model", "list", "--format", "json")) == []
    lab("replay", "ssh-brute-force")
