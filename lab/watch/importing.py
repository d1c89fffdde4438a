"""Logs of others, from files: read to events, stored, and looked at as those of a run are.

A file is known by its content, so the same one comes in once, whatever it is called and packed in. Each that
is done is written down; what was stored of one that was not is not stored again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from lab.detect.detector import Detector
from lab.errors import BadFile, Problem
from lab.files import records
from lab.moment import SECOND, Moment
from lab.runs.noticed import Noticed
from lab.telemetry import inputs
from lab.telemetry.event import Event
from lab.telemetry.events import Events
from lab.telemetry.evtx import evtx_lines
from lab.telemetry.helpers import Helpers
from lab.telemetry.inputs import Content, Input
from lab.telemetry.lines import Lines, file_identity
from lab.telemetry.sessions import Sessions
from lab.telemetry.sources import SOURCES, kind_of
from lab.telemetry.store import Store
from lab.watch.collection import LogCount
from lab.watch.desk import (
    AlertFile,
    AlertListener,
    Batch,
    Collected,
    Desk,
    DetectorTaker,
    OnAlert,
)

_TOGETHER: Final = 100_000
"""Lines that are read, and events that are written, together: more cost memory, fewer make small segments."""

_LOGINS: Final = ("syslog", "sshd", "journal", "auditd")
"""Logs that tell of log-ins: they are read first, so that others know of the sessions."""

_SHOWN: Final = 5
"""Lines without meaning that are shown of each file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Puzzle:
    """A line that could not be read."""

    line: int
    """Its number in the file."""

    why: str
    """Why."""

    text: str
    """How it begins."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What came of one file: a line of `imports.jsonl`."""

    name: str
    """What the user calls it."""

    source: str
    """Which parser read it."""

    digest: str
    """SHA-256 of its content."""

    size: int
    """Bytes of its content."""

    lines: int = 0
    """Lines read."""

    parsed: int = 0
    """Events that lines became; several lines may be one."""

    unparsed: int = 0
    """Lines that could not be read; they are kept as events that say so."""

    first: Moment | None = None
    """When the earliest of its events happened."""

    last: Moment | None = None
    """When the latest did."""

    fault: str = ""
    """What is wrong with the file; empty when it was read whole."""

    puzzles: tuple[Puzzle, ...] = ()
    """The first lines that could not be read."""

    whole: bool = True
    """Whether all of it is in; the same command goes on where one that was stopped left off."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """A file that is to be imported, after it was looked at."""

    given: Input
    """The file."""

    content: Content
    """What it held."""

    source: str
    """Which parser reads it."""


Packets = Callable[[Path, str], Iterator[bytes]]
"""Turns packets, and what they are called, into the lines of a sensor's log, original times kept."""


def wanted(found: inputs.Inputs, paths: Sequence[Path], source: str = "") -> tuple[Wanted, ...]:
    """Look at all files below some paths; the same content counts once.

    Args:
        found: Opens them.
        paths: Files and folders.
        source: Which parser reads them; found by content when empty.

    Raises:
        BadFile: one of the paths is no file that can be read; every problem is named.
    """
    seen = chosen(found.below(list(paths)), found.refused, source)
    if found.refused and not seen:
        raise BadFile(*found.refused)
    return seen


def chosen(files: Iterable[Input], refused: list[Problem], source: str = "") -> tuple[Wanted, ...]:
    """Look at files; the same content counts once.

    Args:
        files: The files.
        refused: Takes what cannot be read by any parser.
        source: Which parser reads them; found by content when empty.
    """
    seen: dict[str, Wanted] = {}
    for given in files:
        content = inputs.look(given)
        kind = _FORMS.get(given.form) or source or _kind(given, content)
        if kind:
            seen.setdefault(content.digest, Wanted(given=given, content=content, source=kind))
        else:
            known = ", ".join(sorted(SOURCES))
            what = f"is no log that is known here\n    --as  says what it is: {known}"
            refused.append(Problem(path=given.name, line=0, what=what))
    return tuple(seen.values())


_FORMS: Final = {"evtx": "windows", "pcap": "suricata"}
"""Which parser reads what is no text."""


def _kind(given: Input, content: Content) -> str:
    if not content.size:
        return "syslog"  # nothing to be read, by anybody
    whole, end, rest = content.head.rpartition(b"\n")
    return kind_of(whole + end or rest, path=given.name)


@dataclass(slots=True)
class _Storing:
    """A taker that writes events in large batches, in a thread of its own."""

    store: Store
    after: int = 0
    """The number of the line up to which events are stored already."""

    span: tuple[int, int] | None = None
    _waiting: list[Events] = field(default_factory=list)
    _since: Moment = field(default_factory=Moment.now)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(max_workers=1))
    _work: Future[Events] | None = None

    def take(self, batch: Batch) -> None:
        """Keep events, and write them once there are many, or a second has gone by."""
        if found := batch.events.span():
            first, last = self.span or found
            self.span = min(first, found[0]), max(last, found[1])
        events = batch.events.after_line(self.after)
        if not self._waiting:
            self._since = Moment.now()
        self._waiting.append(events)
        if sum(map(len, self._waiting)) >= _TOGETHER or Moment.now() - self._since > SECOND:
            self.flush()

    def flush(self) -> None:
        """Begin to write what waits; what was being written is waited for, and so are its faults."""
        self.settle()
        if self._waiting:
            self._work = self._pool.submit(self.store.append, Events.all_of(self._waiting))
            self._waiting = []

    def settle(self) -> None:
        """Wait until what was begun is written."""
        if self._work:
            self._work.result()
            self._work = None

    def close(self) -> None:
        """Write everything."""
        try:
            self.flush()
            self.settle()
        finally:
            self._pool.shutdown()


@dataclass(kw_only=True, slots=True)
class Importer:
    """Imports files into one run."""

    noticed: Noticed
    """The run."""

    host: str
    """What a host is called where a log does not say."""

    packets: Packets
    """Reads packets."""

    progress: Callable[[str, float], None] = lambda _name, _share: None
    """Hears how far a file is, from 0 to 1."""

    stop: threading.Event = field(default_factory=threading.Event)
    """Set when the user does not want to wait any more; what is in stays."""

    _sessions: Sessions = field(default_factory=Sessions)

    def run(self, files: Sequence[Wanted]) -> tuple[Imported, ...]:
        """Read all files that are not in yet."""
        done = {it.digest: it for it in read_imports(self.noticed)}
        store = Store(self.noticed.events)
        planned = [_planned(it) for it in files if it.content.digest not in done]
        records.append(self.noticed.imports, planned)  # so that who comes again finds this run
        with closing(Helpers()) as helpers:
            self._all(files, store, done, helpers)
        store.compact()
        return tuple(done.values())

    def _all(
        self, files: Sequence[Wanted], store: Store, done: dict[str, Imported], helpers: Helpers
    ) -> None:
        for it in sorted(files, key=lambda it: it.source not in _LOGINS):
            if self.stop.is_set():
                break
            known = done.get(it.content.digest)
            if known is None or not known.whole:
                found = self._file(it, store, helpers)
                records.append(self.noticed.imports, (found,))
                done[it.content.digest] = found

    def _file(self, it: Wanted, store: Store, helpers: Helpers) -> Imported:
        file = file_identity(it.content.digest)
        storing = _Storing(store, after=store.last_line(file))
        desk = Desk(later=(storing,), foreign=True, helpers=helpers, sessions=self._sessions)
        key = (it.source, self.host, it.given.name)
        puzzles: list[Puzzle] = []
        read = 0
        try:
            for chunk, share in self._chunks(it):
                self.progress(it.given.name, share)
                lines = Lines.cut(chunk, after=read, host=self.host, path=it.given.name, file=file)
                read += len(lines)
                for part in lines.parts(_TOGETHER):
                    found = desk.take_lines([Collected(key=key, lines=part)])
                    puzzles += map(_puzzle, found.unparsed(_SHOWN - len(puzzles)))
                if self.stop.is_set():
                    break
            desk.take_lines([])
        finally:
            desk.close()
        nothing = LogCount(source=it.source, host=self.host, path=it.given.name, read=0, parsed=0, unparsed=0)
        count = next(iter(desk.counts()), nothing)
        first, last = map(Moment, storing.span) if storing.span else (None, None)
        return replace(
            _planned(it),
            lines=count.read,
            parsed=count.parsed,
            unparsed=count.unparsed,
            first=first,
            last=last,
            fault=it.content.fault,
            puzzles=tuple(puzzles),
            whole=not self.stop.is_set(),
        )

    def _chunks(self, it: Wanted) -> Iterator[tuple[bytes, float]]:
        """Give a file in chunks of whole lines, and how much of it that is by then."""
        done = 0
        if it.given.form == "text":
            for chunk in inputs.text_of(it.given, it.content):
                done += len(chunk)
                yield chunk, done / max(1, it.content.size)
            return
        with inputs.on_disk(it.given, it.content, self.noticed.folder) as path:
            evtx = it.given.form == "evtx"
            chunks = evtx_lines(path, it.content) if evtx else self.packets(path, it.given.name)
            for chunk in chunks:
                yield chunk, 0.5


def _planned(it: Wanted) -> Imported:
    return Imported(
        name=it.given.name, source=it.source, digest=it.content.digest, size=it.content.size, whole=False
    )


def _puzzle(event: Event) -> Puzzle:
    return Puzzle(
        line=int(str(event["homerange.line"])),
        why=str(event["error.message"]),
        text=str(event["event.original"])[:200],
    )


def read_imports(noticed: Noticed) -> tuple[Imported, ...]:
    """Read which files were imported; of one that was gone on with, what came of it last."""
    found = {it.digest: it for it in records.read_lines(noticed.imports, Imported)}
    return tuple(found.values())


def look_at(noticed: Noticed, detectors: Sequence[Detector], on_alert: OnAlert) -> None:
    """Raise the alerts on all that is stored, as it happened; those that there were are replaced."""
    noticed.alerts.unlink(missing_ok=True)
    desk = Desk(later=(DetectorTaker(detectors), AlertFile(noticed.alerts), AlertListener(on_alert)))
    try:
        for events in Store(noticed.events).in_order():
            desk.take_events(events, Moment.now())
    finally:
        desk.close()
