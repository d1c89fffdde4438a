"""A service of a node on a port of this machine's loopback address, for as long as a command runs.

A lab's networks have no way to this machine, and this opens none: each connection is carried by a command
inside the node, over the engine, and ends with us.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Final

from lab.engine.nodes import SeenNode
from lab.engine.shell import Shell
from lab.errors import LabError

_PIECE: Final = 65_536

_SCRIPT: Final = Path(__file__).with_name("forward.pl")


@contextmanager
def forwarding(shell: Shell, node: SeenNode, port: int, *, ours: int = 0) -> Iterator[int]:
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
                shell.relay(node, argv, stdin=_read(self.request), hear=self._heard)

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


def _read(line: socket.socket) -> Iterator[bytes]:
    with suppress(OSError):
        while chunk := line.recv(_PIECE):
            yield chunk
