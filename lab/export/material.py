"""What exports are made of: a run, read once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lab import attack
from lab.detect.alert import Alert, read_alerts
from lab.errors import NotFound
from lab.exercise.truth import Truth, read_truth
from lab.files import records
from lab.runs import names
from lab.runs.folder import RunFolder
from lab.runs.header import Header, LabRecord
from lab.score.values import Score, StepScore


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """A run that was scored."""

    run: RunFolder
    """Where it is kept."""

    header: Header
    """What it is."""

    lab: LabRecord
    """The lab as it was."""

    truth: tuple[Truth, ...]
    """What happened."""

    alerts: tuple[Alert, ...]
    """What was raised."""

    score: Score
    """What was detected."""

    def steps(self) -> Iterator[tuple[Truth, StepScore]]:
        """Give each attack step that ran, its last attempt, with its verdict, in the order of the score."""
        last = {it.step: it for it in self.truth if it.label == "attack" and it.status == "ran"}
        yield from ((last[it.step], it) for it in self.score.steps if it.step in last)

    def address(self, node: str) -> str:
        """Return an address of a node, or nothing."""
        found = (it.addresses for it in self.lab.nodes if it.name == node)
        return next((address for it in found for address in it.values()), "")


def read_material(run: RunFolder) -> Material:
    """Read a run.

    Raises:
        NotFound: it was never scored.
    """
    if not run.score.exists():
        raise NotFound("score of", name=run.path.name, remedy=f"lab score {run.path.name}  makes it")
    return Material(
        run=run,
        header=run.header(),
        lab=records.read(run.path / names.LAB, LabRecord),
        truth=read_truth(run.happened),
        alerts=read_alerts(run.noticed),
        score=records.read(run.score, Score),
    )


def technique_name(technique: str) -> str:
    """Return a technique's name; its id where the table has none."""
    found = attack.techniques().get(technique)
    return found.name if found else technique
