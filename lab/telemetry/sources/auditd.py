r"""auditd: what the kernel and trusted programs say of one act, a record a line, joined to one event.

Records of one act have one time and serial, `msg=audit(1700000000.123:456)`. What a user may have chosen
stands in quotes, or in hexadecimal when it holds blanks, quotes or control characters. auditd 2.8 to 4.0,
with and without the enriched part behind `\x1d` (auditd.conf(5), log_format).
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from lab.moment import SECOND, Moment
from lab.telemetry.event import Event, Line, Origin, Source, Unparsed
from lab.telemetry.sources.reading import put_peer
from lab.telemetry.times import YEARS, instant

_RECORD: Final = re.compile(
    r"(?:node=(?P<node>\S+) )?type=(?P<type>[A-Z0-9_\[\]]{1,40}) "
    r"msg=audit\((?P<second>\d{1,11})\.(?P<fraction>\d{1,9}):(?P<serial>\d{1,12})\): ?(?P<rest>.*)",
    re.ASCII | re.DOTALL,
)
_PAIR: Final = re.compile(r"""(?<![\w\[\]-])([A-Za-z][\w\[\]-]*)=("[^"]*"|'[^']*'|[^\s\x1d]*)""")
_INNER: Final = re.compile(r"msg='([^']*)'?")
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_CHOSEN: Final = re.compile(
    r"a\d+(?:\[\d+\])?|comm|exe|cwd|name|proctitle|acct|key|cmd|data|grp|ogid|id|unit"
)
_ARGUMENT: Final = re.compile(r"a(\d+)(?:\[\d+\])?")
_NO_SESSION: Final = frozenset({"4294967295", "-1", ""})

_WAITING: Final = 256
"""Acts whose records may still come; beyond it the oldest is told as it is."""

_RECORDS: Final = 1_000
"""Records that one act has at most; the kernel writes a long command line as some dozens."""

_NEWER: Final = 8
"""Newer acts after which nothing more of an act is expected: CPUs write side by side, not far apart."""

_LAST: Final = frozenset({"PROCTITLE", "EOE"})
"""What the kernel writes last of an act."""

_SYSCALLS: Final[Mapping[str, str]] = {
    "2": "open", "42": "connect", "43": "accept", "49": "bind", "59": "execve", "82": "rename",
    "83": "mkdir", "84": "rmdir", "85": "creat", "87": "unlink", "88": "symlink", "90": "chmod",
    "91": "fchmod", "92": "chown", "93": "fchown", "101": "ptrace", "165": "mount",
    "175": "init_module", "188": "setxattr", "257": "openat", "258": "mkdirat", "260": "fchownat",
    "263": "unlinkat", "264": "renameat", "266": "symlinkat", "268": "fchmodat", "288": "accept4",
    "313": "finit_module", "316": "renameat2", "322": "execveat",
}  # fmt: skip
"""Numbers of x86-64's system calls, for logs that are not enriched."""

_CALLS: Final[Mapping[str, tuple[str, str, tuple[str, ...]]]] = {
    "execve": ("executed", "process", ("start",)),
    "execveat": ("executed", "process", ("start",)),
    "open": ("opened-file", "file", ("access",)),
    "openat": ("opened-file", "file", ("access",)),
    "creat": ("opened-file", "file", ("creation",)),
    "unlink": ("deleted", "file", ("deletion",)),
    "unlinkat": ("deleted", "file", ("deletion",)),
    "rmdir": ("deleted", "file", ("deletion",)),
    "rename": ("renamed", "file", ("change",)),
    "renameat": ("renamed", "file", ("change",)),
    "renameat2": ("renamed", "file", ("change",)),
    "mkdir": ("created-directory", "file", ("creation",)),
    "mkdirat": ("created-directory", "file", ("creation",)),
    "symlink": ("symlinked", "file", ("creation",)),
    "symlinkat": ("symlinked", "file", ("creation",)),
    "chmod": ("changed-file-permissions-of", "file", ("change",)),
    "fchmod": ("changed-file-permissions-of", "file", ("change",)),
    "fchmodat": ("changed-file-permissions-of", "file", ("change",)),
    "chown": ("changed-file-ownership-of", "file", ("change",)),
    "fchown": ("changed-file-ownership-of", "file", ("change",)),
    "fchownat": ("changed-file-ownership-of", "file", ("change",)),
    "setxattr": ("changed-file-attributes-of", "file", ("change",)),
    "connect": ("connected-to", "network", ("connection", "start")),
    "accept": ("accepted-connection-from", "network", ("connection", "start")),
    "accept4": ("accepted-connection-from", "network", ("connection", "start")),
    "bind": ("bound-socket", "network", ("info",)),
    "ptrace": ("traced", "process", ("access",)),
    "init_module": ("loaded-kernel-module", "driver", ("start",)),
    "finit_module": ("loaded-kernel-module", "driver", ("start",)),
    "mount": ("mounted", "process", ("info",)),
}
"""What a system call means."""

_TYPES: Final[Mapping[str, tuple[str, str, tuple[str, ...]]]] = {
    "USER_AUTH": ("authenticated", "authentication", ("info",)),
    "USER_ACCT": ("was-authorized", "authentication", ("info",)),
    "USER_LOGIN": ("logged-in", "authentication", ("start",)),
    "USER_LOGOUT": ("logged-out", "authentication", ("end",)),
    "USER_START": ("started-session", "session", ("start",)),
    "USER_END": ("ended-session", "session", ("end",)),
    "LOGIN": ("changed-login-id-to", "session", ("start",)),
    "CRED_ACQ": ("acquired-credentials", "authentication", ("info",)),
    "CRED_DISP": ("disposed-credentials", "authentication", ("info",)),
    "CRED_REFR": ("refreshed-credentials", "authentication", ("info",)),
    "USER_ERR": ("error", "authentication", ("info",)),
    "USER_CMD": ("ran-command", "process", ("start",)),
    "USER_CHAUTHTOK": ("changed-password", "iam", ("user", "change")),
    "USER_MGMT": ("modified-user-account", "iam", ("user", "change")),
    "ADD_USER": ("added-user-account", "iam", ("user", "creation")),
    "DEL_USER": ("deleted-user-account", "iam", ("user", "deletion")),
    "ADD_GROUP": ("added-group-account-to", "iam", ("group", "creation")),
    "DEL_GROUP": ("deleted-group-account-from", "iam", ("group", "deletion")),
    "GRP_MGMT": ("modified-group-account", "iam", ("group", "change")),
    "SERVICE_START": ("started-service", "process", ("start",)),
    "SERVICE_STOP": ("stopped-service", "process", ("end",)),
    "CONFIG_CHANGE": ("changed-audit-configuration", "configuration", ("change",)),
    "DAEMON_START": ("started-audit", "process", ("start",)),
    "DAEMON_END": ("shutdown-audit", "process", ("end",)),
    "ANOM_PROMISCUOUS": ("changed-promiscuous-mode-on-device", "network", ("info",)),
    "ANOM_ABEND": ("crashed-program", "process", ("end",)),
}
"""What a record that stands alone means."""

_KERNEL: Final = frozenset(
    (
        "SYSCALL",
        "EXECVE",
        "CWD",
        "PATH",
        "PROCTITLE",
        "SOCKADDR",
        "EOE",
        "BPRM_FCAPS",
        "MMAP",
        "IPC",
        "OBJ_PID",
    )
)
"""Records that go with others of the same act."""


@dataclass(kw_only=True, slots=True)
class _Act:
    """The records of one act, as far as they have come."""

    at: Moment
    serial: int
    origin: Origin
    records: list[tuple[str, dict[str, str]]] = field(default_factory=list)


class Auditd(Source):
    """audit.log: one event an act; keeps the records of acts that are not told to their end."""

    name = "auditd"

    def __init__(self) -> None:
        self._acts: OrderedDict[tuple[str, str], _Act] = OrderedDict()

    def parse(self, line: Line) -> Event | None:
        """Read one record.

        Returns:
            The event of an act whose last record has come: of this line, or of one before it.
        """
        if not line.text.strip():
            return None
        match = _RECORD.fullmatch(line.text)
        if match is None:
            raise Unparsed("is not a record of auditd")
        kind, key = match["type"], (match["serial"], match["second"] + match["fraction"])
        if kind not in _KERNEL and key not in self._acts:
            return _told(self._begun(match, line), [(kind, _values(match["rest"]))])
        if kind == "EOE" and key not in self._acts:
            return None
        act = self._acts.get(key)
        if act is None:
            act = self._acts[key] = self._begun(match, line)
        act.records.append((kind, _values(match["rest"])))
        act.origin.texts.append(line.text)
        if kind in _LAST or len(act.records) >= _RECORDS:
            return self._end(key)
        oldest = next(iter(self._acts))
        late = act.serial - self._acts[oldest].serial > _NEWER or len(self._acts) > _WAITING
        return self._end(oldest) if late and oldest != key else None

    @staticmethod
    def _begun(match: re.Match[str], line: Line) -> _Act:
        second = int(match["second"])
        if second >= (YEARS.stop - 1970) * 365 * 86_400:
            raise Unparsed("the time is out of range")
        at = instant(second * SECOND, match["fraction"])
        return _Act(at=at, serial=int(match["serial"]), origin=Origin(number=line.number))

    def _end(self, key: tuple[str, str]) -> Event:
        act = self._acts.pop(key)
        event = _told(act, act.records)
        act.origin.put(event)
        return event

    def rest(self) -> Iterable[Event]:
        """Tell the acts whose last record does not come."""
        return [self._end(key) for key in tuple(self._acts)]


def _values(rest: str) -> dict[str, str]:
    """Read what a record says, the words of the program it quotes included."""
    said = _INNER.search(rest)
    text = rest.replace(said[0], said[1]) if said else rest
    found: dict[str, str] = {}
    for name, raw in _PAIR.findall(text):
        value = raw[1:-1] if raw[:1] in {'"', "'"} else _decoded(raw) if _CHOSEN.fullmatch(name) else raw
        if value and value not in {"(null)", "?", "(none)"}:
            found.setdefault(name, value)
    return found


def _decoded(raw: str) -> str:
    """Read hexadecimal, in which the kernel writes what a user may have chosen to mislead."""
    if not _HEX.fullmatch(raw) or (len(raw) < 4 and raw.isdigit()):  # noqa: PLR2004  # `id=0` is a number
        return raw
    return bytes.fromhex(raw).decode("utf-8", "backslashreplace")


def _told(act: _Act, records: list[tuple[str, dict[str, str]]]) -> Event:
    event: Event = {"@timestamp": act.at, "event.module": "auditd", "event.sequence": act.serial}
    first, values = records[0]
    event |= {"event.code": first, "event.dataset": "auditd.log"}
    syscall = next((said for kind, said in records if kind == "SYSCALL"), None)
    _put_who(event, syscall if syscall is not None else values)
    if syscall is not None:
        _put_call(event, syscall)
    elif meaning := _TYPES.get(first):
        _put_meaning(event, meaning)
        _put_user_record(event, first, values)
    for kind, said in records:
        _put_record(event, kind, said)
    _put_command(event, records)
    return event


def _put_meaning(event: Event, meaning: tuple[str, str, tuple[str, ...]]) -> None:
    event["event.action"], category, event["event.type"] = meaning
    event["event.category"] = (category,)


def _put_text(event: Event, name: str, text: str | None) -> None:
    if text:
        event[name] = text


def _put_number(event: Event, name: str, text: str | None) -> None:
    if text and text.lstrip("-").isdigit() and len(text) <= 18:  # noqa: PLR2004  # of 64 bits
        event[name] = int(text)


def _put_who(event: Event, said: Mapping[str, str]) -> None:
    _put_number(event, "process.pid", said.get("pid"))
    _put_number(event, "process.parent.pid", said.get("ppid"))
    _put_text(event, "user.id", said.get("uid"))
    _put_text(event, "user.name", said.get("UID"))
    _put_text(event, "user.effective.id", said.get("euid"))
    _put_text(event, "user.effective.name", said.get("EUID"))
    _put_text(event, "process.executable", said.get("exe"))
    executable = str(event.get("process.executable", ""))
    _put_text(event, "process.name", executable.rpartition("/")[2] or said.get("comm"))
    _put_text(event, "homerange.audit.key", said.get("key"))
    if said.get("ses", "") not in _NO_SESSION:
        event["homerange.audit.session"] = said["ses"]
        _put_text(event, "process.entry_leader.user.name", said.get("AUID"))
    outcome = {
        "yes": "success",
        "no": "failure",
        "success": "success",
        "failed": "failure",
        "1": "success",
        "0": "failure",
    }
    _put_text(event, "event.outcome", outcome.get(said.get("success") or said.get("res", "")))
    if said.get("tty", "(none)") != "(none)" and "tty" in said:
        event["process.interactive"] = True


def _put_call(event: Event, said: Mapping[str, str]) -> None:
    name = said.get("SYSCALL") or _SYSCALLS.get(said.get("syscall", ""), "")
    if meaning := _CALLS.get(name):
        _put_meaning(event, meaning)
    _put_number(event, "process.exit_code", said.get("exit"))


def _put_user_record(event: Event, kind: str, said: Mapping[str, str]) -> None:
    account = said.get("acct")
    name = "user.target.name" if _TYPES[kind][1] == "iam" else "user.name"
    _put_text(event, name, account)
    put_peer(event, "source", said.get("addr") or said.get("hostname"))
    _put_text(event, "service.name", said.get("unit"))
    _put_text(event, "group.name", said.get("grp"))
    if command := said.get("cmd"):
        event["process.command_line"] = command
        executable = command.partition(" ")[0]
        _put_text(event, "process.executable", executable)
        _put_text(event, "process.name", executable.rpartition("/")[2])
    _put_text(event, "process.working_directory", said.get("cwd"))


def _put_record(event: Event, kind: str, said: Mapping[str, str]) -> None:
    if kind == "CWD":
        _put_text(event, "process.working_directory", said.get("cwd"))
    elif kind == "SOCKADDR":
        _put_address(event, said.get("saddr", ""))
    elif kind == "PATH" and event.get("event.category") == ("file",) and said.get("nametype") != "PARENT":
        path = said.get("name", "")
        folder = str(event.get("process.working_directory", ""))
        whole = path if path.startswith("/") or not folder else f"{folder.rstrip('/')}/{path}"
        if path:
            event["file.path"], event["file.name"] = whole, path.rstrip("/").rpartition("/")[2] or path


def _put_address(event: Event, saddr: str) -> None:
    """Read a socket address as the kernel has it in memory: family, port, address."""
    try:
        raw = bytes.fromhex(saddr)
    except ValueError:
        return
    family = int.from_bytes(raw[:2], "little")
    if family == 2 and len(raw) >= 8:  # noqa: PLR2004  # AF_INET
        host = ".".join(map(str, raw[4:8]))
    elif family == 10 and len(raw) >= 24:  # noqa: PLR2004  # AF_INET6
        host = ":".join(raw[place : place + 2].hex() for place in range(8, 24, 2))
    else:
        return
    side = "source" if event.get("event.action") == "accepted-connection-from" else "destination"
    put_peer(event, side, host, str(int.from_bytes(raw[2:4], "big")))


def _put_command(event: Event, records: list[tuple[str, dict[str, str]]]) -> None:
    """Join the arguments, the long ones of several pieces; else take what the process calls itself."""
    arguments: dict[int, str] = {}
    for kind, said in records:
        if kind == "EXECVE":
            for name, value in said.items():
                if match := _ARGUMENT.fullmatch(name):
                    arguments[int(match[1])] = arguments.get(int(match[1]), "") + value
    words = tuple(arguments[place] for place in sorted(arguments))
    title = next((said.get("proctitle", "") for kind, said in records if kind == "PROCTITLE"), "")
    if not words and title:
        words = tuple(title.split("\0"))
    if words and "process.command_line" not in event:
        event["process.args"] = words
        event["process.command_line"] = " ".join(words)
