"""What a person sees in the terminal: tables, alerts, progress. Rich does the drawing.

Data goes to standard output, everything else to standard error. Text from logs is made harmless
before it is shown: a terminal obeys what an attacker writes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lab.files import records
from lab.moment import SECOND, Moment
from lab.text import visible

if TYPE_CHECKING:  # `lab up` raises no alert
    from lab.detect.alert import Alert

_LEVEL_STYLES: Final = {
    "informational": "dim",
    "low": "cyan",
    "medium": "yellow",
    "high": "bold red",
    "critical": "bold white on red",
}


class Screen:
    """Standard output and standard error of one command."""

    def __init__(self) -> None:
        self.out = Console(highlight=False, soft_wrap=True)
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)
        self._begun = time.monotonic()

    def tell(self, line: str) -> None:
        """Show one line about what is going on, with the seconds since the command began."""
        elapsed = time.monotonic() - self._begun
        self.err.print(Text.assemble((f"{elapsed:7.1f} s  ", "dim"), visible(line)))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Show how long a stage of the pipeline took, if it was long enough to wonder."""
        begun = time.monotonic()
        yield
        took = time.monotonic() - begun
        if took >= _WORTH_SAYING:
            self.tell(f"{name} took {took:.1f} s")

    def alert(self, alert: Alert) -> None:
        """Show an alert the moment it is raised, with its delay since its first event."""
        delay = (alert.raised - alert.first_event) / SECOND
        who = ", ".join(sorted({value for values in alert.entities.values() for value in values}))
        self.err.print(
            Text.assemble(
                (f"{time.monotonic() - self._begun:7.1f} s  ", "dim"),
                (f"ALERT {alert.level:<13} ", _LEVEL_STYLES[alert.level]),
                (f"{' '.join(alert.techniques) or '-':<10} ", "bold"),
                f"{visible(alert.title)}  ",
                (f"{visible(who)}  {delay:.1f} s after the event", "dim"),
            )
        )

    def fault(self, message: str) -> None:
        """Show what went wrong."""
        head, _, rest = message.partition("\n")
        self.err.print(Text.assemble((_lines(head), "bold red"), _lines(f"\n{rest}") if rest else ""))

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()
    ) -> None:
        """Show a table; through a pipe it is tab-separated, one row a line, without a header."""
        if not self.out.is_terminal:
            for row in rows:
                sys.stdout.write("\t".join(visible(cell).replace("\t", " ") for cell in row) + "\n")
            return
        drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for column in columns:
            drawn.add_column(column, justify="right" if column in right else "left", overflow="fold")
        for row in rows:
            drawn.add_row(*(Text(visible(cell)) for cell in row))
        self.out.print(drawn)

    def clear(self) -> None:
        """Begin anew at the top of the terminal; a pipe just goes on."""
        self.out.clear()

    def json(self, value: object, *, indent: int = 2) -> None:
        """Write a value as JSON, at once."""
        sys.stdout.write(records.to_json(value, indent=indent) + "\n")
        sys.stdout.flush()

    def line(self, text: str = "", style: str = "") -> None:
        """Write one line of data."""
        self.out.print(Text(_lines(text), style=style))


_WORTH_SAYING: Final = 1.0
"""Seconds; what is quicker needs no line."""


def _lines(text: str) -> str:
    """Make a text of several lines harmless, line by line."""
    return "\n".join(visible(line) for line in text.split("\n"))


def age(since: Moment) -> str:
    """Write how long ago something was, for a person."""
    seconds = max(0, (Moment.now() - since) // SECOND)
    if seconds < 60:  # noqa: PLR2004  # a minute
        return f"{seconds} s"
    if seconds < 3600:  # noqa: PLR2004  # an hour
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
