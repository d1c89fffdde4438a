"""A connection to a program inside a container, made from outside by whoever may: root on the same machine.

A thread enters the network of the container and connects to its loopback address there; the socket stays
what it is when the thread is gone. Nothing is opened for anybody else, and nothing is carried by a command.
"""

from __future__ import annotations

import ctypes
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

_NETWORK: Final = 0x40000000
"""CLONE_NEWNET of clone(2), by which setns(2) is told what sort of name space it is given."""


def dial(process: int, port: int) -> socket.socket | None:
    """Connect to a port of the loopback address that a process has.

    Args:
        process: Its id on this machine.
        port: The port.

    Returns:
        The connection; None where this user may not, or the process is on another machine.

    Raises:
        ConnectionError: nothing listens there.
    """
    if os.geteuid() != 0 or process <= 0:
        return None
    with ThreadPoolExecutor(1) as thread:  # it ends in the other network, and is not used again
        return thread.submit(_dialled, process, port).result()


def _dialled(process: int, port: int) -> socket.socket | None:
    try:
        with Path(f"/proc/{process}/ns/net").open("rb") as space:
            if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), _NETWORK):
                return None
    except FileNotFoundError:
        return None
    return socket.create_connection(("127.0.0.1", port))
