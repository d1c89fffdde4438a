"""Trains a model of records of a published data set, chosen and frozen before the test is opened.

Only importer of scikit-learn beside `lab.learn.values`. Folds hide whole types of attacks, together with
benign rows that nothing was fitted on: so the choice is made by what it does on attacks that it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lab.detect.ensemble import MEMBERS, Encoder, Ensemble, bent, surprise
from lab.detect.model import Description
from lab.errors import NotReady, WrongInput
from lab.learn.tables import BENIGN, Table

Fit = Callable[[Any, Any, Any, int], Mapping[str, Any]]
"""Encoded rows, whether each is an attack, its weight, a seed -> arrays."""

VARIANTS: Final = (
    ("forest",),
    ("forest", "mixture"),
    ("forest", "autoencoder"),
    ("mixture", "autoencoder"),
    ("forest", "mixture", "autoencoder"),
    ("forest", "linear", "mixture", "autoencoder"),
)
"""What is tried on the folds."""

_ONE_CLASS: Final = ("mixture", "autoencoder")
"""Members that are fitted on benign rows alone."""

_FOLDS: Final = 4
_MOST_BENIGN: Final = 40_000
_MOST_OF_A_TYPE: Final = 5_000
"""Rows that count: with more, training takes longer and nothing gets better."""

_FEWEST: Final = 200
"""Benign rows below which no rate of false positives can be kept."""

_RARE: Final = 20
"""Rows that a word must have to be an input of its own."""

_SPAN: Final = 10.0
"""Largest value from which on the logarithm of a column is taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A variant, and what the folds say of it."""

    members: tuple[str, ...]
    """What is in it."""

    hidden_recall: float | None
    """Recall on the types that a fold did not see, the mean over types; None without folds."""

    false_positive_rate: float | None
    """False positives on the folds' benign rows."""

    chosen: bool
    """Whether it was taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """A model that is frozen."""

    ensemble: Ensemble
    """It, its threshold that of held-out benign rows."""

    arrays: Mapping[str, Any]
    """Its weights."""

    choices: tuple[Choice, ...]
    """What was tried."""

    hidden: Mapping[str, tuple[int, int]]
    """Type to how many of its rows were found by the fold without it, and how many there are."""

    benign: tuple[int, int]
    """False positives on the folds' benign rows, and how many these are."""

    curve: tuple[Any, Any]
    """Scores on the folds, and whether each is an attack."""


def train(
    table: Table, described: Description, target: float, seed: int, tell: Callable[[str], None]
) -> Fitted:
    """Train a model.

    Args:
        table: What it is trained on.
        described: What it is to be; inputs and threshold are filled in.
        target: Share of benign rows that may be flagged.
        seed: What chance is drawn from.
        tell: Hears how far it is.

    Raises:
        WrongInput: there are too few benign rows.
        NotReady: scikit-learn is not installed.
    """
    require()
    import numpy as np

    chance = np.random.default_rng(seed)
    benign = chance.permutation(np.flatnonzero(~table.attack))[:_MOST_BENIGN]
    if len(benign) < _FEWEST:
        raise WrongInput(f"{len(benign)} benign rows in {table.name}: at least {_FEWEST} are wanted")
    types = {
        it: chance.permutation(np.flatnonzero(table.labels == it))[:_MOST_OF_A_TYPE]
        for it in np.unique(table.labels[table.attack]).tolist()
    }
    folds = _folds(types, chance)
    parts = np.array_split(benign, len(folds) + 1)
    held, rest = parts[-1], parts[:-1]
    scores: dict[int, dict[str, Any]] = {}
    tried: dict[tuple[str, ...], list[Any]] = {it: [] for it in _variants(types)}
    for number, hidden in enumerate(folds):
        tell(f"fold {number + 1} of {len(folds)}: without {', '.join(hidden)}")
        known = [rows for name, rows in types.items() if name not in hidden]
        kept = np.concatenate([*(it for at, it in enumerate(rest) if at != number), *known])
        opened = np.concatenate([rest[number], *(types[it] for it in hidden)])
        _, arrays, encoder = _fit(table.at(kept), described, seed)
        scores[number] = _surprises(table, arrays, encoder, held, opened)
        for variant, found in tried.items():
            found.append(_of(scores[number], variant, target, opened))
    chosen = _chosen(tried, table)
    tell(f"fitting {' + '.join(chosen)} on all of it")
    inputs, arrays, encoder = _fit(table.at(np.concatenate([*rest, *types.values()])), described, seed)
    return _frozen(table, inputs, arrays, held, chosen, described, target, tried)


def require() -> None:
    """See that scikit-learn is there.

    Raises:
        NotReady: it is not.
    """
    try:
        import sklearn  # noqa: F401  # looked for
    except ModuleNotFoundError as error:
        raise NotReady(
            f"{error.name} is not installed", remedy="pip install 'homerange[learn]'  brings it"
        ) from error


def _variants(types: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    return VARIANTS if types else (_ONE_CLASS,)


def _folds(types: Mapping[str, Any], chance: Any) -> list[list[str]]:  # noqa: ANN401  # numpy's
    """Deal types into folds, the largest first; with one type or none there is nothing to hide."""
    if len(types) < 2:  # noqa: PLR2004  # what is left when one is hidden
        return []
    folds: list[list[str]] = [[] for _ in range(min(_FOLDS, len(types)))]
    names = chance.permutation(sorted(types)).tolist()
    for at, name in enumerate(sorted(names, key=lambda it: -len(types[it]))):
        folds[at % len(folds)].append(name)
    return folds


def _weights(labels: Any) -> Any:  # noqa: ANN401
    """Weigh rows so that attacks count as much as benign ones, and rare types are not drowned."""
    import numpy as np

    names, at, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    of_attacks = names != BENIGN
    if not of_attacks.any():
        return np.ones(len(labels))
    roots = np.where(of_attacks, np.sqrt(sizes), 0.0)
    ordinary = float(sizes[~of_attacks].sum())
    each = np.where(of_attacks, roots / roots.sum() * ordinary / sizes, 1.0)
    return each[at]


def _fit(
    table: Table, described: Description, seed: int
) -> tuple[tuple[str, ...], dict[str, Any], Encoder]:
    """Fit the encoder and every member on the same rows."""
    import numpy as np

    inputs, arrays = _encoding(table)
    encoder = Encoder(inputs, arrays)
    rows = encoder.encode(table.columns, table.numbers, table.words)
    attack = table.attack
    arrays["usual"] = np.median(rows[~attack], axis=0)
    weights = _weights(table.labels)
    for fit in (_forest, _linear, _mixture, _autoencoder) if attack.any() else (_mixture, _autoencoder):
        arrays |= fit(rows, attack, weights, seed)
    return inputs, arrays, encoder


def _encoding(table: Table) -> tuple[tuple[str, ...], dict[str, Any]]:
    import numpy as np

    spread = table.numbers.std(axis=0) > 0
    kept = table.numbers[:, spread]
    columns = [it for it, varies in zip(table.columns, spread, strict=True) if varies]
    logarithm = (np.abs(kept).max(axis=0) > _SPAN).astype(np.float64)
    plain = bent(kept, logarithm)
    words = []
    for name, column in table.words.items():
        found, sizes = np.unique(column, return_counts=True)
        words += [f"{name}={it}" for it, size in zip(found, sizes, strict=True) if size >= _RARE]
    arrays = {
        "logarithm": logarithm,
        "middle": plain.mean(axis=0),
        "scale": np.where(plain.std(axis=0) > 0, plain.std(axis=0), 1.0),
    }
    return (*columns, *words), arrays


def _forest(rows: Any, attack: Any, weights: Any, seed: int) -> Mapping[str, Any]:  # noqa: ANN401
    import numpy as np
    from sklearn.ensemble import ExtraTreesClassifier

    fitted = ExtraTreesClassifier(60, min_samples_leaf=2, max_features=0.3, n_jobs=-1, random_state=seed)
    fitted.fit(rows, attack, sample_weight=weights)
    trees = [it.tree_ for it in fitted.estimators_]
    starts = np.cumsum([0, *(it.node_count for it in trees)])

    def moved(children: Any, start: int) -> Any:  # noqa: ANN401
        return np.where(children < 0, -1, children + start)

    pairs = list(zip(trees, starts, strict=False))
    return {
        "forest_left": np.concatenate([moved(it.children_left, at) for it, at in pairs]).astype(np.int32),
        "forest_right": np.concatenate([moved(it.children_right, at) for it, at in pairs]).astype(np.int32),
        "forest_feature": np.concatenate([it.feature for it in trees]).astype(np.int32),
        "forest_cut": np.concatenate([it.threshold for it in trees]),
        "forest_value": np.concatenate([_share(it.value[:, 0, :]) for it in trees]),
        "forest_roots": starts[:-1].astype(np.int32),
    }


def _share(counts: Any) -> Any:  # noqa: ANN401
    return counts[:, 1] / counts.sum(axis=1)


def _linear(rows: Any, attack: Any, weights: Any, seed: int) -> Mapping[str, Any]:  # noqa: ANN401
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(max_iter=500, tol=1e-3, random_state=seed)
    fitted.fit(rows, attack, sample_weight=weights)
    return {"linear_weights": fitted.coef_[0].astype(np.float64), "linear_bias": fitted.intercept_}


def _mixture(rows: Any, attack: Any, weights: Any, seed: int) -> Mapping[str, Any]:  # noqa: ANN401, ARG001
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    benign = rows[~attack].astype("float64")
    axes = PCA(min(30, *benign.shape), random_state=seed).fit(benign)
    parts = max(1, min(16, len(benign) // 200))
    seen = axes.transform(benign)[:20_000]
    fitted = GaussianMixture(parts, reg_covar=1e-3, max_iter=50, random_state=seed).fit(seen)
    return {
        "mixture_centre": axes.mean_,
        "mixture_axes": axes.components_,
        "mixture_means": fitted.means_,
        "mixture_factors": fitted.precisions_cholesky_,
        "mixture_weights": fitted.weights_,
    }


def _autoencoder(rows: Any, attack: Any, weights: Any, seed: int) -> Mapping[str, Any]:  # noqa: ANN401, ARG001
    from sklearn.neural_network import MLPRegressor

    fitted = MLPRegressor(
        hidden_layer_sizes=(64, 16, 64), learning_rate_init=2e-3, max_iter=12, random_state=seed
    )
    fitted.fit(rows[~attack], rows[~attack])
    return {
        f"autoencoder_{what}_{layer}": it
        for what, them in (("weights", fitted.coefs_), ("bias", fitted.intercepts_))
        for layer, it in enumerate(them)
    }


def _surprises(
    table: Table,
    arrays: Mapping[str, Any],
    encoder: Encoder,
    held: Any,  # noqa: ANN401
    opened: Any,  # noqa: ANN401
) -> dict[str, Any]:
    """Return each member's p-values, as surprises: of the held-out benign rows, then of those that are opened."""
    import numpy as np

    found = {}
    sides = [
        encoder.encode(it.columns, it.numbers, it.words) for it in (table.at(held), table.at(opened))
    ]
    for name, score in MEMBERS.items():
        if not any(it.startswith(f"{name}_") for it in arrays):
            continue
        benign, new = (score(rows, arrays) for rows in sides)
        ordered = np.sort(benign)
        found[name] = (surprise(benign, ordered), surprise(new, ordered))
    return found


def _of(
    scores: Mapping[str, Any],
    variant: Sequence[str],
    target: float,
    opened: Any,  # noqa: ANN401
) -> tuple[Any, Any, float]:
    """Return the rows that were opened, their scores by a variant, and its threshold."""
    held = sum(scores[it][0] for it in variant)
    return opened, sum(scores[it][1] for it in variant), _threshold(held, target)


def _threshold(benign: Any, target: float) -> float:  # noqa: ANN401
    """Return the lowest score that at most this share of benign rows reaches."""
    import numpy as np

    ordered = np.sort(benign)
    at = int(np.ceil((1 - target) * len(ordered)))
    most = float(ordered[-1])
    return float(ordered[at]) + 1e-9 if at < len(ordered) else most + 1e-9


def _found(found: Iterable[tuple[Any, Any, float]], table: Table) -> tuple[dict[str, tuple[int, int]], tuple[int, int]]:
    """Count by type what was found, and how many benign rows were flagged."""
    import numpy as np

    types: dict[str, tuple[int, int]] = {}
    benign = np.zeros(2, dtype=int)
    for opened, scores, threshold in found:
        labels = table.labels[opened]
        for name in np.unique(labels).tolist():
            of = scores[labels == name] >= threshold
            if name == BENIGN:
                benign += (int(of.sum()), len(of))
            else:
                types[name] = (int(of.sum()), len(of))
    return types, (int(benign[0]), int(benign[1]))


def _hidden_recall(types: Mapping[str, tuple[int, int]]) -> float:
    """Return the mean recall over types, each weighed by the root of its size."""
    weights = {name: total**0.5 for name, (_, total) in types.items()}
    return sum(weights[it] * hits / total for it, (hits, total) in types.items()) / sum(weights.values())


def _chosen(tried: Mapping[tuple[str, ...], list[Any]], table: Table) -> tuple[str, ...]:
    """Choose the variant that finds most of what it does not know; without folds the largest."""
    if not any(tried.values()):
        return max(tried, key=len)
    return max(tried, key=lambda it: _hidden_recall(_found(tried[it], table)[0]))


def _frozen(  # noqa: PLR0913  # what a frozen model is made of
    table: Table,
    inputs: tuple[str, ...],
    arrays: Mapping[str, Any],
    held: Any,  # noqa: ANN401
    chosen: tuple[str, ...],
    described: Description,
    target: float,
    tried: Mapping[tuple[str, ...], list[Any]],
) -> Fitted:
    from dataclasses import replace

    import numpy as np

    kept = {
        name: it
        for name, it in arrays.items()
        if name.split("_")[0] in {*chosen, "logarithm", "middle", "scale", "usual"}
    }
    draft = replace(described, inputs=inputs)
    encoder = Encoder(inputs, arrays)
    benign = table.at(held)
    rows = encoder.encode(benign.columns, benign.numbers, benign.words)
    for name in chosen:
        kept[f"{name}_benign"] = np.sort(MEMBERS[name](rows, arrays))
    scores = Ensemble(draft, kept).score(rows)
    final = replace(draft, threshold=round(_threshold(scores, target), 6))
    types, flagged = _found(tried[chosen], table)
    folds = tried[chosen]
    return Fitted(
        ensemble=Ensemble(final, kept),
        arrays=kept,
        choices=tuple(_choice(it, tried[it], table, chosen) for it in tried),
        hidden=types,
        benign=flagged,
        curve=(
            np.concatenate([it[1] for it in folds]) if folds else scores,
            np.concatenate([table.attack[it[0]] for it in folds]) if folds else np.zeros(len(scores), bool),
        ),
    )


def _choice(
    members: tuple[str, ...], found: list[Any], table: Table, chosen: tuple[str, ...]
) -> Choice:
    types, (flagged, total) = _found(found, table)
    return Choice(
        members=members,
        hidden_recall=_hidden_recall(types) if types else None,
        false_positive_rate=flagged / total if total else None,
        chosen=members == chosen,
    )
