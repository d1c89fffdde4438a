"""Log in over SSH with a password and run a command there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Self

from lab.exercise.steps.base import Outcome, Place, outputs, traffic
from lab.exercise.truth import Predicate
from lab.files.loader import Item, Reading

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

    target: str
    """The node to log in to."""

    user: str
    """The account."""

    password: str
    """Its password."""

    command: str
    """What the account's shell is to run there."""

    @classmethod
    def from_item(cls, reading: Reading, item: Item) -> Self:
        """Read its arguments, noting every problem."""
        keys = ("target", "user", "password", "command")
        entries = reading.mapping(item, "ssh", keys)
        for key in keys:
            if key not in entries:
                reading.problem(
                    item, f"ssh needs {key}", "write  ssh: {target: .., user: .., password: .., command: ..}"
                )
        return cls(**{key: reading.text(entries[key], key) if key in entries else "" for key in keys})

    def texts(self) -> tuple[str, ...]:
        """Return every argument that may hold a template."""
        return (self.target, self.user, self.password, self.command)

    def act(self, place: Place) -> Outcome:
        """Log in and run the command."""
        target = place.scope.resolve(place.fill(self.target))
        user, command = place.fill(self.user), place.fill(self.command)
        options = tuple(word for option in _OPTIONS for word in ("-o", option))
        argv = ("sshpass", "-e", "ssh", *options, "-l", user, "--", target.address, command)
        completed = place.engine.execute(
            place.source,
            argv,
            user="root",
            timeout=place.timeout,
            environment={"SSHPASS": place.fill(self.password)},
        )
        hosts = tuple(sorted(node.name for node in target.nodes))
        return Outcome(
            completed=completed,
            command_line=f"ssh {user}@{target.name}: {command}",
            targets=(target,),
            users=(user,),
            evidence=(
                *traffic(place.source, (target,)),
                Predicate(where={"host.name": hosts, "user.name": (user,), "event.module": ("snoopy",)}),
            ),
            registered=outputs(completed),
        )
