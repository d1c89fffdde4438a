"""Program starts, as snoopy logs them (`playbooks/roles/common/files/snoopy.ini` says the format).

snoopy escapes nothing, so a line feed in a command line ends the line and the next one goes on with
it. Whoever is logged can also write to the file: an event here is what the node said, no proof.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from lab.moment import SECOND, Moment
from lab.telemetry.event import Event, Line, Source, Unparsed
from lab.telemetry.sources.reading import put_peer
from lab.telemetry.times import YEARS, instant

REMEMBERED: Final = 4096
"""Processes whose last program is kept, to name it as parent of others."""

LONGEST: Final = 32_768
"""Characters of a command line that goes on over lines; of a longer one, beginning and end are kept."""

LONGEST_OF_PARENT: Final = 1024
"""The same of a parent's: each of thousands of children names it."""

TOGETHER: Final = 16
"""Lines of a command line that are kept together: its first and its last. Each line is an event, and must
not hold all that came before it, or a file of line feeds would fill the memory."""

_Parts = tuple[str, str, str]
"""Working directory, executable, command line."""

_RECORD: Final = re.compile(
    r"exec (?P<second>\d{1,11})\.(?P<fraction>\d{1,9}) pid=(?P<pid>\d{1,9}) ppid=(?P<ppid>\d{1,9})"
    r" sid=(?P<sid>\d{1,9}) uid=(?P<uid>\d{1,10}) euid=(?P<euid>\d{1,10}) user=(?P<user>\S*) tty=(?P<tty>\S*)"
    r"(?: ssh=(?:(?P<client>[\d.]{7,15}) (?P<port>\d{1,5}) \S{1,45} \d{1,5}|.*?))?"
    r"(?: web=(?:(?P<visitor>[\d.]{7,15}):(?P<visitor_port>\d{1,5})|.*?))? cwd=(?P<rest>.*)",
    re.ASCII | re.DOTALL,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Program:
    """What a process last became."""

    executable: str
    """Path of the program."""

    command_line: str
    """Its arguments, joined by blanks."""


class Snoopy(Source):
    """One file of program starts; keeps which process runs what, to tell parents."""

    name = "snoopy"

    def __init__(self) -> None:
        self._running: OrderedDict[int, _Program] = OrderedDict()
        self._last: Event | None = None
        self._lines: list[str] = []

    def parse(self, line: Line) -> Event | None:
        """Read one line.

        Returns:
            A program start with `event.action` `exec`; for a line that goes on with the one before, the
            same start again with `exec_continued` and the command line so far (`TOGETHER`, `LONGEST`), so
            that a rule also sees what stands after a line feed.
        """
        text = line.text.removesuffix("\r")
        match = _RECORD.fullmatch(text)
        parts = _parts(match["rest"]) if match else None
        if match is None or parts is None:
            return self._continued(text)
        self._last = event = self._start(match, parts)
        self._lines = [parts[-1]]
        self._remember(event)
        return dict(event)

    def _continued(self, text: str) -> Event:
        if self._last is None:
            raise Unparsed("does not begin like a program start, and goes on with none")
        if len(self._lines) == TOGETHER:
            del self._lines[1]
        self._lines.append(text)
        whole = _shortened("\n".join(self._lines), LONGEST)
        self._last |= {"event.action": "exec_continued", "process.command_line": whole, "message": whole}
        self._remember(self._last)
        return dict(self._last)

    def _start(self, match: re.Match[str], parts: _Parts) -> Event:
        event = _fields(match, parts)
        parent = int(match["ppid"])
        event["process.parent.pid"] = parent
        if known := self._running.get(parent):
            self._running.move_to_end(parent)
            event["process.parent.executable"] = known.executable
            event["process.parent.name"] = known.executable.rpartition("/")[2]
            event["process.parent.command_line"] = known.command_line
        return {field: value for field, value in event.items() if value != ""}

    def _remember(self, event: Event) -> None:
        pid = int(str(event["process.pid"]))
        self._running[pid] = _Program(
            executable=str(event.get("process.executable", "")),
            command_line=_shortened(str(event.get("process.command_line", "")), LONGEST_OF_PARENT),
        )
        self._running.move_to_end(pid)
        if len(self._running) > REMEMBERED:
            self._running.popitem(last=False)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most // 2] + text[-most // 2 :]


def _parts(rest: str) -> _Parts | None:
    """Cut at the first mark of each kind; a pattern would try them all when one is missing."""
    directory, exe_mark, rest = rest.partition(" //exe=")
    executable, cmd_mark, command_line = rest.partition(" //cmd=")
    return (directory, executable, command_line) if exe_mark and cmd_mark else None


def _fields(match: re.Match[str], parts: _Parts) -> Event:
    directory, executable, command_line = parts
    event: Event = {
        "@timestamp": _time(match),
        "event.dataset": "snoopy.exec",
        "event.category": ("process",),
        "event.type": ("start",),
        "event.action": "exec",
        "message": command_line,
        "process.pid": int(match["pid"]),
        "process.executable": executable,
        "process.name": executable.rpartition("/")[2],
        "process.command_line": command_line,
        "process.working_directory": directory,
        "process.session_leader.pid": int(match["sid"]),
        "process.interactive": match["tty"] != "(none)",
        "user.id": match["uid"],
        "user.effective.id": match["euid"],
    }
    put_peer(event, "source", match["client"], match["port"])
    if match["visitor"]:
        put_peer(event, "source", match["visitor"], match["visitor_port"])
        event["process.entry_leader.entry_meta.type"] = "web"
    if match["user"] and not match["user"].startswith("("):  # `(unknown)`: no such account
        event["user.name"] = match["user"]
    return event


def _time(match: re.Match[str]) -> Moment:
    second = int(match["second"])
    if second >= (YEARS.stop - 1970) * 365 * 86_400:
        raise Unparsed("the time is out of range")
    return instant(second * SECOND, match["fraction"])
