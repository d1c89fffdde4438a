"""What is different between two scores of the same run, verdict by verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lab.detect.alert import Alert
from lab.score.values import Score, StepScore
from lab.score.vocabulary import Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Turned:
    """A step that is judged otherwise."""

    step: str
    """Step id."""

    name: str
    """Its name."""

    technique: str
    """Its technique."""

    before: Verdict
    """What it was."""

    after: Verdict
    """What it is."""

    gained: tuple[str, ...] = ()
    """Titles of the rules that credit it now, and did not."""

    lost: tuple[str, ...] = ()
    """Titles of the rules that credited it, and do not any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FalseAlert:
    """False alerts of one rule."""

    title: str
    """The rule's title."""

    before: int
    """How many there were."""

    after: int
    """How many there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """All that is different."""

    steps: tuple[Turned, ...]
    """Steps with another verdict, or other rules, in their order."""

    false_alerts: tuple[FalseAlert, ...]
    """Rules with another number of false alerts, by title."""

    def __bool__(self) -> bool:
        """Tell whether anything is."""
        return bool(self.steps or self.false_alerts)


def changes(
    before: Score, after: Score, *, raised_before: Sequence[Alert], raised_after: Sequence[Alert]
) -> Changes:
    """Compare two scores of one run.

    Args:
        before: The first.
        after: The second.
        raised_before: The alerts of the first.
        raised_after: The alerts of the second.
    """
    known = {it.step: it for it in before.steps}
    pairs = ((known[it.step], it) for it in after.steps if it.step in known)
    old, new = _false(before, raised_before), _false(after, raised_after)
    return Changes(
        steps=tuple(_turned(one, other) for one, other in pairs if _differ(one, other)),
        false_alerts=tuple(
            FalseAlert(title=it, before=old.get(it, 0), after=new.get(it, 0))
            for it in sorted(old.keys() | new.keys())
            if old.get(it, 0) != new.get(it, 0)
        ),
    )


def _differ(one: StepScore, other: StepScore) -> bool:
    return (one.verdict, one.rules) != (other.verdict, other.rules)


def _turned(one: StepScore, other: StepScore) -> Turned:
    had, has = set(one.rules), set(other.rules)
    return Turned(
        step=other.step,
        name=other.name,
        technique=other.technique,
        before=one.verdict,
        after=other.verdict,
        gained=tuple(sorted(has - had)),
        lost=tuple(sorted(had - has)),
    )


def _false(score: Score, raised: Sequence[Alert]) -> Mapping[str, int]:
    false, found = set(score.false_alerts), dict[str, int]()
    for alert in raised:
        if alert.id in false:
            found[alert.title] = found.get(alert.title, 0) + 1
    return found
