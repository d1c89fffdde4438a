"""What was watched and how well: `collection.json`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lab.files import records
from lab.moment import Moment
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


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Blind:
    """A time in which nothing of a source arrived, as its canaries tell."""

    start: Moment
    """When the last canary was sent that arrived; from then on nobody knows."""

    end: Moment
    """When the first one was sent that arrived again, or the run ended."""

    source: str
    """Which log: `suricata`, or `packets`."""

    host: str
    """The node it is on."""

    what: str
    """The file on the node, or the network."""

    def __str__(self) -> str:
        """Say it for people."""
        return f"{self.start.clock()} to {self.end.clock()}: nothing arrived of {self.host}:{self.what}"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Disturbance:
    """Something that was done to the lab or the machine while the run went on, and not by the run."""

    at: Moment
    """When it was noticed."""

    subject: str
    """A node, a network, `engine` or `clock`."""

    what: str
    """What happened, `was removed`."""

    def __str__(self) -> str:
        """Say it for people."""
        return f"{self.at.clock()} {self.subject} {self.what}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Collection:
    """All that was collected in a run."""

    logs: tuple[LogCount, ...]
    """Per log."""

    notes: tuple[str, ...]
    """What else is to be known: what could not be followed or written."""

    blind: tuple[Blind, ...] = ()
    """When which source was silent, by start."""

    disturbances: tuple[Disturbance, ...] = ()
    """What was done to the lab meanwhile, in order."""

    def after(self, before: Collection) -> Collection:
        """Return what was collected in this part of a run and in the one before."""
        known = {(it.source, it.host, it.path): it for it in before.logs}
        logs = tuple(_sum(it, known.pop((it.source, it.host, it.path), None)) for it in self.logs)
        return Collection(
            logs=(*known.values(), *logs),
            notes=(*before.notes, *self.notes),
            blind=(*before.blind, *self.blind),
            disturbances=(*before.disturbances, *self.disturbances),
        )

    @property
    def degraded(self) -> bool:
        """Tell whether the run is not what it would have been."""
        return bool(self.blind or self.disturbances)


def _sum(log: LogCount, before: LogCount | None) -> LogCount:
    if before is None:
        return log
    return replace(
        log,
        read=log.read + before.read,
        parsed=log.parsed + before.parsed,
        unparsed=log.unparsed + before.unparsed,
        dropped=log.dropped + before.dropped,
    )


def read_collection(noticed: Noticed) -> Collection:
    """Read what was watched; nothing when the run was killed before it was written."""
    if noticed.collection.exists():
        return records.read(noticed.collection, Collection)
    return Collection(logs=(), notes=("the run was killed",))
