"""What models cost while a run goes on: time to score an event, and how much longer a replay takes.

    python bench/models.py RUN_FOLDER MODEL_FOLDER...

Each event is handed to a model alone, as the worst case; then all events in batches to the rules, and to the
rules and the models.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import Final

from lab.detect.detector import Detector, detectors
from lab.detect.ensemble import Ensemble
from lab.detect.model import Model, WindowModel, detector_of, read_model
from lab.moment import Moment
from lab.runs.folder import RunFolder
from lab.telemetry.events import Events
from lab.telemetry.store import Store

_ROUNDS: Final = 5
_BATCH: Final = 200


def per_event(model: Model | WindowModel, events: Events) -> list[float]:
    """Return the milliseconds that each event takes, one after the other."""
    detector = detector_of(model)
    alone = [events.part(at, 1) for at in range(len(events))]
    times = []
    for one in alone:
        begun = time.perf_counter()
        detector.feed(one, Moment(0))
        times.append(1e3 * (time.perf_counter() - begun))
    return sorted(times)


def whole(loaded: tuple[Detector, ...], events: Events) -> float:
    """Return the seconds that all detectors take for all events, in batches."""
    begun = time.perf_counter()
    for at in range(0, len(events), _BATCH):
        batch = events.part(at, min(_BATCH, len(events) - at))
        for it in loaded:
            it.feed(batch, Moment(0))
    return time.perf_counter() - begun


def main() -> None:
    """Measure, and print."""
    run, *folders = map(Path, sys.argv[1:])
    events = Events.all_of(list(Store(RunFolder(run).noticed.events).batches()))
    models = [it for it in map(read_model, folders) if not isinstance(it, Ensemble)]
    for it in models:
        times = per_event(it, events)
        middle, worst = times[len(times) // 2], times[int(0.99 * len(times))]
        print(f"{it.description.name:8} median {middle:.3f} ms, p99 {worst:.3f} ms")  # noqa: T201  # a figure
    rules, both = (
        statistics.median(whole(detectors("", models=given), events) for _ in range(_ROUNDS))
        for given in ((), models)
    )
    print(f"rules {rules:.3f} s, rules and models {both:.3f} s for {len(events)} events")  # noqa: T201


if __name__ == "__main__":
    main()
