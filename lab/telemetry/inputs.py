"""Files that are imported: opened whatever they are packed in, told apart by what they hold, read as lines.

Nothing is believed of a name. What comes out of an archive is bounded, as is a line; what is cut short is
read as far as it goes, and said. A file is read twice, once to know its content and once to read its lines,
and the second time as far as the first came: so a file that grows meanwhile is one content.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Final, Literal, cast

from lab.errors import Problem

Form = Literal["text", "evtx", "pcap"]
"""How a file is read: line by line, record by record, or packet by packet."""

LONGEST_LINE: Final = 1_000_000
"""Bytes; a longer line is cut there, or one line could fill the memory."""

CHUNK: Final = 8 * 2**20
"""Bytes that are read at a time."""

_PIECE: Final = 2**18
"""Bytes that are asked for at a time: what is broken gives what comes before only in small pieces."""

_MOST_TIMES: Final = 250
"""How many times its size an archive may hold: logs pack to a tenth or a thirtieth, bombs to a thousandth."""

_ALWAYS: Final = 64 * 2**20
"""Bytes that even the smallest archive may hold."""

_BOMB: Final = "holds so many times its size that it is taken for a bomb"

_DEEPEST: Final = 3
"""How many archives may lie in one another."""

_MOST_MEMBERS: Final = 10_000
"""Files that one archive, or one folder, may hold."""

_MAGICS: Final[tuple[tuple[bytes, Form], ...]] = (
    (b"ElfFile\x00", "evtx"),
    (b"\xd4\xc3\xb2\xa1", "pcap"),
    (b"\xa1\xb2\xc3\xd4", "pcap"),
    (b"\x4d\x3c\xb2\xa1", "pcap"),
    (b"\xa1\xb2\x3c\x4d", "pcap"),
    (b"\x0a\x0d\x0d\x0a", "pcap"),  # pcapng
)

_SHORT: Final = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, OSError, RuntimeError)
"""What reading a broken archive ends in; an encrypted member is a RuntimeError."""


Opened = Callable[[], IO[bytes]]
"""Opens something, from its beginning."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """One file to be imported, maybe out of an archive."""

    name: str
    """How the user would call it, `logs.zip:var/log/auth.log`."""

    form: Form
    """How it is read."""

    opened: Opened
    """Opens it."""


@dataclass(kw_only=True, slots=True)
class Content:
    """What an input held when it was looked at."""

    digest: str = ""
    """SHA-256 of all of it, in hexadecimal."""

    size: int = 0
    """Bytes."""

    head: bytes = b""
    """How it begins."""

    fault: str = ""
    """Why there is no more of it, where it is cut short or bounded; empty when it is whole."""


@dataclass(slots=True)
class Inputs:
    """The inputs below some paths, and what could not be opened."""

    _ends: ExitStack = field(default_factory=ExitStack)
    refused: list[Problem] = field(default_factory=list)
    """What is no file to be read, and why."""

    def below(self, paths: list[Path]) -> Iterator[Input]:
        """Give every file of some files and folders, those in archives included."""
        for path in paths:
            yield from self._at(path)

    def close(self) -> None:
        """Give back what is open."""
        self._ends.close()

    def _at(self, path: Path) -> Iterator[Input]:
        if path.is_dir():
            found = sorted(it for it in path.rglob("*") if it.is_file() and not it.is_symlink())
            if len(found) > _MOST_MEMBERS:
                self._refuse(str(path), f"holds more than {_MOST_MEMBERS} files; name some of them")
                return
            for it in found:
                yield from self._file(it)
        elif path.is_file():
            yield from self._file(path)
        else:
            self._refuse(str(path), "is no file and no folder" if path.exists() else "is not there")

    def _file(self, path: Path) -> Iterator[Input]:
        try:
            most = max(_ALWAYS, path.stat().st_size * _MOST_TIMES)
            yield from self._input(str(path), partial(_plain, path), most, 0)
        except OSError as error:
            self._refuse(str(path), error.strerror or str(error))

    def _input(self, name: str, opened: Opened, most: int, depth: int) -> Iterator[Input]:
        try:
            with opened() as file:
                head = file.read(8)
        except _SHORT as error:
            self._refuse(name, f"cannot be read: {error}")
            return
        unpack = next((it for magic, it in _PACKED if head.startswith(magic)), None)
        if head.startswith(b"PK\x03\x04"):
            yield from self._members(name, opened, most, depth)
        elif unpack is None:
            form = next((form for magic, form in _MAGICS if head.startswith(magic)), "text")
            yield Input(name=name, form=cast("Form", form), opened=opened)
        elif depth == _DEEPEST:
            self._refuse(name, f"lies in more than {_DEEPEST} archives")
        else:
            yield from self._input(name, partial(_unpacked, unpack, opened, most), most, depth + 1)

    def _members(self, name: str, opened: Opened, most: int, depth: int) -> Iterator[Input]:
        if depth == _DEEPEST:
            self._refuse(name, f"lies in more than {_DEEPEST} archives")
            return
        try:
            file = self._ends.enter_context(opened())
            if depth:  # a zip is read from its end, and what is unpacked has no way back
                file = io.BytesIO(file.read(_ALWAYS))
            archive = self._ends.enter_context(zipfile.ZipFile(file))
        except _SHORT as error:
            self._refuse(name, f"is no whole zip: {error}")
            return
        members = [it for it in archive.infolist() if not it.is_dir()]
        if len(members) > _MOST_MEMBERS:
            self._refuse(name, f"holds more than {_MOST_MEMBERS} files")
            return
        if sum(it.file_size for it in members) > most:  # no member gives more than it declares
            self._refuse(name, _BOMB)
            return
        for it in members:
            yield from self._input(
                f"{name}:{it.filename}", partial(_member, archive, it, most), most, depth + 1
            )

    def _refuse(self, name: str, why: str) -> None:
        self.refused.append(Problem(path=name, line=0, what=why))


def _plain(path: Path) -> IO[bytes]:
    return path.open("rb")


def _unpacked(unpack: Callable[[IO[bytes]], IO[bytes]], opened: Opened, most: int) -> IO[bytes]:
    under = opened()
    return cast("IO[bytes]", _Bounded(unpack(under), most, under))


def _member(archive: zipfile.ZipFile, it: zipfile.ZipInfo, most: int) -> IO[bytes]:
    return cast("IO[bytes]", _Bounded(archive.open(it), most))


class Bomb(OSError):
    """An archive holds more than it may."""


class _Bounded(io.RawIOBase):
    """What comes out of an archive, as far as is allowed."""

    def __init__(self, inner: IO[bytes], most: int, under: IO[bytes] | None = None) -> None:
        self._inner = inner
        self._left = most
        self._under = under  # what gzip and its kin read from, and do not close

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Read some bytes, which may be fewer than asked for.

        Raises:
            Bomb: there are more than may be.
        """
        most = size if size >= 0 else self._left + 1
        read1 = getattr(self._inner, "read1", self._inner.read)  # `read` would lose what comes before a fault
        found: bytes = read1(min(most, _PIECE))
        self._left -= len(found)
        if self._left < 0:
            raise Bomb(f"it {_BOMB}")
        return found

    def close(self) -> None:
        """Give back what it reads from."""
        self._inner.close()
        if self._under:
            self._under.close()
        super().close()


_PACKED: Final[tuple[tuple[bytes, Callable[[IO[bytes]], IO[bytes]]], ...]] = (
    (b"\x1f\x8b", lambda file: cast("IO[bytes]", gzip.GzipFile(fileobj=file))),
    (b"\xfd7zXZ\x00", lambda file: cast("IO[bytes]", lzma.LZMAFile(file))),  # noqa: SIM115
    (b"BZh", lambda file: cast("IO[bytes]", bz2.BZ2File(file))),
)
"""How what is packed alone begins, and what unpacks it."""


def look(given: Input) -> Content:
    """Read an input once, to know what it holds."""
    digest, content = hashlib.sha256(), Content()
    try:
        with given.opened() as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
                content.head = content.head or piece
                content.size += len(piece)
    except _SHORT as error:
        content.fault = _so_far(error)
    content.digest = digest.hexdigest()
    return content


def text_of(given: Input, content: Content) -> Iterator[bytes]:
    """Give an input in chunks of whole lines, as far as it was looked at.

    A line beyond `LONGEST_LINE` is cut there. What cannot be read any more, since the file vanished or was
    cut, is noted in the content's fault.
    """
    return map(_cut_long, whole_lines(_chunks(_pieces(given, content))))


def pieces_of(given: Input, content: Content, size: int) -> Iterator[bytes]:
    """Give an input that was not looked at, in pieces of some size; the content's fault says why it ended.

    Args:
        given: The input.
        content: Takes the fault.
        size: Bytes of a piece, about.
    """
    waiting, held = list[bytes](), 0
    try:
        with given.opened() as file:
            while piece := file.read(size):
                waiting.append(piece)
                held += len(piece)
                if held >= size:
                    yield waiting[0] if len(waiting) == 1 else b"".join(waiting)
                    waiting, held = [], 0
    except _SHORT as error:
        content.fault = _so_far(error)
    if waiting:
        yield b"".join(waiting)


def _pieces(given: Input, content: Content) -> Iterator[bytes]:
    """Read an input as far as it was looked at; the content's fault says why it ended before."""
    left = content.size
    try:
        with given.opened() as file:
            while left and (piece := file.read(min(_PIECE, left))):
                left -= len(piece)
                yield piece
    except _SHORT as error:
        content.fault = _so_far(error)
    else:
        if left:
            content.fault = f"became {left} bytes shorter while it was read"


def _chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join pieces to chunks."""
    waiting, held = list[bytes](), 0
    for piece in pieces:
        waiting.append(piece)
        held += len(piece)
        if held >= CHUNK:
            yield b"".join(waiting)
            waiting, held = [], 0
    if waiting:
        yield b"".join(waiting)


def _so_far(error: Exception) -> str:
    return f"is read as far as it goes: {str(error) or type(error).__name__}"


def whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    r"""Cut chunks behind the last `\n`; too long a line is cut, what is left at the end is given."""
    rest = b""
    for chunk in chunks:
        end = chunk.rfind(b"\n") + 1
        if end:
            yield b"".join((rest, memoryview(chunk)[:end]))
            rest = chunk[end:]
        else:
            rest += chunk
        if len(rest) > LONGEST_LINE:
            yield rest
            rest = b""
    if rest:
        yield rest


def _cut_long(chunk: bytes) -> bytes:
    if not _has_long(chunk):
        return chunk
    starts = ((line, at) for line in chunk.split(b"\n") for at in range(0, max(1, len(line)), LONGEST_LINE))
    return b"\n".join(line[at : at + LONGEST_LINE] for line, at in starts)


def _has_long(chunk: bytes) -> bool:
    """Tell whether a line is too long, from one end of a line to the last one that is near enough."""
    begin = 0
    while begin + LONGEST_LINE < len(chunk):
        end = chunk.rfind(b"\n", begin, begin + LONGEST_LINE + 1)
        if end < 0:
            return True
        begin = end + 1
    return False


@contextmanager
def on_disk(given: Input, content: Content, folder: Path) -> Iterator[Path]:
    """Have an input as a plain file while the body runs, for readers that need one."""
    path = folder / f".import-{content.digest[:16]}"
    with path.open("wb") as copy:
        copy.writelines(_pieces(given, content))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
