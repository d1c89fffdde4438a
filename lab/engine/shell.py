"""Running commands on a node: all that steps, checks and the collector are given of an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from lab.engine.nodes import SeenNode
from lab.engine.trace import Trace
from lab.errors import EngineSlow
from lab.moment import Moment
from lab.workers import Stop


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """A command that ran inside a node."""

    argv: tuple[str, ...]
    """What ran."""

    code: int
    """Its exit code."""

    stdout: bytes
    """What it wrote to standard output, at most `MAX_OUTPUT`."""

    stderr: bytes
    """What it wrote to standard error, at most `MAX_OUTPUT`."""

    start: Moment
    """Just before the engine was asked."""

    end: Moment
    """Just after its end was known."""

    timed_out: bool = False
    """Whether it was stopped at its limit; its outputs are what it had written by then."""

    process: int = 0
    """Its process id inside the node; 0 where nobody knows it."""

    heard: bool = True
    """Whether its output is all there. Docker 20.10 can lose what a command writes that ends at once."""

    trace: Trace | None = None
    """What it started and opened; None when it was not traced, or could not be."""


class CommandSlow(EngineSlow):
    """A command did not end in time."""

    def __init__(self, ran: Completed, *, doing: str, said: str) -> None:
        self.ran = ran
        super().__init__(doing=doing, said=said)


Traced = Literal["no", "quietly", "openly"]
"""Whether what a command starts and opens is followed. `openly`, a shell starts it, as it would somebody's
who is logged in, so that a log of program starts has it; else the first program is in none."""


MAX_OUTPUT: Final = 4 * 2**20
"""Bytes kept of each stream of a command; the rest is read and dropped."""


Hear = Callable[[int, bytes], None]
"""Takes what a command writes, as it comes: 1 for standard output or 2 for standard error, and the bytes."""


class Stream(Protocol):
    """What a command writes, as it comes."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield chunks until the command ends or the stream is closed."""
        ...

    def close(self) -> None:
        """End the command; whoever reads sees the end. May be called from any thread, and twice."""
        ...


class Shell(Protocol):
    """Runs commands on nodes. Every method may raise EngineUnreachable, EngineSlow or EngineFault.

    Whatever is started ends with the command that started it, with the method that was called, and with
    this process, however it ends.
    """

    def execute(  # noqa: PLR0913  # what a command needs, each with a default
        self,
        node: SeenNode,
        argv: tuple[str, ...],
        *,
        user: str = "",
        stdin: bytes = b"",
        timeout: float = 60,
        environment: Mapping[str, str] | None = None,
        folder: str = "",
        traced: Traced = "no",
        stop: Stop | None = None,
    ) -> Completed:
        """Run a command inside a node and wait for it.

        Args:
            node: Where.
            argv: What; no shell is added.
            user: Who runs it; the image's user when empty.
            stdin: What it reads.
            timeout: Seconds until it is stopped.
            environment: Variables to set.
            folder: Where it begins; the image's own when empty.
            traced: Whether to follow what it starts and opens, and whether the node's own log of program
                starts has it.
            stop: Ends it before its time when it is set; that is no time-out.

        Raises:
            CommandSlow: it did not end in time; says whether it could be stopped, and has what it wrote.
        """
        ...

    def relay(self, node: SeenNode, argv: tuple[str, ...], *, stdin: Iterable[bytes], hear: Hear) -> int:
        """Run a command inside a node as root, with input and outputs passed on as they come.

        Args:
            node: Where.
            argv: What; no shell is added.
            stdin: What it reads; taken as it comes, in a thread of its own.
            hear: Takes what it writes.

        Returns:
            Its exit code.
        """
        ...

    def stream(self, node: SeenNode, argv: tuple[str, ...]) -> Stream:
        """Run a command inside a node as root and read what it writes to standard output, as it comes."""
        ...

    def open_shell(self, node: SeenNode) -> int:
        """Give this terminal a shell on a node until it ends; return its exit code."""
        ...
