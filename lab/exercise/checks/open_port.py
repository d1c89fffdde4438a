"""Something listens on a TCP port of the node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from lab.exercise.finding import Finding
from lab.exercise.place import Place
from lab.files.declared import Key


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenPort:
    """A port that has to be open."""

    kind: ClassVar[str] = "open_port"
    remedy: ClassVar[str] = "write  open_port: {node: bastion, port: 22}"

    node: str
    """Where to look."""

    port: Annotated[int, Key(least=1, most=65535)]
    """Which port."""

    def before(self, place: Place) -> int:
        """Nothing to remember."""
        del place
        return 0

    def after(self, place: Place, before: int) -> Finding:
        """Read the kernel's table of sockets."""
        del before
        tables = place.run(("cat", "/proc/net/tcp", "/proc/net/tcp6")).completed.stdout.decode()
        found = any(_listens(line.split(), self.port) for line in tables.splitlines())
        said = f"port {self.port} of {self.node} is {'open' if found else 'closed'}"
        return Finding(occurred=found, said=said)


def _listens(words: list[str], port: int) -> bool:
    listening = "0A"
    return len(words) > 3 and words[3] == listening and words[1].endswith(f":{port:04X}")  # noqa: PLR2004
