"""Which rows of a segment may hold a text: looked up, so that a search need not read everything.

A segment never changes. Its lines are taken in blocks of `BLOCK` rows; of each block it is kept which four
bytes stand next to each other in it, as a bit in the row of their bucket. A text can only be in blocks that
have all its fours. What is kept lies in the user's cache folder, is made by a process of its own in the
background, and can be thrown away at any time.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from lab.files import cache, careful
from lab.telemetry.database import connected, quoted
from lab.telemetry.segments import present_segments

BLOCK: Final = 128
"""Rows of a block: of a few hundred bytes each, they have about an eighth of all buckets."""

LARGE: Final = 1_000_000
"""Bytes of a segment from which on it is worth an index; a smaller one is read as a whole."""

_BUCKETS: Final = 65_536
_SHIFT: Final = 16
_MIX: Final = 2_654_435_761
"""Knuth's multiplicative hash, of which the upper bits count."""

_FOUR: Final = 4
_MAGIC: Final = b"HRL1"
_HEAD: Final = struct.Struct("<4sI")
_FOLDED: Final = {0x17F: "s", 0x212A: "k"}
"""The long s and the kelvin sign: an s and a k to whoever does not mind the case, and lowered already."""

_KEPT: Final = 30 * 86_400
"""Seconds after which an index that nobody used is thrown away."""

_BUILD: Final = "import sys; from lab.telemetry.lineindex import build_all; build_all(sys.argv[1])"


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of a segment that follow one another."""

    file: str
    """The segment."""

    first: int
    """Number of its first row."""

    last: int
    """Number of its last row."""


class LineIndex:
    """The index of one segment."""

    def __init__(self, segment: str, path: Path) -> None:
        """Open an index.

        Args:
            segment: The segment.
            path: Its index.

        Raises:
            ValueError: it is none, or not whole.
            OSError: it cannot be read.
        """
        self._segment = segment
        self._path = path
        with careful.open_plain(path) as file:
            magic, self._blocks = _HEAD.unpack(file.read(_HEAD.size).ljust(_HEAD.size))
        self._width = (self._blocks + 7) // 8
        if magic != _MAGIC or path.stat().st_size != _HEAD.size + _BUCKETS * self._width:
            raise ValueError(f"{path} is no whole index")

    def holding(self, text: str) -> list[Block]:
        """Return the blocks that may hold a text; all of them when it is too short to tell."""
        found = (1 << self._blocks) - 1
        with careful.open_plain(self._path) as file:
            for bucket in _buckets(_fours(text)):
                file.seek(_HEAD.size + bucket * self._width)
                found &= int.from_bytes(file.read(self._width), "little")
        places = (it for it in range(self._blocks) if found >> it & 1)
        return [Block(self._segment, it * BLOCK, (it + 1) * BLOCK - 1) for it in places]


def opened(segment: str) -> LineIndex | None:
    """Open the index of a segment; None when there is none yet."""
    path = _path(segment)
    try:
        found = LineIndex(segment, path)
        os.utime(path)
    except (OSError, ValueError):
        return None
    return found


def tells(text: str) -> bool:
    """Tell whether an index says anything of a text: it is long enough, and its case is that of ASCII."""
    return text.isascii() and len(text) >= _FOUR


def begin(folder: Path) -> subprocess.Popen[bytes]:
    """Begin to make the indexes that a store lacks, in the background and after all others."""
    return subprocess.Popen(
        [sys.executable, "-c", _BUILD, str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def build_all(folder: str) -> None:
    """Make the indexes that a store lacks, the newest segment first; throw away what nobody used for long."""
    os.nice(19)
    _tidy(cache.kept("lines"))
    for it in reversed(present_segments(Path(folder))):
        segment = str(it.path.resolve())
        if it.path.stat().st_size >= LARGE and opened(segment) is None:
            build(segment)


def build(segment: str) -> None:
    """Make the index of a segment."""
    source = f"read_parquet({quoted(segment)}, file_row_number = true)"
    with closing(connected(memory_limit="100MB", threads=1)) as connection:
        rows = connection.execute(f"SELECT count(*) FROM {source}").fetchone()  # noqa: S608 -- our own names
        blocks = (int(rows[0] if rows else 0) + BLOCK - 1) // BLOCK
        width = (blocks + 7) // 8
        bits = bytearray(_BUCKETS * width)
        connection.execute(f'SELECT "event.original" FROM {source} ORDER BY file_row_number')  # noqa: S608 -- our own names
        for number in range(blocks):
            lines = (line or "" for (line,) in connection.fetchmany(BLOCK))
            for bucket in set(_buckets(_fours("\n".join(lines)))):
                bits[bucket * width + number // 8] |= 1 << number % 8
    cache.kept("lines").mkdir(parents=True, exist_ok=True, mode=0o700)
    careful.replace(_path(segment), _HEAD.pack(_MAGIC, blocks) + bytes(bits))


def _path(segment: str) -> Path:
    about = os.stat(segment)  # noqa: PTH116 -- asked for each segment of each search
    named = sha256(f"{segment}\0{about.st_size}\0{about.st_mtime_ns}".encode()).hexdigest()
    return cache.kept("lines") / f"{named}.index"


def _tidy(place: Path) -> None:
    for it in place.glob("*.index"):
        if it.stat().st_mtime < time.time() - _KEPT:
            it.unlink(missing_ok=True)


def _folded(text: str) -> bytes:
    return text.lower().translate(_FOLDED).encode("utf-8", "surrogatepass")


def _fours(text: str) -> set[int]:
    """Return all that is next to each other in a text, four bytes at a time, as numbers."""
    raw = memoryview(_folded(text))
    found: set[int] = set()
    for start in range(min(_FOUR, len(raw) - _FOUR + 1)):
        length = (len(raw) - start) // _FOUR * _FOUR
        found.update(raw[start : start + length].cast("I"))
    return found


def _buckets(fours: Iterable[int]) -> Iterator[int]:
    return ((it * _MIX & 0xFFFFFFFF) >> _SHIFT for it in fours)
