"""Ten ways in which a model's figures lie: each is refused, or the card says it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.detect.description import Description
from lab.detect.model import read_model
from lab.errors import BadFile, WrongInput
from lab.learn import days, judging, records
from lab.learn.card import warnings
from lab.learn.corpora import Corpus, benign_run, parted
from lab.learn.tables import nsl_kdd
from lab.runs.folder import RunFolder
from tests.learn import data

DESCRIBED = Description(
    name="x", kind="record", title="x", level="low", techniques=(), tactics=(), threshold=0, weights="",
    version="0",
)  # fmt: skip


def lab(folder: Path, *words: str, code: int = 0) -> str:
    entry = "from lab.cli.entry import entry; entry()"
    ended = subprocess.run(
        [sys.executable, "-c", entry, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A model of records with a test that has novel types and other benign rows, and its card."""
    folder = tmp_path_factory.mktemp("records")
    data.nsl_kdd(folder / "train.txt", 1)
    test = data.nsl_kdd(folder / "test.txt", 2, extra={"snmpguess": 40, "apache2": 50})
    shared = (folder / "train.txt").read_text("utf-8").splitlines()[:7]
    test.write_text(test.read_text("utf-8") + "\n".join(shared) + "\n", encoding="utf-8")
    said = lab(
        folder, "learn", "nsl-kdd", "--train", "train.txt", "--test", "test.txt", "--seeds", "2",
        "--format", "json",
    )  # fmt: skip
    return folder, json.loads(said[said.index("{") : said.rindex("}") + 1])


def test_a_threshold_is_not_read_from_the_test(learnt: tuple[Path, dict[str, Any]]) -> None:
    folder, card = learnt
    words = ("learn", "nsl-kdd", "--train", "train.txt", "--seeds", "2", "--name", "other")
    said = lab(folder, *words, "--test", "train.txt")
    model = read_model(folder / "models" / "other").description
    assert model.threshold == card["model"]["threshold"]
    assert model.weights == card["model"]["weights"]
    assert "made before any test was opened" in said


def test_nothing_is_fitted_on_what_is_held_out(tmp_path: Path) -> None:
    table = nsl_kdd(data.nsl_kdd(tmp_path / "t.txt", 3))
    dealt = records._deal(table, 1, "mlp")  # noqa: SLF001  # how rows are dealt is the point
    for number, hidden in enumerate(dealt.hidden):
        kept, opened = dealt.fold(number)
        assert not {*kept.tolist()} & {*opened.tolist(), *dealt.held.tolist()}
        assert not {*table.labels[kept].tolist()} & {*hidden}
    assert not {*dealt.whole().tolist()} & {*dealt.held.tolist()}
    assert sorted(it for hidden in dealt.hidden for it in hidden) == sorted(data.TYPES)


def test_rows_that_are_in_training_and_test_are_counted(learnt: tuple[Path, dict[str, Any]]) -> None:
    assert "7 rows of the test have the values of a row of the training" in " ".join(learnt[1]["notes"])
    found = parted(
        [
            Corpus(name=name, attack=attack, values=tuple(values), read=len(values), hash="")
            for name, attack, values in (
                ("a", True, ("1", "2")),
                ("b", True, ("2", "3")),
                ("c", False, ("3",)),
            )
        ]
    )
    assert (found.shared, found.disputed) == (1, 1)


def test_attacks_are_not_learnt_as_benign(tmp_path: Path) -> None:
    """Neither a recording with an attack, nor a day in which truth marks one."""
    attacked = RunFolder(Path("recordings/ssh-brute-force").resolve())
    with pytest.raises(WrongInput, match="has an attack in it"):
        benign_run(attacked)
    made = data.run(tmp_path / "day", [data.connection(1)], [data.step("flood", "10.0.0.1", 0, 9)])
    with pytest.raises(WrongInput, match="has an attack in it"):
        days.quiet(made)


def test_accuracy_is_not_shown_without_the_base_rate(learnt: tuple[Path, dict[str, Any]]) -> None:
    folder, card = learnt
    assert [it["base_rate"] for it in card["base_rates"]] == [0.1, 0.01, 0.001, 0.0001, 0.00001]
    for name in ("card.md", "card.html"):
        text = (folder / "models" / "nsl-kdd" / name).read_text("utf-8")
        assert "What an alert is worth" in text
    assert 'type="range"' in text


def test_simpler_things_stand_beside_it(learnt: tuple[Path, dict[str, Any]]) -> None:
    said = " ".join(it["name"] for it in learnt[1]["test"]["baselines"])
    for what in ("a decision tree like J48", "gradient boosting", "the column"):
        assert what in said
    assert learnt[1]["test"]["majority"] is not None


def test_drift_is_said(learnt: tuple[Path, dict[str, Any]]) -> None:
    said = " ".join(learnt[1]["drift"])
    assert "2 types of attacks are in the test alone: apache2, snmpguess" in said
    assert "benign rows differ in" in said


def test_known_and_novel_types_stand_apart(learnt: tuple[Path, dict[str, Any]]) -> None:
    sorts = {it["name"]: it["sort"] for it in learnt[1]["test"]["groups"]}
    assert sorts == {
        "normal": "benign", "apache2": "novel attack", "snmpguess": "novel attack",
        **dict.fromkeys(data.TYPES, "known attack"),
    }  # fmt: skip
    found = learnt[1]["test"]
    assert (found["recall_known"]["value"], found["recall_novel"]["total"]) == (
        pytest.approx(1, abs=0.05),
        90,
    )
    assert learnt[1]["recall_novel"]["mean"] < learnt[1]["recall_known"]["mean"]


def test_every_variant_that_was_tried_is_counted(learnt: tuple[Path, dict[str, Any]]) -> None:
    card = learnt[1]
    assert len(card["tried"]) == len(records.VARIANTS)
    assert sum(it["chosen"] for it in card["tried"]) == card["tested"] == 1
    assert len(card["accuracy"]["values"]) == len(card["seeds"]) == 2


def test_a_rate_that_was_missed_is_warned_of(tmp_path: Path) -> None:
    """Benign rows of the test that lie elsewhere are false alarms, and the card says so first."""
    train = nsl_kdd(data.nsl_kdd(tmp_path / "a.txt", 1))
    odd = data.nsl_kdd(tmp_path / "b.txt", 2)
    odd.write_text(odd.read_text("utf-8").replace("neptune,20", "normal,20"), encoding="utf-8")
    wanted = records.Wanted(described=DESCRIBED, target=0.05, seeds=(1,))
    (fitted,), _ = records.train(train, wanted, lambda _line: None)
    test = judging.judged(fitted, train, nsl_kdd(odd))
    assert "more than twice the 0.05 aimed at" in " ".join(warnings(fitted.folds, test, 0.05, None))


def test_a_model_of_records_raises_no_alerts_in_a_lab(learnt: tuple[Path, dict[str, Any]]) -> None:
    assert "no sensor of a lab writes these" in lab(learnt[0], "model", "use", "nsl-kdd", code=2)
    assert "nsl-kdd" in lab(learnt[0], "model", "check", "nsl-kdd")


def test_a_pickle_in_the_place_of_weights_is_refused(
    learnt: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:

    folder = shutil.copytree(learnt[0] / "models" / "nsl-kdd", tmp_path / "m")
    (folder / "weights.npz").write_bytes(b"\x80\x04cos\nsystem\n")
    with pytest.raises(BadFile, match="another hash"):
        read_model(folder)


def test_benign_rows_alone_make_a_model_too_and_no_claim_of_recall(tmp_path: Path) -> None:
    lines = (data.nsl_kdd(tmp_path / "t.txt", 1)).read_text("utf-8").splitlines()
    (tmp_path / "b.txt").write_text("\n".join(it for it in lines if "normal" in it), encoding="utf-8")
    said = lab(tmp_path, "learn", "kdd99", "--train", "b.txt", "--seeds", "1", "--format", "json")
    card = json.loads(said[said.index("{") : said.rindex("}") + 1])
    assert (card["recall"], card["test"], len(card["tried"])) == (None, None, 1)


def test_too_few_benign_rows_are_refused(tmp_path: Path) -> None:
    data.nsl_kdd(tmp_path / "t.txt", 1, benign=50)
    said = lab(tmp_path, "learn", "nsl-kdd", "--train", "t.txt", code=2)
    assert "50 benign rows" in said
    assert not (tmp_path / "models").exists()


def test_what_is_not_installed_is_said_before_anything_is_trained(tmp_path: Path) -> None:
    data.nsl_kdd(tmp_path / "t.txt", 1)
    said = lab(tmp_path, "learn", "nsl-kdd", "--train", "t.txt", "--with", "torch", code=3)
    assert "torch is not installed" in said
    assert "homerange[deep]" in said
    assert "fold" not in said


def test_a_missing_file_says_which_is_wanted_from_where(tmp_path: Path) -> None:
    said = lab(tmp_path, "learn", "nsl-kdd", "--train", "KDDTrain+.txt", code=2)
    assert "KDDTrain+.txt or KDDTest+.txt, from the Canadian Institute for Cybersecurity" in said
