"""Stages for learners: their timeline graded, and what the exercises cover."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.flow.context import Context
from lab.flow.play import readable_scenarios

if TYPE_CHECKING:
    from lab.learn.coverage import Coverage
    from lab.learn.grade import Grade


@dataclass(frozen=True, kw_only=True, slots=True)
class Handed:
    """A timeline that somebody hands in."""

    run: str
    """The run's id, or how it begins."""

    path: Path
    """The file."""


def grade_timeline(handed: Handed, context: Context) -> Grade:
    """A timeline -> how well it tells what happened."""
    from lab.exercise.truth import read_truth
    from lab.files import records
    from lab.learn.grade import grade
    from lab.learn.timeline import read_timeline
    from lab.runs import folder
    from lab.score.values import Score

    run = folder.find(context.workplace, handed.run)
    header = run.header()
    noted = read_timeline(context.path(handed.path), header.started)
    return grade(header.id, header.started, noted, read_truth(run.happened), records.read(run.score, Score))


def measure_coverage(_: None, context: Context) -> Coverage:
    """Nothing -> the techniques that the exercises have steps for."""
    from lab.learn.coverage import cover

    found = readable_scenarios(context)
    return cover((it.technique, name) for name, scenario in found for it in scenario.steps if it.technique)
