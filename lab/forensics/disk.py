"""An image of a container's disk, put together from its files: raw, and in the Expert Witness format.

A container never had a disk of its own. So what only a disk has is not there: deleted files, the space
between files, and the times at which metadata changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import IO, Final

from lab.engine.nodes import SeenNode
from lab.errors import EngineFault
from lab.files import careful
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
            _run(engine, bench, ("sh", "-c", _MAKE, "sh", node.name[:16]), archive, None)
        found = [_fetched(engine, bench, "/w/disk.raw", folder / RAW)]
        if e01:
            notes = "reconstructed from the files of a container"
            _run(engine, bench, ("sh", "-c", _WRAP, "sh", node.lab, node.name, notes), (), None)
            found.append(_fetched(engine, bench, "/w/disk.E01", folder / E01))
    return tuple(found)


def _fetched(engine: Reach, bench: SeenNode, path: str, target: Path) -> Path:
    """Bring a file here; what is empty in it takes no room."""
    with careful.open_new(target) as file:
        _run(engine, bench, ("cat", path), (), file)
        file.truncate()
    return target


def _run(
    engine: Reach, bench: SeenNode, argv: tuple[str, ...], stdin: Iterable[bytes], out: IO[bytes] | None
) -> None:
    words = bytearray()

    def hear(channel: int, chunk: bytes) -> None:
        """Keep what comes."""
        if channel == 1 and out is not None:
            _write_sparse(out, chunk)
        else:
            words.extend(chunk[:1000])

    if engine.relay(bench, argv, stdin=stdin, hear=hear):
        said = words.decode("utf-8", "backslashreplace").strip().splitlines()
        raise EngineFault(doing=f"making an image with {argv[0]}", said=(said or ["no word"])[-1])


def _write_sparse(out: IO[bytes], chunk: bytes) -> None:
    if chunk.count(0) == len(chunk):
        out.seek(len(chunk), 1)
    else:
        out.write(chunk)
