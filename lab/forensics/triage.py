"""Triage: what is volatile of a node, and what is telling, collected from outside it in UAC's layout."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath
from typing import Final

from lab.engine.nodes import SeenNode
from lab.errors import EngineFault
from lab.files import careful
from lab.forensics import bodyfile
from lab.forensics.inside import argv_of
from lab.forensics.reach import Reach

ARCHIVE: Final = "triage.tar"
"""What its file is called."""

_RIGHTS: Final = ("SYS_PTRACE", "DAC_READ_SEARCH")
"""What it takes to read the processes and files of others, and nothing to change them."""


def collect(node: SeenNode, engine: Reach, folder: Path) -> tuple[Path, ...]:
    """Collect the triage of a node that runs.

    Args:
        node: The node.
        engine: Where it is.
        folder: Where the files go.

    Returns:
        The files.

    Raises:
        EngineFault: it could not be collected.
    """
    target, words = folder / ARCHIVE, bytearray()
    with careful.open_new(target) as file, engine.beside(node, _RIGHTS) as helper:

        def hear(channel: int, chunk: bytes) -> None:
            """Keep what comes."""
            if channel == 1:
                file.write(chunk)
            else:
                words.extend(chunk[:1000])

        code = engine.relay(helper, argv_of("triage"), stdin=(), hear=hear)
    if code:
        said = words.decode("utf-8", "backslashreplace").strip().splitlines()
        raise EngineFault(doing=f"collecting the triage of {node.name}", said=(said or ["no word"])[-1])
    body = folder / bodyfile.NAME
    careful.replace(body, member(target, "bodyfile/bodyfile.txt"))
    return (target, body)


def member(archive: Path, name: str) -> bytes:
    """Return one file of a triage; nothing when it is not in it."""
    with careful.open_plain(archive) as file, tarfile.open(fileobj=file) as found:
        for it in found:
            if PurePosixPath(it.name) == PurePosixPath(name) and it.isfile():
                content = found.extractfile(it)
                return content.read() if content else b""
    return b""
