"""What is about to be done on a node, synced to disk before it is done.

So a run that was killed can be finished or cleaned up by whoever reads the journal.
"""

from __future__ import annotations

import threading
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

State = Literal["owed", "begun", "done", "failed"]
"""Of what has to be undone: `owed`, once its step has begun to act, and `done`. Else: before the act, or how
it ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A line of the journal: what is about to be done, or how it ended."""

    at: Moment
    """When."""

    step: str
    """Step id."""

    attempt: int = 1
    """Which attempt of the step."""

    act: Act | Literal["step", "undo"]
    """Why; or a step as a whole, or something that has to be undone."""

    state: State
    """Before the act, or after it."""

    node: str
    """Where."""

    argv: tuple[str, ...] = ()
    """What."""

    user: str = ""
    """Who runs it, for what is owed."""

    unsure: bool = False
    """Whether its exit code does not tell that it is undone, for what is owed."""

    said: str = ""
    """Why it failed; the step's name, for what is owed."""


class Journal:
    """The journal of one run. May be written from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    @contextmanager
    def entry(
        self,
        step: str,
        act: Act | Literal["step"],
        node: str,
        argv: tuple[str, ...] = (),
        *,
        attempt: int = 1,
    ) -> Iterator[None]:
        """Write down what the body is about to do, and afterwards how it ended."""
        begun = Entry(
            at=Moment.now(), step=step, attempt=attempt, act=act, state="begun", node=node, argv=argv
        )
        self.write(begun)
        try:
            yield
        except LabError as error:
            self.write(replace(begun, at=Moment.now(), state="failed", said=str(error)))
            raise
        except KeyboardInterrupt:
            self.write(replace(begun, at=Moment.now(), state="failed", said="stopped by the user"))
            raise
        self.write(replace(begun, at=Moment.now(), state="done"))

    def write(self, entry: Entry) -> None:
        """Write one line; when this returns, it is on disk."""
        with self._lock:
            records.append(self.path, (entry,))
