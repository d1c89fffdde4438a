"""Lines of one log that came together."""

from __future__ import annotations

import hashlib
import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute as pc

from lab.moment import Moment
from lab.telemetry.event import Line

_OFFSET: Final = 4
"""Bytes that Arrow keeps of each text beside its characters."""

_DIGITS: Final = 8
"""Hexadecimal digits of a line's number in the name of its event."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lines:
    """Lines of one file, in order."""

    texts: pa.Array[Any]
    """The lines without their ends; bytes that are not UTF-8 are shown as backslash escapes."""

    numbers: Sequence[int]
    """Their numbers in the file, from 1, rising."""

    host: str
    """Name of the node the log is on."""

    path: str
    """Path of the file on that node."""

    file: str
    """What tells the file from all others, `file_identity`; the ids of its events begin with it."""

    created: Moment
    """When they were read."""

    @classmethod
    def of(cls, lines: Sequence[Line], file: str) -> Lines:
        """Put lines of one file together, of which there is at least one."""
        first = lines[0]
        return cls(
            texts=pa.array([it.text for it in lines], pa.string()),
            numbers=[it.number for it in lines],
            host=first.host,
            path=first.path,
            file=file,
            created=first.created,
        )

    @classmethod
    def cut(cls, chunk: bytes, *, after: int, host: str, path: str, file: str) -> Lines:
        """Make lines of bytes that were just read.

        Args:
            chunk: Whole lines.
            after: How many lines of the file came before.
            host: Name of the node the log is on.
            path: Path of the file on that node.
            file: What tells the file from all others.
        """
        texts = cut(chunk)
        numbers = range(after + 1, after + 1 + len(texts))
        return cls(texts=texts, numbers=numbers, host=host, path=path, file=file, created=Moment.now())

    @classmethod
    def joined(cls, parts: Sequence[Lines]) -> Lines:
        """Put lines of one file, of which there are some, behind one another."""
        if len(parts) == 1:
            return parts[0]
        return replace(
            parts[-1],
            texts=pa.concat_arrays([it.texts for it in parts]),
            numbers=[number for it in parts for number in it.numbers],
        )

    @property
    def size(self) -> int:
        """How many bytes their texts have."""
        return int(self.texts.nbytes) - _OFFSET * len(self)

    def __len__(self) -> int:
        """Count them."""
        return len(self.texts)

    def at(self, places: Sequence[int]) -> Iterator[Line]:
        """Give those at some places, in that order."""
        every = len(places) == len(self.texts)
        texts = self.texts if every else self.texts.take(pa.array(places, pa.int64()))
        for place, text in zip(places, plain(texts), strict=True):
            yield Line(
                text=text, host=self.host, path=self.path, number=self.numbers[place], created=self.created
            )

    def without(self, unwanted: Callable[[str], bool]) -> Lines:
        """Leave out those of which something holds."""
        kept = [place for place, text in enumerate(plain(self.texts)) if not unwanted(text)]
        texts = self.texts.take(pa.array(kept, pa.int64()))
        return replace(self, texts=texts, numbers=[self.numbers[place] for place in kept])

    def first(self, count: int) -> Lines:
        """Return as many of the first; all when there are not more."""
        if count >= len(self):
            return self
        return replace(self, texts=self.texts[:count], numbers=self.numbers[:count])

    def parts(self, most: int) -> Iterator[Lines]:
        """Cut them into parts of at most so many."""
        for begin in range(0, len(self), most):
            part = slice(begin, begin + most)
            yield replace(self, texts=self.texts[part], numbers=self.numbers[part])

    def last(self) -> Lines:
        """Return the last of them."""
        return replace(self, texts=self.texts[-1:], numbers=self.numbers[-1:])


def plain(texts: pa.Array[Any]) -> list[str]:
    """Return texts as Python has them."""
    return cast("list[str]", texts.to_pylist())


def file_identity(*parts: str) -> str:
    """Name a file by what tells it from all others: its content, or node, path and when it was first read."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def identities(file: str, numbers: Sequence[int]) -> pa.Array[Any]:
    """Name the events of some lines of a file: the file and the number, in hexadecimal."""
    if max(numbers, default=0) >= 16**_DIGITS:
        return pa.array([f"{file}{number:0{_DIGITS}x}" for number in numbers], pa.string())
    # All at once: a million of them, one by one, take half a second.
    packed = struct.pack(f">{len(numbers)}I", *numbers)
    text = file + packed.hex(" ", _DIGITS // 2).replace(" ", file) if numbers else ""
    width = len(file) + _DIGITS
    ends = array("i", range(0, width * (len(numbers) + 1), width))
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(ends), pa.py_buffer(text.encode()))


def cut(chunk: bytes) -> pa.Array[Any]:
    r"""Cut bytes that are whole lines into texts, at `\n` and nowhere else; a `\r` before it goes too.

    Bytes that are not UTF-8 are shown as backslash escapes.
    """
    if chunk.endswith(b"\n"):
        chunk = chunk.replace(b"\r\n", b"\n") if b"\r" in chunk else chunk
        # Of buffers, not of a memoryview: pa.array never lets go of what a view is on (pyarrow 26).
        ends = pa.py_buffer(array("i", (0, len(chunk) - 1)))
        whole = pa.Array.from_buffers(pa.binary(), 1, [None, ends, pa.py_buffer(chunk)])
        with suppress(pa.ArrowInvalid):  # not UTF-8
            return pc.split_pattern(whole, "\n").flatten().cast(pa.string())
    texts = chunk.decode("utf-8", "backslashreplace").removesuffix("\n").split("\n") if chunk else []
    return pa.array([text.removesuffix("\r") for text in texts], pa.string())
