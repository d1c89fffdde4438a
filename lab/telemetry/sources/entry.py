"""The head of a syslog line: when, which host, which program; and what every such line says as an event.

Read are the traditional form of RFC 3164, which has neither year nor zone, the one of RFC 5424, and the one
that rsyslog writes to files (ISO 8601 with zone: RSYSLOG_FileFormat, the default of Debian since 12).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from lab.moment import Moment
from lab.telemetry.event import Event, Line, Unparsed
from lab.telemetry.times import instant, iso_second, yearless_second

_HEAD: Final = re.compile(
    r"(?:<(\d{1,3})>)?"  # the priority, where a template keeps it
    r"(?:(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:?\d\d)"
    r"|([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d:\d\d:\d\d)) "
    r"(\S+) "  # the host's own name
    r"(?:([^\s:\[(]{1,128})(?:\(([^)\s]{0,64})\))?(?:\[(\d{1,9})\])?(?: [\d.]{1,16})?: ?)?"  # the tag
    r"(.*)",
    re.ASCII | re.DOTALL,
)

_FIELD: Final = r"[\x21-\x7e]+"
_RFC5424: Final = re.compile(
    r"<(\d{1,3})>1 "
    r"(?:(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)|-) "
    rf"({_FIELD}) ({_FIELD}) ({_FIELD}) ({_FIELD}) "
    r'(?:-|(?:\[[^"\]]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^"\]]*)*\])+)'  # structured data
    r"(?: \ufeff?(.*))?",
    re.ASCII | re.DOTALL,
)
_NONE: Final = "-"
_HIGHEST_PRIORITY: Final = 191


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One line of a syslog, taken apart."""

    at: Moment
    """When it was written, by the clock of the host; when it was read, where the line does not say."""

    host: str
    """What the host calls itself; empty when the line does not say."""

    program: str
    """Who wrote it, without path or number: `sshd-session`; empty when the line has no tag."""

    module: str = ""
    """What older PAM put in parentheses behind the program: `pam_unix`; mostly empty."""

    pid: int | None = None
    """The process id, when the tag has one."""

    message: str
    """What was said."""

    priority: int | None = None
    """Facility and severity, 8 x the one + the other, where the line keeps them."""

    msgid: str = ""
    """What RFC 5424 calls this sort of message; mostly empty."""


def read_entry(line: Line) -> Entry:
    """Take the head off one line.

    Raises:
        Unparsed: it does not begin with a time and a host.
    """
    if match := _RFC5424.fullmatch(line.text):
        return _of_5424(match, line)
    match = _HEAD.match(line.text)
    if match is None:
        raise Unparsed("does not begin with a syslog time and a host name")
    priority, clock, fraction, zone, month, day, plain, host, program, module, pid, message = match.groups()
    second = iso_second(clock, zone) if clock else yearless_second(month, day, plain, collected=line.created)
    return Entry(
        at=instant(second, fraction),
        host=host,
        program=(program or "").rpartition("/")[2],
        module=module or "",
        pid=int(pid) if pid else None,
        message=message.rstrip("\r"),
        priority=_priority(priority),
    )


def _of_5424(match: re.Match[str], line: Line) -> Entry:
    priority, clock, fraction, zone, host, program, process, msgid, message = match.groups()
    return Entry(
        at=instant(iso_second(clock, zone), fraction) if clock else line.created,
        host="" if host == _NONE else host,
        program="" if program == _NONE else program.rpartition("/")[2],
        pid=int(process) if process.isdigit() and len(process) <= 9 else None,  # noqa: PLR2004  # of a number
        message=(message or "").rstrip("\r"),
        priority=_priority(priority),
        msgid="" if msgid == _NONE else msgid,
    )


def _priority(text: str | None) -> int | None:
    return int(text) if text and int(text) <= _HIGHEST_PRIORITY else None


def event_of(entry: Entry) -> Event:
    """Return the fields that every line has.

    `host.name` stays the node's name in the lab; what the host calls itself is beside it.
    """
    event: Event = {"@timestamp": entry.at, "event.module": "syslog", "event.dataset": "syslog.log"}
    if entry.host:
        event["log.syslog.hostname"] = entry.host
    if entry.message:
        event["message"] = entry.message
    if entry.program:
        event["process.name"] = entry.program
    if entry.pid is not None:
        event["process.pid"] = entry.pid
    if entry.msgid:
        event["log.syslog.msgid"] = entry.msgid
    if entry.priority is not None:
        event["log.syslog.priority"] = entry.priority
        event["log.syslog.facility.code"], event["log.syslog.severity.code"] = divmod(entry.priority, 8)
    return event
