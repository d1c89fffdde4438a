"""What an analyst made of alerts beside what happened: disposition and reason, apart. Pure.

An alert on an attack is a true positive; its reason is right when it names the technique of a step it is
on, or the technique that is a part of. An alert on something that only looks like an attack is a benign
positive, one on ordinary work or on nothing a false positive; the reason is right when it names who did it
or what was done. Alerts on what prepares or tidies up an exercise do not count. "Undetermined" is no right
answer, and is better than a wrong one only to the next reader.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lab.detect.alert import Alert
from lab.exercise.truth import Truth
from lab.runs.header import LabRecord
from lab.runs.triage import UNTOUCHED, Disposition, Standing
from lab.score.grading import parent_of
from lab.score.intervals import Share, share
from lab.score.values import Score
from lab.why.benign import act_of

_SHORTEST: Final = 3
"""Letters of a word that says something: "in" and "of" stand in any reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One answer beside truth."""

    alert: str
    """Id of the alert."""

    title: str
    """The title of its rule."""

    said: str
    """What was answered; empty for nothing."""

    right: Disposition
    """What is right."""

    verdict_right: bool
    """Whether that was answered."""

    reason: str
    """The reason that was given."""

    reason_right: bool | None
    """Whether it is right; None where the answer is wrong, or nobody knows a reason."""

    why: str
    """What happened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Graded:
    """All answers beside truth."""

    run: str
    """Run id."""

    verdicts: Share
    """Right dispositions, of all alerts that count."""

    reasons: Share
    """Right reasons, of the right dispositions for which one is known."""

    answered: Share
    """Alerts with an answer, of all that count."""

    floor: Share
    """Right dispositions of somebody who says that all is an attack."""

    answers: tuple[Judged, ...]
    """Each answer, in the order of the alerts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """What is right of an alert."""

    disposition: Disposition
    words: tuple[str, ...]
    """Any of these in a reason makes it right; none where nobody knows one."""
    why: str


def grade_answers(  # noqa: PLR0913  # the records of a run, each by its name
    run: str,
    *,
    alerts: Sequence[Alert],
    standings: Mapping[str, Standing],
    truth: Sequence[Truth],
    score: Score,
    lab: LabRecord,
) -> Graded:
    """Grade what was made of the alerts of a run.

    Args:
        run: Run id.
        alerts: Its alerts.
        standings: What was made of them, by their ids, when the answers were handed in.
        truth: What happened.
        score: The score of the same alerts.
        lab: The lab as it was.
    """
    ignored, false = set(score.ignored_alerts), frozenset(score.false_alerts)
    acts = [it for it in truth if it.label == "benign" and it.action]
    node_of = {address: it.name for it in lab.nodes for address in it.addresses.values()}
    answers = tuple(
        _judged(it, standings.get(it.id, UNTOUCHED), _known(it, score, false, acts, node_of))
        for it in alerts
        if it.id not in ignored
    )
    rated = [it.reason_right for it in answers if it.reason_right is not None]
    return Graded(
        run=run,
        verdicts=share(sum(it.verdict_right for it in answers), len(answers)),
        reasons=share(sum(rated), len(rated)),
        answered=share(sum(bool(it.said) for it in answers), len(answers)),
        floor=share(sum(it.right == "TruePositive" for it in answers), len(answers)),
        answers=answers,
    )


def _known(
    alert: Alert, score: Score, false: frozenset[str], acts: Sequence[Truth], node_of: Mapping[str, str]
) -> _Known:
    if alert.id not in false:
        steps = [it for it in score.steps if alert.id in it.alerts]
        techniques = tuple(dict.fromkeys(it.technique for it in steps))
        parents = map(parent_of, techniques)
        what = (
            ", ".join(f"{it.name} ({it.technique})" for it in steps) or "an attack step that others tell of"
        )
        return _Known(disposition="TruePositive", words=(*techniques, *parents), why=what)
    act = act_of(alert, acts, node_of)
    if act is None:
        return _Known(disposition="FalsePositive", words=(), why="nobody did anything then")
    who = act.sources[0].node if act.sources else "somebody"
    said = (who, *act.users, act.action, *act.action.split("-"))
    return _Known(
        disposition="BenignPositive" if act.suspicious else "FalsePositive",
        words=tuple(it for it in said if len(it) >= _SHORTEST),
        why=f"{who} did: {act.name}",
    )


def _judged(alert: Alert, standing: Standing, known: _Known) -> Judged:
    right = standing.disposition == known.disposition
    said = standing.reason.lower()
    named = any(it.lower() in said for it in known.words)
    return Judged(
        alert=alert.id,
        title=alert.title,
        said=standing.disposition or "",
        right=known.disposition,
        verdict_right=right,
        reason=standing.reason,
        reason_right=named if right and known.words else None,
        why=known.why,
    )
