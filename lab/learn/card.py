"""The card of a model: one page that says what it was made of, how it was tried, and what it cannot do.

As values, as JSON and as Markdown. Whatever would flatter stands beside what it is to be read with: a
baseline, an interval, the rate of false alarms at the lab's own traffic.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean, pstdev
from typing import Final

from lab.detect.model import Description
from lab.learn.corpora import Corpus, Parted
from lab.learn.values import HARD_RATE, ORDINARY_RATE, Held
from lab.score.intervals import Share, share

_BASE_RATES: Final = (0.1, 0.01, 0.001, 0.0001, 0.00001)
"""Shares of values that are attacks, for which it is told how many alerts would be true."""

CANNOT: Final = (
    "what is in the body of a request: access logs do not have it",
    "an injection that is written as an ordinary value, `id=7` in the place of `id=5`",
    "values that are encoded otherwise than by percent signs: base64, JSON inside JSON, UTF-16",
    "attacks of another sort: it knows SQL alone",
)
"""What a model of values cannot see."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A corpus that a model was made of."""

    name: str
    """Its name."""

    sort: str
    """`attack`, `benign` or `hard benign`."""

    read: int
    """How many values it has."""

    kept: int
    """How many are in no other."""

    hash: str
    """SHA-256 of the file, or of the values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What a model does on values that it was not trained on."""

    recall: Share
    """Attacks that are flagged."""

    ordinary: Share
    """Ordinary values that are flagged."""

    hard: Share
    """Hard benign values that are flagged."""

    accuracy: float | None
    """Values that are called what they are."""

    majority: float | None
    """The same for whoever calls all what most are."""

    quote_recall: Share
    """Attacks with a quote, a semicolon or a comment sign: the best single feature."""

    quote_ordinary: Share
    """Ordinary values with one."""


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
class AtBaseRate:
    """What alerts are worth where so many values are attacks."""

    base_rate: float
    """Share of values that are attacks."""

    true_share: float | None
    """Share of alerts that are true."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """All of it."""

    model: Description
    """What the model is; frozen before any test was opened."""

    hash: str
    """What it is, all in one."""

    sources: tuple[Source, ...]
    """What it was made of."""

    shared: int
    """Rows that an earlier corpus has as well, left out."""

    disputed: int
    """Rows that are in attacks and in benign values, left out of both."""

    seeds: tuple[int, ...]
    """What chance was drawn from."""

    variants: int
    """How many variants were tried."""

    tested: int
    """How many of them met the test."""

    folds: Figures
    """On what each fold did not see, the first seed."""

    held: tuple[Held, ...]
    """The same by corpus."""

    recall: Spread
    """Recall over the seeds."""

    false_positive_rate: Spread
    """False positives on ordinary values over the seeds."""

    test: Figures | None
    """On files that were opened after the model was frozen; None when none were given."""

    test_held: tuple[Held, ...]
    """The same by file."""

    an_hour: float | None
    """Values that visitors send in an hour of the lab; None when that is not known."""

    base_rates: tuple[AtBaseRate, ...]
    """What alerts are worth."""

    warnings: tuple[str, ...]
    """What is to be known before it is believed."""

    cannot: tuple[str, ...] = CANNOT
    """What it cannot see."""


def source(corpus: Corpus, parts: Parted) -> Source:
    """Say of a corpus what it is."""
    kept = next((len(it.values) for it in parts.corpora if it.name == corpus.name), 0)
    return Source(name=corpus.name, sort=_sort(corpus), read=corpus.read, kept=kept, hash=corpus.hash)


def figures(held: Sequence[Held]) -> Figures:
    """Sum up what a model says of corpora."""
    attacks, ordinary, hard = (
        [it for it in held if it.attack],
        [it for it in held if not it.attack and not it.hard],
        [it for it in held if it.hard],
    )
    recall, false = _sum(it.flagged for it in attacks), _sum(it.flagged for it in ordinary)
    more = _sum(it.flagged for it in hard)
    total = recall.total + false.total + more.total
    right = recall.hits + (false.total - false.hits) + (more.total - more.hits)
    most = max(recall.total, total - recall.total)
    return Figures(
        recall=recall,
        ordinary=false,
        hard=more,
        accuracy=right / total if total else None,
        majority=most / total if total else None,
        quote_recall=_sum(it.quote for it in attacks),
        quote_ordinary=_sum(it.quote for it in ordinary),
    )


def _sum(shares: Iterable[Share]) -> Share:
    found = tuple(shares)
    return share(sum(it.hits for it in found), sum(it.total for it in found))


def spread(values: Sequence[float]) -> Spread:
    """Sum figures of several seeds up."""
    return Spread(mean=mean(values), deviation=pstdev(values), values=tuple(values))


def at_base_rates(measured: Figures) -> tuple[AtBaseRate, ...]:
    """Say how many alerts would be true where so many values are attacks (Axelsson 1999, the base rate).

    For the rate of false positives the upper end of its interval counts: none in a thousand is not none.
    """
    recall, false = measured.recall.value, measured.ordinary.high
    if recall is None or false is None:
        return ()
    return tuple(AtBaseRate(base_rate=it, true_share=_precision(recall, false, it)) for it in _BASE_RATES)


def _precision(recall: float, false: float, base: float) -> float | None:
    raised = recall * base + false * (1 - base)
    return recall * base / raised if raised else None


def warnings(folds: Figures, test: Figures | None, *, own: bool) -> tuple[str, ...]:
    """Say what is to be known before a model is believed."""
    found = []
    for name, measured in (("folds", folds), ("test", test)):
        if measured is None:
            continue
        for what, rate, aim in (
            ("ordinary", measured.ordinary, ORDINARY_RATE),
            ("hard", measured.hard, HARD_RATE),
        ):
            if rate.value is not None and rate.value > 2 * aim:
                aimed = f"more than twice the {aim} aimed at"
                found.append(f"{name}: {rate.value:.4f} false positives on {what} values, {aimed}")
    if test is None:
        found.append("no test file was given: all figures are of folds, on which the threshold was chosen")
    if own:
        found.append("no payloads of others were given: it was trained on those that are made up here alone")
    return tuple(found)


def markdown(card: Card) -> str:
    """Write a card for people."""
    parts = (_head(card), _split(card), _measured(card), _worth(card), _corpora(card))
    return "\n".join(line for part in parts for line in (*part, "")) + "\n"


def _head(card: Card) -> Iterator[str]:
    model = card.model
    yield f"# Model `{model.name}`"
    yield ""
    yield f"{model.title}. It looks at {model.kind}, and was trained with homerange {model.version}."
    yield f"Hash `{card.hash}`, threshold included, made before any test was opened."
    yield ""
    yield "## Before you believe it"
    yield ""
    yield from (f"- {it}" for it in card.warnings)
    yield from (f"- cannot see {it}" for it in card.cannot)


def _split(card: Card) -> Iterator[str]:
    yield "## How it was split"
    yield ""
    yield "By corpus and by family, never at random: each fold is without some whole files of payloads and"
    yield "some whole families of benign values. The threshold was chosen on those folds alone; then the"
    yield "model was fitted on all."
    yield ""
    yield f"- threshold {card.model.threshold:.3f} (log-odds)"
    yield f"- aimed at {ORDINARY_RATE} false positives on ordinary values, {HARD_RATE} on hard ones"
    yield f"- variants tried: {card.variants}; of these met the test: {card.tested}"
    yield f"- seeds: {', '.join(map(str, card.seeds))}"
    yield f"- rows in two corpora, left out of the later: {card.shared}"
    yield f"- rows that are called attack and benign, left out of both: {card.disputed}"


def _measured(card: Card) -> Iterator[str]:
    yield "## What it does"
    yield ""
    yield "| On | Recall | False positives, ordinary | the same, hard | Accuracy | All called the same |"
    yield "|---|---|---|---|---|---|"
    yield _row("what the folds did not see", card.folds)
    if card.test:
        yield _row("test files", card.test)
    quote = f"{_said(card.folds.quote_recall)} | {_said(card.folds.quote_ordinary)}"
    yield f"| the same, by a quote, `;` or `--` alone | {quote} | | | |"
    yield ""
    yield f"Recall over {len(card.seeds)} seeds: {_over(card.recall)}."
    yield f"False positives on ordinary values: {_over(card.false_positive_rate)}."


def _worth(card: Card) -> Iterator[str]:
    yield "## What an alert is worth"
    yield ""
    if card.an_hour is not None:
        most = 24 * card.an_hour * (card.folds.ordinary.high or 0)
        yield f"Visitors of the lab send {card.an_hour:.0f} values an hour: at most {most:.1f} false alerts"
        yield "a day."
        yield ""
    yield "| Of so many values one is an attack | Alerts that are true |"
    yield "|--:|--:|"
    for it in card.base_rates:
        true = "-" if it.true_share is None else f"{it.true_share:.1%}"
        yield f"| {1 / it.base_rate:,.0f} | {true} |"


def _corpora(card: Card) -> Iterator[str]:
    yield "## By corpus, each by the fold without it"
    yield ""
    yield "| Corpus | Sort | Flagged |"
    yield "|---|---|---|"
    for it in (*card.held, *card.test_held):
        yield f"| {_cell(it.corpus)} | {_sort(it)} | {_said(it.flagged)} |"
    yield ""
    yield "## What it is made of"
    yield ""
    yield "| Corpus | Sort | Values | In no other | SHA-256 |"
    yield "|---|---|--:|--:|---|"
    for one in card.sources:
        yield f"| {_cell(one.name)} | {one.sort} | {one.read} | {one.kept} | `{one.hash[:16]}` |"
    yield ""
    yield "Licences are those of the files; what is made up is part of homerange."


def _row(name: str, it: Figures) -> str:
    accuracy, majority = ("-" if one is None else f"{one:.4f}" for one in (it.accuracy, it.majority))
    return (
        f"| {name} | {_said(it.recall)} | {_said(it.ordinary)} | {_said(it.hard)} | {accuracy} | {majority} |"
    )


def _over(it: Spread) -> str:
    return f"{it.mean:.4f}, standard deviation {it.deviation:.4f}"


def _said(it: Share) -> str:
    if it.value is None or it.low is None or it.high is None:
        return "-"
    return f"{it.value:.4f} ({it.low:.4f} to {it.high:.4f}, n = {it.total})"


def _sort(it: Held | Corpus) -> str:
    return "attack" if it.attack else "hard benign" if it.hard else "benign"


def _cell(text: str) -> str:
    return "".join(it if it.isalnum() or it in " .-_+:" else f"\\{it}" for it in text)
