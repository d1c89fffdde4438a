"""What is about to be done on a node, synced to disk before it is done.

So a run that was killed can be cleaned up by whoever reads the journal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lab.errors import LabError
from lab.files import records
from lab.moment import Moment

Act = Literal["run", "check", "revert"]
"""Why something is done on a node: for the step itself, to look for its effect, or to undo it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A line of the journal: what is about to be done, or how it ended."""

    at: Moment
    """When."""

    step: str
    """Step id."""

    act: Act
    """Why."""

    state: Literal["begun", "done", "failed"]
    """Before the act, or after it."""

    node: str
    """Where."""

    argv: tuple[str, ...]
    """What."""

    said: str = ""
    """Why it failed."""


@dataclass(frozen=True, slots=True)
class Journal:
    """The journal of one run."""

    path: Path
    """The file."""

    @contextmanager
    def entry(self, step: str, act: Act, node: str, argv: tuple[str, ...]) -> Iterator[None]:
        """Write down what the body is about to do, and afterwards how it ended."""
        begun = Entry(at=Moment.now(), step=step, act=act, state="begun", node=node, argv=argv)
        self._write(begun)
        try:
            yield
        except LabError as error:
            self._write(replace(begun, at=Moment.now(), state="failed", said=str(error)))
            raise
        except KeyboardInterrupt:
            self._write(replace(begun, at=Moment.now(), state="failed", said="stopped by the user"))
            raise
        self._write(replace(begun, at=Moment.now(), state="done"))

    def _write(self, entry: Entry) -> None:
        records.append(self.path, (entry,))
