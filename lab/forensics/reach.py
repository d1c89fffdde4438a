"""What of an engine evidence needs: to reach a node from outside, and a place to work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from lab.engine.outside import Outside
from lab.engine.shell import Shell


class Reach(Shell, Outside, Protocol):
    """Runs programs beside nodes, and reads their files."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What evidence is taken with."""

    engine: Reach
    """Reaches the node."""

    image: str
    """The image that has the programs."""
