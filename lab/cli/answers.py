"""Answers to questions, as tables, text for other programs, and charts of a terminal."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from lab.ask.bounded import shown
from lab.text import for_spreadsheet, visible

if TYPE_CHECKING:
    from lab.ask.bounded import Answer
    from lab.ask.questions import SavedQuestion
    from lab.cli.screen import Screen

_BARS: Final = 40
"""Rows that are drawn at most."""

_WIDTH: Final = 50
"""Characters of the longest bar."""

_LABEL: Final = 40
"""Characters of a label."""


def listed(screen: Screen, found: Sequence[SavedQuestion], *, as_json: bool) -> None:
    """Show the questions that ship."""
    if as_json:
        screen.json(found)
        return
    screen.table(("question", "asks", "teaches"), [(it.name, it.asks, it.learn) for it in found])


def chart(screen: Screen, found: Answer) -> None:
    """Draw the first number of each row as a bar, beside all texts before it; times come in their order."""
    every = range(len(found.columns))
    numbers = [place for place in every if any(_is_number(row[place]) for row in found.rows)]
    if not numbers:
        screen.tell("the answer has no number to draw")
        return
    value = numbers[0]
    labels = [place for place in every if place < value] or [place for place in every if place != value][:1]
    rows = found.rows[:_BARS]
    most = max((float(row[value] or 0) for row in rows if _is_number(row[value])), default=0.0)
    for row in rows:
        label = "  ".join(_cell(row[place]) for place in labels)[:_LABEL]
        number = float(row[value]) if _is_number(row[value]) else 0.0
        screen.line(f"{label:<{_LABEL}} {_bar(number / most if most > 0 else 0)} {_cell(row[value])}")
    if len(found.rows) > len(rows):
        screen.tell(f"and {len(found.rows) - len(rows)} more rows")


def _bar(share: float) -> str:
    """Draw a share with eighths of a character."""
    eighths = round(max(0.0, share) * _WIDTH * 8)
    whole, rest = divmod(eighths, 8)
    return "\u2588" * whole + ("" if not rest else chr(0x2590 - rest))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def answer(screen: Screen, found: Answer, output: str) -> None:
    """Show what a question gave."""
    if output == "json":
        screen.json([dict(zip(found.columns, row, strict=True)) for row in found.rows])
    elif output == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow([_cell(name, guard=True) for name in found.columns])
        writer.writerows([[_cell(value, guard=True) for value in row] for row in found.rows])
    else:
        screen.table(found.columns, [[_cell(value) for value in row] for row in found.rows])
    if found.cut:
        screen.tell(f"only the first {len(found.rows)} rows are shown")


def _cell(value: object, *, guard: bool = False) -> str:
    """Write a value for a table.

    In CSV no terminal is to obey it, and a text that a spreadsheet would run as a formula is quoted.
    """
    text = shown(value)
    if not guard:
        return text
    return for_spreadsheet(text) if isinstance(value, str) else visible(text)
