"""What of an engine evidence needs: to reach a node from outside, and a place to work."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

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


def run(
    engine: Reach,
    place: SeenNode,
    argv: tuple[str, ...],
    *,
    stdin: Iterable[bytes] = (),
    out: IO[bytes] | None = None,
) -> None:
    """Run a program somewhere, with a file for what it writes.

    Args:
        engine: Where that is.
        place: On what.
        argv: The program.
        stdin: What it reads.
        out: Takes what it writes; what is empty in it takes no room.

    Raises:
        EngineFault: it failed; has its last word.
    """
    words = bytearray()

    def hear(channel: int, chunk: bytes) -> None:
        """Keep what comes."""
        if channel == 1 and out is not None:
            _write_sparse(out, chunk)
        else:
            words.extend(chunk[:1000])

    if engine.relay(place, argv, stdin=stdin, hear=hear):
        said = words.decode("utf-8", "backslashreplace").strip().splitlines()
        raise EngineFault(doing=f"running {argv[0]} on {place.name}", said=(said or ["no word"])[-1])


def fetch(engine: Reach, place: SeenNode, path: str, target: Path) -> Path:
    """Bring a file here; what is empty in it takes no room.

    Raises:
        EngineFault: it cannot be read.
    """
    with careful.open_new(target) as file:
        run(engine, place, ("cat", path), out=file)
        file.truncate()
    return target


def _write_sparse(out: IO[bytes], chunk: bytes) -> None:
    if chunk.count(0) == len(chunk):
        out.seek(len(chunk), 1)
    else:
        out.write(chunk)
