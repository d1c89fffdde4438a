"""systemd-logind: sessions by number. systemd 240 to 257."""

from __future__ import annotations

from typing import Final

from lab.telemetry.event import Event
from lab.telemetry.sources import sentences
from lab.telemetry.sources.sentences import sentence

PROGRAMS: Final = ("systemd-logind",)
"""What it logs under."""

_SENTENCES: Final = (
    sentence(
        r"New session '?(?P<session>\w+)'? of user '?(?P<user>[^'\s]+?)'?(?: with .*)?\.",
        "logind_session",
        "session:start",
    ),
    sentence(r"Removed session (?P<session>\w+)\.", "logind_session", "session:end"),
    sentence(r"Session (?P<session>\w+) logged out\..*", "logind_logged_out", "session:info"),
)


def understand(event: Event, message: str) -> None:
    """Add what a message of logind means, if it is a sentence known here."""
    event["event.module"], event["event.dataset"] = "logind", "logind.log"
    sentences.understand(event, _SENTENCES, message)
