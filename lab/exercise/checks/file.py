"""A path is there and belongs to a user, or is there no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from lab.engine.shell import Completed
from lab.exercise.finding import Finding
from lab.exercise.place import Place
from lab.files.declared import Fault


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

    gone: bool = False
    """Whether it has to be gone, having been there before."""

    contains: str = ""
    """A text that must be in it; empty for any content."""

    user: str = "root"
    """Who looks: root on a node may not see into folders of others."""

    def faults(self) -> Iterator[Fault]:
        """Find that a file which is gone would have to hold something."""
        if self.gone and (self.contains or self.owner):
            yield Fault(key="gone", what="a file that is gone holds nothing", remedy="leave the others out")

    def before(self, place: Place) -> int:
        """See whether it is there."""
        return int(self._stat(place).code == 0) if self.gone else 0

    def after(self, place: Place, before: int) -> Finding:
        """Ask the file system."""
        ran = self._stat(place)
        if self.gone:
            said = f"{self.path} is {'gone from' if ran.code else 'still on'} {self.node}"
            return Finding(occurred=bool(before and ran.code), said=said if before else f"{said}, as before")
        if ran.code:
            return Finding(occurred=False, said=f"{self.path} is not on {self.node}")
        owner, size = ran.stdout.decode().split()
        said = f"{self.path} on {self.node} belongs to {owner} and has {size} bytes"
        if self.contains:
            holds = self._holds(place)
            said += f", {self.contains!r} {'among' if holds else 'not among'} them"
            return Finding(occurred=holds and self.owner in {"", owner}, said=said)
        return Finding(occurred=int(size) > 0 and self.owner in {"", owner}, said=said)

    def _stat(self, place: Place) -> Completed:
        return place.run(("stat", "-c", "%U %s", "--", self.path), user=self.user).completed

    def _holds(self, place: Place) -> bool:
        ran = place.run(("grep", "-a", "-q", "-F", "-e", self.contains, "--", self.path), user=self.user)
        return ran.completed.code == 0
