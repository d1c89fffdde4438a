"""The alerts of a run as they come: read once, line by line, and little of each kept.

A run may have ten thousand alerts with a hundred ids each. What a list shows is kept; the rest is read
again from its line when one alert is opened.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from lab.detect.alert import LEVELS, Alert, Level
from lab.errors import BadFile, Problem
from lab.files import careful, records
from lab.files.records import QuickRecord
from lab.moment import Moment

_SIGN: Final = "\x1f"
"""Parts the words of an alert."""


class _Brief(QuickRecord, frozen=True):
    """What is kept of an alert."""

    id: str
    engine: str
    rule_id: str
    title: str
    level: Level
    first_event: Moment
    raised: Moment
    entities: Mapping[str, tuple[str, ...]]
    evidence_count: int
    techniques: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """An alert in a list."""

    id: str
    """Its id."""

    engine: str
    """What raised it."""

    rule: str
    """Id of its rule."""

    title: str
    """Its title."""

    level: Level
    """How urgent its author thinks it is."""

    first: int
    """When its first event was, in nanoseconds."""

    raised: int
    """When it was raised, in nanoseconds."""

    source: str
    """Who did it: an address, or an account on a host."""

    target: str
    """To whom."""

    events: int
    """How many events it rests on."""

    techniques: tuple[str, ...]
    """Its techniques."""

    rank: int
    """Place of its level among all, from 0."""

    pair: str
    """Rule, source and target in one."""

    words: str
    """All that a search looks through, in lower case: title, rule, techniques, `source.ip=10.0.0.5`."""

    def names(self, field: str, value: str) -> bool:
        """Tell whether it names a host, an account or an address."""
        return f"{_SIGN}{field}={value}{_SIGN}".lower() in self.words


class AlertFile:
    """The alerts of one run. May be asked by several threads."""

    def __init__(self, path: Path) -> None:
        """Read a file that need not be there yet, and may grow.

        Args:
            path: `alerts.jsonl` of a run.
        """
        self._path = path
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._rows: list[Row] = []
        self._places: dict[str, tuple[int, int]] = {}
        self._read = 0
        self._file = (0, 0)

    def rows(self) -> tuple[Row, ...]:
        """Return all alerts, in the order of the file.

        Raises:
            BadFile: a line is no alert.
        """
        with self._lock:
            self._catch_up()
            return tuple(self._rows)

    def without_evidence(self) -> Iterator[Alert]:
        """Read all alerts, without the ids of their events, which are most of them."""
        if self._path.exists():
            with careful.open_plain(self._path) as file:
                for line in file:
                    if line.endswith(b"\n"):
                        yield replace(records.from_json(line, Alert), rule_hash="", event_ids=())

    def whole(self, identity: str) -> Alert | None:
        """Read one alert, whole; None when there is none of that id."""
        with self._lock:
            self._catch_up()
            place = self._places.get(identity)
        if place is None:
            return None
        with careful.open_plain(self._path) as file:
            file.seek(place[0])
            return records.from_json(file.read(place[1]), Alert)

    def _catch_up(self) -> None:
        if not self._path.exists():
            self._forget()
            return
        about = self._path.stat()
        if (about.st_dev, about.st_ino) != self._file or about.st_size < self._read:
            self._forget()  # another file has its name
            self._file = (about.st_dev, about.st_ino)
        if about.st_size == self._read:
            return
        with careful.open_plain(self._path) as file:
            file.seek(self._read)
            for line in file:
                if line.endswith(b"\n"):  # else it is being written
                    self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            brief = records.from_json(line, _Brief)
        except ValueError as error:
            what = f"not an alert: {error}"
            raise BadFile(Problem(path=str(self._path), line=len(self._rows) + 1, what=what)) from error
        self._rows.append(_row(brief))
        self._places[brief.id] = (self._read, len(line))
        self._read += len(line)


def _row(brief: _Brief) -> Row:
    named = brief.entities
    account = "@".join((*named.get("user.name", ())[:1], *named.get("host.name", ())[:1]))
    hosts = ", ".join(named.get("host.name", ()))
    source = ", ".join(named.get("source.ip", ())[:3]) or account
    target = ", ".join(named.get("destination.ip", ())[:3]) or hosts
    who = (f"{name}={value}" for name, values in named.items() for value in values)
    return Row(
        id=brief.id,
        engine=brief.engine,
        rule=sys.intern(brief.rule_id),
        title=sys.intern(brief.title),
        level=brief.level,
        first=int(brief.first_event),
        raised=int(brief.raised),
        source=sys.intern(source),
        target=sys.intern(target),
        events=brief.evidence_count,
        techniques=brief.techniques,
        rank=LEVELS.index(brief.level),
        pair=f"{brief.rule_id}\0{source}\0{target}",
        words=_SIGN.join(("", brief.title, brief.rule_id, *brief.techniques, *who, "")).lower(),
    )
