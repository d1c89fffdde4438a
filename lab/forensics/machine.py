"""The evidence of a machine: all of its memory, and its disk of that moment, with what was deleted on it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lab.engine.machines import PROGRAM, monitor
from lab.engine.nodes import SeenNode
from lab.errors import EngineFault
from lab.files import careful
from lab.forensics import disk, reach, yara
from lab.forensics.reach import Reach
from lab.forensics.symbols import Kernel

MEMORY: Final = "memory.elf"
"""What the file with its memory is called."""

NOT_WRITTEN_BACK: Final = (
    "what the machine had not written back: a file made and removed within seconds is lost to its disk"
)
"""What a disk of a machine cannot hold."""

_OWN: Final = "own.qcow2"
_PIECE: Final = 2**20
_SECURED_WITHIN: Final = 60.0
"""Seconds for both to be kept; the machine stands still for less than one of them."""

_CONVERT: Final = """set -e
cat >/w/own.qcow2
qemu-img convert -O raw /w/own.qcow2 /w/disk.raw
rm /w/own.qcow2
"""
"""Makes the whole disk of what the machine wrote, on the disk as baked that its image has."""

_ONLY_OWN: Final = 'tar -xO lab/own.qcow2 >/w/own && sh -c "$0" </w/own && rm /w/own'
"""The same, of the files of a container that stopped."""

_LOOK: Final = f"""{yara.COMPILE}
[ ! -e /w/memory.elf ] || yara -C -s -N /tmp/rules.yac /w/memory.elf | sed 's|^|memory: |'
mkdir /w/files && tsk_recover -e /w/disk.raw /w/files >/dev/null
cd /w/files && yara -C -s -N -r /tmp/rules.yac . 2>/dev/null | sed 's|^|file: |'
exit 0
"""
"""Looks in memory, and in every file that is on the disk or was and can be had again."""


def secure(node: SeenNode, engine: Reach, folder: Path) -> float:
    """Stop a machine, keep its memory and what it wrote to its disk, and let it go on.

    Args:
        node: A machine that runs.
        engine: Where it is.
        folder: Where both go: `memory.elf`, an ELF core file, and a file that `Bench` makes a disk of.

    Returns:
        For how many seconds it stood still.

    Raises:
        EngineFault: it could not be done.
    """
    place, kept = monitor(node), f"/evidence-{secrets.token_hex(4)}"
    try:
        ran = engine.execute(place, (*PROGRAM, "secure", kept), user="root", timeout=_SECURED_WITHIN)
        if ran.code:
            said = ran.stderr.decode("utf-8", "backslashreplace").strip()
            raise EngineFault(doing=f"securing the memory of {node.name}", said=said)
        for name in (MEMORY, _OWN):
            reach.fetch(engine, place, f"{kept}/{name}", folder / name)
    finally:
        engine.execute(place, ("rm", "-rf", kept), user="root")
    return float(ran.stdout)


class Bench:
    """A place with a machine's disk, whole, and with programs that read it."""

    def __init__(self, node: SeenNode, engine: Reach, place: SeenNode) -> None:
        self._node = node
        self._engine = engine
        self._place = place

    def bring_disk(self, folder: Path) -> Path:
        """Bring the disk here, raw."""
        return reach.fetch(self._engine, self._place, "/w/disk.raw", folder / disk.RAW)

    def bring_wrapped(self, folder: Path) -> Path:
        """Bring it in the Expert Witness format."""
        return disk.wrap(self._node, self._engine, self._place, folder, "the disk of a virtual machine")

    def look(self, rules: Path, folder: Path) -> Path:
        """Look for YARA rules in memory, where it was secured, and in the files of the disk.

        Raises:
            BadFile: the rules cannot be used.
        """
        if (folder / MEMORY).exists():
            keep = ("sh", "-c", "cat >/w/memory.elf")
            reach.run(self._engine, self._place, keep, stdin=_pieces(folder / MEMORY))
        return yara.matches(self._engine, self._place, _LOOK, rules, folder)


@contextmanager
def bench(node: SeenNode, engine: Reach, folder: Path) -> Iterator[Bench]:
    """Have the disk of a machine put together: as it was baked, and what it wrote since.

    Args:
        node: The machine.
        engine: Where it is.
        folder: Where `secure` put what it wrote, which is gone afterwards; of one that stopped it is read
            from its container.
    """
    own = folder / _OWN
    with engine.workbench(node.image, node.lab) as place:
        if own.exists():
            reach.run(engine, place, ("sh", "-c", _CONVERT), stdin=_pieces(own))
            own.unlink()
        else:
            with engine.root_of(node) as archive:
                reach.run(engine, place, ("sh", "-c", _ONLY_OWN, _CONVERT), stdin=archive)
        yield Bench(node, engine, place)


def _pieces(path: Path) -> Iterator[bytes]:
    with careful.open_plain(path) as file:
        while piece := file.read(_PIECE):
            yield piece


def kernel_of(engine: Reach, image: str, lab: str) -> Kernel:
    """Ask the kernel of machines what it is, by starting it once.

    Args:
        engine: Where.
        image: The image that has it.
        lab: The lab that this is done for.

    Raises:
        EngineFault: it does not start, or says not enough.
    """
    with engine.workbench(image, lab) as place:
        ran = engine.execute(place, (*PROGRAM, "symbols", "/w"), user="root", timeout=_SECURED_WITHIN)
        if ran.code:
            said = ran.stderr.decode("utf-8", "backslashreplace").strip()
            raise EngineFault(doing="starting the kernel", said=said)
        told = {name: reach.read(engine, place, f"/w/{name}") for name in ("version", "vmlinux", "kallsyms")}
    return Kernel(version=told["version"].decode(), types=told["vmlinux"], symbols=told["kallsyms"].decode())
