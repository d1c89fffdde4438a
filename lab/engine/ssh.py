"""A machine that exists already, over SSH. The only module that imports paramiko.

Its host key must be in a known_hosts file. One that is not there, or another than the one there, is refused
with its fingerprint, unless the user names just that fingerprint.
"""

from __future__ import annotations

import base64
import hashlib
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import paramiko
from paramiko import ssh_exception as faults

from lab.errors import NotReady, WrongInput
from lab.moment import Moment

_TIMEOUT: Final = 20.0
"""Seconds until a machine that does not answer counts as away."""

_KNOWN: Final = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")
"""Where OpenSSH keeps the keys of machines."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """Which machine, and who we are there."""

    host: str
    """Its name or address."""

    port: int = 22
    """Where it answers."""

    user: str
    """The account."""

    password: str = field(default="", repr=False)
    """Its password, for machines that take one and for sudo; empty to use keys alone."""

    accepted: str = ""
    """Fingerprint of the one unknown key that is accepted, `SHA256:...`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """A command that ran there."""

    argv: tuple[str, ...]
    """What ran."""

    code: int
    """Its exit code."""

    stdout: bytes
    """What it wrote to standard output."""

    stderr: bytes
    """What it wrote to standard error."""


class UnknownHost(WrongInput):
    """A machine shows a key that nobody vouches for."""

    def __init__(self, machine: Machine, *, shown: str, known: str) -> None:
        self.machine = machine
        self.shown = shown
        self.known = known
        super().__init__(machine.host, shown)

    def message(self) -> str:
        """Show the fingerprint, and how to accept it after it was compared."""
        where = f"{self.machine.host}:{self.machine.port}"
        if self.known:
            return (
                f"{where} shows another key than the one in known_hosts: {self.shown}, not {self.known}\n"
                "    somebody may stand between. If the machine was made anew, remove its old key:  "
                f"ssh-keygen -R {self.machine.host}"
            )
        return (
            f"{where} is not known: its key is {self.shown}\n"
            "    compare that with what the machine itself shows, then add it to known_hosts with  ssh  or "
            f"write  --accept-host-key {self.shown}"
        )


class _Refuse(paramiko.MissingHostKeyPolicy):
    """Refuses an unknown key, unless it is the one that the user named."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Compare fingerprints."""
        del client, hostname
        shown = fingerprint(key)
        if shown != self._machine.accepted:
            raise UnknownHost(self._machine, shown=shown, known="")


def fingerprint(key: paramiko.PKey) -> str:
    """Write a key's fingerprint as OpenSSH does."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode().rstrip("=")


class Session:
    """A connection to a machine."""

    def __init__(self, machine: Machine, client: paramiko.SSHClient) -> None:
        self.machine = machine
        self._client = client

    def run(self, argv: tuple[str, ...], *, stdin: bytes = b"", timeout: float = 60) -> Ran:
        """Run a command and wait for it.

        Raises:
            NotReady: it did not end in time, or the connection broke.
        """
        with _session_errors(self.machine, f"running {argv[0]}"):
            given, out, said = self._client.exec_command(shlex.join(argv), timeout=timeout)
            given.write(stdin)
            given.channel.shutdown_write()
            stdout, stderr = out.read(), said.read()
            return Ran(argv=argv, code=out.channel.recv_exit_status(), stdout=stdout, stderr=stderr)

    def as_root(self, argv: tuple[str, ...], *, timeout: float = 60) -> Ran:
        """Run a command with sudo; its password is written to standard input alone."""
        if self.machine.password:
            given = f"{self.machine.password}\n".encode()
            return self.run(("sudo", "-S", "-p", "", "--", *argv), stdin=given, timeout=timeout)
        return self.run(("sudo", "-n", "--", *argv), timeout=timeout)

    def put(self, ours: Path, there: str) -> None:
        """Copy a file there, readable by that account alone.

        Raises:
            NotReady: it could not be written, or the connection broke.
        """
        with _session_errors(self.machine, f"copying {ours.name}"), self._client.open_sftp() as line:
            line.put(str(ours), there)
            line.chmod(there, 0o600)

    def clock(self) -> float:
        """Measure how far its clock is ahead of ours, in seconds."""
        before = Moment.now()
        ran = self.run(("date", "+%s.%N"))
        ours = (before + Moment.now()) / 2 / 1e9
        return float(ran.stdout) - ours if ran.code == 0 else 0.0


@contextmanager
def connected(machine: Machine) -> Iterator[Session]:
    """Connect to a machine.

    Raises:
        UnknownHost: its key is not known, or another than the one that is.
        NotReady: it does not answer, or does not let us in.
    """
    with paramiko.SSHClient() as client:
        for path in _KNOWN:
            if Path(path).expanduser().is_file():
                client.load_host_keys(str(Path(path).expanduser()))
        client.set_missing_host_key_policy(_Refuse(machine))
        with _session_errors(machine, "connecting"):
            client.connect(
                machine.host,
                port=machine.port,
                username=machine.user,
                password=machine.password or None,
                timeout=_TIMEOUT,
                banner_timeout=_TIMEOUT,
                auth_timeout=_TIMEOUT,
            )
        yield Session(machine, client)


@contextmanager
def _session_errors(machine: Machine, doing: str) -> Iterator[None]:
    """Turn what paramiko raises into what our callers know.

    Raises:
        UnknownHost: the key is another than the one that is known.
        NotReady: anything else.
    """
    where = f"{machine.user}@{machine.host}:{machine.port}"
    try:
        yield
    except faults.BadHostKeyException as error:
        known = fingerprint(error.expected_key)
        raise UnknownHost(machine, shown=fingerprint(error.key), known=known) from error
    except faults.AuthenticationException as error:
        remedy = "give it the public key of this account:  ssh-copy-id ; or set LAB_SIEM_PASSWORD"
        raise NotReady(f"{where} does not let us in: {error}", remedy=remedy) from error
    except (faults.NoValidConnectionsError, socket.gaierror, ConnectionError) as error:
        remedy = "is it up, is the address right, and does its firewall let this machine in?"
        raise NotReady(f"{where} does not answer: {error}", remedy=remedy) from error
    except TimeoutError as error:
        raise NotReady(f"{where}: {doing} took too long", remedy="is the machine busy?") from error
    except (faults.SSHException, OSError) as error:
        raise NotReady(f"{where}: {doing}: {error}", remedy="repeat the command") from error
