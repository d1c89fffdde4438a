"""What every SIEM can do for us: take documents, say what it has, and search them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from lab.detect.sigma.products import Language, Translation
from lab.siem.document import Document, Stream


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A SIEM that answered."""

    product: str
    """`elasticsearch`, `opensearch`, `splunk`."""

    version: str
    """Its version; empty where it does not say."""

    identity: str
    """What tells it from another that answers at the same address: it was made anew, and is empty."""

    clock: float = 0.0
    """Seconds by which its clock is ahead of ours."""

    data_streams: bool = False
    """Whether it has data streams."""

    memory: int = 0
    """Bytes that it may use for itself; 0 where it does not say."""

    notes: tuple[str, ...] = ()
    """What a user should know of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """A document that a SIEM does not take, however often it is sent."""

    stream: Stream
    """Event or alert."""

    id: str
    """Its name there."""

    why: str
    """What the SIEM said."""

    document: str
    """Its beginning."""


_SHOWN: Final = 300
"""Characters of a document that was refused."""


def refusal(document: Document, why: str) -> Refusal:
    """Name a document that is not taken, with its beginning."""
    shown = document.body[:_SHOWN].decode("utf-8", "replace")
    return Refusal(stream=document.stream, id=document.id, why=why, document=shown)


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What came of a batch."""

    new: int = 0
    """Documents that were not there before."""

    known: int = 0
    """Documents that were there already."""

    refused: tuple[Refusal, ...] = ()
    """What it does not take."""

    again: tuple[Document, ...] = ()
    """What it had no room for just now."""

    why: str = ""
    """Why it had no room."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What one rule matched on a server."""

    id: str
    """The rule."""

    events: tuple[str, ...] = ()
    """`event.id` of the events it matched."""

    cases: tuple[Mapping[str, str], ...] = ()
    """For a correlation: for each case the values of its fields, and the start of its window as `since`."""

    took: float = 0.0
    """Seconds that the server needed."""

    why: str = ""
    """Why it could not be asked; empty when it was."""


_SKEW: Final = 2.0
"""Seconds by which a server's clock may be off before it is told: rules that look back from their own clock
then miss some."""


def clock_notes(clock: float) -> tuple[str, ...]:
    """Say that a server's clock is off, if it is.

    Args:
        clock: Seconds by which it is ahead of ours.
    """
    if abs(clock) <= _SKEW:
        return ()
    where = "ahead of" if clock > 0 else "behind"
    off = f"its clock is {abs(clock):.0f} s {where} this machine's"
    return (f"{off}: rules that look back miss events; let both be set by NTP",)


Remembers = Literal["by name", "by count"]
"""How a SIEM is kept from having a document twice: it knows names, or we count what it took."""


MOST_REFUSED: Final = 20
"""Refusals that are kept with their words; more are counted."""


class Sink(Protocol):
    """A SIEM. Every method may raise SiemFault, which says what to do, and SiemBusy."""

    name: str
    """What it is called here."""

    language: Language
    """What rules on single events are written in for it."""

    correlates: Language | None
    """What correlations are written in for it; None where it has no way."""

    remembers: Remembers
    """How it is kept from having a document twice."""

    batch: int
    """How many documents it is sent at once."""

    def meet(self) -> Server:
        """Make sure that it is there, is what we take it for, and knows us."""
        ...

    def prepare(self, server: Server) -> None:
        """Tell it about our fields."""
        ...

    def send(self, batch: Sequence[Document]) -> Taken:
        """Send documents of one stream, once."""
        ...

    def held(self, run: str) -> Mapping[Stream, int] | None:
        """Count what it has of a run, with all that it has taken; None where it cannot be asked."""
        ...

    def search(self, rules: Iterable[Translation], run: str) -> list[Found]:
        """Ask rules about the events of a run."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """How far a SIEM was sent a run: `siem/<name>.sent.json`."""

    siem: str
    """What it is called here."""

    server: Server
    """The server that took it."""

    sent: Mapping[Stream, int] = field(default_factory=dict)
    """How many of each stream, counted from the first, it has taken or refused."""

    refused: tuple[Refusal, ...] = ()
    """What it does not take; at most `MOST_REFUSED` of them are kept."""

    refusals: Mapping[Stream, int] = field(default_factory=dict)
    """How many of each stream it does not take."""

    whole: bool = False
    """Whether it was asked in the end, and had everything that it had not refused."""
