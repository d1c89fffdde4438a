"""Ansible's way into a node: each command goes over a socket to the `lab` that runs the playbook.

That process holds the engine, so whatever it can run commands on can be configured, and nothing of
an engine's client is imported here. The other end, and the form of the messages, is
`lab.provision.connection`. Everything is piped, so a module needs one command and no copy.
"""

from __future__ import annotations

import json
import shlex
import socket
from pathlib import Path

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: lab_shell
short_description: Run commands on a node through the lab that runs the playbook
description:
    - Each command is sent over a Unix socket to the process that holds the engine.
author: homerange
options:
    socket:
        description: The socket's path.
        type: path
        required: true
        vars:
            - name: lab_shell_socket
"""


class Connection(ConnectionBase):
    """Commands on one node."""

    transport = "lab_shell"
    has_pipelining = True

    def _connect(self) -> Connection:
        self._connected = True
        return self

    def exec_command(
        self,
        cmd: str,
        in_data: bytes | None = None,
        sudoable: bool = True,  # noqa: FBT001, FBT002  # Ansible's
    ) -> tuple[int, bytes, bytes]:
        """Run a command line in the node's shell."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return self._run(["/bin/sh", "-c", cmd], in_data or b"")

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file into the node."""
        super().put_file(in_path, out_path)
        content = Path(in_path).read_bytes()
        code, _, said = self._run(["/bin/sh", "-c", f"cat >{shlex.quote(out_path)}"], content)
        if code:
            raise AnsibleConnectionFailure(f"{out_path} cannot be written: {said.decode(errors='replace')}")

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file out of the node."""
        super().fetch_file(in_path, out_path)
        code, content, said = self._run(["cat", "--", in_path], b"")
        if code:
            raise AnsibleConnectionFailure(f"{in_path} cannot be read: {said.decode(errors='replace')}")
        Path(out_path).write_bytes(content)

    def close(self) -> None:
        """Forget that it was open; each command has a connection of its own."""
        self._connected = False

    def _run(self, argv: list[str], stdin: bytes) -> tuple[int, bytes, bytes]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.connect(self.get_option("socket"))
            line.sendall(json.dumps({"argv": argv, "stdin": len(stdin)}).encode() + b"\n" + stdin)
            with line.makefile("rb") as answers:
                told = json.loads(answers.readline() or b'{"error": "lab is gone"}')
                if "error" in told:
                    raise AnsibleConnectionFailure(told["error"])
                return told["code"], answers.read(told["stdout"]), answers.read(told["stderr"])
