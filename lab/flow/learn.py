"""Stages for learners: their timeline graded, and what the exercises cover."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import NotFound, WrongInput
from lab.flow.atomic import library_at_hand
from lab.flow.context import Context
from lab.flow.labs import read_lab
from lab.flow.play import readable_scenarios

if TYPE_CHECKING:
    from lab.learn.answers import Graded
    from lab.learn.coverage import Coverage
    from lab.learn.grade import Grade
    from lab.learn.response import Response
    from lab.runs.folder import RunFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class Handed:
    """A timeline that somebody hands in."""

    run: str
    """The run's id, or how it begins."""

    path: Path | None = None
    """The file; the case, or what was answered on the page, when None."""

    answers: bool = False
    """Whether what was answered on the page is meant, although there is a case."""


def grade_handed(handed: Handed, context: Context) -> Grade | Graded | Response:
    """A timeline, a case, or answers on the page -> how well they tell what happened, and what was done."""
    from lab.runs import folder
    from lab.runs.case import frozen

    if handed.path is not None:
        return _grade_timeline(handed, context)
    run = folder.find(context.workplace, handed.run)
    responded = frozen(run.case.entries()).opened is not None or run.happened.aftermath.exists()
    if handed.answers or not responded:
        return _grade_answers(handed, context)
    return _grade_case(run, context)


def _grade_case(run: RunFolder, context: Context) -> Response:
    from lab.exercise.scenario import read_scenario
    from lab.flow.grading import grade_run

    header = run.header()
    if not header.judged:
        said = f"{header.id} was no exercise: nobody knows what of it was an attack, so nothing is graded"
        raise WrongInput(f"{said}\n    lab case report {header.id}  shows the case")
    known = read_lab(header.lab, context)
    scenario = read_scenario(run.happened.scenario, known, library_at_hand(context))
    return grade_run(run, scenario, context)


def _grade_answers(handed: Handed, context: Context) -> Graded:
    from lab.detect.alert import read_alerts
    from lab.exercise.truth import read_truth
    from lab.files import records
    from lab.learn.answers import grade_answers
    from lab.runs import folder, names
    from lab.runs.header import LabRecord
    from lab.runs.triage import answered, standings
    from lab.score.values import Score

    run = folder.find(context.workplace, handed.run)
    acts = answered(run.triage.entries())
    if acts is None:
        remedy = "answer on the page of  lab serve  and hand in; a timeline is graded by  lab grade RUN FILE"
        raise NotFound("answers handed in for", name=run.path.name, remedy=remedy)
    if not run.score.exists():
        raise NotFound("score of", name=run.path.name, remedy=f"lab score {run.path.name}  makes it")
    return grade_answers(
        run.path.name,
        alerts=read_alerts(run.noticed),
        standings=standings(acts),
        truth=read_truth(run.happened),
        score=records.read(run.score, Score),
        lab=records.read(run.path / names.LAB, LabRecord),
    )


def _grade_timeline(handed: Handed, context: Context) -> Grade:
    from lab.exercise.truth import read_truth
    from lab.files import records
    from lab.learn.grade import grade
    from lab.learn.timeline import read_timeline
    from lab.runs import folder
    from lab.score.values import Score

    run = folder.find(context.workplace, handed.run)
    header = run.header()
    assert handed.path is not None  # noqa: S101  # its caller looked
    noted = read_timeline(context.path(handed.path), header.started)
    return grade(header.id, header.started, noted, read_truth(run.happened), records.read(run.score, Score))


def measure_coverage(_: None, context: Context) -> Coverage:
    """Nothing -> the techniques that the exercises have steps for."""
    from lab.learn.coverage import cover

    found = readable_scenarios(context)
    return cover((it.technique, name) for name, scenario in found for it in scenario.steps if it.technique)
