"""What has to be undone, and undoing it: in reverse order, each tried again, whatever happens in between.

It is owed from before its step acts, so a kill at any moment leaves it in the journal. What cannot be undone
makes its node dirty: whoever plays has it made anew.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from lab.engine.engine import Engine
from lab.errors import LabError
from lab.exercise.evidence import Evidence
from lab.exercise.journal import Entry, Journal
from lab.exercise.place import Place
from lab.exercise.recorder import Recorder
from lab.exercise.truth import Truth
from lab.exercise.written import Revert
from lab.files import records
from lab.moment import Moment
from lab.runs.happened import Happened

_TRIES: Final = 2
"""How often one revert is tried."""

_TIMEOUT: Final = 30.0
"""Seconds that one command of a revert may take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Owed:
    """One thing that has to be undone."""

    step: str
    """Id of the step that did it."""

    name: str
    """Its name, for people."""

    revert: Revert
    """How, its templates filled in."""

    left: Callable[[Place], str] | None = field(default=None, compare=False)
    """Looks what is left afterwards; None where the exit code of the revert tells."""


class Undoing:
    """What one run owes."""

    def __init__(  # noqa: PLR0913  # what a hand needs, each by its name
        self,
        *,
        engine: Engine,
        lab: str,
        recorder: Recorder,
        journal: Journal,
        tell: Callable[[str], None],
        pause: Callable[[float], None],
    ) -> None:
        """Begin with nothing owed.

        Args:
            engine: Where the lab is.
            lab: Its name.
            recorder: Takes the records.
            journal: Where intents are written.
            tell: Hears what cannot be undone.
            pause: Waits for some seconds.
        """
        self._engine = engine
        self._lab = lab
        self._recorder = recorder
        self._journal = journal
        self._tell = tell
        self._pause = pause
        self._lock = threading.Lock()
        self._owed: list[Owed] = []
        self.dirty: dict[str, str] = {}
        """Nodes on which something could not be undone, each with what and why."""

    def owe(self, owed: Iterable[Owed]) -> tuple[Owed, ...]:
        """Note, before a step acts, what will have to be undone; return what was not owed before."""
        with self._lock:
            found = tuple(it for it in owed if it not in self._owed)
            self._owed += found
        for it in found:
            self._journal.write(_entry(it, "owed"))
        return found

    def forget(self, owed: Iterable[Owed]) -> None:
        """Take back what is owed by a step that did nothing after all."""
        with self._lock:
            for it in owed:
                self._owed.remove(it)

    def take_over(self, owed: Iterable[Owed]) -> None:
        """Owe what a run that was killed still owes; its journal has it already."""
        self._owed += owed

    def undo_all(self) -> None:
        """Undo what is owed, the last first."""
        while self._owed:
            self._undo(self._owed.pop())

    def _undo(self, owed: Owed) -> None:
        start = Moment.now()
        said, evidence = "", Evidence()
        for _ in range(_TRIES):
            said, found = self._try(owed)
            evidence += found
            if not said:
                break
        if said:
            self._tell(f"could not undo {owed.name}: {said}; {owed.revert.node} will be made anew")
            self.dirty.setdefault(owed.revert.node, f"{owed.name}: {said}")
        else:
            self._journal.write(_entry(owed, "done"))
        self._recorder.write(
            Truth(
                run=self._recorder.run,
                step=f"{owed.step}-revert",
                name=f"Undo: {owed.name}",
                label="cleanup",
                start=start,
                end=Moment.now(),
                reason=f"{said}; {owed.revert.node} is made anew after the run" if said else "",
                processes=(" ".join(owed.revert.argv),),
                evidence=evidence.predicates,
            )
        )

    def _try(self, owed: Owed) -> tuple[str, Evidence]:
        """Try to undo; return why it failed, or nothing, and which events that left."""
        revert = owed.revert
        try:
            running = self._engine.observe(self._lab)
            node = running.node(revert.node)
            if node is None:
                return "", Evidence()  # it is gone, and its effects with it
            place = Place(
                shell=self._engine,
                running=running,
                node=node,
                journal=self._journal,
                step=owed.step,
                act="revert",
                timeout=_TIMEOUT,
                pause=self._pause,
            )
            return _undone(owed, place), place.evidence()
        except (LabError, ValueError) as error:
            return str(error), Evidence()


def _undone(owed: Owed, place: Place) -> str:
    """Undo one thing; return what is left of it, or nothing."""
    ran = place.run(owed.revert.argv, user=owed.revert.user).completed if owed.revert.argv else None
    if owed.left:
        return owed.left(place)
    if owed.revert.unsure:
        return "nobody looked before it what it was like"
    if ran is None or ran.code == 0:
        return ""
    return ran.stderr.decode("utf-8", "backslashreplace").strip() or f"exit {ran.code}"


def write_off(happened: Happened, nodes: Iterable[str]) -> None:
    """Write that nothing is owed any more on nodes that were made anew."""
    journal, gone = Journal(happened.journal), frozenset(nodes)
    for it in still_owed(read_journal(happened)):
        if it.revert.node in gone:
            journal.write(_entry(it, "done"))


def read_journal(happened: Happened) -> tuple[Entry, ...]:
    """Read the journal of a run."""
    return records.read_lines(happened.journal, Entry)


def still_owed(journal: Iterable[Entry]) -> tuple[Owed, ...]:
    """Return what was owed by steps that began to act, and was not undone since."""
    owed: dict[tuple[str, str, tuple[str, ...]], Owed] = {}
    acted: set[str] = set()
    for it in journal:
        key = (it.step, it.node, it.argv)
        if it.act == "run" and it.state == "begun":
            acted.add(it.step)
        elif it.act == "undo" and it.state == "owed":
            revert = Revert(node=it.node, argv=it.argv, user=it.user, unsure=it.unsure)
            owed.pop(key, None)
            owed[key] = Owed(step=it.step, name=it.said, revert=revert)
        elif it.act == "undo" and it.state == "done":
            owed.pop(key, None)
    return tuple(it for it in owed.values() if it.step in acted)


def _entry(owed: Owed, state: Literal["owed", "done"]) -> Entry:
    return Entry(
        at=Moment.now(),
        step=owed.step,
        act="undo",
        state=state,
        node=owed.revert.node,
        argv=owed.revert.argv,
        user=owed.revert.user,
        unsure=owed.revert.unsure,
        said=owed.name,
    )
