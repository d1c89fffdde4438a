"""Runs to send: small ones that are made, and what the recording holds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from lab.detect.alert import Alert
from lab.files import records
from lab.files.workplace import CARRIED
from lab.moment import SECOND, Moment
from lab.runs.noticed import Noticed
from lab.telemetry.event import Event
from lab.telemetry.events import Events
from lab.telemetry.store import Store

START: Final = Moment(1_780_000_000 * SECOND)

RECORDING: Final = CARRIED / "recordings" / "ssh-brute-force"


def event(number: int, **fields: str | int) -> Event:
    """Make an event of sshd."""
    made: Event = {
        "@timestamp": Moment(START + number * SECOND),
        "event.id": f"{number:024d}",
        "event.module": "sshd",
        "event.dataset": "sshd.auth",
        "event.original": f"line {number}",
        "host.name": "bastion",
        "source.ip": "10.1.0.2",
    }
    return made | {name.replace("__", "."): value for name, value in fields.items()}


def alert(number: int) -> Alert:
    """Make an alert."""
    return Alert(
        id=f"a{number:015d}",
        engine="sigma",
        rule_id="f8efa28a-3b8b-5ec7-b1f2-7d5b6f1d2f37",
        rule_hash="00",
        title="SSH log-in failed",
        level="low",
        techniques=("T1110.001",),
        tactics=("credential-access",),
        first_event=START,
        ingested=START,
        raised=START,
        entities={"host.name": ("bastion",)},
        event_ids=(f"{number:024d}",),
        evidence_count=1,
    )


def make_run(folder: Path, *, events: int = 5, alerts: int = 2, each: int = 100) -> Noticed:
    """Make the noticed half of a run, with so many events in each segment."""
    noticed = Noticed(folder)
    store = Store(noticed.events)
    for first in range(0, events, each):
        store.append(Events.of([event(number) for number in range(first, min(first + each, events))]))
    records.append(noticed.alerts, [alert(number) for number in range(alerts)])
    return noticed


def copy_recording(folder: Path) -> Noticed:
    """Copy the recording that ships."""
    shutil.copytree(RECORDING, folder)
    return Noticed(folder)
