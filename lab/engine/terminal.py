"""Joins this terminal to a socket: what is typed goes in, what comes out is shown."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

_CHUNK: Final = 65536


def join(line: socket.socket, resize: Callable[[int, int], None]) -> None:
    """Serve the terminal until the other end hangs up.

    Args:
        line: Where the remote terminal is.
        resize: Told the rows and columns at the start and whenever they change.
    """

    def sized(*_: object) -> None:
        """Tell the other end how large this terminal is now."""
        columns, rows = shutil.get_terminal_size()
        resize(rows, columns)

    with _raw(sys.stdin.fileno()):
        before = signal.signal(signal.SIGWINCH, sized)
        try:
            sized()
            _pump(line)
        finally:
            signal.signal(signal.SIGWINCH, before)


def first_line(line: socket.socket) -> str:
    """Read the first line that the other end writes, before it is shown to anybody."""
    said = b""
    while not said.endswith(b"\n"):
        byte = line.recv(1)
        if not byte:
            break
        said += byte
    return said.decode("ascii", "replace").strip()


@contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """Let every key through, also Ctrl-C, which is meant for the other side."""
    if not os.isatty(terminal):
        yield
        return
    before = termios.tcgetattr(terminal)
    try:
        tty.setraw(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _pump(line: socket.socket) -> None:
    inputs: list[int] = [line.fileno(), sys.stdin.fileno()]
    while True:
        ready, _, _ = select.select(inputs, [], [])
        if line.fileno() in ready:
            shown = line.recv(_CHUNK)
            if not shown:
                return
            os.write(sys.stdout.fileno(), shown)
        if sys.stdin.fileno() in ready:
            typed = os.read(sys.stdin.fileno(), _CHUNK)
            if typed:
                line.sendall(typed)
            else:
                inputs.remove(sys.stdin.fileno())
                line.shutdown(socket.SHUT_WR)
