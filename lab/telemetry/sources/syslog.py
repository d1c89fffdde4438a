"""Syslog files: the head that every line has, and lines of programs without a source of their own.

Both forms rsyslog writes are read: ISO 8601 with zone (RSYSLOG_FileFormat, the default of Debian
since 12) and the traditional one of RFC 3164, which has neither year nor zone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from lab.moment import Moment
from lab.telemetry.event import Event, Line, Source, Unparsed
from lab.telemetry.sources.reading import instant, iso_second, yearless_second

_HEAD: Final = re.compile(
    r"(?:<\d{1,3}>)?"  # the priority, where a template keeps it
    r"(?:(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:?\d\d)"
    r"|([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d:\d\d:\d\d)) "
    r"(\S+) "  # the host's own name
    r"(?:([^\s:\[(]{1,128})(?:\(([^)\s]{0,64})\))?(?:\[(\d{1,9})\])?(?: [\d.]{1,16})?: ?)?"  # the tag
    r"(.*)",
    re.ASCII | re.DOTALL,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One line of a syslog file, taken apart."""

    at: Moment
    """When it was written, by the clock of the host."""

    host: str
    """What the host calls itself."""

    program: str
    """Who wrote it, without path or number: `sshd-session`; empty when the line has no tag."""

    module: str
    """What older PAM put in parentheses behind the program: `pam_unix`; mostly empty."""

    pid: int | None
    """The process id, when the tag has one."""

    message: str
    """What was said."""


def read_entry(line: Line) -> Entry:
    """Take the head off one line.

    Raises:
        Unparsed: it does not begin with a time and a host.
    """
    match = _HEAD.match(line.text)
    if match is None:
        raise Unparsed("does not begin with a syslog time and a host name")
    clock, fraction, zone, month, day, plain, host, program, module, pid, message = match.groups()
    second = iso_second(clock, zone) if clock else yearless_second(month, day, plain, collected=line.created)
    return Entry(
        at=instant(second, fraction),
        host=host,
        program=(program or "").rpartition("/")[2],
        module=module or "",
        pid=int(pid) if pid else None,
        message=message.rstrip("\r"),
    )


def event_of(entry: Entry, dataset: str) -> Event:
    """Return the fields every syslog line has.

    `host.name` stays the node's name in the lab; what the host calls itself is beside it.
    """
    event: Event = {
        "@timestamp": entry.at,
        "event.dataset": dataset,
        "log.syslog.hostname": entry.host,
    }
    if entry.message:
        event["message"] = entry.message
    if entry.program:
        event["process.name"] = entry.program
    if entry.pid is not None:
        event["process.pid"] = entry.pid
    return event


class Syslog(Source):
    """Lines of any program: time, host, program, process id and message."""

    name = "syslog"

    def parse(self, line: Line) -> Event | None:
        """Read one line; a blank one is no event."""
        return event_of(read_entry(line), "syslog.log") if line.text.strip() else None
