"""What a person notes while a run goes on: what was just done by hand."""

from __future__ import annotations

from dataclasses import dataclass

from lab.files import records
from lab.moment import Moment
from lab.runs.happened import Happened


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """One note."""

    time: Moment
    """When it was made."""

    text: str
    """What it says."""


def read_marks(happened: Happened) -> tuple[Mark, ...]:
    """Read the notes of a run, in the order in which they were made."""
    return records.read_lines(happened.marks, Mark)
