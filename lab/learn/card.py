"""The card of a model: one page that says what it was made of, how it was tried, and what it cannot do.

As values and as JSON; `lab.learn.cardpage` writes it for people. Whatever would flatter stands beside what it
is to be read with: a baseline, an interval, the rate of false alarms at the lab's own traffic.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, pstdev
from typing import Final, Literal

from lab.detect.description import Description
from lab.score.intervals import Share, share

BASE_RATES: Final = (0.1, 0.01, 0.001, 0.0001, 0.00001)
"""Shares of rows that are attacks, for which it is told how many alerts would be true."""

BEYOND: Final = 2
"""How many times the rate that was aimed at is too much."""

CURVE_POINTS: Final = 60
"""Points of a curve that are kept."""

_FEW: Final = 30
"""Rows below which a recall says little."""

Sort = Literal["known attack", "novel attack", "benign", "hard benign"]
"""What the rows of a group are; an attack is novel when nothing of its type was trained on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What a model was made of or tried on."""

    name: str
    """Its name."""

    sort: str
    """What it is: `attack`, `benign`, `hard benign`, `train`, `test`."""

    read: int
    """How many rows it has."""

    kept: int
    """How many of them count: each once, and on one side."""

    hash: str
    """SHA-256 of the file, or of the rows."""

    licence: str
    """Under which licence it is; where nobody says so, that."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """A variant that was tried on the folds."""

    name: str
    """What it is made of."""

    hidden_recall: float | None
    """Recall on what its folds did not see; None without folds."""

    false_positive_rate: float | None
    """False positives on the folds' benign rows."""

    chosen: bool
    """Whether it was taken; only then did it meet the test."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """What a model says of rows that belong together: a type of attack, a corpus, a run."""

    name: str
    """Its name."""

    sort: Sort
    """What they are."""

    flagged: Share
    """How many it flags."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """What something simpler does on the same rows."""

    name: str
    """What it is."""

    accuracy: float | None
    """Rows that it calls what they are."""

    recall: float | None
    """Attacks that it flags."""

    false_positive_rate: float | None
    """Benign rows that it flags."""

    recall_novel: float | None
    """Attacks of types that it was not trained on that it flags."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """What all thresholds would do: for each false-positive rate the recall, and the precision there."""

    false_positive_rates: tuple[float, ...]
    """Ascending."""

    recalls: tuple[float, ...]
    """The recall at each."""

    precisions: tuple[float, ...]
    """The share of alerts that are true at each, at the rows' own base rate."""

    area: float
    """Below the curve of recall over false-positive rate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evaluation:
    """What a model does on rows that it was not trained on."""

    groups: tuple[Group, ...]
    """By type of attack, corpus or run."""

    recall: Share
    """Attacks that are flagged."""

    recall_known: Share
    """Those of types that were trained on."""

    recall_novel: Share
    """Those of types that were not."""

    ordinary: Share
    """Benign rows that are flagged; hard ones apart."""

    hard: Share
    """Hard benign rows that are flagged."""

    accuracy: float | None
    """Rows that are called what they are."""

    f1: float | None
    """The harmonic mean of recall and precision."""

    majority: float | None
    """The accuracy of whoever calls all what most are."""

    baselines: tuple[Baseline, ...] = ()
    """What simpler things do."""

    curve: Curve | None = None
    """All thresholds; None where only one side is there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """A figure over several seeds."""

    mean: float
    """Its mean."""

    deviation: float
    """Its standard deviation."""

    values: tuple[float, ...]
    """Each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AtTarget:
    """What another threshold would do, also one of the folds."""

    target: float
    """Share of held-out benign rows that may be flagged."""

    false_positive_rate: Spread
    """What is flagged of benign rows of the test."""

    accuracy: Spread
    """Rows that are called what they are."""

    recall_novel: Spread | None
    """Attacks of types that were not trained on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AtBaseRate:
    """What alerts are worth where so many rows are attacks."""

    base_rate: float
    """Share of rows that are attacks."""

    true_share: float | None
    """Share of alerts that are true."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """What moved the score of a typical row of a type."""

    name: str
    """The type."""

    inputs: tuple[tuple[str, float], ...]
    """Inputs, and by how much the score falls without each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transfer:
    """What a model of one place says in another, at a threshold that was frozen in the first."""

    trained_on: str
    """Where it was trained."""

    tried_on: str
    """Where it was tried."""

    recall: Share
    """Attacks that are flagged there."""

    false_positive_rate: Share
    """Benign rows that are flagged there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """All of it. The spreads are of the test where there is one, else of the folds."""

    model: Description
    """What the model is; frozen before any test was opened."""

    hash: str
    """What it is, all in one."""

    sources: tuple[Source, ...]
    """What it was made of, and tried on."""

    split: str
    """How it was split, and why so."""

    notes: tuple[str, ...]
    """What was found wanting in the data, and how it was dealt with."""

    shared: int
    """Rows that an earlier part has as well, left out."""

    disputed: int
    """Rows that are called attack and benign, left out of both."""

    seeds: tuple[int, ...]
    """What chance was drawn from."""

    tried: tuple[Tried, ...]
    """Every variant that was tried."""

    tested: int
    """How many of them met the test."""

    target: float
    """Share of ordinary benign rows that may be flagged."""

    target_hard: float | None
    """The same of hard ones; None where there are none."""

    figures_of: Literal["test", "folds"]
    """Where the spreads are from."""

    accuracy: Spread | None
    """Rows that are called what they are."""

    f1: Spread | None
    """The harmonic mean of recall and precision."""

    recall: Spread | None
    """Attacks that are flagged."""

    recall_known: Spread | None
    """Those of types that were trained on."""

    recall_novel: Spread | None
    """Those of types that were not."""

    false_positive_rate: Spread | None
    """Ordinary benign rows that are flagged."""

    folds: Evaluation
    """On what each fold did not see, the first seed."""

    test: Evaluation | None
    """On what was opened after the model was frozen, the first seed; None when nothing was given."""

    at_targets: tuple[AtTarget, ...]
    """What other thresholds do; none of them was chosen by it."""

    an_hour: float | None
    """Rows that come in an hour of the lab; None when that is not known."""

    base_rates: tuple[AtBaseRate, ...]
    """What alerts are worth."""

    drift: tuple[str, ...]
    """How what it was tried on differs from what it was trained on."""

    transfer: tuple[Transfer, ...]
    """What it does elsewhere."""

    moved: tuple[Moved, ...]
    """What moved it."""

    warnings: tuple[str, ...]
    """What is to be known before it is believed."""

    cannot: tuple[str, ...]
    """What it cannot see."""


def evaluation(
    groups: Sequence[Group], *, baselines: Sequence[Baseline] = (), curve: Curve | None = None
) -> Evaluation:
    """Sum up what a model says of groups of rows."""
    of = {sort: _sum(it.flagged for it in groups if it.sort == sort) for sort in Sort.__args__}  # type: ignore[attr-defined]
    known, novel, ordinary, hard = (
        of[it] for it in ("known attack", "novel attack", "benign", "hard benign")
    )
    recall = _sum((known, novel))
    false = ordinary.hits + hard.hits
    total = recall.total + ordinary.total + hard.total
    right = recall.hits + ordinary.total + hard.total - false
    flagged = 2 * recall.hits + false + recall.total - recall.hits
    return Evaluation(
        groups=tuple(groups),
        recall=recall,
        recall_known=known,
        recall_novel=novel,
        ordinary=ordinary,
        hard=hard,
        accuracy=right / total if total else None,
        f1=2 * recall.hits / flagged if recall.total else None,
        majority=max(recall.total, total - recall.total) / total if total else None,
        baselines=tuple(baselines),
        curve=curve,
    )


def as_baseline(name: str, of: Evaluation) -> Baseline:
    """Return what is compared of an evaluation."""
    return Baseline(
        name=name,
        accuracy=of.accuracy,
        recall=of.recall.value,
        false_positive_rate=of.ordinary.value,
        recall_novel=of.recall_novel.value,
    )


def _sum(shares: Iterable[Share]) -> Share:
    found = tuple(shares)
    return share(sum(it.hits for it in found), sum(it.total for it in found))


def spreads(of: Sequence[Evaluation]) -> Mapping[str, Spread | None]:
    """Sum evaluations of several seeds up, by the names that a card has for their figures."""
    return {
        "accuracy": spread([it.accuracy for it in of]),
        "f1": spread([it.f1 for it in of]),
        "recall": spread([it.recall.value for it in of]),
        "recall_known": spread([it.recall_known.value for it in of]),
        "recall_novel": spread([it.recall_novel.value for it in of]),
        "false_positive_rate": spread([it.ordinary.value for it in of]),
    }


def spread(values: Sequence[float | None]) -> Spread | None:
    """Sum a figure of several seeds up; None where there is none."""
    known = [it for it in values if it is not None]
    if not known:
        return None
    return Spread(mean=mean(known), deviation=pstdev(known), values=tuple(known))


def curve(scores: Sequence[float], attacks: Sequence[bool]) -> Curve | None:
    """Draw recall and precision over the false-positive rate, from all scores there are."""
    total = sum(attacks)
    benign = len(attacks) - total
    if not total or not benign:
        return None
    hits = false = 0
    points = [(0.0, 0.0, 1.0)]
    last: float | None = None
    for score, attack in sorted(zip(scores, attacks, strict=True), key=lambda it: -it[0]):
        if last is not None and score != last:
            points.append((false / benign, hits / total, hits / (hits + false)))
        hits, false, last = hits + bool(attack), false + (not attack), score
    points.append((1.0, 1.0, total / len(attacks)))
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))
    kept = _thinned(points)
    rates, recalls, precisions = (tuple(round(it[at], 5) for it in kept) for at in range(3))
    return Curve(false_positive_rates=rates, recalls=recalls, precisions=precisions, area=round(area, 5))


def _thinned(points: Sequence[tuple[float, float, float]]) -> list[tuple[float, float, float]]:
    """Keep so many points, spread over both axes, the first and the last among them."""
    step = 2 / CURVE_POINTS
    kept = [points[0]]
    for it in points[1:-1]:
        if abs(it[0] - kept[-1][0]) + abs(it[1] - kept[-1][1]) >= step:
            kept.append(it)
    return [*kept, points[-1]]


def at_base_rates(measured: Evaluation) -> tuple[AtBaseRate, ...]:
    """Say how many alerts would be true where so many rows are attacks (Axelsson 1999, the base rate).

    For the rate of false positives the upper end of its interval counts: none in a thousand is not none.
    """
    recall, false = measured.recall.value, measured.ordinary.high
    if recall is None or false is None:
        return ()
    return tuple(AtBaseRate(base_rate=it, true_share=precision(recall, false, it)) for it in BASE_RATES)


def precision(recall: float, false: float, base: float) -> float | None:
    """Return the share of alerts that are true; None where nothing is ever flagged."""
    raised = recall * base + false * (1 - base)
    return recall * base / raised if raised else None


def warnings(
    folds: Evaluation, test: Evaluation | None, target: float, target_hard: float | None
) -> tuple[str, ...]:
    """Say what is to be known before a model is believed."""
    found = []
    for name, measured in (("folds", folds), ("test", test)):
        if measured is None:
            continue
        for what, rate, aim in (
            ("ordinary", measured.ordinary, target),
            ("hard", measured.hard, target_hard),
        ):
            if aim is not None and rate.value is not None and rate.value > BEYOND * aim:
                aimed = f"more than twice the {aim:g} aimed at"
                found.append(f"{name}: {rate.value:.4f} false positives on {what} rows, {aimed}")
    if test is None:
        found.append("no test was given: all figures are of folds, on which the threshold was chosen")
    if not (test or folds).recall.total:
        found.append("it was tried on no attack: nothing is known of what it finds")
    found += _beaten(test or folds)
    few = [it.name for it in (test or folds).groups if "attack" in it.sort and it.flagged.total < _FEW]
    if few:
        found.append(f"fewer than {_FEW} rows, so that recall says little: {', '.join(few)}")
    return tuple(found)


def _beaten(measured: Evaluation) -> list[str]:
    """Name the baselines that are as accurate, and accuracy that is no better than saying the same of all."""
    found: list[str] = []
    if measured.accuracy is None or measured.majority is None:
        return found
    if measured.accuracy <= measured.majority:
        found.append(
            f"calling all the same is right in {measured.majority:.4f}, the model in {measured.accuracy:.4f}"
        )
    found += [
        f"{it.name} is right in {it.accuracy:.4f}, the model in {measured.accuracy:.4f}"
        for it in measured.baselines
        if it.accuracy is not None and it.accuracy >= measured.accuracy
    ]
    return found
