"""One folder for a run, in two halves. Any later stage can be run again from the files."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.errors import NotFound
from lab.files import careful, records
from lab.files.workplace import Workplace
from lab.moment import Moment
from lab.runs import names
from lab.runs.case import CaseEntry
from lab.runs.diary import Diary
from lab.runs.happened import Happened
from lab.runs.header import Header, LabRecord
from lab.runs.noticed import Noticed
from lab.runs.response import Response
from lab.runs.triage import Triage
from lab.telemetry.segments import present_segments

_RECORDED: Final = (
    *(names.HEADER, names.LAB, names.SCENARIO, names.TRUTH),
    *(names.CLOCK, names.COLLECTION, names.SENSOR_RULES),
)
"""What a replay needs beside the events; packets and raw logs stay behind."""


_RESERVED: Final = 64 * 1024
"""Bytes kept free while a run goes on, so that its end can be written on a full disk."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run is kept."""

    path: Path
    """The folder."""

    @property
    def noticed(self) -> Noticed:
        """What detection saw and made."""
        return Noticed(self.path)

    @property
    def happened(self) -> Happened:
        """What was really done."""
        return Happened(self.path)

    @property
    def score(self) -> Path:
        """The score."""
        return self.path / names.SCORE

    @property
    def report(self) -> Path:
        """The report."""
        return self.path / names.REPORT

    @property
    def report_text(self) -> Path:
        """The report in Markdown."""
        return self.path / names.REPORT_TEXT

    @property
    def triage(self) -> Diary[Triage]:
        """What a person made of its alerts."""
        return Diary(self.path / names.TRIAGE, Triage)

    @property
    def case(self) -> Diary[CaseEntry]:
        """What a person gathered about it."""
        return Diary(self.path / names.CASE, CaseEntry)

    @property
    def response(self) -> Diary[Response]:
        """What was done against the attack."""
        return Diary(self.path / names.RESPONSE, Response)

    def header(self) -> Header:
        """Read what the run is."""
        return records.read(self.path / names.HEADER, Header)

    def write_header(self, header: Header) -> None:
        """Write what the run is; on a full disk there is room kept for that."""
        try:
            records.write(self.path / names.HEADER, header)
        except OSError as error:
            if error.errno != errno.ENOSPC or not self._reserve.exists():
                raise
            self._reserve.unlink()
            records.write(self.path / names.HEADER, header)
        if header.ended:
            self._reserve.unlink(missing_ok=True)

    @property
    def _reserve(self) -> Path:
        return self.path / names.RESERVE

    def write_lab(self, lab: LabRecord) -> None:
        """Write what the lab was."""
        records.write(self.path / names.LAB, lab)

    def copy_to(self, folder: Path) -> None:
        """Copy what a replay needs into a folder that is there.

        Raises:
            BadFile: something of it is a link, or is no plain file.
        """
        for name in _RECORDED:
            if os.path.lexists(self.path / name):
                careful.copy(self.path / name, folder / name)
        (folder / names.EVENTS).mkdir()
        for segment in present_segments(self.noticed.events):
            careful.copy(segment.path, folder / names.EVENTS / segment.path.name)


def create(workplace: Workplace, scenario: str, started: Moment, *, prefix: str = "") -> RunFolder:
    """Make the folder of a new run."""
    slug = re.sub(r"[^a-z0-9-]+", "-", scenario.lower()).strip("-")[:40]
    stamp = started.iso()[:19].replace("-", "").replace(":", "").replace("T", "-")
    base = workplace.folder / names.RUNS / f"{stamp}-{prefix}{slug}"
    path, count = base, 1
    while path.exists():
        count += 1
        path = base.with_name(f"{base.name}-{count}")
    path.mkdir(parents=True)
    (path / names.RESERVE).write_bytes(os.urandom(_RESERVED))
    return RunFolder(path)


def list_runs(workplace: Workplace) -> tuple[RunFolder, ...]:
    """List the runs of a workplace, the oldest first."""
    found = sorted((workplace.folder / names.RUNS).glob(f"*/{names.HEADER}"))
    return tuple(RunFolder(path.parent) for path in found)


def find(workplace: Workplace, name: str = "") -> RunFolder:
    """Find a run by its id, its folder or the beginning of its id; without a name, the last one.

    Raises:
        NotFound: there is no such run.
    """
    if name and (workplace.folder / name / names.HEADER).is_file():
        return RunFolder(workplace.folder / name)
    known = list_runs(workplace)
    matching = [run for run in known if run.path.name.startswith(name)]
    if not matching:
        raise NotFound(
            "run",
            name=name,
            known=tuple(run.path.name for run in known[-5:]),
            remedy="lab run ssh-brute-force  makes one; runs are kept below the current folder",
        )
    return matching[-1]


def find_recording(workplace: Workplace, name: str) -> RunFolder:
    """Find a recording by its name, the user's own or one that ships, or a run by its name or path.

    Raises:
        NotFound: there is none of that name.
    """
    for shelf in workplace.shelves("recordings"):
        if name and (shelf / name / names.HEADER).is_file():
            return RunFolder(shelf / name)
    return find(workplace, name)


def record(run: RunFolder, target: Path) -> RunFolder:
    """Copy what a replay of a run needs.

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
    run.copy_to(target)
    return RunFolder(target)
