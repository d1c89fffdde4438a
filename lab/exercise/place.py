"""The one door through which a step, a check or a revert acts on a node.

`Place.run` resolves the targets, checks the scope, journals the intent, and only then executes. Nothing
else that these are given can reach a node, so nobody can forget a guard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lab.engine.nodes import RunningLab, SeenNode
from lab.engine.shell import CommandSlow, Completed, Shell
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
    ) -> Ran:
        """Run a command on the node, once its targets and words are proved to be of the lab.

        Args:
            argv: The program and its arguments; no shell is added.
            targets: What it is aimed at: nodes, networks, addresses or blocks.
            user: Who runs it.
            stdin: What it reads.
            environment: Variables to set.
            folder: Where it begins.

        Raises:
            OutOfScope: a target, or an address in the command line, is not of this lab; nothing was sent.
            CommandSlow: a check or a revert took too long and was stopped; a step that did ends as stopped.
        """
        resolved = tuple(self._scope.resolve(target) for target in targets)
        self._scope.check_words((*argv, stdin.decode("utf-8", "backslashreplace")))
        with self._journal.entry(self._step, self._act, self.node.name, tuple(argv), attempt=self._attempt):
            self.acted = True
            ran = Ran(
                completed=self._execute(tuple(argv), user, stdin, environment, folder), targets=resolved
            )
            self._ran.append(ran)
        return ran

    def _execute(  # as `run`
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
