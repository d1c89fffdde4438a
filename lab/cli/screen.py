"""What a person sees in the terminal: tables, alerts, progress. Rich does the drawing.

Data goes to standard output, everything else to standard error. Text from logs is made harmless
before it is shown: a terminal obeys what an attacker writes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal, TextIO

from lab.files import records
from lab.moment import SECOND, Moment
from lab.text import escaped, visible

if TYPE_CHECKING:  # rich is for terminals; `lab up` raises no alert
    from rich.console import Console

    from lab.detect.alert import Alert
    from lab.detect.queue import Queue

_LEVEL_STYLES: Final = {
    "informational": "dim",
    "low": "cyan",
    "medium": "yellow",
    "high": "bold red",
    "critical": "bold white on red",
}


class Screen:
    """Standard output and standard error of one command.

    Rich draws on terminals alone; through a pipe plain lines go out, and it is never loaded.
    """

    def __init__(self) -> None:
        self._begun = time.monotonic()

    @cached_property
    def _queue(self) -> Queue:
        """The alerts that were shown."""
        from lab.detect.queue import Queue

        return Queue()

    @cached_property
    def _out(self) -> Console | None:
        """The terminal that standard output is; None for a pipe or a file."""
        return _console(sys.stdout)

    @cached_property
    def _err(self) -> Console | None:
        """The terminal that standard error is; None for a pipe or a file."""
        return _console(sys.stderr)

    def _say(self, *parts: tuple[str, str]) -> None:
        """Write a line to standard error, of texts that are harmless, each with its style."""
        if self._err is None:
            sys.stderr.write("".join(text for text, _ in parts) + "\n")
            return
        from rich.text import Text

        self._err.print(Text.assemble(*parts))

    def _elapsed(self) -> tuple[str, str]:
        return f"{time.monotonic() - self._begun:7.1f} s  ", "dim"

    def tell(self, line: str) -> None:
        """Show one line about what is going on, with the seconds since the command began."""
        self._say(self._elapsed(), (visible(line), ""))

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Show how long a stage of the pipeline took, if it was long enough to wonder."""
        begun = time.monotonic()
        yield
        took = time.monotonic() - begun
        if took >= _WORTH_SAYING:
            self.tell(f"{name} took {took:.1f} s")

    def alert(self, alert: Alert) -> None:
        """Show an alert the moment it is raised, with its delay since its first event.

        One that repeats another on the same actor is counted and not shown: `incidents` tells how often it
        was raised, and the file keeps each.
        """
        if self._queue.add(alert) > 1:
            return
        delay = (alert.raised - alert.first_event) / SECOND
        who = ", ".join(sorted({value for values in alert.entities.values() for value in values}))
        self._say(
            self._elapsed(),
            (f"ALERT {alert.level:<13} ", _LEVEL_STYLES[alert.level]),
            (f"{' '.join(alert.techniques) or '-':<10} ", "bold"),
            (f"{visible(alert.title)}  ", ""),
            (f"{visible(who)}  {delay:.1f} s after the event", "dim"),
        )

    def incidents(self) -> None:
        """Say what the alerts that were shown belong to."""
        for it in self._queue.incidents:
            who = ", ".join(sorted({value for values in it.entities.values() for value in values}))
            events = sum(entry.evidence for entry in it.entries)
            fired = f"{len(it.entries)} rules" if len(it.entries) > 1 else it.entries[0].first.title
            self._say(
                self._elapsed(),
                (f"INCIDENT {it.level:<10} ", _LEVEL_STYLES[it.level]),
                (f"{' → '.join(it.chain) or '-'}  ", "bold"),
                (f"{visible(fired)} on {events} events", ""),
                (f"  {visible(who)}", "dim"),
            )

    def fault(self, message: str) -> None:
        """Show what went wrong."""
        head, _, rest = message.partition("\n")
        with suppress(OSError):  # the terminal was closed, so nobody reads it
            self._say((_lines(head), "bold red"), (_lines(f"\n{rest}") if rest else "", ""))

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        right: Sequence[str] = (),
        spare: Sequence[str] = (),
    ) -> None:
        """Show a table; through a pipe it is tab-separated, one row a line, without a header.

        Args:
            columns: What stands above each.
            rows: The cells.
            right: The columns that are numbers.
            spare: The columns that a narrow terminal leaves out.
        """
        if self._out is None:
            for row in rows:
                sys.stdout.write("\t".join(visible(cell).replace("\t", " ") for cell in row) + "\n")
            return
        from rich.table import Table
        from rich.text import Text

        drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        left_out = spare if self._out.width < _WIDE else ()
        shown = [place for place, column in enumerate(columns) if column not in left_out]
        for column in (columns[place] for place in shown):
            side: Literal["left", "right"] = "right" if column in right else "left"
            drawn.add_column(Text(visible(column)), justify=side, overflow="fold")
        for row in rows:
            drawn.add_row(*(Text(visible(row[place])) for place in shown))
        self._out.print(drawn)

    def clear(self) -> None:
        """Begin anew at the top of the terminal; a pipe just goes on."""
        if self._out is not None:
            self._out.clear()

    def pass_on(self, channel: int, chunk: bytes) -> None:
        """Pass on what a command on a node writes, byte for byte: that is what was asked for."""
        stream = sys.stdout if channel == 1 else sys.stderr
        stream.buffer.write(chunk)
        stream.flush()

    def json(self, value: object, *, indent: int = 2) -> None:
        """Write a value as JSON, at once."""
        sys.stdout.write(escaped(records.to_json(value, indent=indent)) + "\n")
        sys.stdout.flush()

    def line(self, text: str = "") -> None:
        """Write one line of data."""
        if self._out is None:
            sys.stdout.write(_lines(text) + "\n")
            return
        from rich.text import Text

        self._out.print(Text(_lines(text)))


_WIDE: Final = 120
"""Columns of a terminal from which on every column of a table is shown."""

_WORTH_SAYING: Final = 1.0
"""Seconds; what is quicker needs no line."""


def _console(stream: TextIO) -> Console | None:
    if not stream.isatty():
        return None
    from rich.console import Console

    return Console(file=stream, highlight=False, soft_wrap=True)


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
