"""End processes of a node: those of an account, one by its number, or those of a program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.exercise.respond.base import Done, Hand, NotDone, WrongResponse
from lab.files import records


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A process of a node."""

    process: int
    """Its number inside the node."""

    parent: int
    """That of the one that started it."""

    owner: int
    """Number of the account it runs as."""

    line: str
    """Its command line."""

    program: str
    """The program's file; empty where nobody can tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Processes that were meant."""

    found: tuple[Ended, ...]
    """All of them, as they were."""

    left: tuple[Ended, ...]
    """Those that run now."""


def end_processes(hand: Hand, *, user: str = "", process: int = 0, program: str = "") -> tuple[Ended, ...]:
    """End processes, and return those that there were.

    Raises:
        NotDone: some still run.
    """
    asked = {"end": True, "user": user, "process": process, "program": program}
    ended = hand.ask_processes(asked, Found)
    if ended.left:
        raise NotDone(f"{len(ended.left)} of {len(ended.found)} processes on {hand.node.name} still run")
    return ended.found


@dataclass(frozen=True, kw_only=True, slots=True)
class Kill:
    """Processes that run no more."""

    kind: ClassVar[str] = "kill"
    react: ClassVar[str] = "RA3401"

    node: str
    """Which node."""

    user: str = ""
    """An account: all that it runs, and its sessions; of root the sessions alone."""

    process: int = 0
    """The number of a process, as it is inside the node; what it started ends as well."""

    program: str = ""
    """A program: its file, or what its command line begins with."""

    def act(self, hand: Hand) -> Done:
        """End them."""
        if sum(map(bool, (self.user, self.process, self.program))) != 1:
            raise WrongResponse("say which processes: one of --user, --process and --program")
        if self.process == 1:
            raise WrongResponse(f"process 1 is {self.node} itself:  lab respond isolate  shuts it off")
        ended = end_processes(hand, user=self.user, process=self.process, program=self.program)
        if not ended:
            raise WrongResponse(f"no such process runs on {self.node}")
        told = "; ".join(f"{it.process} {it.line}" for it in ended)
        return Done(said=f"ended on {self.node}: {told}", kept=records.to_json(ended))

    def undo(self, hand: Hand, kept: str) -> str:
        """Say what was ended: what a process had in memory is gone, so nothing is started in its name."""
        del hand
        ended = records.from_json(kept, tuple[Ended, ...])
        told = "; ".join(it.line for it in ended)
        return f"nothing to take back: a process that ended stays so; whoever needs it starts it: {told}"
