"""su: who became whom, or tried to. shadow 4 and util-linux 2."""

from __future__ import annotations

from typing import Final

from lab.telemetry.event import Event
from lab.telemetry.sources import sentences
from lab.telemetry.sources.sentences import sentence

PROGRAMS: Final = ("su", "runuser")
"""What it logs under."""

_SENTENCES: Final = (
    sentence(r"\(to (?P<as_user>\S+)\) (?P<user>\S+) on \S+", "su", "session:start", "success"),
    sentence(
        r"FAILED SU \(to (?P<as_user>\S+)\) (?P<user>\S+) on \S+", "su", "authentication:info", "failure"
    ),
    sentence(r"Successful su for (?P<as_user>\S+) by (?P<user>\S+)", "su", "session:start", "success"),
    sentence(r"FAILED su for (?P<as_user>\S+) by (?P<user>\S+)", "su", "authentication:info", "failure"),
    sentence(r"\+ \S+ (?P<user>[^\s:]+)[:-](?P<as_user>\S+)", "su", "session:start", "success"),
    sentence(r"- \S+ (?P<user>[^\s:]+)[:-](?P<as_user>\S+)", "su", "authentication:info", "failure"),
)


def understand(event: Event, message: str) -> None:
    """Add what a message of su means, if it is a sentence known here."""
    event["event.module"], event["event.dataset"] = "su", "su.log"
    sentences.understand(event, _SENTENCES, message)
