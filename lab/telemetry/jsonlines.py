"""JSON of others as one object a line, whatever it comes as: lines, one list, or lists in an object."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

from lab.files import records
from lab.telemetry.inputs import Content, Input, pieces_of, whole_lines

HEAD: Final = 256 * 1024
"""Bytes that are looked at to know what a file is."""

MOST: Final = 256 * 2**20
"""Bytes of a file that is one list or one object: such a file has to be read as a whole."""

_LISTS: Final = ("Records", "records", "events", "Events", "value", "results", "data")
"""Keys whose list holds the events, in files that are one object: CloudTrail's, Azure's, exports of SIEMs."""

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def head_of(given: Input) -> bytes:
    """Return how a file begins, as UTF-8; nothing where it cannot be read."""
    content = Content()
    found = b""
    for piece in _as_utf8(pieces_of(given, content, HEAD)):
        found += piece
        if len(found) >= HEAD:
            break
    return found[:HEAD]


def is_json(head: bytes) -> bool:
    """Tell whether a file looks as if it held JSON objects."""
    start = head.lstrip()
    return start[:1] == b"{" or (start[:1] == b"[" and start[1:].lstrip()[:1] in {b"{", b"]", b""})


def objects_of(given: Input, head: bytes, content: Content, size: int) -> Iterator[bytes]:
    """Give the objects of a file, one a line, in pieces of whole lines.

    Args:
        given: The file.
        head: How it begins.
        content: Its fault says in the end why there is no more of it.
        size: Bytes of a piece, about.

    Raises:
        ValueError: it is one list or object, and no whole one, or too large for that.
    """
    pieces = _as_utf8(pieces_of(given, content, size))
    if _is_lines(head):
        yield from whole_lines(pieces)
    else:
        yield from _of_whole(_all(pieces))


def first_object(head: bytes) -> bytes:
    """Return the first object of a file, or of its first list; nothing where the head does not hold one."""
    if _is_lines(head):
        return next((it for it in head.split(b"\n") if it.strip()), b"")
    try:
        return next(iter(_of_whole(head)), b"").split(b"\n")[0]
    except ValueError:
        return head  # larger than the head: whoever reads all of it will see


def _is_lines(head: bytes) -> bool:
    """Tell whether the first line is an object by itself."""
    first = next((it for it in head.split(b"\n") if it.strip()), b"")
    if first.lstrip()[:1] != b"{":
        return False
    try:
        found = records.from_json(first, dict[str, Any])
    except ValueError:
        return len(first.strip()) > 1 and b"\n" in head and not _is_open(first)
    return not (
        set(found) <= {*_LISTS, "nextLink", "count"} and any(isinstance(found.get(it), list) for it in _LISTS)
    )


def _is_open(line: bytes) -> bool:
    """Tell whether an object goes on behind a line, as in one that is laid out for people."""
    return line.rstrip()[-1:] in {b"{", b"[", b","}


def _of_whole(text: bytes) -> Iterator[bytes]:
    found: Any = records.from_json(text, Any)
    if isinstance(found, dict):
        inner = next((found[it] for it in _LISTS if isinstance(found.get(it), list)), None)
        found = [found] if inner is None else inner
    if not isinstance(found, list):
        raise ValueError("holds neither an object nor a list of them")  # noqa: TRY004 -- it is a matter of input
    for at in range(0, len(found), 10_000):
        yield b"".join(records.to_json(it).encode() + b"\n" for it in found[at : at + 10_000])


def _all(pieces: Iterable[bytes]) -> bytes:
    found = bytearray()
    for piece in pieces:
        found += piece
        if len(found) > MOST:
            raise ValueError(f"is one list of more than {MOST >> 20} MB; write it as one object a line")
    return bytes(found)


def _as_utf8(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Take a mark of the encoding away, and make UTF-8 of UTF-16."""
    first = next(pieces, b"")
    encoding = next((name for mark, name in _MARKS if first.startswith(mark)), "")
    if not encoding:
        yield first
        yield from pieces
        return
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for piece in chain((first,), pieces):
        yield decoder.decode(piece).encode()
    yield decoder.decode(b"", final=True).encode()
