"""Sends a run to a SIEM. The run's folder is the spool: what is not there yet is still in the folder.

A SIEM that is away, full or slow keeps nobody waiting but us, and nothing is lost: how far it came is
written down after what it took, so a kill in between sends some documents again, which those that know
documents by name notice. A SIEM that only counts is sent one batch at a time, and is written down after
each; there a kill can double the documents of one batch, which carry their names so that a search can tell.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from lab.errors import BadFile, SiemBusy, SiemFault
from lab.files import records
from lab.runs.noticed import Noticed
from lab.siem.document import STREAMS, Document, Step, batched, counted, documents, step_document
from lab.siem.sink import MOST_REFUSED, Delivery, Refusal, Server, Sink, Taken

_BYTES: Final = 4 * 2**20
"""Bytes of JSON sent at once; servers take 100 MB, and are quickest with a few."""

_IN_FLIGHT: Final = 3
"""Batches under way at once, so that a server does not wait while the next one is made."""

_WRITE_EVERY: Final = 1.0
"""Seconds between two notes of how far we are, where a document that is sent twice is noticed."""

_FIRST_PAUSE: Final = 0.5
_LONGEST_PAUSE: Final = 30.0
"""Seconds until something is tried again: each time twice as long, and by chance anything below that, so that
thirty who were refused together do not come back together."""

PATIENCE: Final = 60.0
"""Seconds for which a SIEM that takes nothing is tried."""

Result = TypeVar("Result")

Tell = Callable[[str], None]
"""Takes one line about what is going on."""


@dataclass(kw_only=True, slots=True)
class Pusher:
    """Sends one run to one SIEM."""

    noticed: Noticed
    """The run."""

    run: str
    """Its id."""

    sink: Sink
    """The SIEM."""

    tell: Tell
    """Hears what a user should know."""

    patience: float = PATIENCE
    """Seconds for which a SIEM that takes nothing is tried."""

    stop: threading.Event = field(default_factory=threading.Event)
    """Ends waiting, once it is set."""

    _server: Server | None = field(init=False, default=None)

    def push(self) -> Delivery:
        """Send what is not there yet, and make sure that all of it arrived.

        Raises:
            SiemFault: it did not take it; what it took is written down.
        """
        server = self._met()
        delivery = self._send(self._known(server))
        missing = self._missing(delivery)
        if missing and self.sink.remembers == "by name":
            self.tell(f"{self.sink.name} lost what it had taken of {self.run}; sending all of it again")
            delivery = self._send(Delivery(siem=self.sink.name, server=server))
            missing = self._missing(delivery)
        delivery = replace(delivery, whole=not missing)
        self._write(delivery)
        if missing:
            raise SiemFault(
                self.sink.name,
                doing=f"counting what it has of {self.run}",
                said=missing,
                remedy="its own log says why; repeat the command, which sends only what is missing",
            )
        return delivery

    def advance(self) -> Delivery:
        """Send what came since the last time, without counting what is there; the server is met once."""
        self._server = self._server or self._met()
        return self._send(self._known(self._server))

    def send_steps(self, steps: Iterable[Step]) -> int:
        """Send the steps of the exercise, which is over; return how many there are.

        Raises:
            SiemFault: it did not take them.
        """
        found = [step_document(it, self.run) for it in steps]
        for batch in batched(found, count=self.sink.batch, size=_BYTES):
            self._delivered(batch)
        return len(found)

    # -- how far we are --------------------------------------------------------------------------

    def _met(self) -> Server:
        """Meet the server, and tell it our fields."""

        def meet() -> Server:
            """Do both."""
            server = self.sink.meet()
            self.sink.prepare(server)
            return server

        server = self._patiently(meet)
        for note in server.notes:
            self.tell(f"{self.sink.name}: {note}")
        return server

    def _known(self, server: Server) -> Delivery:
        """Return how far this server was sent the run; one that was made anew has nothing."""
        path = self.noticed.delivery(self.sink.name)
        if path.exists():
            with suppress(BadFile):
                found = records.read(path, Delivery)
                if found.server.identity == server.identity:
                    return replace(found, server=server, whole=False)
        return Delivery(siem=self.sink.name, server=server)

    def _write(self, delivery: Delivery) -> None:
        path = self.noticed.delivery(self.sink.name)
        path.parent.mkdir(exist_ok=True)
        records.write(path, delivery)

    def _missing(self, delivery: Delivery) -> str:
        """Say what is missing there; nothing when all is."""
        held, wanted = self._patiently(lambda: self.sink.held(self.run)), counted(self.noticed)
        if held is None:
            return ""
        there = {it: held.get(it, 0) + delivery.refusals.get(it, 0) for it in STREAMS}
        lacking = [it for it in STREAMS if there[it] < wanted[it]]
        return ", ".join(f"{wanted[it] - there[it]} of {wanted[it]} {it} are not there" for it in lacking)

    # -- sending ---------------------------------------------------------------------------------

    def _send(self, delivery: Delivery) -> Delivery:
        """Send everything after what was sent."""
        sent = delivery.sent
        waiting = documents(
            self.noticed, self.run, events=sent.get("events", 0), alerts=sent.get("alerts", 0)
        )
        batches = batched(waiting, count=self.sink.batch, size=_BYTES)
        wide = _IN_FLIGHT if self.sink.remembers == "by name" else 1
        progress = _Progress(delivery, self._write, every=_WRITE_EVERY if wide > 1 else 0)
        with ThreadPoolExecutor(wide) as pool:
            try:
                self._pipelined(batches, pool, wide, progress)
            finally:
                pool.shutdown(cancel_futures=True)
                progress.write()
        return progress.delivery

    def _pipelined(
        self, batches: Iterable[list[Document]], pool: ThreadPoolExecutor, wide: int, progress: _Progress
    ) -> None:
        """Keep some batches under way; they count in their order, so that what was sent is a beginning."""
        under_way: deque[tuple[list[Document], Future[Taken]]] = deque()
        for batch in batches:
            under_way.append((batch, pool.submit(self._delivered, batch)))
            if len(under_way) == wide:
                self._settled(under_way, progress)
        while under_way:
            self._settled(under_way, progress)

    @staticmethod
    def _settled(under_way: deque[tuple[list[Document], Future[Taken]]], progress: _Progress) -> None:
        batch, future = under_way.popleft()
        progress.add(batch, future.result())

    def _delivered(self, batch: list[Document]) -> Taken:
        """Send one batch until nothing of it waits."""
        refused: list[Refusal] = []
        waiting: list[Document] = batch
        begun, pause = time.monotonic(), _FIRST_PAUSE
        while True:
            taken = self._once(waiting)
            refused += taken.refused
            if not taken.again:
                return Taken(refused=tuple(refused))
            if len(taken.again) < len(waiting):
                begun = time.monotonic()  # it takes some
            waiting = list(taken.again)
            self._wait(begun, pause, taken.why)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _once(self, batch: list[Document]) -> Taken:
        """Send a batch, and take a server that is away for one without room."""
        try:
            return self.sink.send(batch)
        except SiemBusy as error:
            if self.sink.remembers == "by count":
                raise  # whether it took the batch is not known: the user decides
            return Taken(again=tuple(batch), why=error.said)

    def _wait(self, begun: float, pause: float, why: str) -> None:
        """Wait a while, unless patience is at its end.

        Raises:
            SiemBusy: it is.
        """
        waited = time.monotonic() - begun
        if waited + pause > self.patience or self.stop.wait(random.uniform(0, pause)):  # noqa: S311  # no secret
            raise SiemBusy(
                self.sink.name,
                doing=f"sending {self.run}",
                said=f"it took nothing for {waited:.0f} s ({why})",
                remedy=f"what is not there yet stays here:  lab siem push {self.run}  goes on",
            )

    def _patiently(self, ask: Callable[[], Result]) -> Result:
        begun, pause = time.monotonic(), _FIRST_PAUSE
        while True:
            try:
                return ask()
            except SiemBusy as error:
                if time.monotonic() - begun + pause > self.patience:
                    raise
                self._wait(begun, pause, error.said)
                pause = min(2 * pause, _LONGEST_PAUSE)


class _Progress:
    """How far we are, written down now and then."""

    def __init__(self, delivery: Delivery, write: Callable[[Delivery], None], *, every: float) -> None:
        self.delivery = delivery
        self._write = write
        self._every = every
        self._written = time.monotonic()
        self._changed = False

    def add(self, batch: list[Document], taken: Taken) -> None:
        """Count a batch that was taken or refused."""
        stream, found = batch[0].stream, self.delivery
        self.delivery = replace(
            found,
            sent={**found.sent, stream: found.sent.get(stream, 0) + len(batch)},
            refused=(*found.refused, *taken.refused)[:MOST_REFUSED],
            refusals=dict(Counter(found.refusals) + Counter({stream: len(taken.refused)})),
        )
        self._changed = True
        if time.monotonic() - self._written >= self._every:
            self.write()

    def write(self) -> None:
        """Write it down, if anything came to it."""
        if self._changed:
            self._write(self.delivery)
            self._written = time.monotonic()
            self._changed = False
