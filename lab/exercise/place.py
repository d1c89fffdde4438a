"""The one door through which a step, a check or a revert acts on a node.

`Place.run` resolves the targets, checks the scope, journals the intent, and only then executes. Nothing
else that these are given can reach a node, so nobody can forget a guard.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from lab.engine.nodes import RunningLab, SeenNode
from lab.engine.shell import CommandSlow, Completed, Shell
from lab.errors import EngineFault, LabError, OutOfScope
from lab.exercise.evidence import Evidence, evidence_of
from lab.exercise.journal import Act, Journal
from lab.exercise.scope import Scope, Target
from lab.workers import Stop


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """A command that went through the door."""

    completed: Completed
    """How it ended."""

    targets: tuple[Target, ...]
    """What it was aimed at, as proved just before."""


MOST_HELD: Final = 16
"""Commands that one run keeps going, whatever a file says."""


class Held:
    """A command that goes on while other steps run; it ends with the run."""

    def __init__(self, run: Callable[[Stop], object]) -> None:
        self._stop = Stop()
        self._thread = threading.Thread(target=self._guarded, args=(run,), daemon=True)
        self._thread.start()

    def _guarded(self, run: Callable[[Stop], object]) -> None:
        with suppress(LabError):  # its node died, or it was told to end: whoever uses it notices
            run(self._stop)

    def close(self) -> None:
        """End it."""
        self._stop.set()
        self._thread.join(_ENDS_WITHIN)


def leavable(path: str) -> bool:
    """Tell whether a step may leave a file there, to be removed at the end: not a system's own."""
    return path.startswith(("/tmp/", "/root/")) and ".." not in path and bool(path.split("/", 2)[2])  # noqa: S108


_LOOKS: Final = 3
"""How often a check asks again when the engine lost the answer."""

_ENDS_WITHIN: Final = 5.0
_LONGEST: Final = 3600.0
"""Seconds."""


class TooMany(LabError):
    """A run keeps more going than it may."""

    def message(self) -> str:
        """Name the limit."""
        return f"a run keeps {MOST_HELD} sessions open at most"


class Place:
    """One node of the running lab, for one act of one step."""

    def __init__(  # noqa: PLR0913  # what a door needs to know, each by its name
        self,
        *,
        shell: Shell,
        running: RunningLab,
        node: SeenNode,
        journal: Journal,
        step: str,
        act: Act,
        timeout: float,
        pause: Callable[[float], None],
        attempt: int = 1,
        stop: Stop | None = None,
        kept: dict[str, Any] | None = None,
        held: list[Held] | None = None,
        owe: Callable[[tuple[str, ...]], None] = lambda _argv: None,
    ) -> None:
        """Open the door to a node.

        Args:
            shell: Runs commands.
            running: The lab as it is now.
            node: Where to act.
            journal: Where intents are written.
            step: Id of the step that acts.
            act: Why it acts.
            timeout: Seconds that a command may take.
            pause: Waits for some seconds.
            attempt: Which attempt of the step it is.
            stop: Ends what is under way when it is set.
            kept: What steps on this node keep for those that follow.
            held: Takes what goes on while other steps run.
            owe: Takes a command that has to be run here at the end of the run.
        """
        self.node = node
        self.timeout = timeout
        self.pause = pause
        self.acted = False
        """Whether anything was begun here."""
        self._shell = shell
        self._scope = Scope(running, node)
        self._journal = journal
        self._step = step
        self._act = act
        self._attempt = attempt
        self._stop = stop
        self._ran: list[Ran] = []
        self._owe = owe
        self._held = held if held is not None else []
        self.kept: dict[str, Any] = kept if kept is not None else {}
        """What steps on this node keep for those that follow: cookies, forms."""

    @property
    def ran(self) -> tuple[Completed, ...]:
        """The commands that were run here."""
        return tuple(it.completed for it in self._ran)

    def resolve(self, target: str) -> Target:
        """Turn a target's name into what may be touched, for a command line; nothing is sent.

        Raises:
            OutOfScope: it is not of this lab, or not on a network of the node.
        """
        return self._scope.resolve(target)

    def evidence(self) -> Evidence:
        """Say which events are of the commands that were run here, and of what they started and opened."""
        targets = [target for it in self._ran for target in it.targets]
        return evidence_of(self.node, [it.completed for it in self._ran], targets)

    def run(  # noqa: PLR0913  # what a command needs, each with a default
        self,
        argv: Sequence[str],
        *,
        targets: Sequence[str] = (),
        user: str = "root",
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        folder: str = "",
        packed: Sequence[str] | None = None,
    ) -> Ran:
        """Run a command on the node, once its targets and words are proved to be of the lab.

        Args:
            argv: The program and its arguments; no shell is added.
            targets: What it is aimed at: nodes, networks, addresses or blocks.
            user: Who runs it.
            stdin: What it reads.
            environment: Variables to set.
            folder: Where it begins.
            packed: What somebody's words in its input are, where the rest of it is our own, or is packed.

        Raises:
            OutOfScope: a target, or an address in the command line, is not of this lab; nothing was sent.
            CommandSlow: a check or a revert took too long and was stopped; a step that did ends as stopped.
            EngineFault: the engine lost what a check read, again and again.
        """
        said = (stdin.decode("utf-8", "backslashreplace"),) if packed is None else packed
        resolved = self._proved(targets, (*argv, *said))
        with self._journal.entry(self._step, self._act, self.node.name, tuple(argv), attempt=self._attempt):
            self.acted = True
            completed = self._execute(tuple(argv), user, stdin, environment, folder)
            for _ in range(_LOOKS - 1):
                if completed.heard or self._act != "check":  # to look once more changes nothing
                    break
                completed = self._execute(tuple(argv), user, stdin, environment, folder)
            if self._act == "check" and not completed.heard:
                raise EngineFault(doing=f"reading on {self.node.name}", said="the engine lost what was read")
            ran = Ran(completed=completed, targets=resolved)
            self._ran.append(ran)
        return ran

    def _proved(self, targets: Sequence[str], words: Sequence[str]) -> tuple[Target, ...]:
        """Resolve targets and read words, or refuse."""
        resolved = tuple(self._scope.resolve(target) for target in targets)
        self._scope.check_words(words)
        return resolved

    def leaves(self, *paths: str) -> None:
        """Say which files what is done next leaves here; they are removed when the run ends.

        Raises:
            OutOfScope: one is not a path that a step may leave: below /tmp or /root.
        """
        for it in paths:
            if not leavable(it):
                raise OutOfScope(it, lab=self.node.lab, why="a step leaves files below /tmp or /root alone")
        self._owe(("rm", "-rf", "--", *paths))

    def hold(
        self,
        argv: Sequence[str],
        *,
        targets: Sequence[str],
        leaves: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        packed: Sequence[str] = (),
    ) -> None:
        """Begin a command that goes on until the run ends, guarded and journalled as any other.

        Args:
            argv: The program and its arguments.
            targets: What it is aimed at.
            leaves: Files that it leaves; removed when the run ends.
            environment: Variables to set.
            packed: What somebody's words in it are, where an argument is packed.

        Raises:
            OutOfScope: as `run`.
            TooMany: the run keeps too many going already.
        """
        if len(self._held) >= MOST_HELD:
            raise TooMany
        words = tuple(argv)
        self._proved(targets, (*words, *packed))
        if leaves:
            self.leaves(*leaves)
        with self._journal.entry(self._step, self._act, self.node.name, words, attempt=self._attempt):
            self.acted = True
            self._held.append(
                Held(
                    lambda stop: self._shell.execute(
                        self.node, words, user="root", timeout=_LONGEST, environment=environment, stop=stop
                    )
                )
            )

    def _execute(
        self,
        argv: tuple[str, ...],
        user: str,
        stdin: bytes,
        environment: Mapping[str, str] | None,
        folder: str,
    ) -> Completed:
        """Execute; what a step did up to its limit counts, so it is no error that it was stopped there."""
        try:
            return self._shell.execute(
                self.node,
                argv,
                user=user,
                stdin=stdin,
                timeout=self.timeout,
                environment=environment,
                folder=folder,
                traced="openly" if self._act == "run" else "quietly",
                stop=self._stop,
            )
        except CommandSlow as slow:
            if self._act != "run":
                raise
            return slow.ran
