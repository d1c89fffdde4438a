"""cron and crontab: what ran by the clock, and who changed what will. Vixie cron, cronie, Debian's cron."""

from __future__ import annotations

from typing import Final

from lab.telemetry.event import Event
from lab.telemetry.sources import sentences
from lab.telemetry.sources.sentences import sentence

PROGRAMS: Final = ("cron", "CRON", "crond", "CROND", "anacron", "crontab")
"""What they log under."""

_WHO: Final = r"\((?P<user>[^)\s]+)\) "

_SENTENCES: Final = (
    sentence(_WHO + r"CMD \( *(?P<command>.*)\)", "cron_command", "process:start"),
    sentence(_WHO + r"LIST \((?P<target>[^)]*)\)", "crontab_listed", "configuration:access"),
    sentence(_WHO + r"REPLACE \((?P<target>[^)]*)\)", "crontab_changed", "configuration:change"),
    sentence(_WHO + r"DELETE \((?P<target>[^)]*)\)", "crontab_deleted", "configuration:deletion"),
    sentence(_WHO + r"(?:BEGIN|END) EDIT \((?P<target>[^)]*)\)", "crontab_edited", "configuration:access"),
    sentence(_WHO + r"RELOAD \((?P<path>[^)]*)\)", "crontab_read", "configuration:info"),
)


def understand(event: Event, message: str) -> None:
    """Add what a message of cron means, if it is a sentence known here."""
    event["event.module"], event["event.dataset"] = "cron", "cron.log"
    sentences.understand(event, _SENTENCES, message)
