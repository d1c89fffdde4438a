"""An image of a container's disk, put together from its files: raw, and in the Expert Witness format.

A container never had a disk of its own. So what only a disk has is not there: deleted files, the space
between files, and the times at which metadata changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from lab.engine.nodes import SeenNode
from lab.forensics import reach
from lab.forensics.reach import Reach, Tools

RAW: Final = "disk.raw"
"""What its file is called."""

E01: Final = "disk.E01"
"""And that of the same in the Expert Witness format."""

CANNOT: Final = (
    "deleted files: the disk is put together from the files that there are",
    "times of change and of creation: the archive has when content was last written, to the second",
    "times of last access: they are not in the archive",
)
"""What a reconstructed disk cannot hold."""

_MAKE: Final = """set -e
cat >/w/root.tar
size=$(stat -c %s /w/root.tar)
mke2fs -q -t ext4 -L "$1" -m 0 -O ^has_journal -E lazy_itable_init=0 -d /w/root.tar \\
    /w/disk.raw $((size / 1024 * 13 / 10 + 16384))k
rm /w/root.tar
"""
"""Makes the image of an archive on standard input, a third larger than the files: tables, half blocks."""

_WRAP: Final = """set -e
ewfacquire -u -q -c fast -f encase6 -t /w/disk -C "$1" -D "$2" -e homerange -E 1 -N "$3" \\
    -m fixed -M logical -S 7EiB -l /w/log /w/disk.raw >/dev/null
ewfverify -q /w/disk.E01 >/dev/null
"""
"""Wraps it and verifies the wrapping."""


def reconstruct(node: SeenNode, tools: Tools, folder: Path, *, e01: bool) -> tuple[Path, ...]:
    """Put a disk together from the files of a node, which may have stopped.

    Args:
        node: The node.
        tools: What it is made with.
        folder: Where the files go.
        e01: Whether it is wanted in the Expert Witness format as well.

    Returns:
        The files.

    Raises:
        EngineFault: it could not be made.
    """
    engine = tools.engine
    with engine.workbench(tools.image, node.lab) as bench:
        with engine.root_of(node) as archive:
            reach.run(engine, bench, ("sh", "-c", _MAKE, "sh", node.name[:16]), stdin=archive)
        found = [reach.fetch(engine, bench, "/w/disk.raw", folder / RAW)]
        if e01:
            found.append(wrap(node, engine, bench, folder, "reconstructed from the files of a container"))
    return tuple(found)


def wrap(node: SeenNode, engine: Reach, bench: SeenNode, folder: Path, notes: str) -> Path:
    """Have the image `/w/disk.raw` of a workbench in the Expert Witness format as well.

    Raises:
        EngineFault: it could not be made, or does not verify.
    """
    reach.run(engine, bench, ("sh", "-c", _WRAP, "sh", node.lab, node.name, notes))
    return reach.fetch(engine, bench, "/w/disk.E01", folder / E01)
