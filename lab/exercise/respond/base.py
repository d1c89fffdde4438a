"""What every response is, and the door through which it acts on a node: from outside, with clean programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol, TypeVar

from lab.engine.nodes import Nodes, RunningLab, SeenNode
from lab.engine.outside import Outside
from lab.engine.shell import Completed, Shell
from lab.errors import LabError, WrongInput
from lab.exercise.inside import answer_of, argv_of
from lab.exercise.scope import Scope, Target
from lab.files import records

Answer = TypeVar("Answer")

_TIMEOUT: Final = 30.0
"""Seconds that one command of a response may take."""

_FILES: Final = ("SYS_PTRACE", "SYS_CHROOT", "DAC_OVERRIDE", "DAC_READ_SEARCH", "CHOWN", "FOWNER", "FSETID")
"""What it takes to enter the root of the node's first process and to write there (capabilities(7))."""


class NotDone(LabError):
    """A response was carried out, and what it is for did not become true."""

    exit_code = 1

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)

    def message(self) -> str:
        """Say what is still so."""
        return self.why


class WrongResponse(WrongInput):
    """A response cannot be carried out as it was asked for; nothing was changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """What came of a response."""

    said: str
    """In words."""

    kept: str = ""
    """What is needed to take it back, as JSON; empty when nothing can be."""


class Reach(Shell, Nodes, Outside, Protocol):
    """What of an engine a response needs."""


class Hand:
    """A node, reached from outside, for one response."""

    def __init__(  # noqa: PLR0913  # what a response needs
        self,
        engine: Reach,
        running: RunningLab,
        node: SeenNode,
        *,
        renew: Callable[[SeenNode], None],
        settle: Callable[[], None],
        keep: Callable[[str], None],
    ) -> None:
        """Open the door.

        Args:
            engine: Where the lab is.
            running: The lab as it is now.
            node: Which node.
            renew: Makes a node of this name from its baked image; there is none when it is called.
            settle: Waits until every node of the lab is ready.
            keep: Takes what is needed to take the act back, before it is done.
        """
        self.node = node
        self.running = running
        self.keep = keep
        self._engine = engine
        self._renew = renew
        self._settle = settle

    def resolve(self, target: str) -> Target:
        """Turn a node or an address into one that this node can reach.

        Raises:
            OutOfScope: it is not of this lab, or not on a network of the node.
        """
        return Scope(self.running, self.node).resolve(target)

    def ask(self, script: str, question: object, kind: type[Answer]) -> Answer:
        """Run a script that reads and writes the node's files from outside, and return its answer."""
        return self._asked(script, question, kind, _FILES)

    def ask_processes(self, question: object, kind: type[Answer]) -> Answer:
        """Have processes of the node found or ended."""
        return self._asked("hold_processes", question, kind, (*_FILES, "KILL"))

    def _asked(
        self, script: str, question: object, kind: type[Answer], capabilities: tuple[str, ...]
    ) -> Answer:
        self._needs_running()
        with self._engine.beside(self.node, capabilities) as helper:
            ran = self._engine.execute(
                helper,
                argv_of(script),
                user="root",
                stdin=records.to_json(question).encode(),
                timeout=_TIMEOUT,
            )
        return answer_of(script, ran, kind)

    def route(self, *words: str) -> Completed:
        """Run `ip route` in the node's network name space, with a right that the node itself has not."""
        self._needs_running()
        with self._engine.beside(self.node, ("NET_ADMIN",)) as helper:
            return self._engine.execute(helper, ("ip", "route", *words), user="root", timeout=_TIMEOUT)

    def _needs_running(self) -> None:
        if self.node.state != "running":
            raise WrongResponse(f"{self.node.name} does not run: what is in it cannot be reached")

    def addresses(self) -> Mapping[str, str]:
        """Return the networks that the node is on now, with its addresses there."""
        seen = self._engine.observe(self.node.lab).node(self.node.name)
        return seen.addresses if seen else {}

    def detach(self, network: str) -> None:
        """Take the node off a network."""
        self._engine.detach(self.node, network)

    def attach(self, network: str, address: str) -> None:
        """Put the node on a network, under its address."""
        self._engine.attach(self.node, network, address)

    def renew(self) -> SeenNode:
        """Set the node aside and have one from its baked image in its place; return that."""
        self._engine.set_aside(self.node)
        self._renew(self.node)
        seen = self._engine.observe(self.node.lab).node(self.node.name)
        if seen is None or seen.id == self.node.id:
            raise NotDone(
                f"{self.node.name} was set aside, and there is none in its place:  lab up  makes one"
            )
        return seen

    def bring_back(self, before: SeenNode) -> None:
        """Remove the node, and have the one again that was set aside, once it is ready."""
        self._engine.remove_nodes([self.node])
        self._engine.bring_back(before)
        self._settle()


class Action(Protocol):
    """One kind of response. Its fields are its options."""

    kind: ClassVar[str]
    """The word of the command line."""

    react: ClassVar[str]
    """Which response action of RE&CT it is: github.com/atc-project/atc-react."""

    @property
    def node(self) -> str:
        """To which node."""
        ...

    def act(self, hand: Hand) -> Done:
        """Do it, and look whether it is so.

        Raises:
            WrongInput: it cannot be done as it was asked for; nothing was changed.
            NotDone: it was done, and did not help.
        """
        ...

    def undo(self, hand: Hand, kept: str) -> str:
        """Take it back; twice does no harm. Say what came of it.

        Args:
            hand: The node as it is now.
            kept: What `act` kept.
        """
        ...
