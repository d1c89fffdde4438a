"""What of an engine evidence needs: to reach a node from outside, and a place to work."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Protocol

from lab.engine.nodes import SeenNode
from lab.engine.outside import Outside
from lab.engine.shell import Shell
from lab.errors import EngineFault
from lab.files import careful


class Reach(Shell, Outside, Protocol):
    """Runs programs beside nodes, and reads their files."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What evidence is taken with."""

    engine: Reach
    """Reaches the node."""

    image: str
    """The image that has the programs."""


_DATA: Final = """import os, struct, sys
file = os.open(sys.argv[1], os.O_RDONLY)
size, at = os.fstat(file).st_size, 0
while at < size:
    try:
        at = os.lseek(file, at, os.SEEK_DATA)
    except OSError:
        break  # from here on it is empty
    end = os.lseek(file, at, os.SEEK_HOLE)
    os.lseek(file, at, os.SEEK_SET)
    sys.stdout.buffer.write(struct.pack("<QQ", at, end - at))
    while at < end:
        at += sys.stdout.buffer.write(os.read(file, min(end - at, 1 << 20)))
sys.stdout.buffer.write(struct.pack("<QQ", size, 0))
"""
"""Writes where a file has data, and that: place and length in eight bytes each, the bytes; last its size."""

_HEAD: Final = struct.Struct("<QQ")


def run(engine: Reach, place: SeenNode, argv: tuple[str, ...], *, stdin: Iterable[bytes] = ()) -> None:
    """Run a program somewhere.

    Args:
        engine: Where that is.
        place: On what.
        argv: The program.
        stdin: What it reads.

    Raises:
        EngineFault: it failed; has its last word.
    """
    _run(engine, place, argv, stdin, lambda _chunk: None)


def _run(
    engine: Reach,
    place: SeenNode,
    argv: tuple[str, ...],
    stdin: Iterable[bytes],
    take: Callable[[bytes], None],
) -> None:
    words = bytearray()

    def hear(channel: int, chunk: bytes) -> None:
        """Keep what it complains of."""
        if channel == 1:
            take(chunk)
        else:
            words.extend(chunk[:1000])

    if engine.relay(place, argv, stdin=stdin, hear=hear):
        said = words.decode("utf-8", "backslashreplace").strip().splitlines()
        raise EngineFault(doing=f"running {argv[0]} on {place.name}", said=(said or ["no word"])[-1])


def fetch(engine: Reach, place: SeenNode, path: str, target: Path) -> Path:
    """Bring a file here; what is empty in it takes no time and no room.

    Raises:
        EngineFault: it cannot be read.
    """
    with careful.open_new(target) as file:
        _run(engine, place, ("python3", "-I", "-c", _DATA, path), (), _Pieces(file).take)
        file.truncate()
    return target


def read(engine: Reach, place: SeenNode, path: str) -> bytes:
    """Return what a file holds.

    Raises:
        EngineFault: it cannot be read.
    """
    found = bytearray()
    _run(engine, place, ("cat", path), (), found.extend)
    return bytes(found)


class _Pieces:
    """Puts the data of a file where it was, as it comes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._head = b""
        self._left = 0

    def take(self, chunk: bytes) -> None:
        """Take what comes: heads, and the data that each is of."""
        rest = memoryview(chunk)
        while rest:
            if self._left:
                part = rest[: self._left]
                self._file.write(part)
                self._left -= len(part)
            else:
                part = rest[: _HEAD.size - len(self._head)]
                self._head += bytes(part)
                if len(self._head) == _HEAD.size:
                    at, self._left = _HEAD.unpack(self._head)
                    self._file.seek(at)
                    self._head = b""
            rest = rest[len(part) :]
