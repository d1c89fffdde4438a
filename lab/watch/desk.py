"""One place where lines become events, and events go to everybody who takes them.

Live runs and replays use the same desk. Who takes a batch is a visible list, and its order counts: the
store stamps events as they enter it, detectors raise alerts on what is stored, the rest takes alerts. Those
who take later do so in a thread of their own.
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from lab.detect.alert import Alert, in_order
from lab.detect.detector import Detector
from lab.engine.nodes import SeenNode
from lab.files import records
from lab.moment import Moment
from lab.runs.noticed import Noticed
from lab.telemetry.events import Events
from lab.telemetry.helpers import Helpers
from lab.telemetry.lines import Lines
from lab.telemetry.reader import AtOnce, Reader, TakenAtOnce
from lab.telemetry.sessions import Sessions
from lab.telemetry.sources import source_named
from lab.telemetry.store import Store
from lab.watch.behind import Behind
from lab.watch.collection import LogCount

LogKey = tuple[str, str, str]
"""What tells a log from any other: which parser reads it, the node it is on, its path."""

OnAlert = Callable[[Alert], None]
"""Hears of each alert the moment it is raised."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FollowedLog:
    """One log of one node."""

    node: SeenNode
    """Where it is."""

    source: str
    """Which parser reads it."""

    path: str
    """The file on the node."""

    canary: tuple[str, ...] = ()
    """What makes its writer write a line with `{token}`; empty to add such a line to the file."""

    canaries: int = 1
    """How many lines that makes."""

    @property
    def key(self) -> LogKey:
        """What tells it from any other log of the lab, in the order in which logs are listed."""
        return (self.source, self.node.name, self.path)


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """Lines, and the log they came from."""

    key: LogKey
    """Where from."""

    lines: Lines
    """What."""


class LineQueue:
    """Lines between those who read them and the desk; a flood is dropped and counted, never kept."""

    def __init__(self, *, lines: int = 400_000, size: int = 128 * 2**20) -> None:
        """Make an empty queue.

        Args:
            lines: How many it holds at most.
            size: How many bytes these have at most.
        """
        self._waiting: deque[Collected] = deque()
        self._room = lines
        self._size = size
        self._lock = threading.Lock()
        self.dropped: Counter[LogKey] = Counter()
        """Lines that found no room, by the key of their log."""

    def put(self, found: Collected) -> None:
        """Add lines that came together; those there is no room for are counted."""
        lines, size = found.lines, found.lines.size
        with self._lock:
            fits = lines.first(self._room if size <= self._size else 0)
            if dropped := len(lines) - len(fits):
                self.dropped[found.key] += dropped
            if len(fits):
                self._room -= len(fits)
                self._size -= fits.size
                self._waiting.append(Collected(key=found.key, lines=fits))

    def drain(self) -> list[Collected]:
        """Take all lines that wait, in the order they came."""
        with self._lock:
            found = list(self._waiting)
            self._waiting.clear()
            self._room += sum(len(it.lines) for it in found)
            self._size += sum(it.lines.size for it in found)
        return found


@dataclass(kw_only=True, slots=True)
class Batch:
    """Events that came together, and what was raised on them so far."""

    events: Events
    """In the order they came."""

    now: Moment
    """The moment that counts as the one the alerts are raised at."""

    alerts: tuple[Alert, ...] = ()
    """In the order of their first events."""


class Taker(Protocol):
    """Somebody who takes each batch."""

    def take(self, batch: Batch) -> None:
        """Do what is to be done with it."""
        ...

    def close(self) -> None:
        """Finish: no batch comes any more."""
        ...


@dataclass(frozen=True, slots=True)
class StoreTaker:
    """Writes events to disk, and stamps them with the moment they were stored."""

    store: Store

    def take(self, batch: Batch) -> None:
        """Store the events."""
        batch.events = self.store.append(batch.events)

    def close(self) -> None:
        """Join the segments."""
        self.store.compact()


@dataclass(frozen=True, slots=True)
class Tidying:
    """Joins segments now and then, so that a long run is not thousands of files."""

    store: Store

    def take(self, _batch: Batch) -> None:
        """Look whether it is time."""
        self.store.tidy()

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Says what the time is: alerts are raised when their events are looked at, however long these waited."""

    def take(self, batch: Batch) -> None:
        """Set it."""
        batch.now = Moment.now()

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class DetectorTaker:
    """Asks every detector."""

    detectors: Sequence[Detector]

    def take(self, batch: Batch) -> None:
        """Raise alerts."""
        raised = (alert for it in self.detectors for alert in it.feed(batch.events, batch.now))
        batch.alerts = in_order(raised)

    def close(self) -> None:
        """Give back what the detectors hold."""
        for detector in self.detectors:
            detector.close()


@dataclass(frozen=True, slots=True)
class AlertFile:
    """Writes alerts down."""

    path: Path

    def take(self, batch: Batch) -> None:
        """Add the batch's alerts."""
        records.append(self.path, batch.alerts)

    def close(self) -> None:
        """Nothing is held: each record was synced."""


@dataclass(frozen=True, slots=True)
class AlertListener:
    """Tells somebody of each alert."""

    on_alert: OnAlert

    def take(self, batch: Batch) -> None:
        """Tell of the batch's alerts."""
        for alert in batch.alerts:
            self.on_alert(alert)

    def close(self) -> None:
        """Nothing is held."""


@dataclass(slots=True)
class _Tally:
    """What one log gave, and what reads it: a parser remembers the line before."""

    reader: Reader
    read: int = 0
    events: int = 0
    unparsed: int = 0


@dataclass(slots=True)
class Desk:
    """Reads lines, and gives batches to all who take them."""

    takers: Sequence[Taker] = ()
    """In the order in which they take."""

    logs: Sequence[FollowedLog] = ()
    """The logs that are counted even where no line comes."""

    later: Sequence[Taker] = ()
    """Who takes each batch after them, in a thread of its own: nobody waits for them."""

    foreign: bool = False
    """Whether lines are of the hosts that they name, rather than of the node they were found on."""

    helpers: Helpers | None = None
    """Who reads lines with us, where many are to be read."""

    sessions: Sessions = field(default_factory=Sessions)
    """Who is logged in, as far as the logs have told."""

    _tallies: dict[LogKey, _Tally] = field(init=False)
    _at_once: dict[str, AtOnce] = field(default_factory=dict)
    _behind: Behind[Batch] = field(init=False)

    def __post_init__(self) -> None:
        """Begin to count at nothing."""
        self._behind = Behind(partial(_give, self.later))
        self._tallies = {log.key: self._tally(log.key) for log in self.logs}

    def _tally(self, key: LogKey) -> _Tally:
        return _Tally(Reader(source_named(key[0]), helpers=self.helpers))

    def take_lines(self, collected: Iterable[Collected]) -> Events:
        """Parse lines, give the events to everybody, and return them."""
        waiting: dict[LogKey, list[Lines]] = defaultdict(list)
        for it in collected:
            waiting[it.key].append(it.lines)
        found = [*self._read_all({key: Lines.joined(lines) for key, lines in waiting.items()})]
        found += [self._rest(tally) for key, tally in self._tallies.items() if key not in waiting]
        events = Events.all_of(found)
        events = self.sessions.join(events.of_their_hosts() if self.foreign else events)
        self.take_events(events, Moment.now())
        return events

    def take_events(self, events: Events, now: Moment) -> None:
        """Give events to everybody; none are no batch. What went wrong with a batch before is raised."""
        self._behind.check()
        if len(events):
            batch = Batch(events=events, now=now)
            _give(self.takers, batch)
            self._behind.put(batch)

    def _read_all(self, waiting: Mapping[LogKey, Lines]) -> Iterator[Events]:
        by_source: dict[str, list[LogKey]] = defaultdict(list)
        for key in waiting:
            by_source[key[0]].append(key)
        for source, keys in by_source.items():
            if source not in self._at_once:
                self._at_once[source] = AtOnce(source_named(source))
            quick = self._at_once[source].read([waiting[key] for key in keys])
            yield from (self._read(key, waiting[key], it) for key, it in zip(keys, quick, strict=True))

    def _read(self, key: LogKey, lines: Lines, quick: TakenAtOnce | None) -> Events:
        tally = self._tallies.get(key)
        if tally is None:  # of a node that came later
            tally = self._tallies[key] = self._tally(key)
        found = tally.reader.read(lines, quick)
        tally.read += found.read
        tally.unparsed += found.unparsed
        tally.events += len(found.events)
        return found.events

    @staticmethod
    def _rest(tally: _Tally) -> Events:
        """Give what a log that is quiet now has begun to tell."""
        found = tally.reader.rest()
        tally.events += len(found)
        return found

    def counts(self, dropped: Counter[LogKey] | None = None) -> tuple[LogCount, ...]:
        """Say what came of each log.

        Args:
            dropped: Lines that never came here, by the key of their log.
        """
        dropped = dropped if dropped is not None else Counter()
        return tuple(
            LogCount(
                source=source,
                host=host,
                path=path,
                read=it.read + dropped[source, host, path],
                parsed=it.events - it.unparsed,
                unparsed=it.unparsed,
                dropped=dropped[source, host, path],
            )
            for (source, host, path), it in sorted(self._tallies.items())
        )

    def close(self) -> None:
        """Let everybody finish, whatever goes wrong with one of them."""
        with ExitStack() as ends:
            for it in self._at_once.values():
                ends.callback(it.close)
            for taker in (*self.later, *self.takers):
                ends.callback(taker.close)
            self._behind.close()


def _give(takers: Sequence[Taker], batch: Batch) -> None:
    for taker in takers:
        taker.take(batch)


def usual_desk(
    noticed: Noticed,
    detectors: Sequence[Detector],
    on_alert: OnAlert,
    logs: Sequence[FollowedLog] = (),
) -> Desk:
    """Return the desk of a run: events are stored; then they are looked at, and alerts written and told.

    Args:
        noticed: Where everything is kept.
        detectors: Who looks at the events.
        on_alert: Hears of each alert, in another thread than ours.
        logs: The logs that are counted even where no line comes.
    """
    store = Store(noticed.events)
    later = (
        Clock(),
        DetectorTaker(detectors),
        AlertFile(noticed.alerts),
        AlertListener(on_alert),
        Tidying(store),
    )
    return Desk((StoreTaker(store),), logs, later=later)
