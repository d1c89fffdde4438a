"""How a command gets to where a node's programs are: into its container, or on into the machine in it.

One place decides, so that whatever runs a command on a node need not know which of the two it is. The program
that carries it, `reach`, is in the container of each machine; `playbooks/roles/machine` has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from lab.engine.nodes import SeenNode

_REACH: Final = "/usr/local/sbin/reach"

PROGRAM: Final = ("/usr/bin/python3", "/usr/local/sbin/machine")
"""What runs a machine, secures it, or tells of its kernel, in its container."""

TUN: Final = "/dev/net/tun"
"""What gives a machine its networks."""

KVM: Final = "/dev/kvm"
"""What lets the host's processors run it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """What an engine is asked to start in a node's container."""

    command: list[str]
    """The command line."""

    user: str
    """As whom."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """Its variables, beside the container's."""

    folder: str | None = None
    """Where; None for the container's own."""

    def arguments(self) -> dict[str, object]:
        """Return it as Docker's client names it."""
        return {
            "cmd": self.command,
            "user": self.user,
            "environment": dict(self.environment),
            "workdir": self.folder,
        }


def started(  # noqa: PLR0913  # what an exec needs
    node: SeenNode,
    command: list[str],
    user: str = "root",
    environment: Mapping[str, str] | None = None,
    folder: str = "",
    *,
    tty: bool = False,
) -> Started:
    """Say what is started in a node's container for a command on the node."""
    given = environment or {}
    if not node.machine:
        return Started(command=command, user=user, environment=given, folder=folder or None)
    ways = [*(["--tty"] if tty else []), *(["--pristine"] if node.pristine else [])]
    return Started(command=[_REACH, *ways, user or "root", folder, *command], user="root", environment=given)


def monitor(node: SeenNode) -> SeenNode:
    """Describe the container in which a machine runs, as a place for commands."""
    return replace(node, machine=0, pristine=False)
