"""What a node is like: its files and processes, to be compared before and after."""

from __future__ import annotations

import stat
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from lab.engine.shell import Completed
from lab.exercise.inside import answer_of, argv_of
from lab.exercise.place import Place

_LOGS: Final = "/var/log/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A path, as it was found."""

    mode: int
    """Type and permissions."""

    owner: str
    """User and group id, `0:0`."""

    size: int
    """Bytes of a file; 0 for all else."""

    content: str
    """Hash of a file, target of a link; the time it was changed where hashing would take long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """All of a node, as one look found it."""

    paths: Mapping[str, Entry]
    """Every path but those of the kernel's own file systems."""

    processes: Mapping[str, str]
    """Process id to command line, ours left out."""


def look(place: Place) -> State:
    """Look at a node.

    Raises:
        NoAnswer: it could not be looked at.
    """
    return read_state(place.run(argv_of("look")).completed)


def read_state(ran: Completed) -> State:
    """Read what the script found.

    Raises:
        NoAnswer: it could not look.
    """
    try:
        plain = zlib.decompress(ran.stdout)
    except zlib.error:
        plain = b""
    return answer_of("look", replace(ran, stdout=plain), State)


def changes(before: State, after: State) -> tuple[str, ...]:
    """Say what changed, for people: `+ /tmp/x`, `- /etc/y`, `~ /etc/passwd`, `process 17 sleep 9`.

    Logs grow, and folders change with what is in them: neither counts. A file that is new and empty is what
    a shell makes of `> name` before anything ran, and is marked `+ /tmp/x (empty)`.
    """
    return tuple(sorted(_changes(before, after)))


def _changes(before: State, after: State) -> Iterator[str]:
    for path, it in after.paths.items():
        was = before.paths.get(path)
        if was is None:
            yield f"+ {path}" if it.size or not _is_file(it) else f"+ {path} (empty)"
        elif _differs(path, was, it):
            yield f"~ {path}"
    yield from (f"- {path}" for path in before.paths if path not in after.paths)
    for pid, line in after.processes.items():
        if before.processes.get(pid) != line:
            yield f"process {pid} {line}"


def _is_file(it: Entry) -> bool:
    return stat.S_ISREG(it.mode)


def _differs(path: str, was: Entry, now: Entry) -> bool:
    if (was.mode, was.owner) != (now.mode, now.owner):
        return True
    if path.startswith(_LOGS):
        return now.size < was.size
    return (was.size, was.content) != (now.size, now.content)
