"""Scripts that run inside nodes, given to their Python as text: each needs the standard library alone.

What they are asked comes as JSON on standard input, what they answer goes as JSON to standard output.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TypeVar

from lab.engine.shell import Completed
from lab.errors import LabError
from lab.files import records

Answer = TypeVar("Answer")


class NoAnswer(LabError):
    """A script inside a node ended without its answer."""

    def __init__(self, script: str, ran: Completed) -> None:
        self.script = script
        self.ran = ran
        super().__init__(script)

    def message(self) -> str:
        """Show its last words."""
        words = self.ran.stderr.decode("utf-8", "backslashreplace").strip().splitlines()
        return (
            f"{self.script} inside the node ended with {self.ran.code}: {(words or ['it said nothing'])[-1]}"
        )


@cache
def script(name: str) -> str:
    """Return the text of a script."""
    return Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")


def argv_of(name: str) -> tuple[str, ...]:
    """Return the command line that runs a script."""
    return ("python3", "-c", script(name))


def answer_of(name: str, ran: Completed, kind: type[Answer]) -> Answer:
    """Read what a script answered.

    Raises:
        NoAnswer: it failed, or was stopped.
    """
    try:
        return records.from_json(ran.stdout, kind)
    except ValueError as error:
        raise NoAnswer(name, ran) from error
