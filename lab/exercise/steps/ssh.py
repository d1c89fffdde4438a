"""Log in over SSH with a password and run a command there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from lab.exercise.place import Place
from lab.exercise.steps.base import Outcome, outputs

_OPTIONS: Final = (
    "StrictHostKeyChecking=no",
    "UserKnownHostsFile=/dev/null",
    "PubkeyAuthentication=no",
    "ConnectTimeout=10",
    "LogLevel=ERROR",
)
"""An attacker does not care whose key it is, and leaves no known_hosts behind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ssh:
    """One session."""

    kind: ClassVar[str] = "ssh"
    remedy: ClassVar[str] = "write  ssh: {target: bastion, user: maria, password: .., command: id}"

    target: str
    """The node to log in to."""

    user: str
    """The account."""

    password: str
    """Its password."""

    command: str
    """What the account's shell is to run there."""

    def act(self, place: Place) -> Outcome:
        """Log in and run the command."""
        options = tuple(word for option in _OPTIONS for word in ("-o", option))
        address = place.resolve(self.target).address
        argv = ("sshpass", "-e", "ssh", *options, "-l", self.user, "--", address, self.command)
        ran = place.run(argv, targets=(self.target,), environment={"SSHPASS": self.password})
        (target,) = ran.targets
        return Outcome(
            completed=ran.completed,
            command_line=f"ssh {self.user}@{target.name}: {self.command}",
            targets=ran.targets,
            users=(self.user,),
            registered=outputs(ran.completed),
        )
