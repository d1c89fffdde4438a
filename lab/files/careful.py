"""Files in folders that may be somebody else's: no link is followed, nothing is read without end.

A run's folder can come from anywhere. What is read must be a plain file of a bounded size; what is written is
a new file that takes the place of what was there, whatever that was.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import IO, Final

from lab.errors import BadFile, Problem

_BLOCK: Final = 4096
"""Bytes of a file that are looked at together."""

LARGEST: Final = 512 * 2**20
"""Bytes of a file that is read as a whole; records of a long run take some ten millions."""


def read_bytes(path: Path, *, most: int = LARGEST) -> bytes:
    """Read a whole file.

    Raises:
        BadFile: it is a link, no plain file, or larger than `most` bytes.
        OSError: it is not there, or may not be read.
    """
    with open_plain(path, most=most) as file:
        return file.read(most)


def open_plain(path: Path, *, most: int = LARGEST) -> IO[bytes]:
    """Open a plain file to be read.

    Raises:
        BadFile: it is a link, no plain file, or larger than `most` bytes.
        OSError: it is not there, or may not be read.
    """
    if path.is_symlink():
        raise BadFile(Problem(path=str(path), line=0, what="is a link; a run's folder must not have any"))
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(handle)
    what = ""
    if not stat.S_ISREG(found.st_mode):
        what = "is no plain file"
    elif found.st_size > most:
        what = f"has {found.st_size} bytes, and {most} are allowed"
    if what:
        os.close(handle)
        raise BadFile(Problem(path=str(path), line=0, what=what))
    return os.fdopen(handle, "rb")


def open_new(path: Path) -> IO[bytes]:
    """Open a new file in the place of what is there; a link goes, and what it leads to stays as it is."""
    path.unlink(missing_ok=True)
    return os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644), "wb"
    )


def replace(path: Path, content: bytes) -> None:
    """Replace a file at once: readers see the old or the new one, never half."""
    draft = path.with_name(f".{path.name}.draft")
    with open_new(draft) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def append(path: Path, content: bytes) -> None:
    """Add whole lines to a file, and sync it to disk before returning.

    A last line that a kill has torn is cut off first: nobody was ever told that it is there.

    Raises:
        OSError: a link is in its place, or it cannot be written.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o644), "a+b") as file:
        _cut_torn(file)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _cut_torn(file: IO[bytes]) -> None:
    """Cut off what stands behind the last line feed."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - _BLOCK)
        file.seek(start)
        block = file.read(end - start)
        if b"\n" in block:
            end = start + block.rindex(b"\n") + 1
            break
        end = start
    if end < file.seek(0, os.SEEK_END):
        file.truncate(end)


def copy(source: Path, target: Path) -> None:
    """Copy a plain file to where nothing is.

    Raises:
        BadFile: it is a link, no plain file, or too large.
    """
    with open_plain(source) as file, open_new(target) as made:
        shutil.copyfileobj(file, made)
