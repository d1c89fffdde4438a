"""The half of a run that says what happened. Detection never sees it: import-linter holds that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.runs import names


@dataclass(frozen=True, slots=True)
class Happened:
    """Where scenario, journal, truth and clocks of one run are."""

    folder: Path
    """The run's folder."""

    @property
    def scenario(self) -> Path:
        """The scenario as it was read."""
        return self.folder / names.SCENARIO

    @property
    def journal(self) -> Path:
        """What was about to be done, one act a line."""
        return self.folder / names.JOURNAL

    @property
    def truth(self) -> Path:
        """Truth, one record a line."""
        return self.folder / names.TRUTH

    @property
    def results(self) -> Path:
        """What steps gave to later ones, one a line."""
        return self.folder / names.RESULTS

    @property
    def marks(self) -> Path:
        """What a person noted, one note a line."""
        return self.folder / names.MARKS

    @property
    def probes(self) -> Path:
        """Which ways were open when they were tried, one try a line."""
        return self.folder / names.PROBES

    @property
    def aftermath(self) -> Path:
        """What was left when somebody had responded."""
        return self.folder / names.AFTERMATH

    @property
    def clock(self) -> Path:
        """How far the nodes' clocks were off, one measurement a line."""
        return self.folder / names.CLOCK
