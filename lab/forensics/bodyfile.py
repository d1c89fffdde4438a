"""The body file of The Sleuth Kit, version 3: one file a line, its times in whole seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

NAME: Final = "bodyfile.txt"
"""What its file is called, in the folder of the evidence."""

_FIELDS: Final = 11
"""MD5, name, inode, mode, owner, group, size, and when it was read, written, changed and made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One file."""

    path: str
    """Where it is; of a link, where it leads is left out."""

    written: int
    """When its content was last written, in seconds since 1970."""

    line: bytes
    """The line as it is."""


def read(text: bytes) -> Iterator[Entry]:
    """Read a body file; a line that is none is left out: a node's names are its own."""
    for line in text.splitlines():
        fields = line.split(b"|")
        if len(fields) == _FIELDS and fields[8].isdigit():
            name = fields[1].decode("utf-8", "backslashreplace").partition(" -> ")[0]
            yield Entry(path=name, written=int(fields[8]), line=line)


def of_node(node: str, text: bytes) -> bytes:
    """Return a body file with each name behind its node, so that several can be one."""
    head = f"{node}:".encode()
    lines = (it.line.split(b"|", 2) for it in read(text))
    return b"".join(b"|".join((first, head + name, rest)) + b"\n" for first, name, rest in lines)
