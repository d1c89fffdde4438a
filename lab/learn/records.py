"""Trains a model of records of a published data set, chosen and frozen before the test is opened.

Folds hide whole types of attacks, together with benign rows that nothing was fitted on: so the choice is made
by what a variant does on attacks that it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from operator import mul
from statistics import fmean
from typing import Any, Final

from lab.detect.description import Description
from lab.detect.ensemble import MEMBERS, Encoder, Ensemble, bent, surprise
from lab.errors import NotReady, WrongInput
from lab.learn.card import Curve, Evaluation, Group, Sort, Tried, curve, evaluation
from lab.learn.members import CODERS, FITS, Coder, Rows
from lab.learn.tables import BENIGN, Table
from lab.score.intervals import share

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

_ENCODING: Final = ("logarithm", "middle", "scale", "usual")
"""Arrays that say how a row becomes inputs, and what is usual."""

_FOLDS: Final = 4
_MOST_BENIGN: Final = 40_000
_MOST_OF_A_TYPE: Final = 5_000
"""Rows that count: with more, training takes longer and nothing gets better."""

_FEWEST: Final = 100
"""Benign rows below which no rate of false positives can be kept."""

_RARE: Final = 20
"""Rows that a word must have to be an input of its own."""

_SPAN: Final = 10.0
"""Largest value from which on the logarithm of a column is taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """A model that is frozen, of one seed."""

    ensemble: Ensemble
    """It, its threshold that of held-out benign rows."""

    arrays: Mapping[str, Any]
    """Its weights."""

    held: Any
    """Scores of the benign rows that nothing was fitted on."""

    folds: Evaluation
    """What the variant did on what its folds did not see."""

    def threshold(self, target: float) -> float:
        """Return the lowest score that at most this share of held-out benign rows reaches."""
        return _threshold(self.held, target)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Dealt:
    """Rows of a table as one seed deals them."""

    seed: int
    coder: Coder
    held: Any
    """Benign rows that nothing is fitted on."""

    parts: tuple[Any, ...]
    """The other benign rows, one part for each fold."""

    types: Mapping[str, Any]
    """Rows of attacks by type."""

    hidden: tuple[tuple[str, ...], ...]
    """Types that each fold hides."""

    def fold(self, number: int) -> tuple[Any, Any]:
        """Return the rows that a fold is fitted on, and those that it did not see."""
        import numpy as np

        hidden = self.hidden[number]
        known = [rows for name, rows in self.types.items() if name not in hidden]
        kept = [it for at, it in enumerate(self.parts) if at != number]
        opened = [self.parts[number], *(self.types[it] for it in hidden)]
        return np.concatenate([*kept, *known]), np.concatenate(opened)

    def whole(self) -> Any:  # noqa: ANN401  # numpy's
        """Return all that the final model is fitted on."""
        import numpy as np

        return np.concatenate([*self.parts, *self.types.values()])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Opened:
    """What a variant says of the rows that a fold did not see."""

    labels: Any
    scores: Any
    threshold: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is to be trained."""

    described: Description
    """What the model is to be; inputs and threshold are filled in."""

    target: float
    """Share of benign rows that may be flagged."""

    seeds: tuple[int, ...]
    """What chance is drawn from, once for each."""

    coder: Coder = "mlp"
    """What the autoencoder is trained with."""


def train(
    table: Table, wanted: Wanted, tell: Callable[[str], None]
) -> tuple[tuple[Fitted, ...], tuple[Tried, ...]]:
    """Train a model for each seed, all of one variant; return them, and what was tried.

    Args:
        table: What it is trained on.
        wanted: What it is to be.
        tell: Hears how far it is.

    Raises:
        WrongInput: there are too few benign rows.
        NotReady: scikit-learn, or PyTorch where that is wanted, is not installed.
    """
    require(wanted.coder)
    dealt = [_deal(table, seed, wanted.coder) for seed in wanted.seeds]
    variants = VARIANTS if dealt[0].types else (_ONE_CLASS,)
    found = [_explore(table, it, variants, wanted.target, tell) for it in dealt]
    tried = _tried(found, variants)
    chosen = next(it for it, one in zip(variants, tried, strict=True) if one.chosen)
    fitted = []
    for it, opened in zip(dealt, found, strict=True):
        tell(f"seed {it.seed}: fitting {' + '.join(chosen)} on all of it")
        fitted.append(_freeze(table, it, chosen, opened[chosen], wanted))
    return tuple(fitted), tried


def _deal(table: Table, seed: int, coder: Coder) -> _Dealt:
    import numpy as np

    chance = np.random.default_rng(seed)
    benign = chance.permutation(np.flatnonzero(~table.attack))[:_MOST_BENIGN]
    if len(benign) < _FEWEST:
        raise WrongInput(f"{len(benign)} benign rows in {table.name}: at least {_FEWEST} are wanted")
    types = {
        it: chance.permutation(np.flatnonzero(table.labels == it))[:_MOST_OF_A_TYPE]
        for it in np.unique(table.labels[table.attack]).tolist()
    }
    hidden = _hidden(types, chance)
    *parts, held = np.array_split(benign, max(_FOLDS, len(hidden)) + 1)
    return _Dealt(seed=seed, coder=coder, held=held, parts=tuple(parts), types=types, hidden=hidden)


def _explore(
    table: Table,
    dealt: _Dealt,
    variants: Sequence[tuple[str, ...]],
    target: float,
    tell: Callable[[str], None],
) -> dict[tuple[str, ...], list[_Opened]]:
    """Fit all members on each fold, and say what each variant makes of what the fold did not see."""
    found: dict[tuple[str, ...], list[_Opened]] = {it: [] for it in variants}
    for number, hidden in enumerate(dealt.hidden):
        tell(f"seed {dealt.seed}, fold {number + 1} of {len(dealt.hidden)}: without {', '.join(hidden)}")
        kept, opened = dealt.fold(number)
        _, arrays, encoder = _fit(table.at(kept), dealt.seed, dealt.coder)
        held, new = (_surprises(table, rows, dealt.held, arrays, encoder) for rows in (dealt.held, opened))
        for variant, them in found.items():
            threshold = _threshold(sum(held[it] for it in variant), target)
            scores = sum(new[it] for it in variant)
            them.append(_Opened(labels=table.labels[opened], scores=scores, threshold=threshold))
    return found


def _tried(
    found: Sequence[Mapping[tuple[str, ...], list[_Opened]]], variants: Sequence[tuple[str, ...]]
) -> tuple[Tried, ...]:
    """Choose the variant that finds most of what it does not know; without folds the largest."""
    figures = {it: [_evaluated(one[it]) for one in found if one[it]] for it in variants}
    recalls = {it: [_hidden_recall(one) for one in of] for it, of in figures.items()}
    best = max(variants, key=lambda it: (sum(recalls[it]), len(it)))
    return tuple(
        Tried(
            name=" + ".join(it),
            hidden_recall=fmean(recalls[it]) if recalls[it] else None,
            false_positive_rate=fmean(one.ordinary.value or 0.0 for one in of) if of else None,
            chosen=it == best,
        )
        for it, of in figures.items()
    )


def _evaluated(opened: Sequence[_Opened]) -> Evaluation:
    """Say what a variant does on what its folds did not see: all attacks there are novel to it."""
    import numpy as np

    if not opened:
        return evaluation(())
    labels, flagged = (
        np.concatenate(it)
        for it in zip(*((one.labels, one.scores >= one.threshold) for one in opened), strict=True)
    )
    return evaluation(groups_of(labels, flagged, known=frozenset()))


def _drawn(opened: Sequence[_Opened]) -> Curve | None:
    """Draw all thresholds on what the folds did not see."""
    scores = [score for it in opened for score in it.scores.tolist()]
    return curve(scores, [label != BENIGN for it in opened for label in it.labels.tolist()])


def groups_of(labels: Any, flagged: Any, known: frozenset[str]) -> tuple[Group, ...]:  # noqa: ANN401  # numpy's
    """Count by type of attack what is flagged.

    Args:
        labels: Of each row.
        flagged: Whether each is.
        known: Types that were trained on.
    """
    import numpy as np

    found = []
    for name in np.unique(labels).tolist():
        of = flagged[labels == name]
        sort: Sort = "benign" if name == BENIGN else "known attack" if name in known else "novel attack"
        found.append(Group(name=name, sort=sort, flagged=share(int(of.sum()), len(of))))
    return tuple(found)


def _hidden_recall(found: Evaluation) -> float:
    """Return the mean recall over types, each weighed by the root of its size."""
    types = [it.flagged for it in found.groups if it.sort == "novel attack"]
    weights = [it.total**0.5 for it in types]
    shares = [it.hits / it.total for it in types]
    return float(sum(map(mul, shares, weights)) / sum(weights))


def require(coder: Coder) -> None:
    """See that what trains is there, before anything is read or trained.

    Args:
        coder: What the autoencoder is to be trained with.

    Raises:
        NotReady: it is not.
    """
    for module, extra in (("sklearn", "learn"), ("torch", "deep"))[: 1 + (coder == "torch")]:
        if find_spec(module) is None:
            said = f"pip install 'homerange[{extra}]'  brings it"
            raise NotReady(f"{module} is not installed", remedy=said)


def _hidden(types: Mapping[str, Any], chance: Any) -> tuple[tuple[str, ...], ...]:  # noqa: ANN401  # numpy's
    """Deal types into folds, the largest first; with one type or none there is nothing to hide."""
    if len(types) < 2:  # noqa: PLR2004  # what is left when one is hidden
        return ()
    folds: list[list[str]] = [[] for _ in range(min(_FOLDS, len(types)))]
    names = chance.permutation(sorted(types)).tolist()
    for at, name in enumerate(sorted(names, key=lambda it: -len(types[it]))):
        folds[at % len(folds)].append(name)
    return tuple(map(tuple, folds))


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


def _fit(table: Table, seed: int, coder: Coder) -> tuple[tuple[str, ...], dict[str, Any], Encoder]:
    """Fit the encoder and every member on the same rows."""
    import numpy as np

    inputs, arrays = _encoding(table)
    encoder = Encoder(inputs, arrays)
    rows = encoder.encode(table.columns, table.numbers, table.words)
    attack = table.attack
    arrays["usual"] = np.median(rows[~attack], axis=0)
    of = Rows(inputs=rows, attack=attack, weights=_weights(table.labels))
    fits = {**FITS, "autoencoder": CODERS[coder]}
    for name in fits if attack.any() else _ONE_CLASS:
        arrays |= fits[name](of, seed)
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


def _surprises(
    table: Table,
    of: Any,  # noqa: ANN401
    held: Any,  # noqa: ANN401
    arrays: Mapping[str, Any],
    encoder: Encoder,
) -> dict[str, Any]:
    """Return what each member says of some rows, as surprises among the held-out benign ones."""
    import numpy as np

    benign, rows = (encoded(encoder, table.at(it)) for it in (held, of))
    return {
        name: surprise(score(rows, arrays), np.sort(score(benign, arrays)))
        for name, score in MEMBERS.items()
        if any(it.startswith(f"{name}_") for it in arrays)
    }


def encoded(encoder: Encoder, table: Table) -> Any:  # noqa: ANN401
    """Return the inputs of a table's rows."""
    return encoder.encode(table.columns, table.numbers, table.words)


def _threshold(benign: Any, target: float) -> float:  # noqa: ANN401
    """Return the lowest score that at most this share of benign rows reaches."""
    import numpy as np

    ordered = np.sort(benign)
    at = min(len(ordered) - 1, int(np.ceil((1 - target) * len(ordered))))
    return float(ordered[at]) + 1e-9


def _freeze(
    table: Table, dealt: _Dealt, chosen: tuple[str, ...], opened: list[_Opened], wanted: Wanted
) -> Fitted:
    """Fit the chosen variant on all rows but the held-out benign ones, which set its threshold."""
    import numpy as np

    inputs, arrays, encoder = _fit(table.at(dealt.whole()), dealt.seed, dealt.coder)
    kept = {name: it for name, it in arrays.items() if name.split("_")[0] in {*chosen, *_ENCODING}}
    rows = encoded(encoder, table.at(dealt.held))
    kept |= {f"{name}_benign": np.sort(MEMBERS[name](rows, arrays)) for name in chosen}
    draft = replace(wanted.described, inputs=inputs)
    held = Ensemble(draft, kept).score(rows)
    final = replace(draft, threshold=round(_threshold(held, wanted.target), 6))
    folds = replace(_evaluated(opened), curve=_drawn(opened))
    return Fitted(ensemble=Ensemble(final, kept), arrays=kept, held=held, folds=folds)
