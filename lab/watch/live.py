"""Watches a lab as a SOC would: lines become events, events become alerts, while it happens.

This side of a run knows nothing of the scenario; it sees what a sensor and a log collector see.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

from lab.detect.detector import Detector
from lab.engine.nodes import RunningLab
from lab.engine.shell import Shell
from lab.files import records
from lab.inventory.definition import Lab
from lab.runs.noticed import Noticed
from lab.telemetry.store import Store
from lab.watch.collection import Collection
from lab.watch.collector import Collector, captures_of, logs_of
from lab.watch.desk import AlertFile, AlertListener, Desk, DetectorTaker, LineQueue, OnAlert, StoreTaker

_BEAT: Final = 0.2
"""Seconds between batches: it adds to every delay, and each batch costs some ten milliseconds."""

_SETTLE: Final = 3.0
"""Seconds after the last step until the last line has arrived: Suricata holds a flow for that long."""


@contextmanager
def watching(  # noqa: PLR0913  # what is watched, with what, and where it goes
    *,
    shell: Shell,
    lab: Lab,
    running: RunningLab,
    noticed: Noticed,
    detectors: Sequence[Detector],
    on_alert: OnAlert,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Collect and detect; when the body begins, everything is being followed.

    At the end the last lines are waited for and evaluated, and what was seen is written down.

    Args:
        shell: Runs what follows logs and captures packets.
        lab: What its nodes are.
        running: Where they are.
        noticed: Where everything is kept.
        detectors: Who looks at the events.
        on_alert: Hears of each alert.
        pause: Waits for the last lines; an argument so that tests need not.

    Raises:
        LabError: something could not be followed from the start, or evaluation failed.
    """
    logs = logs_of(running, lab)
    queue = LineQueue()
    collector = Collector(shell, noticed, queue)
    takers = (
        StoreTaker(Store(noticed.events)),
        DetectorTaker(detectors),
        AlertFile(noticed.alerts),
        AlertListener(on_alert),
    )
    desk = Desk(takers, logs)
    loop = _Loop(queue, desk)
    try:
        collector.start(logs, captures_of(running, lab))
        loop.start()
        yield
        pause(_SETTLE)
    finally:
        collector.stop()
        try:
            loop.finish()
        finally:
            desk.close()
            found = Collection(logs=desk.counts(queue.dropped), notes=tuple(collector.notes))
            records.write(noticed.collection, found)


class _Loop:
    """Brings lines from the queue to the desk, in a thread of its own."""

    def __init__(self, lines: LineQueue, desk: Desk) -> None:
        self._queue = lines
        self._desk = desk
        self._ending = threading.Event()
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="watch")
        self._work: Future[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._work = self._pool.submit(self._run)

    def _run(self) -> None:
        while not self._ending.wait(_BEAT):
            self._desk.take_lines(self._queue.drain())

    def finish(self) -> None:
        """Evaluate what is left, and raise what went wrong."""
        self._ending.set()
        self._pool.shutdown()
        if self._work:
            self._work.result()
        self._desk.take_lines(self._queue.drain())
