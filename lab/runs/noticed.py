"""The half of a run that says what was noticed. Who detects is handed this half and no other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.runs import names


@dataclass(frozen=True, slots=True)
class Noticed:
    """Where logs, packets, events and alerts of one run are."""

    folder: Path
    """The run's folder."""

    @property
    def raw(self) -> Path:
        """Log lines, byte for byte, a folder for each node."""
        return self.folder / names.RAW

    @property
    def packets(self) -> Path:
        """Packets, a file for each network."""
        return self.folder / names.PACKETS

    @property
    def events(self) -> Path:
        """The folder of Parquet segments."""
        return self.folder / names.EVENTS

    @property
    def alerts(self) -> Path:
        """Alerts, one a line."""
        return self.folder / names.ALERTS

    @property
    def collection(self) -> Path:
        """What was watched, and how well."""
        return self.folder / names.COLLECTION

    @property
    def imports(self) -> Path:
        """Which files were imported, one a line."""
        return self.folder / names.IMPORTS

    @property
    def sensor_rules(self) -> Path:
        """The rules that the lab's sensors had."""
        return self.folder / names.SENSOR_RULES

    def delivery(self, siem: str) -> Path:
        """How far a SIEM was sent this run."""
        return self.folder / names.SIEM / f"{siem}.sent.json"

    def detection(self, siem: str) -> Path:
        """What a SIEM found in this run, beside what was found here."""
        return self.folder / names.SIEM / f"{siem}.json"

    def alerts_of(self, siem: str) -> Path:
        """Alerts that a SIEM raised, one a line."""
        return self.folder / names.SIEM / f"{siem}.jsonl"
