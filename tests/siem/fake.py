"""A SIEM in memory, which keeps, loses, refuses and rejects as a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lab.detect.sigma.products import Language, Translation
from lab.errors import SiemBusy
from lab.siem.document import STREAMS, Document, Stream
from lab.siem.sink import Found, Refusal, Remembers, Server, Taken


@dataclass
class FakeSink:
    """Keeps documents by name, or counts each one that comes."""

    name: str = "fake"
    language: Language = "lucene"
    correlates: Language | None = None
    remembers: Remembers = "by name"
    batch: int = 2
    kept: dict[str, Document] = field(default_factory=dict)
    came: list[str] = field(default_factory=list)
    identity: str = "first"
    notes: tuple[str, ...] = ()
    before: Callable[[FakeSink, Sequence[Document]], Taken | None] = lambda _sink, _batch: None
    """What happens instead of taking a batch; None to take it."""

    def meet(self) -> Server:
        return Server(product="fake", version="1", identity=self.identity, notes=self.notes)

    def prepare(self, server: Server) -> None:
        del server

    def send(self, batch: Sequence[Document]) -> Taken:
        instead = self.before(self, batch)
        if instead is not None:
            return instead
        known = sum(it.id in self.kept for it in batch)
        self.came += [it.id for it in batch]
        self.kept |= {it.id: it for it in batch}
        return Taken(new=len(batch) - known, known=known)

    def held(self, run: str) -> Mapping[Stream, int] | None:
        del run
        return {stream: sum(it.stream == stream for it in self.kept.values()) for stream in STREAMS}

    def search(self, rules: Iterable[Translation], run: str) -> list[Found]:
        del run
        return [Found(id=it.id) for it in rules]

    def close(self) -> None:
        """Nothing is held."""


def busy(sink: FakeSink, batch: Sequence[Document]) -> Taken:
    """Have no room."""
    del batch
    raise SiemBusy(sink.name, doing="sending", said="it is full", remedy="wait")


def refusing(number: int) -> Callable[[FakeSink, Sequence[Document]], Taken | None]:
    """Refuse the document of one event for good, and take the others of its batch."""

    def before(sink: FakeSink, batch: Sequence[Document]) -> Taken | None:
        bad = [it for it in batch if f'"{number:024d}"'.encode() in it.body and it.stream == "events"]
        if not bad:
            return None
        sink.kept |= {it.id: it for it in batch if it not in bad}
        shown = bad[0].body.decode()
        return Taken(refused=(Refusal(stream="events", id=bad[0].id, why="not this one", document=shown),))

    return before
