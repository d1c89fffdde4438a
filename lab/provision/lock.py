"""One command at a time changes a lab or plays in it; `down` ends the one that is still at work.

The lock is an advisory lock (flock(2)) on a file in a folder that only this user can enter: the kernel gives
it back when its process ends, however it ends, and nobody else can hold it. The file says who holds it and
goes with the lock. Users who share an engine do not keep each other out: what another one changes during a
run is noticed as any other disturbance.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.errors import Busy, NoRights
from lab.files import records
from lab.files.workplace import locks

_PATIENCE: Final = 30.0
"""Seconds a command has to stop in when it is asked to."""

_LOOK_EVERY: Final = 0.05

REMOVAL: Final = "lab down"
"""What a command calls itself that takes a lab away: another one waits for it and does not end it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Who holds a lock: what its file says."""

    process: int = 0
    """Its process; 0 when that is not known."""

    doing: str = ""
    """What it does, `lab run ssh-brute-force`."""


@contextmanager
def locked(lab: str, *, doing: str) -> Iterator[None]:
    """Hold the lock of a lab while it is changed or played in.

    Args:
        lab: The lab's name.
        doing: What it is held for, as others are told.

    Raises:
        Busy: another command holds it.
        NoRights: the folder of locks is not this user's own.
    """
    path = _path(lab)
    held = _take(path)
    if held is None:
        holder = _holder(path)
        raise Busy(lab=lab, process=holder.process, doing=holder.doing)
    with _kept(path, held, doing):
        yield


@contextmanager
def taken_over(lab: str, *, tell: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a lab in order to take the lab away; whoever holds it is told to stop, once.

    Args:
        lab: The lab's name.
        tell: Hears whom we wait for.

    Raises:
        Busy: the holder did not stop in time.
        NoRights: the folder of locks is not this user's own.
    """
    path, end, asked = _path(lab), time.monotonic() + _PATIENCE, False
    while (held := _take(path)) is None:
        holder = _holder(path)
        if holder.process and not asked:
            asked = True
            tell(f"waiting for process {holder.process}, {holder.doing}, to stop")
            if holder.doing != REMOVAL:
                _stop(holder.process)
        if time.monotonic() >= end:
            raise Busy(lab=lab, process=holder.process, doing=holder.doing, waited=_PATIENCE)
        time.sleep(_LOOK_EVERY)
    with _kept(path, held, REMOVAL):
        yield


def _path(lab: str) -> Path:
    """Return the file of a lab's lock; a name may have any characters, so the file has a hash of it."""
    folder = locks()
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700, parents=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        remedy = f"remove it, and make it with  install -d -m 0700 {folder}"
        raise NoRights(f"{folder} is not a folder of yours alone", remedy=remedy)
    return folder / hashlib.sha256(lab.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _take(path: Path) -> int | None:
    """Lock the file and return it; None when somebody else holds it."""
    while True:
        held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
            return None
        if _is_there(path, held):
            return held
        os.close(held)  # whoever held it has removed it meanwhile


def _is_there(path: Path, held: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(held))
    except FileNotFoundError:
        return False


@contextmanager
def _kept(path: Path, held: int, doing: str) -> Iterator[None]:
    """Say who holds a lock, and give it back."""
    try:
        os.ftruncate(held, 0)
        os.write(held, records.to_json(Holder(process=os.getpid(), doing=doing)).encode())
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(held)


def _holder(path: Path) -> Holder:
    """Read who holds a lock; nobody when it was given back meanwhile, or is just being taken."""
    try:
        return records.from_json(path.read_bytes(), Holder)
    except (OSError, ValueError):
        return Holder()


def _stop(process: int) -> None:
    """Tell a process to stop; one that was itself stopped, as by Ctrl-Z, has to go on for that."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(process, signal.SIGTERM)
        os.kill(process, signal.SIGCONT)
