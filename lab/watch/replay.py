"""A recorded run, noticed again: the events it has go to today's detectors in the batches they came in.

An alert counts as raised when its batch had entered the store, as the recording tells. So alerts, score
and report of a replay are made by the same code as those of a real run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from lab.detect.detector import Detector
from lab.moment import Moment
from lab.runs.noticed import Noticed
from lab.telemetry.event import Event
from lab.telemetry.events import Events
from lab.telemetry.store import Store
from lab.watch.desk import AlertFile, AlertListener, Desk, DetectorTaker, OnAlert


def replay(noticed: Noticed, detectors: Sequence[Detector], on_alert: OnAlert) -> None:
    """Raise the alerts of a run whose events are there.

    Args:
        noticed: The run; its alerts are written.
        detectors: Who looks at the events.
        on_alert: Hears of each alert.
    """
    takers = (
        DetectorTaker(detectors),
        AlertFile(noticed.alerts),
        AlertListener(on_alert),
    )
    desk = Desk(takers)
    try:
        for ingested, batch in _batches(Store(noticed.events)):
            desk.take_events(Events.of(batch), ingested)
    finally:
        desk.close()


def _batches(store: Store) -> Iterator[tuple[Moment, list[Event]]]:
    """Yield the events as they came in: those of one batch entered the store at one moment."""

    def ingested(event: Event) -> int:
        """Return when the event entered the store, in nanoseconds."""
        return int(str(event.setdefault("event.ingested", event["@timestamp"])))

    events = sorted(store.events(), key=ingested)
    for moment, batch in groupby(events, key=ingested):
        yield Moment(moment), list(batch)
