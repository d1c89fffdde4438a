"""A run that somebody looks at: its files, opened once and followed as they grow."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from functools import cached_property
from typing import Final

from lab.detect.queue import Queue
from lab.errors import BadFile, NotFound
from lab.files import records
from lab.files.workplace import Workplace
from lab.runs import folder, names
from lab.runs.case import frozen
from lab.runs.folder import RunFolder
from lab.runs.header import Header, LabRecord
from lab.runs.triage import Standing, answered, standings
from lab.score.values import Score
from lab.telemetry.lookup import Lookup
from lab.web.alerts import AlertFile

_MOST: Final = 3
"""Runs that are kept open: each may hold a hundred megabytes of events in its database."""


class Opened:
    """One run."""

    def __init__(self, run: RunFolder) -> None:
        """Open a run; of its files only those are read that are asked for.

        Args:
            run: Its folder.
        """
        self.run = run
        self.name = run.path.name
        self.alerts = AlertFile(run.noticed.alerts)
        self.triage = run.triage
        self.case = run.case
        self._stories: tuple[int, Mapping[str, str]] = (-1, {})
        self._standings: tuple[int, Mapping[str, Standing]] = (-1, {})

    @cached_property
    def events(self) -> Lookup:
        """Its events."""
        return Lookup(self.run.noticed.events)

    def close(self) -> None:
        """Give its memory back."""
        events = self.__dict__.pop("events", None)
        if events is not None:
            events.close()

    def header(self) -> Header:
        """Read what it is, as it is now."""
        return self.run.header()

    def lab(self) -> LabRecord | None:
        """Read the lab it was run in; None where there was none."""
        path = self.run.path / names.LAB
        return records.read(path, LabRecord) if path.exists() else None

    def score(self) -> Score | None:
        """Read its score; None when it has none yet, or it is not to be seen yet."""
        if self.hidden() or not self.run.score.exists():
            return None
        return records.read(self.run.score, Score)

    def hidden(self) -> bool:
        """Tell whether what was really done must not be shown: it is a blind run, and nobody has answered."""
        if not self.header().blind:
            return False
        return answered(self.triage.entries()) is None and frozen(self.case.entries()).closed is None

    def standings(self) -> Mapping[str, Standing]:
        """Say what was made of its alerts."""
        acts = self.triage.entries()
        if self._standings[0] != len(acts):
            self._standings = len(acts), standings(acts)
        return self._standings[1]

    def stories(self) -> Mapping[str, str]:
        """Say of which incident each alert is."""
        rows = self.alerts.rows()
        if self._stories[0] != len(rows):
            # Of what is made on the way nothing stays, not even a text: it would keep its memory from others.
            ours = {it.id: it.id for it in rows}
            found = Queue(self.alerts.without_evidence()).incidents
            stories = {ours[alert]: ours[it.id] for it in found for alert in it.alert_ids if alert in ours}
            self._stories = len(rows), stories
        return self._stories[1]


class Shelf:
    """The runs of a workplace. May be asked by several threads."""

    def __init__(self, workplace: Workplace) -> None:
        """Look at a workplace.

        Args:
            workplace: The folder that has `runs/`.
        """
        self._workplace = workplace
        self._lock = threading.Lock()
        self._opened: OrderedDict[str, Opened] = OrderedDict()

    @property
    def workplace(self) -> Workplace:
        """Where the runs are."""
        return self._workplace

    def every(self) -> tuple[tuple[str, Header], ...]:
        """List the runs, the latest first; one whose `run.json` cannot be read is left out."""
        found: list[tuple[str, Header]] = []
        for run in reversed(folder.list_runs(self._workplace)):
            try:
                found.append((run.path.name, run.header()))
            except BadFile:
                continue
        return tuple(found)

    def find(self, name: str) -> Opened:
        """Open a run by its whole id.

        Raises:
            NotFound: there is none.
        """
        with self._lock:
            if name in self._opened:
                self._opened.move_to_end(name)
                return self._opened[name]
            found = self._opened[name] = Opened(self._folder(name))
            while len(self._opened) > _MOST:
                self._opened.popitem(last=False)[1].close()
            return found

    def look(self, name: str) -> Opened:
        """Look at a run without keeping it open, or at what is open already.

        Raises:
            NotFound: there is none.
        """
        with self._lock:
            if name in self._opened:
                return self._opened[name]
        return Opened(self._folder(name))

    def _folder(self, name: str) -> RunFolder:
        run = next((it for it in folder.list_runs(self._workplace) if it.path.name == name), None)
        if run is None:
            raise NotFound("run", name=name, remedy="the list of runs has those that are there")
        return run

    def close(self) -> None:
        """Give all memory back."""
        with self._lock:
            for it in self._opened.values():
                it.close()
            self._opened.clear()
