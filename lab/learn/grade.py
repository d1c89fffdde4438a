"""A learner's timeline beside what happened: what was found, missed and mistaken, and why. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Final

from lab import attack
from lab.exercise.truth import Truth
from lab.learn.timeline import Noted
from lab.moment import SECOND, Moment
from lab.score.credit import match_steps
from lab.score.evidence import AttackStep, attack_steps
from lab.score.intervals import Share, share
from lab.score.values import Score

NEAR: Final = 15 * SECOND
"""How far from a step a time may be, in nanoseconds: logs are read in a hurry."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A step that the timeline has."""

    step: str
    """Its name."""

    technique: str
    """Its technique."""

    noted: Noted
    """The entry."""

    off: float
    """Seconds from the step to the time noted; 0 within it."""

    same_technique: bool
    """Whether the entry names the technique, or its parent."""

    indicators: Share
    """Of the indicators that were noted, those that are of the step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Missed:
    """A step that the timeline has not."""

    step: str
    """Its name."""

    technique: str
    """Its technique."""

    since: float
    """Seconds from the beginning of the run to its own."""

    why: str
    """Where it could be seen, or that it could not."""

    hint: str
    """When and where to look, without saying what it was."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mistaken:
    """An entry that is of no step."""

    noted: Noted
    """The entry."""

    why: str
    """What happened then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grade:
    """How well a timeline tells what happened."""

    run: str
    """Run id."""

    recall: Share
    """Steps that the timeline has, of those that took effect."""

    precision: Share
    """Entries that are of a step."""

    techniques: Share
    """Of the steps it has, those whose technique it names."""

    indicators: Share
    """Of the indicators it names beside steps, those that are of them."""

    indicators_named: Share
    """Of the addresses, hosts and accounts of all steps, those that it names."""

    order: Share
    """Of the pairs of steps it has, those in the right order."""

    off: float | None
    """Median of how far the times are off, in seconds; None when it has no step."""

    found: tuple[Found, ...]
    """What it has, in the order of the steps."""

    missed: tuple[Missed, ...]
    """What it has not."""

    mistaken: tuple[Mistaken, ...]
    """What was none."""


def grade(run: str, begun: Moment, noted: Sequence[Noted], truth: Sequence[Truth], score: Score) -> Grade:
    """Compare a timeline with truth.

    Args:
        run: Run id.
        begun: When the run began.
        noted: The entries.
        truth: What happened.
        score: What could be seen of it.
    """
    steps = tuple(it for it in attack_steps(truth) if it.occurred)
    pairs = _matched(steps, noted)
    found = tuple(_found(steps[place], noted[entry]) for place, entry in sorted(pairs.items()))
    left = [entry for entry in range(len(noted)) if entry not in pairs.values()]
    named = {word for it in noted for word in map(str.lower, it.indicators)}
    known = {word for it in steps for word in _indicators(it)}
    in_order = [steps[a].start <= steps[b].start for a, b in combinations(_by_entry(pairs), 2)]
    return Grade(
        run=run,
        recall=share(len(found), len(steps)),
        precision=share(len(found), len(noted)),
        techniques=share(sum(it.same_technique for it in found), len(found)),
        indicators=share(sum(it.indicators.hits for it in found), sum(it.indicators.total for it in found)),
        indicators_named=share(len(named & known), len(known)),
        order=share(sum(in_order), len(in_order)),
        off=round(median(it.off for it in found), 1) if found else None,
        found=found,
        missed=tuple(_missed(it, begun, score) for place, it in enumerate(steps) if place not in pairs),
        mistaken=tuple(Mistaken(noted=noted[it], why=_why(noted[it], truth)) for it in left),
    )


def _by_entry(pairs: Mapping[int, int]) -> list[int]:
    """Return the places of the steps in the order in which the entries have them."""
    return [place for place, _ in sorted(pairs.items(), key=lambda it: it[1])]


def _matched(steps: Sequence[AttackStep], noted: Sequence[Noted]) -> dict[int, int]:
    """Give each step at most one entry and each entry at most one step, as well as it can be."""
    options = [
        tuple((place, weight) for place, step in enumerate(steps) if (weight := _fits(step, it)))
        for it in noted
    ]
    given = match_steps([(it, 1) for it in options])
    return {place: entry for entry, places in enumerate(given) for place in places}


def _fits(step: AttackStep, noted: Noted) -> int:
    """Say how well an entry tells of a step; 0 for not at all: it needs the time, and one thing more."""
    off = _off(step, noted) * SECOND
    technique = _same(step.record.technique, noted.technique)
    shared = bool(_indicators(step) & {it.lower() for it in noted.indicators})
    if off > NEAR or not (technique or (shared and not noted.technique)):
        return 0
    exact = step.record.technique == noted.technique
    return 100 + 100 * technique + 50 * exact + 40 * shared + round(30 * (1 - off / NEAR))


def _same(true: str, said: str) -> bool:
    """Tell whether a technique is named: itself, or its parent."""
    return said in {true, true.partition(".")[0]}


def _off(step: AttackStep, noted: Noted) -> float:
    start, end = step.start, max(it.end for it in step.attempts)
    return max(start - noted.time, noted.time - end, 0) / SECOND


def _indicators(step: AttackStep) -> frozenset[str]:
    """Name what a step can be told by: the addresses, hosts and accounts that took part."""
    parties = [party for it in step.attempts for party in (*it.sources, *it.targets)]
    words = [word for it in parties for word in (it.node, *it.addresses)]
    return frozenset(word.lower() for word in (*words, *(user for it in step.attempts for user in it.users)))


def _found(step: AttackStep, noted: Noted) -> Found:
    known = _indicators(step)
    right = sum(it.lower() in known for it in noted.indicators)
    return Found(
        step=step.record.name,
        technique=step.record.technique,
        noted=noted,
        off=round(_off(step, noted), 1),
        same_technique=_same(step.record.technique, noted.technique),
        indicators=share(right, len(noted.indicators)),
    )


def _missed(step: AttackStep, begun: int, score: Score) -> Missed:
    scored = next((it for it in score.steps if it.step == step.id), None)
    since = (step.start - begun) / SECOND
    events, rules = (scored.events, scored.rules) if scored else (0, ())
    shown = "1 event shows it" if events == 1 else f"{events} events show it"
    alerted = f"; {', '.join(rules)} fired on it" if rules else "; no rule fired on it"
    places = " and ".join(sorted({it.node for it in (*step.record.targets, *step.record.sources)}))
    hint = f"look at what {places} and the sensor saw around +{since:.0f}"
    return Missed(
        step=step.record.name,
        technique=f"{step.record.technique} {attack.techniques()[step.record.technique].name}",
        since=round(since, 1),
        why=f"{shown}{alerted}" if events else "no event shows it: nobody could have seen it",
        hint=hint if events else "nothing to be found",
    )


def _why(noted: Noted, truth: Sequence[Truth]) -> str:
    """Say what really happened at the time of an entry that is of no step."""
    then = [it for it in truth if it.start - NEAR <= noted.time <= it.end + NEAR]
    work = [it for it in then if it.action]
    odd = sorted({f"{it.name} ({it.sources[0].node})" for it in work if it.suspicious and it.sources})
    if odd:
        return f"that was work, and only looked bad: {', '.join(odd)}"
    steps = sorted({it.name for it in then if it.label == "attack"})
    if steps:
        return f"there was an attack then, but another, or it is noted twice: {', '.join(steps)}"
    return "ordinary work alone" if work else "no step and no odd work is known of that time"
