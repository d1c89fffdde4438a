"""Stages of the loop: score a run again, say why, compare runs, and see how one gets on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lab.errors import LabError, NotFound, WrongInput
from lab.flow.context import Context
from lab.flow.rules import rule_paths
from lab.workers import told_to_stop

if TYPE_CHECKING:
    from lab.runs.folder import RunFolder
    from lab.runs.header import Header
    from lab.score.changes import Changes
    from lab.score.series import Contrast, Spread, Taken
    from lab.score.values import Score
    from lab.why.benign import FalseAlarm, NearMiss
    from lab.why.draft import Draft
    from lab.why.steps import Why

_LOOKS: Final = 0.2
"""Seconds between two looks whether a rule was saved."""


# -- score again -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Rescored:
    """A run by today's rules."""

    run: RunFolder
    """The run; nothing in it was changed."""

    score: Score
    """Its score by today's rules."""

    changes: Changes
    """What is different from its score before."""

    unusable: int
    """How many rules cannot be used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rescoring:
    """Which run to score again, and whether to go on."""

    run: str = ""
    """A run's id, or how it begins; else the last run."""

    on_score: Callable[[Rescored], None] | None = None
    """Hears of each score, a new one whenever a rule is saved, until the user stops it; one when None."""


def rescore(order: Rescoring, context: Context) -> Rescored:
    """Which run -> its score by today's rules, and what is different from before."""
    from lab.detect.sigma.compiled import rule_files
    from lab.runs import folder

    subject = _Subject(folder.find(context.workplace, order.run), context)
    seen = _saved(paths := rule_paths(context), rule_files)  # before: what is saved meanwhile is seen next
    found = subject.rescored()
    if order.on_score is None:
        return found
    order.on_score(found)
    with told_to_stop(context.stop, lambda: None):
        while not context.stop.wait(_LOOKS):
            now = _saved(paths, rule_files)
            if now == seen:
                continue
            seen = now
            try:
                found = subject.rescored()
            except LabError as error:
                context.tell(str(error))  # half a file was saved, or a wrong one: the next save may mend it
            else:
                order.on_score(found)
    return found


def _saved(paths: tuple[Path, ...], rule_files: Callable[[Path], list[Path]]) -> dict[str, tuple[int, int]]:
    """Return when each file of rules was saved, and how long it is."""
    found: dict[str, tuple[int, int]] = {}
    for file in (file for path in paths for file in rule_files(path)):
        try:
            about = file.stat()
        except FileNotFoundError:
            continue  # an editor is just replacing it
        found[str(file)] = (about.st_mtime_ns, about.st_size)
    return found


class _Subject:
    """A run that is scored again and again."""

    def __init__(self, run: RunFolder, context: Context) -> None:
        """Read the run, and its score as it stands."""
        from lab.detect.again import Again
        from lab.detect.alert import read_alerts
        from lab.score.files import score_alerts

        self._run = run
        self._context = context
        self._again = Again.of(run.noticed)
        before = read_alerts(run.noticed)
        self._last = (score_alerts(run, before, run.header().rules), before)

    def rescored(self) -> Rescored:
        """Score it by the rules as they are now."""
        from lab.detect.sigma.compiled import rules_of
        from lab.score.changes import changes
        from lab.score.files import score_alerts

        rules = rules_of(rule_paths(self._context))
        raised = self._again.alerts(rules)
        score = score_alerts(self._run, raised, self._again.hashes(rules))
        before, alerts = self._last
        different = changes(before, score, raised_before=alerts, raised_after=raised)
        self._last = (score, raised)
        return Rescored(run=self._run, score=score, changes=different, unusable=len(rules.unusable))


# -- why -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """What is to be explained."""

    run: str = ""
    """A run's id, or how it begins; else the last run."""

    step: str = ""
    """A step's id, its name, its number, or a part of its name; else all that were not detected."""

    draft: bool = False
    """Whether the beginning of a rule for the step is wanted."""

    near: bool = False
    """Whether near misses are to be counted, which asks every clause of every rule."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reasons:
    """Why a run came out as it did."""

    run: str
    """Run id."""

    steps: tuple[Why, ...]
    """The reason for the verdict of each step that was asked about."""

    false_alarms: tuple[FalseAlarm, ...] = ()
    """What caused the false alarms."""

    near_misses: tuple[NearMiss, ...] = ()
    """Benign events that one clause alone kept from an alert."""

    draft: Draft | None = None
    """The beginning of a rule."""


def explain_run(asking: Asking, context: Context) -> Reasons:
    """What is asked -> the reason for each miss and each false alarm, by today's rules.

    Raises:
        NotFound: there is no such run or step, or no event that a draft could be begun from.
        WrongInput: the run has no truth to compare with, or a draft is wanted of several steps.
    """
    from lab.runs import folder

    run = folder.find(context.workplace, asking.run)
    if not run.header().judged:
        raise WrongInput(f"{run.path.name} was no exercise: nobody knows what was an attack in it")
    if asking.draft and not asking.step:
        raise WrongInput("--draft-rule is for one step:  lab why RUN STEP --draft-rule")
    from lab.why.inquiry import Inquiry

    with Inquiry(run, rule_paths(context)) as inquiry:
        places = inquiry.find(asking.step)
        found = tuple(map(inquiry.why, places))
        return Reasons(
            run=run.path.name,
            steps=found if asking.step else tuple(it for it in found if it.rung != "nothing"),
            false_alarms=() if asking.step else inquiry.false_alarms(),
            near_misses=inquiry.near_misses() if asking.near else (),
            draft=inquiry.draft(places[0]) if asking.draft else None,
        )


# -- compare ---------------------------------------------------------------------------------------


def compare_runs(runs: tuple[str, ...], context: Context) -> tuple[Contrast, ...]:
    """Ids of runs -> the first beside each of the others, step by step.

    Raises:
        WrongInput: fewer than two are named, or two have no step in common.
    """
    from lab.runs import folder
    from lab.score.series import contrast

    if len(runs) < 2:  # noqa: PLR2004  # to compare takes two
        raise WrongInput("lab compare  takes two runs or more; lab history  lists them")
    first, *others = (_figures(folder.find(context.workplace, it)) for it in runs)
    return tuple(contrast(first, it) for it in others)


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """Which runs of the past to show."""

    scenario: str = ""
    """Those of one scenario; all when empty."""

    degraded: bool = False
    """Also those that were disturbed."""


def show_history(past: Past, context: Context) -> tuple[Taken, ...]:
    """Which runs -> each in figures, the oldest first; replays, and what was no exercise, are left out."""
    from lab.runs import folder
    from lab.score.series import taken

    wanted = {"done", "degraded"} if past.degraded else {"done"}
    found: list[Taken] = []
    for run in folder.list_runs(context.workplace):
        header = run.header()
        if not header.judged or header.replay_of or header.state not in wanted or not run.score.exists():
            continue
        if past.scenario in {"", header.scenario}:
            found.append(taken(*_figures(run)))
    return tuple(found)


def _figures(run: RunFolder) -> tuple[Header, Score]:
    from lab.files import records
    from lab.score.values import Score

    if not run.score.exists():
        raise NotFound("score of", name=run.path.name, remedy=f"lab score {run.path.name}  makes it")
    return run.header(), records.read(run.score, Score)


def spread_of(runs: tuple[RunFolder, ...], _: Context) -> Spread:
    """Runs of one exercise -> how far they differ."""
    from lab.score.series import spread

    return spread([_figures(it) for it in runs])
