"""The journal of systemd, as `journalctl -o json` writes it: one entry a line (systemd.journal-fields(7))."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lab.moment import Moment
from lab.telemetry.event import Event, Line, Source, Unparsed
from lab.telemetry.sources.entry import Entry
from lab.telemetry.sources.reading import json_object
from lab.telemetry.sources.syslog import understood
from lab.telemetry.times import YEARS

_TIMES: Final = ("_SOURCE_REALTIME_TIMESTAMP", "__REALTIME_TIMESTAMP")
"""When a program said it, and when the journal heard it, in microseconds."""

_FIELDS: Final[Mapping[str, str]] = {
    "_EXE": "process.executable",
    "_CMDLINE": "process.command_line",
    "_UID": "user.id",
    "_SYSTEMD_UNIT": "service.name",
    "_AUDIT_SESSION": "homerange.audit.session",
}
"""What the kernel says of who wrote an entry, as far as nobody can forge it."""

_LATEST: Final = (YEARS.stop - 1970) * 365 * 86_400 * 10**6


class Journal(Source):
    """JSON lines of the journal."""

    name = "journal"
    stateless = True

    def parse(self, line: Line) -> Event | None:
        """Read one entry; a blank line is no event."""
        if not line.text.strip():
            return None
        said = json_object(line.text)
        if "MESSAGE" not in said or not any(name in said for name in _TIMES):
            raise Unparsed("is not an entry of the journal: it lacks MESSAGE or __REALTIME_TIMESTAMP")
        program = _text(said.get("SYSLOG_IDENTIFIER") or said.get("_COMM"))
        pid = _text(said.get("SYSLOG_PID") or said.get("_PID"))
        entry = Entry(
            at=_time(said),
            host=_text(said.get("_HOSTNAME")),
            program=program.rpartition("/")[2],
            pid=int(pid) if pid.isascii() and pid.isdigit() and len(pid) < 10 else None,  # noqa: PLR2004
            message=_text(said["MESSAGE"]),
        )
        event = understood(entry)
        if event["event.module"] == "syslog":
            event["event.module"], event["event.dataset"] = "journal", "journal.log"
        for name, field in _FIELDS.items():
            if text := _text(said.get(name)):
                event.setdefault(field, text)
        return event


def _text(value: Any) -> str:  # noqa: ANN401  # whatever JSON holds
    """Return a value as text; the journal writes what is not UTF-8 as a list of bytes."""
    if isinstance(value, list):
        if all(isinstance(it, int) and 0 <= it < 256 for it in value):  # noqa: PLR2004
            return bytes(value).decode("utf-8", "backslashreplace")
        return _text(value[0]) if value else ""
    return "" if value is None or isinstance(value, dict) else str(value)


def _time(said: Mapping[str, Any]) -> Moment:
    text = next(_text(said[name]) for name in _TIMES if name in said)
    if not (text.isascii() and text.isdigit()) or int(text) >= _LATEST:
        raise Unparsed("its time is not a number of microseconds")
    return Moment(int(text) * 1000)
