"""What is done to a node from outside it: none of its programs takes part, none of its logs has a line."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from lab.engine.nodes import SeenNode


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A path of a node's root file system that is not as in its image."""

    path: str
    """The path."""

    how: Literal["added", "changed", "removed"]
    """What became of it."""


class Outside(Protocol):
    """Acts on nodes from outside. Every method may raise EngineUnreachable, EngineSlow or EngineFault."""

    def detach(self, node: SeenNode, network: str) -> None:
        """Take a node off a network; one that it is not on is no error."""
        ...

    def attach(self, node: SeenNode, network: str, address: str) -> None:
        """Put a node on a network of its lab, under the address that it had there."""
        ...

    def beside(
        self, node: SeenNode, capabilities: tuple[str, ...], *, image: str = ""
    ) -> AbstractContextManager[SeenNode]:
        """Have a container of the node's image, as it was baked, in its network and among its processes.

        What runs there has programs that nobody can have tampered with; the node's own files are below
        `/proc/1/root`. It is gone when the body ends. In a machine it is no container but a view with the
        disk as it was baked for root, and root there has all rights.

        Args:
            node: A node that runs.
            capabilities: What root may do there, which the node's own root may not.
            image: The image of its programs; the node's own when empty.
        """
        ...

    def workbench(self, image: str, lab: str) -> AbstractContextManager[SeenNode]:
        """Have a container to work in, without a network, without a right, with a folder `/w`.

        Args:
            image: The image of its programs.
            lab: The lab that it works for: whoever removes that removes it as well.
        """
        ...

    def root_of(self, node: SeenNode) -> AbstractContextManager[Iterable[bytes]]:
        """Read a node's root file system as a tar archive: times in whole seconds, no deleted files."""
        ...

    def differences(self, node: SeenNode) -> tuple[Difference, ...]:
        """Say what of a node's root file system is not as in its image, sorted by path."""
        ...

    def set_aside(self, node: SeenNode) -> None:
        """Take a node off its networks, stop it and give its name free; all that it wrote stays."""
        ...

    def bring_back(self, node: SeenNode) -> None:
        """Have a node again that was set aside, in the place of nobody, under the addresses that it had.

        Raises:
            NameTaken: there is another node of its name.
        """
        ...
