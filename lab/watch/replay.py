"""A run kept small enough to ship, and played again where no engine can be had.

`lab record` copies what a replay needs out of a run: what was defined, what happened, and the
events. A replay gives the events to today's rules in the batches they came in, so its alerts,
score and report are made by the same code as those of a real run.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Final

import lab
from lab.detect.alert import Alert
from lab.detect.detector import own_detector
from lab.errors import NotFound
from lab.files import records
from lab.files.content import CARRIED
from lab.moment import Moment
from lab.runs import folder
from lab.runs.folder import RunFolder
from lab.telemetry.event import Event
from lab.telemetry.store import Store

_SHIPPED: Final = CARRIED / "recordings"

_KEPT: Final = (
    "run.json",
    "lab.json",
    "scenario.yml",
    "truth.jsonl",
    "clock.jsonl",
    "sight.json",
    "sensor.rules",
)
"""What a replay needs beside the events; packets and raw logs stay behind."""


def record(run: RunFolder, target: Path) -> RunFolder:
    """Copy what a replay needs.

    Args:
        run: A run that is done.
        target: The folder to make; it must not exist.

    Raises:
        NotFound: the run was not played to its end.
    """
    if run.header().state != "done":
        raise NotFound(
            "finished run", name=run.path.name, remedy="only a run that was played to its end is recorded"
        )
    target.mkdir(parents=True)
    for name in _KEPT:
        if (run.path / name).exists():
            shutil.copyfile(run.path / name, target / name)
    shutil.copytree(run.events, target / "events")
    return RunFolder(target)


def find(name: str = "ssh-brute-force") -> RunFolder:
    """Find a recording that ships with the package, or a run by its name or path.

    Raises:
        NotFound: there is none of that name.
    """
    if (_SHIPPED / name / "run.json").is_file():
        return RunFolder(_SHIPPED / name)
    return folder.find(name)


def replay(recording: RunFolder, on_alert: Callable[[Alert], None]) -> RunFolder:
    """Make a new run of a recorded one: the same events and truth, alerts by today's rules.

    An alert counts as raised when its batch had entered the store, as the recording tells.
    """
    header = recording.header()
    run = folder.create(header.scenario, Moment.now(), prefix="replay-")
    for name in _KEPT:
        if (recording.path / name).exists():
            shutil.copyfile(recording.path / name, run.path / name)
    shutil.copytree(recording.events, run.events)
    rules = recording.path / "sensor.rules"
    detector = own_detector(rules.read_text(encoding="utf-8") if rules.exists() else "")
    for ingested, batch in _batches(recording):
        alerts = detector.feed(batch, ingested)
        records.append(run.alerts_file, alerts)
        for alert in alerts:
            on_alert(alert)
    run.write_header(
        replace(
            header,
            id=run.path.name,
            version=lab.__version__,
            replay_of=header.id,
            rules=detector.hashes,
            state="done",
        )
    )
    return run


def _batches(recording: RunFolder) -> Iterator[tuple[Moment, list[Event]]]:
    """Yield the events as they came in: those of one batch entered the store at one moment."""

    def ingested(event: Event) -> int:
        """Return when the event entered the store, in nanoseconds."""
        return int(str(event["event.ingested"]))

    events = sorted(Store(recording.events).events(), key=ingested)
    for moment, batch in groupby(events, key=ingested):
        yield Moment(moment), list(batch)
