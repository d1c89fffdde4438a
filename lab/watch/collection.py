"""What was watched and how well: `collection.json`."""

from __future__ import annotations

from dataclasses import dataclass

from lab.files import records
from lab.runs.noticed import Noticed


@dataclass(frozen=True, kw_only=True, slots=True)
class LogCount:
    """What collection saw of one log."""

    source: str
    """Which parser read it."""

    host: str
    """The node."""

    path: str
    """The file on the node."""

    read: int
    """Lines read."""

    parsed: int
    """Lines that became events."""

    unparsed: int
    """Lines that are kept as events that say why they could not be read."""

    dropped: int = 0
    """Lines that came faster than they could be evaluated; they are in the raw log alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Collection:
    """All that was collected in a run."""

    logs: tuple[LogCount, ...]
    """Per log."""

    notes: tuple[str, ...]
    """Blind windows."""


def read_collection(noticed: Noticed) -> Collection:
    """Read what was watched; nothing when the run was killed before it was written."""
    if noticed.collection.exists():
        return records.read(noticed.collection, Collection)
    return Collection(logs=(), notes=("the run was killed",))
