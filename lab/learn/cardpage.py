"""A card for people: Markdown, and one page of HTML that needs nothing beside itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Final

from lab.learn.card import Baseline, Card, Evaluation, Spread, as_baseline
from lab.score.intervals import Share

if TYPE_CHECKING:
    import jinja2

_SIDE: Final = 200
"""Width and height of a curve, in its own units."""


def markdown(card: Card) -> str:
    """Write a card as Markdown."""
    parts = (_head(card), _split(card), _measured(card), _worth(card), _groups(card), _made(card))
    return "\n".join(line for part in parts for line in (*part, "")) + "\n"


def html(card: Card) -> str:
    """Write a card as one page of HTML, with a slider for the base rate."""
    shown = card.test or card.folds
    return _template().render(
        card=card,
        shown=shown,
        rows=tuple(_compared(card, shown)),
        share=said,
        over=over,
        roc=_points(shown, precision=False),
        pr=_points(shown, precision=True),
    )


@cache
def _template() -> jinja2.Template:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("lab.learn"), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("card.html.j2")


def _points(of: Evaluation, *, precision: bool) -> str:
    """Return the points of a curve for SVG; empty where there is none."""
    if of.curve is None:
        return ""
    across, up = (
        (of.curve.recalls, of.curve.precisions)
        if precision
        else (of.curve.false_positive_rates, of.curve.recalls)
    )
    return " ".join(f"{x * _SIDE:.1f},{_SIDE - y * _SIDE:.1f}" for x, y in zip(across, up, strict=True))


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
    yield card.split
    yield ""
    yield f"- threshold {card.model.threshold:.4f}"
    yield f"- aimed at {card.target:g} false positives" + (
        f", {card.target_hard:g} on hard benign rows" if card.target_hard is not None else ""
    )
    yield f"- seeds: {', '.join(map(str, card.seeds))}"
    yield f"- rows that an earlier part has as well, left out: {card.shared}"
    yield f"- rows that are called attack and benign, left out of both: {card.disputed}"
    yield from (f"- {it}" for it in card.notes)
    yield ""
    yield f"Variants tried: {len(card.tried)}; of these met the test: {card.tested}."
    yield ""
    yield "| Variant | Recall on what its folds did not see | False positives | |"
    yield "|---|--:|--:|---|"
    for it in card.tried:
        chosen = "chosen" if it.chosen else ""
        yield f"| {it.name} | {_number(it.hidden_recall)} | {_number(it.false_positive_rate)} | {chosen} |"


def _measured(card: Card) -> Iterator[str]:
    yield "## What it does"
    yield ""
    yield "| On | Recall | of known types | of novel types | False positives | on hard rows | Accuracy | F1 |"
    yield "|---|---|---|---|---|---|--:|--:|"
    yield _row("what the folds did not see", card.folds)
    if card.test:
        yield _row("the test", card.test)
    yield ""
    yield f"Over {len(card.seeds)} seeds, on the {card.figures_of}, mean and standard deviation:"
    yield ""
    for name, it in (
        ("accuracy", card.accuracy), ("F1", card.f1), ("recall", card.recall),
        ("recall, known", card.recall_known), ("recall, novel", card.recall_novel),
        ("false positives", card.false_positive_rate),
    ):  # fmt: skip
        yield f"- {name}: {over(it)}"
    yield ""
    yield "| Beside it | Accuracy | Recall | of novel types | False positives |"
    yield "|---|--:|--:|--:|--:|"
    for one in _compared(card, card.test or card.folds):
        cells = (one.accuracy, one.recall, one.recall_novel, one.false_positive_rate)
        yield f"| {one.name} | {' | '.join(map(_number, cells))} |"
    if card.at_targets:
        yield ""
        yield "| Aimed at | False positives | Accuracy | Recall, novel |"
        yield "|--:|---|---|---|"
        for at in card.at_targets:
            figures = map(over, (at.false_positive_rate, at.accuracy, at.recall_novel))
            yield f"| {at.target:g} | {' | '.join(figures)} |"


def _compared(card: Card, shown: Evaluation) -> Iterator[Baseline]:
    """Give the model, whoever says the same of all, and the baselines, to be shown in one table."""
    yield as_baseline(f"this model, seed {card.seeds[0]}", shown)
    yield Baseline(
        name="calling all what most are", accuracy=shown.majority, recall=None, false_positive_rate=None,
        recall_novel=None,
    )  # fmt: skip
    yield from shown.baselines


def _worth(card: Card) -> Iterator[str]:
    yield "## What an alert is worth"
    yield ""
    if card.an_hour is not None:
        shown = (card.test or card.folds).ordinary
        most = 24 * card.an_hour * (shown.high or 0)
        yield f"In the lab {card.an_hour:.0f} such rows come in an hour: at most {most:.1f} false alerts"
        yield "a day."
        yield ""
    yield "| Of so many rows one is an attack | Alerts that are true |"
    yield "|--:|--:|"
    for it in card.base_rates:
        true = "-" if it.true_share is None else f"{it.true_share:.1%}"
        yield f"| {1 / it.base_rate:,.0f} | {true} |"
    yield from _list("How the test differs from the training", card.drift)
    for one in card.transfer:
        yield ""
        shares = f"recall {said(one.recall)}, false positives {said(one.false_positive_rate)}"
        yield f"Trained on {one.trained_on}, tried on {one.tried_on}: {shares}."


def _groups(card: Card) -> Iterator[str]:
    for name, of in (("By what the folds did not see", card.folds), ("By what the test has", card.test)):
        if of is None:
            continue
        yield f"## {name}"
        yield ""
        yield "| Rows of | Sort | Flagged |"
        yield "|---|---|---|"
        for it in of.groups:
            yield f"| {_cell(it.name)} | {it.sort} | {said(it.flagged)} |"
        yield ""
    for one in card.moved:
        inputs = ", ".join(f"{_cell(name)} ({fall:.2f})" for name, fall in one.inputs)
        yield f"- {_cell(one.name)} is moved by {inputs}"


def _made(card: Card) -> Iterator[str]:
    yield "## What it is made of"
    yield ""
    yield "| Name | Sort | Rows | Count | SHA-256 | Licence |"
    yield "|---|---|--:|--:|---|---|"
    for it in card.sources:
        yield f"| {_cell(it.name)} | {it.sort} | {it.read} | {it.kept} | `{it.hash[:16]}` | {it.licence} |"


def _list(title: str, lines: Iterable[str]) -> Iterator[str]:
    found = tuple(lines)
    if found:
        yield ""
        yield f"## {title}"
        yield ""
        yield from (f"- {it}" for it in found)


def _row(name: str, it: Evaluation) -> str:
    shares = (it.recall, it.recall_known, it.recall_novel, it.ordinary, it.hard)
    return f"| {name} | {' | '.join(map(said, shares))} | {_number(it.accuracy)} | {_number(it.f1)} |"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def over(it: Spread | None) -> str:
    """Say a figure over several seeds: its mean and its standard deviation."""
    return "-" if it is None else f"{it.mean:.4f} ± {it.deviation:.4f}"


def said(it: Share) -> str:
    """Say a share with its interval."""
    if it.value is None or it.low is None or it.high is None:
        return "-"
    return f"{it.value:.4f} ({it.low:.4f} to {it.high:.4f}, n = {it.total})"


def _cell(text: str) -> str:
    return "".join(it if it.isalnum() or it in " .-_+:=" else f"\\{it}" for it in text)
