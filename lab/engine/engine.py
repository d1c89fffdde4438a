"""All that an engine is. Whoever needs less asks for less: most rooms need only a `Shell`."""

from __future__ import annotations

from typing import Protocol

from lab.engine.facts import Facts
from lab.engine.forward import Lines
from lab.engine.images import Images
from lab.engine.nodes import Nodes
from lab.engine.outside import Outside
from lab.engine.shell import Shell


class Engine(Shell, Nodes, Outside, Images, Facts, Lines, Protocol):
    """What runs nodes: `docker`, and `memory`, the shipped fake."""

    def close(self) -> None:
        """Give back what it holds of the machine; may be called twice."""
        ...
