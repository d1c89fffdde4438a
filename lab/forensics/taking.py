"""Takes the evidence of a node: one folder, from the most volatile to the least, and a manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import lab
from lab.engine.nodes import SeenNode
from lab.forensics import bodyfile, disk, machine, manifest, triage, yara
from lab.forensics.manifest import Item, Manifest
from lab.forensics.reach import Tools
from lab.moment import Moment
from lab.workers import together

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
    stood_still, items = None, list[Item]()
    if node.machine and node.state == "running":
        stood_still = machine.secure(node, tools.engine, folder)
        items.append(manifest.item_of(folder, folder / machine.MEMORY, "memory", begun))
        tell(f"memory is there; the machine stood still for {stood_still:.2f} s")
    made = _of_machine if node.machine else _of_container
    items += made(node, tools, folder, wanted, tell)
    found = Manifest(
        node=node.name,
        kind=node.kind,
        image=node.image,
        id=node.id,
        addresses=tuple(sorted(it for it in node.addresses.values() if it)),
        begun=begun,
        taken=Moment.now(),
        version=lab.__version__,
        stood_still=stood_still,
        reconstructed=wanted.disk and not node.machine,
        cannot=tuple(_cannot(node, wanted)),
        items=tuple(sorted(items, key=lambda it: it.path)),
    )
    manifest.write(folder, found)
    return found


def _cannot(node: SeenNode, wanted: Wanted) -> Iterator[str]:
    """Say what the evidence cannot hold."""
    if not node.machine:
        yield from _NO_MEMORY
        yield from disk.CANNOT if wanted.disk else ()
        return
    if node.state != "running":
        yield "memory: the machine had stopped"
    if wanted.disk:
        yield machine.NOT_WRITTEN_BACK


def _of_machine(
    node: SeenNode, tools: Tools, folder: Path, wanted: Wanted, tell: Callable[[str], None]
) -> list[Item]:
    tasks = [lambda: list(_on_bench(node, tools, folder, wanted, tell))]
    if node.state == "running":
        tasks.append(lambda: list(_triage(node, tools, folder, tell)))
    # A machine's triage takes its one processor, and the disk, of a moment that is past, another.
    return [it for found in together(tasks) for it in found]


def _on_bench(
    node: SeenNode, tools: Tools, folder: Path, wanted: Wanted, tell: Callable[[str], None]
) -> Iterator[Item]:
    begun = Moment.now()
    with machine.bench(node, tools.engine, folder) as bench:
        if wanted.disk:
            yield manifest.item_of(folder, bench.bring_disk(folder), "disk", begun)
            if wanted.e01:
                yield manifest.item_of(folder, bench.bring_wrapped(folder), "disk", begun)
            tell("the disk is there, with what was deleted on it")
        if wanted.rules is not None:
            begun = Moment.now()
            yield manifest.item_of(folder, bench.look(wanted.rules, folder), "yara", begun)
            tell("YARA has looked")


def _triage(node: SeenNode, tools: Tools, folder: Path, tell: Callable[[str], None]) -> Iterator[Item]:
    begun = Moment.now()
    for path in triage.collect(node, tools.engine, folder):
        yield manifest.item_of(folder, path, "timeline" if path.name == bodyfile.NAME else "triage", begun)
    tell("triage is there")


def _of_container(
    node: SeenNode, tools: Tools, folder: Path, wanted: Wanted, tell: Callable[[str], None]
) -> Iterator[Item]:
    if node.state == "running":
        yield from _triage(node, tools, folder, tell)
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
