"""The manifest of evidence: every file with its hash and when it was taken. Checked, and never believed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Final

from lab.errors import BadFile
from lab.files import careful, records
from lab.moment import Moment

NAME: Final = "manifest.json"
"""What its file is called, in the folder of the evidence."""

_BLOCK: Final = 2**20
_LARGEST: Final = 64 * 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One file of the evidence."""

    path: str
    """Where it is, from the folder of the evidence."""

    what: str
    """What it holds: `disk`, `memory`, `triage`, `timeline`."""

    size: int
    """Its bytes."""

    sha256: str
    """Its hash."""

    begun: Moment
    """When it was begun to be taken."""

    taken: Moment
    """When it was there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What was taken of a node."""

    node: str
    """Which node."""

    kind: str
    """What it is."""

    image: str
    """The image it was made from."""

    id: str
    """The engine's id of it: a node that was made anew has another."""

    addresses: tuple[str, ...]
    """Its addresses then."""

    begun: Moment
    """When the first of it was begun."""

    taken: Moment
    """When the last of it was there."""

    version: str
    """Version of this program."""

    stood_still: float | None = None
    """For how many seconds a machine stood still while its memory was taken; None where none was."""

    reconstructed: bool
    """Whether its disk was put together from its files, and was never a disk."""

    cannot: tuple[str, ...]
    """What it cannot hold, and why."""

    items: tuple[Item, ...]
    """Its files, sorted by path."""

    @property
    def digest(self) -> str:
        """The hash of the manifest itself."""
        return sha256(records.to_json(self).encode()).hexdigest()


def item_of(folder: Path, path: Path, what: str, begun: Moment) -> Item:
    """Describe a file that was just taken."""
    return Item(
        path=path.relative_to(folder).as_posix(),
        what=what,
        size=path.stat().st_size,
        sha256=_hash(path),
        begun=begun,
        taken=Moment.now(),
    )


def _hash(path: Path) -> str:
    found = sha256()
    with careful.open_plain(path, most=_LARGEST) as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def write(folder: Path, manifest: Manifest) -> None:
    """Write it, when all the rest is there."""
    records.write(folder / NAME, manifest)


def read(folder: Path) -> Manifest:
    """Read it.

    Raises:
        BadFile: it is none.
    """
    return records.read(folder / NAME, Manifest)


def faults(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Say what of the evidence is not as the manifest has it."""
    for it in manifest.items:
        relative = PurePosixPath(it.path)
        if relative.is_absolute() or ".." in relative.parts:
            yield f"{it.path} leads out of the folder"
            continue
        try:
            if _hash(folder / relative) != it.sha256:
                yield f"{it.path} has another hash"
        except (OSError, BadFile):
            yield f"{it.path} is not there"
