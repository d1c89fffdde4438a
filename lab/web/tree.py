"""Processes as the tree they are: who started whom, as logs of program starts tell. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from lab.telemetry.event import Event


@dataclass(kw_only=True, slots=True)
class Process:
    """One process."""

    pid: int
    """Its id."""

    event: str
    """The event that tells of its start; empty for one that is only named as a parent."""

    at: int
    """When it was started, in nanoseconds; 0 when nobody tells."""

    user: str
    """Whose it is."""

    command: str
    """Its command line."""

    children: list[Process] = field(default_factory=list)
    """What it started."""


def process_tree(events: Iterable[Event]) -> tuple[Process, ...]:
    """Put processes below those that started them.

    Args:
        events: Starts of processes on one host, by time. A process id that comes again is another process.
    """
    known: dict[int, Process] = {}
    roots: list[Process] = []
    for it in events:
        pid, parent = it.get("process.pid"), it.get("process.parent.pid")
        if not isinstance(pid, int):
            continue
        made = _process(pid, it)
        above = known.get(parent) if isinstance(parent, int) and parent != pid else None
        if above is None and isinstance(parent, int) and parent != pid:
            above = known[parent] = _named_only(parent, it)
            roots.append(above)
        (above.children if above else roots).append(made)
        known[pid] = made
    return tuple(roots)


def _process(pid: int, event: Event) -> Process:
    command = event.get("process.command_line") or event.get("process.executable") or "?"
    return Process(
        pid=pid,
        event=str(event["event.id"]),
        at=int(str(event["@timestamp"])),
        user=str(event.get("user.name", "")),
        command=str(command),
    )


def _named_only(pid: int, event: Event) -> Process:
    """Make a process of which no start is told, as its child names it."""
    said = event.get("process.parent.command_line") or event.get("process.parent.executable")
    return Process(pid=pid, event="", at=0, user="", command=str(said or "started before, or not logged"))


def flattened(roots: Iterable[Process]) -> tuple[tuple[int, Process], ...]:
    """Return each process with how deep it is, those below another right after it.

    Whoever writes logs can make a tree of any depth: nothing here calls itself.
    """
    found: list[tuple[int, Process]] = []
    waiting = [(0, it) for it in reversed(tuple(roots))]
    while waiting:
        depth, process = waiting.pop()
        found.append((depth, process))
        waiting += [(depth + 1, it) for it in reversed(process.children)]
    return tuple(found)
