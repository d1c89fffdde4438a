"""Takes the evidence of a node: one folder, from the most volatile to the least, and a manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import lab
from lab.engine.nodes import SeenNode
from lab.forensics import bodyfile, disk, manifest, triage, yara
from lab.forensics.manifest import Item, Manifest
from lab.forensics.reach import Tools
from lab.moment import Moment

_NO_MEMORY: Final = (
    "memory as a whole: a container has none of its own; the triage has what its processes hold",
)
"""What no evidence of a container holds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What is to be taken."""

    disk: bool = True
    """An image of its disk."""

    e01: bool = False
    """The same in the Expert Witness format."""

    rules: Path | None = None
    """YARA rules that are looked for."""


def take(node: SeenNode, tools: Tools, folder: Path, wanted: Wanted, tell: Callable[[str], None]) -> Manifest:
    """Take the evidence of a node.

    Args:
        node: The node; of one that stopped there is a disk alone.
        tools: What it is taken with.
        folder: A new folder.
        wanted: What is to be taken.
        tell: Hears what is there.

    Returns:
        The manifest, which is written by then.

    Raises:
        BadFile: the YARA rules cannot be used.
        EngineFault: something could not be taken.
    """
    begun = Moment.now()
    items = tuple(sorted(_items(node, tools, folder, wanted, tell), key=lambda it: it.path))
    found = Manifest(
        node=node.name,
        kind=node.kind,
        image=node.image,
        id=node.id,
        addresses=tuple(sorted(it for it in node.addresses.values() if it)),
        begun=begun,
        taken=Moment.now(),
        version=lab.__version__,
        reconstructed=wanted.disk,
        cannot=(*_NO_MEMORY, *(disk.CANNOT if wanted.disk else ())),
        items=items,
    )
    manifest.write(folder, found)
    return found


def _items(
    node: SeenNode, tools: Tools, folder: Path, wanted: Wanted, tell: Callable[[str], None]
) -> Iterator[Item]:
    begun = Moment.now()
    if node.state == "running":
        for path in triage.collect(node, tools.engine, folder):
            yield manifest.item_of(
                folder, path, "timeline" if path.name == bodyfile.NAME else "triage", begun
            )
        tell("triage is there")
        if wanted.rules is not None:
            begun = Moment.now()
            path = yara.look(node, tools, wanted.rules, folder)
            yield manifest.item_of(folder, path, "yara", begun)
            tell("YARA has looked")
    if wanted.disk:
        begun = Moment.now()
        for path in disk.reconstruct(node, tools, folder, e01=wanted.e01):
            yield manifest.item_of(folder, path, "disk", begun)
        tell("the disk is there, reconstructed")
