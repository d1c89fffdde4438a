"""Syslog files: lines of many programs, each understood by whoever knows the program."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import ModuleType
from typing import Final

from lab.telemetry.event import Event, Line, Source
from lab.telemetry.sources import accounts, cron, dnsmasq, logind, pam, sshd, su, sudo, sysmon
from lab.telemetry.sources.entry import Entry, event_of, read_entry
from lab.telemetry.sources.wordings import quick_syslog

Understand = Callable[[Event, str], None]
"""Adds to an event what a message of a program means."""

_REPEATED: Final = re.compile(r"message repeated (\d{1,9}) times: \[ (.*)\]", re.DOTALL)


def _by_program(*modules: ModuleType) -> dict[str, Understand]:
    """Index who understands which program; two for one would hide each other."""
    named = {program: module.understand for module in modules for program in module.PROGRAMS}
    if len(named) < sum(len(module.PROGRAMS) for module in modules):
        raise ValueError("two modules understand the same program")
    return named


PROGRAMS: Final = _by_program(accounts, cron, dnsmasq, logind, sshd, su, sudo, sysmon)
"""What a program logs under, and who understands it."""


def understood(entry: Entry) -> Event:
    """Turn an entry into an event, with what its message means."""
    event = event_of(entry)
    message = entry.message
    if repeated := _REPEATED.fullmatch(message):
        event["homerange.repeated"] = int(repeated[1])
        message = repeated[2]
    if understand := PROGRAMS.get(entry.program):
        understand(event, message)
    if pam.speaks(entry):
        pam.understand(event, message)
    return event


class Syslog(Source):
    """Lines of any program: time, host, program, process id and message; and what it means."""

    name = "syslog"
    stateless = True
    quick = quick_syslog(understood, tuple(PROGRAMS), sshd.PROGRAMS)

    def parse(self, line: Line) -> Event | None:
        """Read one line; a blank one is no event."""
        return understood(read_entry(line)) if line.text.strip() else None


class AuthLog(Syslog):
    """auth.log, by the name of the program that says most in it."""

    name = "sshd"
