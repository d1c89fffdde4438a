"""Lets Ansible run commands on a node: a socket that serves the engine's shell while a playbook runs.

The other end is `playbooks/plugins/connection/lab_shell.py`, inside ansible-playbook. A request is a
line of JSON, `{"argv": [...], "stdin": N}`, and N bytes; the answer is `{"code": C, "stdout": N,
"stderr": M}` and N + M bytes, or `{"error": "..."}`. Who may open the folder may run commands on the
node as root, so the folder is the user's own.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
from typing import Final, Protocol

from lab.engine.nodes import SeenNode
from lab.engine.shell import Completed
from lab.errors import LabError
from lab.files import records

PLUGIN: Final = "lab_shell"
"""Ansible's name of the other end."""

SOCKET: Final = "lab_shell_socket"
"""The variable that tells it where the socket is."""

_LONGEST: Final = 3600.0
"""Seconds that one command may take: fetching packages over a slow line takes minutes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Request:
    """A command that Ansible wants run."""

    argv: tuple[str, ...]
    stdin: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answer:
    """How it ended, and how many bytes of output follow."""

    code: int
    stdout: int
    stderr: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fault:
    """Why it could not be run."""

    error: str


class Runs(Protocol):
    """Runs a command on a node: a shell, or who stands before one."""

    def execute(
        self, node: SeenNode, argv: tuple[str, ...], *, user: str, stdin: bytes, timeout: float
    ) -> Completed:
        """Run it, and wait for it."""
        ...


@contextmanager
def serving(shell: Runs, node: SeenNode) -> Iterator[dict[str, str]]:
    """Serve a node to Ansible.

    Args:
        shell: Runs the commands, as root.
        node: Where.

    Yields:
        The variables with which Ansible reaches the node.
    """

    class _Handler(StreamRequestHandler):
        """One command of Ansible's."""

        def handle(self) -> None:
            """Answer one request."""
            self.wfile.write(_answer(shell, node, self.rfile.readline(), self.rfile.read))

    with tempfile.TemporaryDirectory(prefix="homerange-") as folder:
        path = Path(folder) / "shell"
        with ThreadingUnixStreamServer(str(path), _Handler) as server:
            # A command that is still at work when Ansible was stopped ends with its container.
            server.daemon_threads = True
            listener = threading.Thread(
                target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
            )
            listener.start()
            try:
                yield {"ansible_connection": PLUGIN, SOCKET: str(path)}
            finally:
                server.shutdown()
                listener.join()


def _answer(shell: Runs, node: SeenNode, line: bytes, read: Callable[[int], bytes]) -> bytes:
    request = records.from_json(line, _Request)
    try:
        ran = shell.execute(node, request.argv, user="root", stdin=read(request.stdin), timeout=_LONGEST)
    except LabError as error:
        return records.to_json(_Fault(error=error.message())).encode() + b"\n"
    return _written(ran)


def _written(ran: Completed) -> bytes:
    head = _Answer(code=ran.code, stdout=len(ran.stdout), stderr=len(ran.stderr))
    return records.to_json(head).encode() + b"\n" + ran.stdout + ran.stderr
