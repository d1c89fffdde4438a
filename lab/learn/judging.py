"""What a frozen model of records does on a test, and what simpler things do there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from lab.detect.ensemble import Encoder
from lab.learn.card import AtTarget, Baseline, Evaluation, Moved, as_baseline, curve, evaluation, spread
from lab.learn.records import Fitted, encoded, groups_of
from lab.learn.tables import BENIGN, Table

TARGETS: Final = (0.01, 0.02, 0.04, 0.06, 0.08)
"""False-positive rates for which a card says what their thresholds would do."""

_SHOWN_TYPES: Final = 12
_SHOWN_DRIFT: Final = 5
_LEAVES: Final = 8
"""Leaves of a tree over one column: several cuts, so that a column is shown at its best."""

_MOST: Final = 40_000
"""Rows of the training that single columns are tried on."""


def judged(fitted: Fitted, train: Table, test: Table, baselines: Sequence[Baseline] = ()) -> Evaluation:
    """Say what a frozen model makes of a test."""
    scores = scored(fitted, test)
    known = frozenset(train.labels.tolist())
    return evaluation(
        groups_of(test.labels, scores >= fitted.ensemble.description.threshold, known),
        baselines=baselines,
        curve=curve(scores.tolist(), test.attack.tolist()),
    )


def scored(fitted: Fitted, table: Table) -> Any:  # noqa: ANN401  # numpy's
    """Return the scores of a table's rows."""
    return fitted.ensemble.score(encoded(fitted.ensemble.encoder, table))


def at_targets(fitted: Sequence[Fitted], train: Table, test: Table) -> tuple[AtTarget, ...]:
    """Say what other thresholds would do on a test, each one of held-out benign rows."""
    known = frozenset(train.labels.tolist())
    every = [scored(it, test) for it in fitted]
    found = []
    for target in TARGETS:
        of = [
            evaluation(groups_of(test.labels, scores >= it.threshold(target), known))
            for it, scores in zip(fitted, every, strict=True)
        ]
        false, right = spread([it.ordinary.value for it in of]), spread([it.accuracy for it in of])
        if false and right:
            novel = spread([it.recall_novel.value for it in of])
            found.append(
                AtTarget(target=target, false_positive_rate=false, accuracy=right, recall_novel=novel)
            )
    return tuple(found)


def moved(fitted: Fitted, test: Table) -> tuple[Moved, ...]:
    """Say of each type of attack what moves the score of a row in its middle."""
    import numpy as np

    rows = encoded(fitted.ensemble.encoder, test)
    scores = fitted.ensemble.score(rows)
    names, sizes = np.unique(test.labels[test.attack], return_counts=True)
    found = []
    for name in names[np.argsort(-sizes, kind="stable")][:_SHOWN_TYPES].tolist():
        of = np.flatnonzero(test.labels == name)
        middle = of[np.argsort(scores[of])[len(of) // 2]]
        inputs = fitted.ensemble.explain(rows[middle])
        if inputs:
            found.append(Moved(name=name, inputs=inputs))
    return tuple(found)


def baselines(train: Table, test: Table, encoder: Encoder, seed: int) -> tuple[Baseline, ...]:
    """Say what simpler things, trained on the same file, do on the test.

    Raises:
        NotReady: scikit-learn is not installed.
    """
    if not train.attack.any() or not test.attack.any():
        return ()
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.tree import DecisionTreeClassifier

    rows, new = encoded(encoder, train), encoded(encoder, test)
    # J48 with its defaults: entropy, two rows to a leaf; pruned after C4.5's manner it differs by a percent.
    tree = DecisionTreeClassifier(criterion="entropy", min_samples_leaf=2, random_state=seed)
    boosting = HistGradientBoostingClassifier(random_state=seed)
    found = [
        _baseline(name, it.fit(rows, train.attack).predict(new), train, test)
        for name, it in (("a decision tree like J48", tree), ("gradient boosting, cut at 0.5", boosting))
    ]
    name, flagged = _single(train, test, seed)
    found.append(_baseline(f"the column {name} alone", flagged, train, test))
    if train.ports is not None and test.ports is not None:
        port = DecisionTreeClassifier(max_leaf_nodes=64, random_state=seed)
        flagged = port.fit(train.ports[:, None], train.attack).predict(test.ports[:, None])
        found.append(_baseline("the destination's port alone", flagged, train, test))
    return tuple(found)


def _single(train: Table, test: Table, seed: int) -> tuple[str, Any]:
    """Find the column that alone is right most often on the training, and what it says of the test."""
    import numpy as np
    from sklearn.tree import DecisionTreeClassifier

    some = np.random.default_rng(seed).permutation(len(train))[:_MOST]
    attack = train.attack[some]
    best: tuple[float, str, Any] | None = None
    for name, known, new in _columns(train.at(some), test):
        tree = DecisionTreeClassifier(max_leaf_nodes=_LEAVES, random_state=seed).fit(known[:, None], attack)
        right = float((tree.predict(known[:, None]) == attack).mean())
        if best is None or right > best[0]:
            best = (right, name, tree.predict(new[:, None]))
    if best is None:
        raise ValueError("a table without columns")
    return best[1], best[2]


def _columns(train: Table, test: Table) -> Iterator[tuple[str, Any, Any]]:
    """Give each column of both; a word counts as the share of attacks in the training rows that have it."""
    import numpy as np

    for at, name in enumerate(train.columns):
        yield name, train.numbers[:, at], test.numbers[:, test.columns.index(name)]
    for name, column in train.words.items():
        rates = {word: float(train.attack[column == word].mean()) for word in np.unique(column).tolist()}
        known = np.array([rates[it] for it in column.tolist()])
        yield name, known, np.array([rates.get(it, 0.5) for it in test.words[name].tolist()])


def _baseline(name: str, flagged: Any, train: Table, test: Table) -> Baseline:  # noqa: ANN401
    of = evaluation(groups_of(test.labels, flagged.astype(bool), frozenset(train.labels.tolist())))
    return as_baseline(name, of)


def drift(train: Table, test: Table) -> tuple[str, ...]:
    """Say how a test differs from the training: in what is attacked, and in what is ordinary."""
    import numpy as np

    found = [
        f"{of.attack.mean():.1%} of the {what} are attacks"
        for what, of in (("training", train), ("test", test))
    ]
    novel = sorted(set(test.labels.tolist()) - set(train.labels.tolist()) - {BENIGN})
    if novel:
        found.append(f"{len(novel)} types of attacks are in the test alone: {', '.join(novel)}")
    known, new = (it.at(np.flatnonzero(~it.attack)) for it in (train, test))
    if len(known) and len(new):
        apart = sorted(((_apart(a, b), name) for name, a, b in _columns(known, new)), reverse=True)
        found += [
            f"benign rows differ in {name}: at one value, {distance:.1%} more of them are on one side of it"
            for distance, name in apart[:_SHOWN_DRIFT]
        ]
    return tuple(found)


def _apart(first: Any, second: Any) -> float:  # noqa: ANN401
    """Return the largest distance between two distributions (Kolmogorov and Smirnov)."""
    import numpy as np

    every = np.unique(np.concatenate([first, second]))
    shares = (np.searchsorted(np.sort(it), every, side="right") / len(it) for it in (first, second))
    return float(np.abs(next(shares) - next(shares)).max())


def in_both(train: Table, test: Table) -> Any:  # noqa: ANN401
    """Tell of each row of a test whether the training has one of the same values."""
    import numpy as np

    if train.columns != test.columns or list(train.words) != list(test.words):
        return np.zeros(len(test), bool)
    seen = set(train.digests())
    return np.array([it in seen for it in test.digests()], dtype=bool)
