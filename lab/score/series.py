"""Several runs side by side: whether one was better, how far they spread, and how one gets on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

from lab.errors import WrongInput
from lab.moment import Moment
from lab.runs.header import Header
from lab.score.intervals import Rate, Share
from lab.score.values import Score
from lab.score.vocabulary import DETECTED, MISSED, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """One run, in figures."""

    run: str
    """Run id."""

    scenario: str
    """The scenario's name."""

    started: Moment
    """When it began."""

    seed: int
    """What chance was drawn from."""

    state: str
    """Whether it went as it should: `done`, `degraded`, `stopped`."""

    recall: Share
    """Steps alerted out of steps that occurred."""

    technique: Share
    """Steps alerted with the right technique out of steps that occurred."""

    precision: Share
    """True out of true and false alerts."""

    false_positives: Rate
    """False alerts per hour of benign traffic."""

    delay: float | None
    """Median time to detect in seconds; None when less than half was detected."""


def taken(header: Header, score: Score) -> Taken:
    """Sum a run up."""
    from lab.score.intervals import share

    occurred = [it.verdict for it in score.steps if it.verdict in DETECTED | MISSED]
    return Taken(
        run=header.id,
        scenario=header.scenario,
        started=header.started,
        seed=header.seed,
        state=header.state,
        recall=score.recall,
        technique=share(occurred.count("technique"), len(occurred)),
        precision=score.precision,
        false_positives=score.false_positives,
        delay=score.time_to_detect.median,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Paired:
    """A step in each of two runs."""

    step: str
    """Its name."""

    technique: str
    """Its technique."""

    first: Verdict
    """Its verdict in the first."""

    second: Verdict
    """Its verdict in the second."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contrast:
    """Two runs of the same steps."""

    first: Taken
    """The first."""

    second: Taken
    """The second."""

    steps: tuple[Paired, ...]
    """The steps that occurred in both, in the order of the first."""

    lost: int
    """Steps that the first alone detected."""

    won: int
    """Steps that the second alone detected."""

    p: float
    """How probable so uneven a split is when neither is better: McNemar's exact test, two-sided."""


def contrast(first: tuple[Header, Score], second: tuple[Header, Score]) -> Contrast:
    """Compare two runs, step by step.

    Raises:
        WrongInput: they have no step in common that occurred in both.
    """
    others = {it.step: it for it in second[1].steps if it.verdict in DETECTED | MISSED}
    steps = tuple(
        Paired(step=it.name, technique=it.technique, first=it.verdict, second=others[it.step].verdict)
        for it in first[1].steps
        if it.verdict in DETECTED | MISSED and it.step in others
    )
    if not steps:
        raise WrongInput(
            f"{first[0].id} and {second[0].id} have no step in common that occurred in both;"
            " compare runs of the same scenario"
        )
    lost = sum(it.first in DETECTED and it.second in MISSED for it in steps)
    won = sum(it.second in DETECTED and it.first in MISSED for it in steps)
    return Contrast(
        first=taken(*first), second=taken(*second), steps=steps, lost=lost, won=won, p=mcnemar(lost, won)
    )


def mcnemar(lost: int, won: int) -> float:
    """Return the two-sided p of McNemar's exact test: a fair coin's for the pairs that disagree.

    McNemar 1947; the exact form is the sign test on them.
    """
    number = lost + won
    tail = sum(comb(number, it) for it in range(min(lost, won) + 1)) / float(2**number)
    return min(1.0, 2 * tail)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """How far the same exercise comes out differently."""

    runs: tuple[Taken, ...]
    """Its runs, in order."""

    recall: tuple[float, float, float] | None
    """Least, median and greatest recall; None without an attack."""

    precision: tuple[float, float, float] | None
    """Least, median and greatest precision; None where nothing was alerted to."""

    unsteady: tuple[str, ...]
    """Names of the steps that some runs detected and others missed."""


def spread(runs: Sequence[tuple[Header, Score]]) -> Spread:
    """Say how far runs of one exercise differ."""
    figures = tuple(taken(*it) for it in runs)
    outcomes: dict[str, set[bool]] = {}
    for _, score in runs:
        for it in score.steps:
            if it.verdict in DETECTED | MISSED:
                outcomes.setdefault(it.name, set()).add(it.verdict in DETECTED)
    return Spread(
        runs=figures,
        recall=_three([it.recall.value for it in figures]),
        precision=_three([it.precision.value for it in figures]),
        unsteady=tuple(name for name, seen in outcomes.items() if len(seen) > 1),
    )


def _three(values: Sequence[float | None]) -> tuple[float, float, float] | None:
    known = [it for it in values if it is not None]
    return (min(known), median(known), max(known)) if known else None
