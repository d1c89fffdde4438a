"""One command at a time changes a lab; `down` ends an `up` that is still at work.

The lock is a socket in Linux's abstract name space: the kernel frees it when its
process ends, however it ends, and tells who holds it. There is no lock file that could be stale.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from lab.errors import Busy

_PATIENCE: Final = 30.0
"""Seconds a command has to stop in when it is asked to."""

_LOOK_EVERY: Final = 0.05
_CREDENTIALS: Final = struct.Struct("3i")
"""What SO_PEERCRED gives (socket(7)): process, user and group."""


@contextmanager
def locked(lab: str, *, ending: bool = False) -> Iterator[None]:
    """Hold the lock of a lab while it is being changed. Outside Linux nothing is held.

    Args:
        lab: The lab's name.
        ending: Stop whoever holds it, and take over.

    Raises:
        Busy: another command is changing the lab, or did not stop in time.
    """
    if sys.platform != "linux":
        yield
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as held:
        end = time.monotonic() + (_PATIENCE if ending else 0)
        asked = False
        while not _take(held, lab):
            holder = _holder(lab)
            if ending and holder and not asked:
                asked = _stop(holder)
            if time.monotonic() >= end:
                raise Busy(lab=lab, process=holder)
            time.sleep(_LOOK_EVERY)
        held.listen()
        yield


def _take(held: socket.socket, lab: str) -> bool:
    try:
        held.bind(_address(lab))
    except OSError:
        return False
    return True


def _holder(lab: str) -> int:
    """Return the process that holds the lock; 0 when it was given back meanwhile."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        try:
            line.connect(_address(lab))
        except OSError:
            return 0
        told = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(told)[0])


def _stop(process: int) -> bool:
    try:
        os.kill(process, signal.SIGTERM)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _address(lab: str) -> str:
    return f"\0homerange/{lab}"
