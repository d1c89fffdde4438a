"""What a score has to reach for a command to end well, and JUnit's XML for who shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer

if TYPE_CHECKING:
    from lab.cli.session import Session
    from lab.runs.header import Header
    from lab.score.gates import Gates
    from lab.score.values import Score

MinRecall = Annotated[
    float | None,
    typer.Option(
        "--min-recall", min=0, max=1, help="End with 1 when a smaller part of the steps was detected."
    ),
]
"""The least recall."""

MaxFalse = Annotated[
    int | None, typer.Option("--max-fp", min=0, help="End with 1 when there are more false alarms.")
]
"""The most false alarms."""

Junit = Annotated[
    Path | None, typer.Option("--junit", help="Write JUnit's XML to this file, a case for each step.")
]
"""Where JUnit's XML goes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gating:
    """What was asked for."""

    gates: Gates
    """What a score has to reach."""

    junit: Path | None
    """Where JUnit's XML goes."""

    @classmethod
    def of(cls, min_recall: float | None, max_false: int | None, junit: Path | None) -> Self:
        """Gather the options."""
        from lab.score.gates import Gates

        return cls(gates=Gates(min_recall=min_recall, max_false=max_false), junit=junit)

    def __bool__(self) -> bool:
        """Tell whether anything was asked for."""
        return bool(self.gates) or self.junit is not None

    def judge(self, session: Session, runs: Sequence[tuple[Header, Score]]) -> None:
        """Write the XML, and end with 1 when a run does not reach what it has to."""
        if self.junit is not None:
            from lab.export.junit import junit

            session.context.path(self.junit).write_text(junit(runs, self.gates), encoding="utf-8")
        missed = [f"{header.id}: {it}" for header, score in runs for it in self.gates.missed(score)]
        for it in missed:
            session.screen.fault(it)
        if missed:
            raise typer.Exit(1)
