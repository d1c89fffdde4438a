"""A service of a node on a port of this machine's loopback address, for as long as a command runs.

A lab's networks have no way to this machine, and this opens none: each connection is made inside the node, by
us where this user may, else by a command there, and ends with us.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Final, Protocol

from lab.engine.nodes import SeenNode
from lab.engine.shell import Shell
from lab.errors import LabError

_PIECE: Final = 262_144

_SCRIPT: Final = Path(__file__).with_name("forward.pl")


class Lines(Protocol):
    """Makes connections into nodes."""

    def dial(self, node: SeenNode, port: int) -> socket.socket | None:
        """Connect to a port of a node's loopback address; None where only a command inside can.

        Raises:
            ConnectionError: nothing listens there.
        """
        ...


class Reaching(Shell, Lines, Protocol):
    """Reaches what listens on a node's loopback address, by a connection or by a command."""


@contextmanager
def forwarding(shell: Reaching, node: SeenNode, port: int, *, ours: int = 0) -> Iterator[int]:
    """Serve a port of a node on this machine's loopback address.

    Args:
        shell: Runs what carries a connection.
        node: Where the service is.
        port: Where it listens, on the node's loopback address.
        ours: The port here; any that is free when 0.

    Yields:
        The port here.

    Raises:
        OSError: somebody else has that port.
    """
    argv = ("perl", "-e", _SCRIPT.read_text(encoding="ascii"), str(port))

    class _Handler(BaseRequestHandler):
        """One connection."""

        def handle(self) -> None:
            """Carry it until either end hangs up."""
            with suppress(LabError, OSError):  # the node or the caller went away: both see the end
                line = shell.dial(node, port)
                if line is None:
                    shell.relay(node, argv, stdin=_read(self.request), hear=self._heard)
                    return
                with line:
                    _join(self.request, line)

        def _heard(self, channel: int, chunk: bytes) -> None:
            if channel == 1:
                self.request.sendall(chunk)

    with _Server(("127.0.0.1", ours), _Handler) as server:
        listener = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        listener.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            listener.join()


class _Server(ThreadingTCPServer):
    """Listens on loopback; what is still under way at the end is not waited for."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64


def _join(one: socket.socket, other: socket.socket) -> None:
    """Carry what comes on either of two connections to the other, until both have hung up."""
    back = threading.Thread(target=_carry, args=(other, one), daemon=True)
    back.start()
    _carry(one, other)
    back.join()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        for chunk in _read(source):
            target.sendall(chunk)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _read(line: socket.socket) -> Iterator[bytes]:
    with suppress(OSError):
        while chunk := line.recv(_PIECE):
            yield chunk
