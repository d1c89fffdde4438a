"""sudo: who ran what as whom, or was not allowed to. sudo 1.8 and 1.9 (sudoers(5), log format)."""

from __future__ import annotations

import re
from typing import Final

from lab.telemetry.event import Event
from lab.telemetry.sources.sentences import UNCLEAR, put_parts

PROGRAMS: Final = ("sudo",)
"""What it logs under."""

_COMMAND: Final = re.compile(
    r" *(?P<user>\S+) : (?:(?P<reason>[^;=]+?) ; )?(?:HOST=\S+ ; )?(?:TTY=\S+ ; )?(?:CHROOT=.*? ; )?"
    r"PWD=(?P<folder>.*?) ; USER=(?P<as_user>\S+) ; (?:GROUP=(?P<group>\S+) ; )?(?:TSID=\S+ ; )?"
    r"(?:ENV=.*? ; )?COMMAND=(?P<command>(?P<program>\S+).*)",
    re.ASCII | re.DOTALL,
)


def understand(event: Event, message: str) -> None:
    """Add what a message of sudo means.

    Folder and command are chosen by the user and may look like what stands behind them; then neither the
    command nor as whom it ran is believed.
    """
    event["event.module"], event["event.dataset"] = "sudo", "sudo.log"
    match = _COMMAND.fullmatch(message)
    if match is None:
        return
    refused = bool(match["reason"])
    event |= {"event.action": "sudo_command", "event.category": ("process",)}
    event |= {"event.type": ("info",) if refused else ("start",)}
    event["event.outcome"] = "failure" if refused else "success"
    event.pop("process.name", None)
    if message.count(" ; USER=") > 1:
        event |= {"event.reason": UNCLEAR, "user.name": match["user"]}
        return
    put_parts(event, match.groupdict())
