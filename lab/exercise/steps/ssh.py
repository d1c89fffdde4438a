"""Log in over SSH and run a command there; a session may stay open over several steps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from lab.engine.trace import Connection
from lab.errors import LabError
from lab.exercise.evidence import Evidence, connections
from lab.exercise.inside import answer_of, argv_of
from lab.exercise.place import Place
from lab.exercise.steps.base import Outcome, outputs
from lab.files.declared import Fault

_OPTIONS: Final = (
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "ConnectTimeout=10",
    "LogLevel=ERROR",
)
"""An attacker does not care whose key it is, and leaves no known_hosts behind."""

_TRIES: Final = 100
"""Looks whether a session is open, a tenth of a second apart."""


class NoSession(LabError):
    """A session could not be opened."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)

    def message(self) -> str:
        """Name it."""
        return f"the session {self.name} did not open: is the password right?"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ssh:
    """One session, or a command in one that is open."""

    kind: ClassVar[str] = "ssh"
    remedy: ClassVar[str] = "write  ssh: {target: bastion, user: maria, password: .., command: id}"

    target: str
    """The node to log in to."""

    user: str
    """The account."""

    command: str
    """What the account's shell is to run there."""

    password: str = ""
    """Its password."""

    key: str = ""
    """Or a private key that opens it: a path on the node where the step is from."""

    runs_as: str = "root"
    """Who runs the client there; a key must be theirs to read."""

    session: str = ""
    """Its name, for one that stays open: steps from the same node that give it use the same log-in."""

    def faults(self) -> Iterator[Fault]:
        """Find no way in, or two, and a name that no socket could have."""
        if bool(self.password) == bool(self.key):
            yield Fault(key="password", what="a log-in has a password or a key", remedy=self.remedy)
        if self.session and self.runs_as != "root":
            yield Fault(
                key="session", what="a session that stays open is root's", remedy="leave  runs_as  out"
            )
        if self.session and not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", self.session):
            said = f"{self.session!r} cannot be a name"
            yield Fault(key="session", what=said, remedy="use letters, digits, - and _")

    def act(self, place: Place) -> Outcome:
        """Log in and run the command."""
        address = place.resolve(self.target).address
        options = self._options()
        evidence = Evidence()
        if self.session:
            evidence = connections(self._opened(place, address, options), place.node).prompt()
            options = ("-S", self._socket, "-o", "ControlMaster=no", *options)
        argv = (*self._client, *options, "-l", self.user, "--", address, self.command)
        ran = place.run(argv, targets=(self.target,), user=self.runs_as, environment=self._secret)
        (target,) = ran.targets
        return Outcome(
            completed=ran.completed,
            command_line=f"ssh {self.user}@{target.name}: {self.command}",
            targets=ran.targets,
            users=(self.user,),
            evidence=evidence,
            registered=outputs(ran.completed),
        )

    @property
    def _client(self) -> tuple[str, ...]:
        return ("ssh",) if self.key else ("sshpass", "-e", "ssh")

    @property
    def _secret(self) -> dict[str, str]:
        return {} if self.key else {"SSHPASS": self.password}

    def _options(self) -> tuple[str, ...]:
        way = (
            ("PasswordAuthentication=no", "IdentitiesOnly=yes") if self.key else ("PubkeyAuthentication=no",)
        )
        options = tuple(word for option in (*_OPTIONS, *way) for word in ("-o", option))
        return ("-i", self.key, *options) if self.key else options

    @property
    def _socket(self) -> str:
        return f"/tmp/.ssh-{self.session}"  # noqa: S108  # on the attacker's node

    def _opened(self, place: Place, address: str, options: tuple[str, ...]) -> tuple[Connection, ...]:
        """Return the connection of the session, opening it where it is not."""
        process = self._process(place)
        if not process:
            argv = (*self._client, "-M", "-N", "-S", self._socket, *options, "-l", self.user)
            place.run(("rm", "-f", "--", self._socket))  # of a run that was killed
            place.hold(
                (*argv, "--", address),
                targets=(self.target,),
                leaves=(self._socket,),
                environment=self._secret,
            )
            for _ in range(_TRIES):
                if process := self._process(place):
                    break
                place.pause(0.1)
            else:
                raise NoSession(self.session)
        ran = place.run((*argv_of("sockets"), process)).completed
        return answer_of("sockets", ran, tuple[Connection, ...])

    def _process(self, place: Place) -> str:
        """Return the process id of the session's own client; nothing while it is not open."""
        ran = place.run(("ssh", "-S", self._socket, "-O", "check", "nobody")).completed
        found = re.search(rb"pid=(\d+)", ran.stderr + ran.stdout)
        return found[1].decode() if found else ""
