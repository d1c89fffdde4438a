"""A path is there, and belongs to a user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.exercise.finding import Finding
from lab.exercise.place import Place


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A file that has to be there."""

    kind: ClassVar[str] = "file"
    remedy: ClassVar[str] = "write  file: {node: bastion, path: /tmp/loot, owner: maria}"

    node: str
    """Where to look."""

    path: str
    """Which path; it must not be empty."""

    owner: str = ""
    """Whose it must be; empty for anybody's."""

    user: str = "root"
    """Who looks: root on a node may not see into folders of others."""

    def before(self, place: Place) -> int:
        """Nothing to remember."""
        del place
        return 0

    def after(self, place: Place, before: int) -> Finding:
        """Ask the file system."""
        del before
        ran = place.run(("stat", "-c", "%U %s", "--", self.path), user=self.user).completed
        if ran.code:
            return Finding(occurred=False, said=f"{self.path} is not on {self.node}")
        owner, size = ran.stdout.decode().split()
        said = f"{self.path} on {self.node} belongs to {owner} and has {size} bytes"
        return Finding(occurred=int(size) > 0 and self.owner in {"", owner}, said=said)
