"""One folder for a run, and all that is in it. Any later stage can be run again from the files.

runs/<run id>/   run.json lab.json scenario.yml journal.jsonl truth.jsonl clock.jsonl sight.json
                 sensor.rules raw/ events/*.parquet packets/*.pcap alerts.jsonl score.json
                 report.html report.md
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from lab.detect.alert import Alert
from lab.errors import NotFound
from lab.exercise.truth import Clock, Truth
from lab.files import records
from lab.moment import Moment

_RUNS: Final = "runs"


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What a run is: `run.json`."""

    id: str
    """`20261123-215358-ssh-brute-force`."""

    lab: str
    """The lab's name."""

    scenario: str
    """The scenario's name."""

    summary: str
    """The scenario's summary."""

    version: str
    """Version of this program."""

    started: Moment
    """When it began."""

    ended: Moment | None = None
    """When the last event had been evaluated; None while it runs, or when it was killed."""

    state: Literal["running", "done", "stopped"] = "running"
    """Whether all of it took place."""

    replay_of: str = ""
    """The recorded run this is a replay of; empty for a real run."""

    rules: Mapping[str, str] = field(default_factory=dict)
    """Rule id to content hash of every rule that was loaded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Collection:
    """What collection saw of one log."""

    source: str
    """Which parser read it."""

    host: str
    """The node."""

    path: str
    """The file on the node."""

    read: int
    """Lines read."""

    parsed: int
    """Lines that became events."""

    unparsed: int
    """Lines that are kept as events that say why they could not be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """What was watched and how well: `sight.json`."""

    collected: tuple[Collection, ...]
    """Per log."""

    notes: tuple[str, ...]
    """Blind windows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenParty:
    """A node in `lab.json`."""

    name: str
    """Its name."""

    kind: str
    """Its kind."""

    image: str
    """Its image."""

    addresses: Mapping[str, str]
    """Network to address."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cast:
    """The lab as it was when the run began: `lab.json`."""

    lab: str
    """Its name."""

    nodes: tuple[SeenParty, ...]
    """Its nodes."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where a run is kept."""

    path: Path
    """The folder."""

    @property
    def events(self) -> Path:
        """The folder of Parquet segments."""
        return self.path / "events"

    @property
    def alerts_file(self) -> Path:
        """Alerts, one a line."""
        return self.path / "alerts.jsonl"

    @property
    def truth_file(self) -> Path:
        """Truth, one record a line."""
        return self.path / "truth.jsonl"

    @property
    def score_file(self) -> Path:
        """The score."""
        return self.path / "score.json"

    @property
    def report_file(self) -> Path:
        """The report."""
        return self.path / "report.html"

    def header(self) -> Header:
        """Read what the run is."""
        return records.read(self.path / "run.json", Header)

    def write_header(self, header: Header) -> None:
        """Write what the run is."""
        records.write(self.path / "run.json", header)

    def truth(self) -> tuple[Truth, ...]:
        """Read what happened."""
        return records.read_lines(self.truth_file, Truth)

    def alerts(self) -> tuple[Alert, ...]:
        """Read what was raised."""
        return records.read_lines(self.alerts_file, Alert)

    def clocks(self) -> tuple[Clock, ...]:
        """Read how far the nodes' clocks were off."""
        return records.read_lines(self.path / "clock.jsonl", Clock)

    def sight(self) -> Sight:
        """Read what was watched; nothing when the run was killed before it was written."""
        path = self.path / "sight.json"
        return (
            records.read(path, Sight) if path.exists() else Sight(collected=(), notes=("the run was killed",))
        )


def create(scenario: str, started: Moment, *, prefix: str = "") -> RunFolder:
    """Make the folder of a new run below the current folder."""
    slug = re.sub(r"[^a-z0-9-]+", "-", scenario.lower()).strip("-")[:40]
    stamp = started.iso()[:19].replace("-", "").replace(":", "").replace("T", "-")
    base = Path(_RUNS) / f"{stamp}-{prefix}{slug}"
    path, count = base, 1
    while path.exists():
        count += 1
        path = base.with_name(f"{base.name}-{count}")
    path.mkdir(parents=True)
    return RunFolder(path)


def runs() -> tuple[RunFolder, ...]:
    """List the runs below the current folder, the oldest first."""
    return tuple(RunFolder(path.parent) for path in sorted(Path(_RUNS).glob("*/run.json")))


def find(name: str = "") -> RunFolder:
    """Find a run by its id, its folder or the beginning of its id; without a name, the last one.

    Raises:
        NotFound: there is no such run.
    """
    if name and (Path(name) / "run.json").is_file():
        return RunFolder(Path(name))
    known = runs()
    matching = [run for run in known if run.path.name.startswith(name)]
    if not matching:
        raise NotFound(
            "run",
            name=name,
            known=tuple(run.path.name for run in known[-5:]),
            remedy="lab run ssh-brute-force  makes one; runs are kept below the current folder",
        )
    return matching[-1]
