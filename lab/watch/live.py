"""Watches a lab as a SOC would: lines become events, events become alerts, while it happens.

This side of a run knows nothing of the scenario; it sees what a sensor and a log collector see. Those who
watch are watched: each source by its canaries, the lab by a guard, our own thread by whoever plays.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final

from lab.detect.detector import Detector
from lab.engine.engine import Engine
from lab.engine.nodes import RunningLab, SeenNode
from lab.errors import LabError
from lab.files import records
from lab.inventory.definition import Lab
from lab.moment import Moment
from lab.runs.noticed import Noticed
from lab.telemetry.store import Store
from lab.watch.canary import Canaries, Packets
from lab.watch.collection import Blind, Collection, read_collection
from lab.watch.collector import Capture, Collector, captures_of, logs_of
from lab.watch.desk import Desk, FollowedLog, LineQueue, OnAlert, usual_desk
from lab.watch.guard import Guard, Meant

_BEAT: Final = 0.2
"""Seconds from one batch to the next: it adds to every delay, and each batch costs some ten milliseconds."""

_TICK: Final = 0.25
"""Seconds after which who waits looks whether it still should."""

_SETTLE: Final = 3.0
"""Seconds after the last step until the last line has arrived: Suricata holds a flow for that long."""

_PROVE_EVERY: Final = 15.0
"""Seconds between two canaries of a source: how long it can be silent before anybody knows."""

_AT_START: Final = 10.0
"""Seconds for the canaries at the start."""

_LAST_PROOF: Final = 5.0
"""Seconds for the canaries at the end."""


class Silent(LabError):
    """A source does not prove itself, so a run would be blind from its start."""

    def __init__(self, *sources: str) -> None:
        self.sources = sources
        super().__init__(*sources)

    def message(self) -> str:
        """Name the sources."""
        nodes = sorted({it.partition(":")[0] for it in self.sources})
        return (
            f"nothing arrives of {', '.join(self.sources)}: what would be done could not be seen\n"
            f"    lab reset {' '.join(nodes)}  makes them anew"
        )


class Unwatched(LabError):
    """What watches a run has failed, so the run ends."""

    def __init__(self, why: BaseException) -> None:
        self.why = why
        super().__init__(why)

    def message(self) -> str:
        """Say what failed."""
        return f"watching failed, so the run was ended: {self.why}"


class Watch:
    """A lab that is being watched."""

    def __init__(self, loop: _Loop, pause: Callable[[float], None], stop: threading.Event) -> None:
        self._loop = loop
        self._pause = pause
        self._stop = stop

    def check(self) -> None:
        """Make sure that somebody watches.

        Raises:
            Unwatched: nobody does any more.
        """
        if fault := self._loop.fault():
            raise Unwatched(fault) from fault

    def pause(self, seconds: float) -> None:
        """Wait, as long as somebody watches and the user does not want it to end.

        Raises:
            Unwatched: nobody does any more.
        """
        left = seconds
        while left > 0 and not self._stop.is_set():
            self.check()
            self._pause(min(left, _TICK))
            left -= _TICK
        self.check()


@contextmanager
def watching(  # noqa: PLR0913  # what is watched, with what, and where it goes
    *,
    engine: Engine,
    lab: Lab,
    running: RunningLab,
    noticed: Noticed,
    detectors: Sequence[Detector],
    on_alert: OnAlert,
    pause: Callable[[float], None] = time.sleep,
    stop: threading.Event | None = None,
    killed: Moment | None = None,
    meant: Meant = lambda _disturbance: False,
) -> Iterator[Watch]:
    """Collect and detect; when the body begins, every source has proved itself.

    At the end the sources prove themselves again, the last lines are waited for and evaluated, and what was
    seen, and what was not, is written down.

    Args:
        engine: Runs what follows logs and captures packets, and tells of what others do.
        lab: What its nodes are.
        running: Where they are.
        noticed: Where everything is kept.
        detectors: Who looks at the events.
        on_alert: Hears of each alert.
        pause: Waits for the last lines; an argument so that tests need not.
        stop: Set when the user does not want to wait any more.
        killed: When the run was killed that is watched again; from then until now all was blind.
        meant: Tells which changes of the lab are no disturbance.

    Raises:
        Silent: a source does not prove itself at the start.
        LabError: something could not be followed from the start, or evaluation failed.
    """
    logs, captures = logs_of(running, lab), captures_of(running, lab)
    before = read_collection(noticed) if killed else Collection(logs=(), notes=())
    gap = _gap(killed, logs, captures) if killed else ()
    queue = LineQueue()
    now = partial(_now, engine)
    canaries = Canaries(engine, logs, now=now)
    collector = Collector(engine, noticed, queue, canaries.heard, now)
    canaries.packets = [
        Packets(log=log, network=it.network, size=partial(collector.size, it.network))
        for it in captures
        for log in logs
        if log.node.name == it.node.name
    ]
    if killed:
        for events in Store(noticed.events).batches():
            for it in detectors:
                it.recall(events)
    desk = usual_desk(noticed, detectors, on_alert, logs)
    loop, guard, prover = _Loop(queue, desk), Guard(engine, running, meant), _Prover(canaries)

    def write_down() -> None:
        """Say how well it was watched."""
        found = Collection(
            logs=desk.counts(queue.dropped),
            notes=tuple(collector.notes),
            blind=(*gap, *canaries.blind()),
            disturbances=guard.finish(),
        )
        records.write(noticed.collection, found.after(before))

    with ExitStack() as ends:
        ends.callback(write_down)
        ends.callback(desk.close)
        ends.callback(loop.finish)
        ends.callback(collector.stop)
        guard.start()
        collector.start(logs, captures)
        loop.start()
        if silent := canaries.prove(within=_AT_START):
            raise Silent(*silent)
        ends.callback(lambda: canaries.prove(within=_LAST_PROOF))
        ends.callback(prover.finish)
        prover.start()
        yield Watch(loop, pause, stop or threading.Event())
        pause(_SETTLE)


def _now(engine: Engine, node: SeenNode) -> SeenNode:
    """Return the node of that name as it is now: it may have been made anew while it was followed."""
    return engine.observe(node.lab).node(node.name) or node


def _gap(killed: Moment, logs: Sequence[FollowedLog], captures: Sequence[Capture]) -> tuple[Blind, ...]:
    """Say that nothing was seen since a run was killed."""
    now = Moment.now()
    seen = [(log.source, log.node.name, log.path) for log in logs]
    seen += [("packets", it.node.name, it.network) for it in captures]
    return tuple(Blind(start=killed, end=now, source=it, host=host, what=what) for it, host, what in seen)


class _Prover:
    """Lets the sources prove themselves now and then, in a thread of its own."""

    def __init__(self, canaries: Canaries) -> None:
        self._canaries = canaries
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="canaries")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _run(self) -> None:
        while not self._ending.wait(_PROVE_EVERY):
            self._canaries.prove(within=_LAST_PROOF)

    def finish(self) -> None:
        """Stop; one that is under way is waited for."""
        self._ending.set()
        self._thread.join()


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
        begun = time.monotonic()
        while not self._ending.wait(max(0, begun + _BEAT - time.monotonic())):
            begun = time.monotonic()
            self._desk.take_lines(self._queue.drain())

    def fault(self) -> BaseException | None:
        """Return what ended it before its time; None while it works."""
        return self._work.exception() if self._work and self._work.done() else None

    def finish(self) -> None:
        """Evaluate what is left; what went wrong before is raised here, if nobody has asked for it."""
        self._ending.set()
        self._pool.shutdown()
        if fault := self.fault():
            raise Unwatched(fault) from fault
        self._desk.take_lines(self._queue.drain())
