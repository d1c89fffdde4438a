"""Why a step got its verdict and what to mend, in few words for the learner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from lab.detect.alert import Alert
from lab.exercise.truth import Predicate, Truth
from lab.moment import SECOND
from lab.score.evidence import AttackStep, StepEvents
from lab.score.grading import GENERAL, TACTIC

_FEW: Final = 3
"""How many values, predicates or titles a reason names; more make nobody wiser."""


def missed(step: AttackStep, seen: StepEvents, *, elsewhere: bool) -> str:
    """Say why a step has no alert.

    Args:
        step: The step.
        seen: What the events show of it.
        elsewhere: Whether alerts rest on its events, but count for other steps.
    """
    record = step.record
    if not step.ran:
        return f"it did not run: {record.reason or record.status}"
    if record.occurred is None:
        return f"nobody could look whether it had an effect: {record.reason or 'the step has no check'}"
    if not step.occurred:
        return f"it had no effect: {record.reason}" if record.reason else "it had no effect"
    return _unnoticed(seen, elsewhere=elsewhere) if seen.events else _unseen(record)


def _unseen(record: Truth) -> str:
    if not record.evidence:
        return "its record names no evidence, so no event can be told to be of it"
    wanted = _few([_conditions(predicate) for predicate in record.evidence], ", or ")
    return f"no event had {wanted}: a log or sensor is missing, or stands in the wrong place"


def _conditions(predicate: Predicate) -> str:
    pairs = [f"{name} {_few(list(map(str, it)), ' or ')}" for name, it in predicate.where.items()]
    return " and ".join(pairs) or "any content"


def _few(words: Sequence[str], joint: str) -> str:
    more = len(words) - _FEW
    return joint.join((*words[:_FEW], f"{more} more") if more > 0 else words)


def _unnoticed(seen: StepEvents, *, elsewhere: bool) -> str:
    logs = _few(sorted(seen.datasets), ", ")
    shown = f"1 event ({logs}) shows it" if seen.events == 1 else f"{seen.events} events ({logs}) show it"
    if elsewhere:
        return f"{shown}, but the alerts on them count for another step that the same events fit"
    return f"{shown}, but no rule fired on them"


def detected(record: Truth, alerts: Sequence[Alert], grade: int) -> str:
    """Name the alerts that give the verdict, and what their tags lack."""
    titles = _few(sorted({alert.title for alert in alerts}), ", ")
    if grade not in {GENERAL, TACTIC}:
        return titles
    named = _few(sorted({it for alert in alerts for it in alert.techniques}), ", ") or "no technique"
    return f"{titles}: tagged {named}, not {record.technique}"


def late(limit: int) -> str:
    """Say which limit a detection missed, in nanoseconds."""
    return f"; later than {limit / SECOND:g} s"


def partial(missing: Sequence[str], strangers: Iterable[str]) -> str:
    """Say who and what the alerts leave out, and whom they name that took no part."""
    wrong = sorted(strangers)
    left_out = f"; does not name {_few(missing, ', ')}" if missing else ""
    return left_out + (f"; names {_few(wrong, ', ')}, not involved" if wrong else "")
