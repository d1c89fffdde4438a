"""Watches a lab as a SOC would: lines become events, events become alerts, while it happens.

This side of a run knows nothing of the scenario; it sees what a sensor and a log collector see.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from lab.detect.alert import Alert
from lab.detect.detector import Detector
from lab.engine.engine import Engine
from lab.files import records
from lab.inventory.definition import Lab
from lab.moment import Moment
from lab.runs.folder import Collection, RunFolder, Sight
from lab.telemetry.event import Event, Source, read_line
from lab.telemetry.sources import source_named
from lab.telemetry.store import Store
from lab.watch.collector import Collected, Collector, Feed, captures_of, feeds_of

OnAlert = Callable[[Alert], None]
"""Hears of each alert the moment it is raised."""

_BEAT: Final = 0.2
"""Seconds between batches: it adds to every delay, and each batch costs some ten milliseconds."""

_SETTLE: Final = 3.0
"""Seconds after the last step until the last line has arrived: Suricata holds a flow for that long."""


@contextmanager
def watching(
    engine: Engine, lab: Lab, run: RunFolder, detector: Detector, on_alert: OnAlert
) -> Iterator[None]:
    """Collect and detect; when the body begins, everything is being followed.

    At the end the last lines are waited for and evaluated, and what was seen is written down.

    Raises:
        LabError: something could not be followed from the start, or evaluation failed.
    """
    running = engine.observe(lab.name)
    kinds = {node.kind.name: node.kind for node in lab.nodes}
    watched = {node.name: node.watch for node in lab.nodes if node.watch}
    feeds = feeds_of(running, kinds)
    collector = Collector(engine, run.path)
    desk = _Desk(run, detector, on_alert, feeds)
    loop = _Loop(collector, desk)
    try:
        collector.start(feeds, captures_of(running, kinds, watched))
        loop.start()
        yield
        time.sleep(_SETTLE)
    finally:
        collector.stop()
        loop.finish()
        desk.close(collector.notes)


@dataclass(slots=True)
class _Tally:
    """What one log gave, and what reads it."""

    source: Source
    read: int = 0
    parsed: int = 0
    unparsed: int = 0


class _Desk:
    """Where lines become events and events become alerts."""

    def __init__(self, run: RunFolder, detector: Detector, on_alert: OnAlert, feeds: Sequence[Feed]) -> None:
        self._run = run
        self._detector = detector
        self._on_alert = on_alert
        self._store = Store(run.events)
        self._tallies = {_key(feed): _Tally(source_named(feed.source)) for feed in feeds}

    def take(self, lines: Sequence[Collected]) -> None:
        """Parse a batch, store it, evaluate it, write down what it raised."""
        events = [event for line in lines for event in self._read(line)]
        if not events:
            return
        self._store.append(events)
        alerts = self._detector.feed(events, Moment.now())
        records.append(self._run.alerts_file, alerts)
        for alert in alerts:
            self._on_alert(alert)

    def _read(self, collected: Collected) -> Iterator[Event]:
        tally = self._tallies[_key(collected.feed)]
        tally.read += 1
        for event in read_line(tally.source, collected.line):
            unparsed = event.get("event.kind") == "pipeline_error"
            tally.unparsed += unparsed
            tally.parsed += not unparsed
            yield event

    def close(self, notes: Sequence[str]) -> None:
        """Join the segments and say what was seen."""
        self._store.compact()
        collected = tuple(
            Collection(
                source=source, host=host, path=path, read=it.read, parsed=it.parsed, unparsed=it.unparsed
            )
            for (source, host, path), it in sorted(self._tallies.items())
        )
        records.write(self._run.path / "sight.json", Sight(collected=collected, notes=tuple(notes)))


def _key(feed: Feed) -> tuple[str, str, str]:
    return (feed.source, feed.node.name, feed.path)


class _Loop:
    """Brings lines from the collector to the desk, in a thread of its own."""

    def __init__(self, collector: Collector, desk: _Desk) -> None:
        self._collector = collector
        self._desk = desk
        self._ending = threading.Event()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="watch")
        self._work: Future[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._work = self._pool.submit(self._run)

    def _run(self) -> None:
        while not self._ending.wait(_BEAT):
            self._desk.take(self._collector.drain())

    def finish(self) -> None:
        """Evaluate what is left, and raise what went wrong."""
        self._ending.set()
        if self._work:
            self._work.result()
        self._desk.take(self._collector.drain())
