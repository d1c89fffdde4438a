"""A file to which people add, line by line, from several windows at once: nothing that was said is lost."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

from lab.errors import BadFile, Problem
from lab.files import careful, records

Record = TypeVar("Record")


class Diary(Generic[Record]):
    """Records of one kind in one file, oldest first. May be used by several threads and several programs."""

    def __init__(self, path: Path, kind: type[Record]) -> None:
        """Open a file, which need not be there.

        Args:
            path: The file.
            kind: What its lines are.
        """
        self._path = path
        self._kind = kind
        self._lock = threading.Lock()
        self._read = 0
        self._lines = 0
        self._known: list[Record] = []

    def entries(self) -> tuple[Record, ...]:
        """Return all that was written to its end, also by others.

        Raises:
            BadFile: a line is no such record, or the file is a link.
        """
        with self._lock:
            self._catch_up()
            return tuple(self._known)

    def add(self, record: Record) -> None:
        """Write a record; it is on disk when this returns.

        Raises:
            BadFile: a link is in its place.
            OSError: it cannot be written.
        """
        with self._lock, self._alone():
            records.append(self._path, (record,))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other programs from writing: what one writes looks torn to another, who would cut it off."""
        if self._path.is_symlink():
            raise BadFile(Problem(path=str(self._path), line=0, what="is a link"))
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _catch_up(self) -> None:
        if not self._path.exists():
            return
        with careful.open_plain(self._path) as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        for line in whole.splitlines():
            self._lines += 1
            self._known.append(self._record(line))
        self._read += len(whole)

    def _record(self, line: bytes) -> Record:
        try:
            return records.from_json(line, self._kind)
        except ValueError as error:
            what = f"not a {self._kind.__name__} record: {error}"
            raise BadFile(Problem(path=str(self._path), line=self._lines, what=what)) from error
