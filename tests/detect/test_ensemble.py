"""Members of an ensemble: scored by numpy as scikit-learn scores them, and refused where they do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture

from lab.detect import ensemble
from lab.detect.description import Description
from lab.errors import WrongInput
from lab.learn import members

CHANCE = np.random.default_rng(1)
ROWS = CHANCE.normal(size=(400, 5)).astype(np.float32)
ATTACK = ROWS[:, 0] + ROWS[:, 1] > 1
ALL = members.Rows(inputs=ROWS, attack=ATTACK, weights=np.ones(len(ROWS)))
INPUTS = ("a", "b", "c", "d", "e")


def described(**more: Any) -> Description:  # noqa: ANN401  # its fields
    return Description(
        **{
            "name": "x", "kind": "record", "title": "x", "level": "low", "techniques": (), "tactics": (),
            "threshold": 1.0, "weights": "", "version": "0", "inputs": INPUTS, **more,
        }
    )  # fmt: skip


def test_a_forest_is_scored_as_it_was_trained() -> None:
    arrays = members.forest(ALL, 1)
    same = ExtraTreesClassifier(60, min_samples_leaf=2, max_features=0.3, random_state=1).fit(ROWS, ATTACK)
    assert ensemble.forest(ROWS, arrays) == pytest.approx(same.predict_proba(ROWS)[:, 1])


def test_a_regression_is_scored_as_it_was_trained() -> None:
    arrays = members.linear(ALL, 1)
    same = LogisticRegression(max_iter=500, tol=1e-3, random_state=1).fit(ROWS, ATTACK)
    assert ensemble.linear(ROWS, arrays) == pytest.approx(same.decision_function(ROWS), abs=1e-4)


def test_a_mixture_is_scored_as_it_was_trained() -> None:
    arrays = members.mixture(ALL, 1)
    benign = ROWS[~ATTACK].astype("float64")
    axes = PCA(5, random_state=1).fit(benign)
    same = GaussianMixture(1, reg_covar=1e-3, max_iter=50, random_state=1).fit(axes.transform(benign))
    expected = -same.score_samples(axes.transform(ROWS))
    assert ensemble.mixture(ROWS.astype("float64"), arrays) == pytest.approx(expected, abs=1e-6)


def test_an_autoencoder_draws_benign_rows_better() -> None:
    spread = np.repeat(CHANCE.normal(size=(600, 1)), 5, axis=1).astype(np.float32)
    odd = spread.copy()
    odd[:, 2] *= -1
    arrays = members.autoencoder(
        members.Rows(inputs=spread, attack=np.zeros(600, bool), weights=np.ones(600)), 1
    )
    assert np.median(ensemble.autoencoder(odd, arrays)) > 3 * np.median(ensemble.autoencoder(spread, arrays))


def test_a_surprise_is_the_share_of_benign_rows_that_score_as_high_and_never_falls() -> None:
    benign = np.arange(99.0)
    found = ensemble.surprise(np.array([0.0, 50.0, 98.0, 120.0, 500.0]), benign)
    assert np.exp(-found[:3]) == pytest.approx([1.0, 0.5, 0.02])
    assert (np.diff(found) > 0).all()


def test_an_encoder_knows_what_it_was_fitted_on_alone() -> None:
    arrays = {"middle": np.array([1.0]), "scale": np.array([2.0]), "logarithm": np.array([0.0])}
    encoder = ensemble.Encoder(("size", "flag=SF"), arrays)
    words = {"flag": np.array(["SF", "never seen"])}
    rows = encoder.encode(("other", "size"), np.array([[9.0, 3.0], [9.0, 99.0]]), words)
    assert rows.tolist() == [[1.0, 1.0], [5.0, 0.0]]
    with pytest.raises(WrongInput, match="size, flag"):
        encoder.encode(("other",), np.zeros((1, 1)), {})


def whole() -> dict[str, Any]:
    arrays = {**members.forest(ALL, 1), "usual": np.zeros(5)}
    return {**arrays, "forest_benign": np.sort(ensemble.forest(ROWS[~ATTACK], arrays))}


def test_what_moved_a_row_is_what_makes_its_score_fall() -> None:
    model = ensemble.Ensemble(described(), whole())
    worst = ROWS[int(np.argmax(model.score(ROWS)))]
    moved = model.explain(worst)
    assert {name for name, _ in moved[:2]} == {"a", "b"}
    without = worst.copy()
    without[INPUTS.index(moved[0][0])] = 0
    fall = model.score(worst[None, :])[0] - model.score(without[None, :])[0]
    assert moved[0][1] == pytest.approx(fall, abs=0.001)


@pytest.mark.parametrize(
    ("name", "change"),
    [("left", 0), ("right", 10**6), ("feature", 5)],
    ids=["a tree that never ends", "a child that is not there", "an input that is not there"],
)
def test_a_forest_that_does_not_fit_is_refused(name: str, change: int) -> None:
    arrays = whole()
    arrays[f"forest_{name}"] = np.where(arrays["forest_left"] >= 0, change, arrays[f"forest_{name}"])
    with pytest.raises(ValueError, match="a tree that"):
        ensemble.Ensemble(described(), arrays)


def test_other_inputs_than_its_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="other inputs"):
        ensemble.Ensemble(described(inputs=("a",)), whole())
