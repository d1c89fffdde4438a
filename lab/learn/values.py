"""A model of HTTP parameter values: trained, its threshold frozen on what it was not trained on, then tested.

Folds hold out whole corpora of
attacks and whole families of benign values: a random split would put neighbours of a row on both sides. The
threshold is chosen on those folds alone, the model is then fitted on all of them, and both have their hash
before any test is opened.
"""

from __future__ import annotations

import math
import random
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from lab.detect import features
from lab.detect.description import Description
from lab.detect.model import Model
from lab.errors import NotReady, WrongInput
from lab.learn.card import Evaluation, Group, Sort, as_baseline, curve, evaluation
from lab.learn.corpora import Corpus, Parted
from lab.score.intervals import Share, share

_FOLDS: Final = 5

ORDINARY_RATE: Final = 0.001
"""False positives on ordinary values that a threshold aims at."""

HARD_RATE: Final = 0.05
"""False positives on hard benign values that it aims at."""

_WEIGHT: Final = 8.0
"""How much regularisation is taken back: scikit-learn's C."""

_SHARES: Final = {(True, False): 1.0, (False, False): 0.6, (False, True): 0.4}
"""How much attacks, ordinary and hard values count together."""

_FEWEST: Final = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What a model says of a corpus that it was not trained on."""

    corpus: str
    """Its name."""

    attack: bool
    """Whether it is of attacks."""

    hard: bool
    """Whether it is benign and looks like attacks."""

    flagged: Share
    """Values at or above the threshold."""

    quote: Share
    """Values that the best single feature flags: a quote, a comment sign or a semicolon."""

    scores: tuple[float, ...]
    """Of each value."""

    @property
    def sort(self) -> Sort:
        """What its values are; payloads of a corpus that a fold did not see are novel to it."""
        return "novel attack" if self.attack else "hard benign" if self.hard else "benign"


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A model, and what is known of it from the folds."""

    model: Model
    """Fitted on everything; its threshold is that of the folds."""

    arrays: Mapping[str, Any]
    """Its weights."""

    held: tuple[Held, ...]
    """Each corpus, by the fold that did not see it."""


def train(parts: Parted, described: Description, seed: int, tell: Callable[[str], None]) -> Trained:
    """Train a model.

    Args:
        parts: Attacks and benign values.
        described: What the model is to be; threshold and hash are filled in.
        seed: What chance is drawn from: which corpora are in which fold.
        tell: Hears how far it is.

    Raises:
        WrongInput: there are not enough corpora to hold some out.
        NotReady: scikit-learn is not installed.
    """
    attacks = [it for it in parts.corpora if it.attack]
    benign = [it for it in parts.corpora if not it.attack]
    if len(attacks) < _FEWEST or len(benign) < _FEWEST:
        raise WrongInput(
            f"{len(attacks)} corpora of attacks and {len(benign)} of benign values: two of each are wanted,"
            " since whole ones are held out"
        )
    folds = _folds(parts.corpora, seed)
    scores: dict[str, list[float]] = {}
    for number, held in enumerate(folds, 1):
        tell(f"fold {number} of {len(folds)}: without {', '.join(sorted(it.name for it in held))}")
        fitted = _fitted([it for it in parts.corpora if it not in held], described)[0]
        scores |= {it.name: [fitted.score_normal(value) for value in it.values] for it in held}
    threshold = _threshold(parts.corpora, scores)
    tell("fitting on all of it")
    model, arrays = _fitted(parts.corpora, _with(described, threshold))
    return Trained(
        model=model,
        arrays=arrays,
        held=tuple(_held(it, scores[it.name], threshold) for it in parts.corpora),
    )


def judged(model: Model, corpus: Corpus, parts: Parted) -> Held:
    """Say what a frozen model makes of a corpus; rows that it was trained on do not count."""
    seen = {value for it in parts.corpora for value in it.values}
    fresh = replace(corpus, values=tuple(it for it in corpus.values if it not in seen))
    return _held(fresh, [model.score_normal(it) for it in fresh.values], model.description.threshold)


def _with(described: Description, threshold: float) -> Description:
    return replace(described, threshold=round(threshold, 4))


def _folds(corpora: Sequence[Corpus], seed: int) -> list[list[Corpus]]:
    """Deal corpora into folds, the largest first, each side for itself."""
    chance = random.Random(seed)  # noqa: S311  # chance, not secrets
    folds: list[list[Corpus]] = [[] for _ in range(_FOLDS)]
    for attack in (True, False):
        side = [it for it in corpora if it.attack == attack]
        chance.shuffle(side)
        side.sort(key=lambda it: -len(it.values))
        for it in side:
            fold = min(folds, key=lambda one: sum(len(c.values) for c in one if c.attack == attack))
            fold.append(it)
    return [it for it in folds if it]


def _fitted(corpora: Iterable[Corpus], described: Description) -> tuple[Model, Mapping[str, Any]]:
    every = [(value, it) for it in corpora for value in it.values]
    weights = _weights([it for _, it in every])
    arrays: dict[str, Any] = {}
    bias = []
    for half, (name, buckets) in enumerate(
        (("characters", features.CHARACTERS), ("tokens", features.TOKENS))
    ):
        rows = [_buckets_of(value)[half] for value, _ in every]
        arrays[name], constant = _regression(rows, buckets, [it.attack for _, it in every], weights)
        bias.append(constant)
    import numpy as np  # _regression said what is missing

    arrays["bias"] = np.array(bias, dtype=np.float32)
    return Model(described, arrays), arrays


@cache
def _buckets_of(value: str) -> tuple[Sequence[int], Sequence[int]]:
    """Return the buckets of a value, remembered: each fold and seed asks again."""
    characters = (features.bucket(it, features.CHARACTERS) for it in features.characters(value))
    return array("H", characters), array(
        "H", (features.bucket(it, features.TOKENS) for it in features.tokens(value))
    )


def _weights(of: Sequence[Corpus]) -> list[float]:
    """Weigh values so that attacks count as much as all benign ones, and hard ones as much as these need."""
    sizes = Counter((it.attack, it.hard) for it in of)
    return [_SHARES[it.attack, it.hard] / sizes[it.attack, it.hard] * len(of) for it in of]


def _regression(
    rows: Sequence[Sequence[int]], buckets: int, sides: Sequence[bool], weights: Sequence[float]
) -> tuple[Any, float]:
    """Fit a logistic regression; each value has the same length, however many grams it has."""
    try:
        import numpy as np
        from scipy.sparse import csr_matrix
        from sklearn.linear_model import LogisticRegression
    except ModuleNotFoundError as error:
        raise NotReady(
            f"{error.name} is not installed", remedy="pip install 'homerange[learn]'  brings it"
        ) from error
    values = [1 / math.sqrt(len(row)) for row in rows for _ in row]
    columns = [it for row in rows for it in row]
    ends = np.cumsum([0, *map(len, rows)])
    matrix = csr_matrix((values, columns, ends), shape=(len(rows), buckets), dtype=np.float64)
    matrix.sum_duplicates()
    fitted = LogisticRegression(C=_WEIGHT, solver="liblinear", max_iter=200)
    fitted.fit(matrix, sides, sample_weight=weights)
    return fitted.coef_[0].astype(np.float32), float(fitted.intercept_[0])


def _threshold(corpora: Sequence[Corpus], scores: Mapping[str, Sequence[float]]) -> float:
    """Return the lowest threshold that keeps both rates on values that the folds did not see."""
    limits = []
    for hard, rate in ((False, ORDINARY_RATE), (True, HARD_RATE)):
        found = sorted(
            score for it in corpora if not it.attack and it.hard == hard for score in scores[it.name]
        )
        if found:
            limits.append(found[min(len(found) - 1, math.ceil((1 - rate) * len(found)))])
    return max(limits) + 1e-6


def _held(corpus: Corpus, scores: Sequence[float], threshold: float) -> Held:
    return Held(
        corpus=corpus.name,
        attack=corpus.attack,
        hard=corpus.hard,
        flagged=share(sum(it >= threshold for it in scores), len(scores)),
        quote=share(
            sum(bool(set(it) & set("'\";")) or "--" in it for it in corpus.values), len(corpus.values)
        ),
        scores=tuple(scores),
    )


def evaluated(held: Sequence[Held]) -> Evaluation:
    """Sum up what a model says of corpora that it did not see, beside what a quote alone says."""
    quotes = evaluation([Group(name=it.corpus, sort=it.sort, flagged=it.quote) for it in held])
    by_quote = as_baseline("a quote, a semicolon or `--` alone", quotes)
    return evaluation(
        [Group(name=it.corpus, sort=it.sort, flagged=it.flagged) for it in held],
        baselines=[by_quote],
        curve=curve([one for it in held for one in it.scores], [it.attack for it in held for _ in it.scores]),
    )
