"""A command inside a container and the socket to it. Knows sockets, not Docker's client."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

from lab.engine.shell import MAX_OUTPUT

_STDOUT: Final = 1


class Conversation:
    """A command inside a container and the socket to its input and outputs."""

    def __init__(self, exec_id: str, stream: Any, frames: Iterator[tuple[int, bytes]]) -> None:  # noqa: ANN401  # docker gives a SocketIO or a socket
        self.id = exec_id
        self._frames = frames
        self._stream = stream
        # A second handle on the same socket: docker's cannot be shut down from another thread.
        self._line = socket.socket(fileno=os.dup(stream.fileno()))
        self._late = False

    def exchange(self, stdin: bytes, timeout: float) -> tuple[bytes, bytes] | None:
        """Send the input, read both outputs to their end; None when that takes too long."""
        clock = threading.Timer(timeout, self._give_up)
        clock.start()
        try:
            self._line.settimeout(None)
            self._line.sendall(stdin)
            self._line.shutdown(socket.SHUT_WR)
            kept = {1: bytearray(), 2: bytearray()}
            for channel, chunk in self._frames:
                kept[channel].extend(chunk[: MAX_OUTPUT - len(kept[channel])])
        except (BrokenPipeError, ConnectionError):
            kept = {1: bytearray(), 2: bytearray()}
        finally:
            clock.cancel()
            self._release()
        return None if self._late else (bytes(kept[1]), bytes(kept[2]))

    def _give_up(self) -> None:
        self._late = True
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        """Yield what the command writes to standard output, until it ends or we hang up."""
        try:
            for channel, chunk in self._frames:
                if channel == _STDOUT:
                    yield chunk
        except OSError:
            return
        finally:
            self._release()

    def close(self) -> None:
        """Hang up; whoever reads sees the end."""
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)

    def _release(self) -> None:
        """Give the socket back; done by whoever reads, so that it is not taken away under a read."""
        self._line.close()
        release(self._stream)


def release(stream: Any) -> None:  # noqa: ANN401  # docker gives a SocketIO or a socket
    """Give back what docker opened: closing its file leaves the socket below it open."""
    beneath = getattr(stream, "_sock", None)
    stream.close()
    if beneath:
        beneath.close()
