"""A log of the node got lines that hold certain texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from lab.exercise.finding import Finding
from lab.exercise.place import Place
from lab.files.declared import Fault, Key


@dataclass(frozen=True, kw_only=True, slots=True)
class Logged:
    """Lines that have to be written while the step runs."""

    kind: ClassVar[str] = "logged"
    remedy: ClassVar[str] = "write  logged: {node: bastion, path: /var/log/auth.log, contains: [Failed]}"

    node: str
    """Where to look."""

    path: str
    """Which file."""

    contains: tuple[str, ...]
    """Texts that a line must hold, all of them."""

    at_least: Annotated[int, Key(least=1)] = 1
    """How many such lines."""

    def faults(self) -> Iterator[Fault]:
        """Find that any line would do."""
        if not any(self.contains):
            yield Fault(key="contains", what="any line would do", remedy=self.remedy)

    def before(self, place: Place) -> int:
        """Remember how long the file is."""
        ran = place.run(("stat", "-c", "%s", "--", self.path)).completed
        return int(ran.stdout) if ran.code == 0 else 0

    def after(self, place: Place, before: int) -> Finding:
        """Read what was added."""
        ran = place.run(("tail", "-c", f"+{before + 1}", "--", self.path)).completed
        lines = ran.stdout.decode("utf-8", "replace").splitlines()
        found = sum(all(it in line for it in self.contains) for line in lines)
        wanted = " and ".join(repr(it) for it in self.contains)
        said = f"{self.path} on {self.node} got {found} lines with {wanted}; {self.at_least} were expected"
        return Finding(occurred=found >= self.at_least, said=said)
