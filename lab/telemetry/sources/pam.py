"""PAM: its modules speak for any program, whose name is on the line. Linux-PAM 1.0 to 1.7."""

from __future__ import annotations

from typing import Final

from lab.telemetry.event import Event
from lab.telemetry.sources import sentences
from lab.telemetry.sources.entry import Entry
from lab.telemetry.sources.sentences import sentence

CHECK: Final = (
    r"authentication failures?; logname=\S* uid=\d+ euid=\d+ tty=\S* ruser=.*? rhost=(?P<ip>\S*)"
    r"(?: +user=(?P<user>.*))? *"
)
"""A password that was wrong; sshd says the same of the checks that PAM was asked for in a row."""

_MODULE: Final = r"(?:pam_\w+\([^)\s]*\): )?"

_SENTENCES: Final = (
    sentence(_MODULE + CHECK, "pam_check", "authentication:info", "failure"),
    sentence(
        _MODULE + r"check pass; (?P<invalid>user unknown)", "pam_check", "authentication:info", "failure"
    ),
    sentence(
        _MODULE
        + r"session opened for user (?P<as_user>[^\s(]+)(?:\(uid=\d+\))? by (?P<user>[^\s(]+)\(uid=\d+\)",
        "session_opened",
        "session:start",
    ),
    sentence(
        _MODULE + r"session opened for user (?P<user>.*?)(?:\(uid=\d+\))? by .*",
        "session_opened",
        "session:start",
    ),
    sentence(_MODULE + r"session closed for user (?P<user>.*)", "session_closed", "session:end"),
    sentence(
        _MODULE + r"password changed for (?P<target>\S+)", "password_changed", "iam:user,change", "success"
    ),
    sentence(
        _MODULE + r"account (?P<user>\S+) (?P<reason>has expired|has password changed in future).*",
        "pam_account",
        "authentication:info",
        "failure",
    ),
    sentence(
        _MODULE + r"(?:auth could not identify password for \[(?P<user>[^\]]+)\]|conversation failed)",
        "pam_check",
        "authentication:info",
        "failure",
    ),
)


def speaks(entry: Entry) -> bool:
    """Tell whether a module of PAM says a line."""
    return entry.module.startswith("pam_") or entry.message.startswith("pam_")


def understand(event: Event, message: str) -> None:
    """Add what a message means; its dataset is that of the program, `.pam`."""
    event["event.dataset"] = f"{event['event.module']}.pam"
    sentences.understand(event, _SENTENCES, message)
