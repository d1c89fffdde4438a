"""What a command really started and opened on a node: the trailer that `tracer.pl` writes, and its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from lab.moment import Moment

LONGEST: Final = 8 * 2**20
"""Bytes of a trailer: as many processes and connections as a tracer keeps."""

_FOOT: Final = 11
"""Bytes at the very end: NUL and the length of what stands before, ten digits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Process:
    """A process that a command started, or was."""

    pid: int
    """Its id inside the node."""

    parent: int
    """The id of the process that made it."""

    started: Moment
    """When, by the node's clock."""

    code: int | None
    """Its exit code, as a shell gives it; None when it was ended with what it belonged to."""

    command_line: str
    """What it last became, its arguments joined by blanks; empty when it ran no program of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """Where a socket was aimed, or one packet that a program made itself."""

    transport: str
    """`tcp`, `udp`, `icmp`, or `ip-` and a number."""

    source: str
    """The node's own address; `0.0.0.0` when it is not known."""

    source_port: int
    """The node's own port; 0 when there is none, or it was given back before it could be asked for."""

    destination: str
    """The address it was aimed at."""

    destination_port: int
    """The port there; 0 when there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """All that a command did that can be told from outside."""

    processes: tuple[Process, ...] = ()
    """By their ids; the first was the command itself."""

    connections: tuple[Connection, ...] = ()
    """Each once."""

    missed: tuple[str, ...] = ()
    """What could not be followed, for a person."""

    end: Moment = Moment(0)  # noqa: RUF009  # a number, and frozen
    """When the last process was gone, by the node's clock."""


def read_trailer(said: bytes) -> tuple[bytes, Trace | None]:
    """Part what a command wrote to standard error from the trailer behind it.

    Returns:
        What the command wrote, and the trace; None when there is no trailer, as when the node died.
    """
    head, mark, length = said[-_FOOT:].rpartition(b"\0")
    if not mark or head or not length.isdigit() or int(length) > len(said) - _FOOT:
        return said, None
    start = len(said) - _FOOT - int(length)
    lines = said[start : len(said) - _FOOT].decode("ascii", "backslashreplace").splitlines()
    return said[:start], _trace(lines)


def _trace(lines: list[str]) -> Trace | None:
    processes: list[Process] = []
    connections: list[Connection] = []
    missed: list[str] = []
    end = Moment(0)
    for kind, _, rest in (line.partition(" ") for line in lines):
        try:
            if kind == "P":
                processes.append(_process(rest))
            elif kind == "C":
                connections.append(_connection(rest))
            elif kind == "E":
                end = Moment(int(rest))
            else:
                missed.append(rest)
        except ValueError:
            missed.append(f"a line that cannot be read: {rest[:80]}")
    processes.sort(key=lambda it: it.started)
    if not processes:
        return None
    return Trace(processes=tuple(processes), connections=tuple(connections), missed=tuple(missed), end=end)


def _process(rest: str) -> Process:
    pid, parent, started, code, *words = rest.split(" ", 4)
    return Process(
        pid=int(pid),
        parent=int(parent),
        started=Moment(int(started)),
        code=None if code == "-" else int(code),
        command_line="".join(words),
    )


def _connection(rest: str) -> Connection:
    transport, source, port, destination, other = rest.split(" ")
    return Connection(
        transport=transport,
        source=source,
        source_port=int(port),
        destination=destination,
        destination_port=int(other),
    )
