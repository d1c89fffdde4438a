"""Log-in sessions: which one an event belongs to, so that a command says who sat behind it, and where.

A session begins with a log-in: sshd's, cron's, or one that auditd or logind numbers. What belongs to it is
found by the connection that the process says it came from, by the number of the session, by the process that
began it, and by processes that such processes started. A user's sudo is of the one session that this user has
open on the host; where there are several, nobody guesses.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lab.moment import SECOND
from lab.telemetry.event import FIELDS, Event
from lab.telemetry.events import Events
from lab.telemetry.table import ARROW, where, with_columns

REMEMBERED: Final = 20_000
"""Sessions, and processes of such, that are kept; beyond it those used longest ago are forgotten."""

_LINGERS: Final = 2 * SECOND
"""How long after its end something may still be written of a session, in nanoseconds."""

_MODULES: Final = ("auditd", "cron", "logind", "snoopy", "su", "sudo", "sysmon")
"""Logs all of whose events may be of a session."""

_BEGINNINGS: Final = ("session_opened", "session_closed", "ssh_session")

_ENTITY: Final = "process.entry_leader.entity_id"
_COLUMNS: Final = (
    "@timestamp", "host.name", "event.module", "event.action", "event.outcome", "event.type", "source.ip",
    "source.port", "user.name", "process.pid", "process.parent.pid", "process.session_leader.pid",
    "homerange.audit.session", "process.entry_leader.user.name", "process.entry_leader.entry_meta.type",
)  # fmt: skip
"""What is looked at."""


@dataclass(slots=True)
class _Session:
    """One session."""

    host: str
    key: tuple[str, ...]
    start: int
    kind: str
    user: str = ""
    source: str = ""
    pid: int | None = None
    end: int | None = None
    entity: str = field(init=False)

    def __post_init__(self) -> None:
        """Name it by what tells it from others."""
        text = "\0".join((self.host, *self.key))
        self.entity = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def open_at(self, moment: int) -> bool:
        """Tell whether something that happened then may be of it."""
        return moment >= self.start - _LINGERS and (self.end is None or moment <= self.end + _LINGERS)

    def fields(self) -> Iterator[tuple[str, Any]]:
        """Give what its events say of it."""
        yield _ENTITY, self.entity
        yield "process.entry_leader.start", self.start
        yield "process.entry_leader.entry_meta.type", self.kind
        yield "process.entry_leader.user.name", self.user or None
        yield "process.entry_leader.entry_meta.source.ip", self.source or None
        yield "process.entry_leader.pid", self.pid


class Sessions:
    """The sessions of all hosts, as far as logs have told."""

    def __init__(self) -> None:
        self._by_key: OrderedDict[tuple[str, ...], _Session] = OrderedDict()
        self._by_process: OrderedDict[tuple[str, int], _Session] = OrderedDict()

    def join(self, events: Events) -> Events:
        """Return the same events, those of a session with what is known of it."""
        places = self._concerned(events)
        if not places:
            return events
        known = events.chosen(places)
        told = sorted(zip(places, _rows(known), strict=True), key=_when)
        found = {place: session for place, event in told if (session := self._session(event))}
        return _with_sessions(events, found) if found else events

    def _concerned(self, events: Events) -> list[int]:
        """Return the places of events that begin, end or may be of a session; most of a flood are none."""
        if not len(events) or "event.module" not in events.table.column_names:
            return []
        mask: Any = _among(events, "event.module", _MODULES)
        mask = pc.or_(mask, _among(events, "event.action", _BEGINNINGS))
        mask = pc.or_(mask, _logins(events))
        pids = sorted({pid for _, pid in self._by_process})
        if pids and "process.pid" in events.table.column_names:
            of_known = pc.is_in(events.table["process.pid"], value_set=pa.array(pids, pa.int64()))
            mask = pc.or_(mask, pc.and_(of_known, _among(events, "event.module", ("sshd",))))
        return where(mask)

    def _session(self, event: Event) -> _Session | None:
        host, moment = str(event.get("host.name", "")), int(str(event["@timestamp"]))
        module, action = event.get("event.module"), event.get("event.action")
        if action == "ssh_login" and event.get("event.outcome") == "success":
            return self._begin(host, event, moment, "sshd")
        if module == "cron" and action == "cron_command":
            return self._begin(host, event, moment, "cron")
        number = event.get("homerange.audit.session")
        if number is not None:
            return self._numbered(host, str(number), event, moment)
        if module == "snoopy" and "source.ip" in event and "source.port" in event:
            return self._connected(host, event, moment)
        found = self._of_process(host, event, moment)
        if found and action == "session_closed" and found.pid == event.get("process.pid"):
            found.end = moment
        if not found and module in {"sudo", "su"}:
            found = self._only_open(host, str(event.get("user.name", "")), moment)
        return self._remembered(host, event, found)

    def _begin(self, host: str, event: Event, moment: int, kind: str) -> _Session:
        connection = (str(event.get("source.ip", "")), str(event.get("source.port", "")))
        pid = event.get("process.pid")
        key = ("ssh", *connection) if all(connection) else (kind, str(pid), str(moment))
        session = self._by_key.get((host, *key))
        if session is None or not session.open_at(moment):
            session = self._keep(_Session(host=host, key=key, start=moment, kind=kind))
        session.start, session.kind = min(session.start, moment), kind
        session.user = str(event.get("user.name", ""))
        session.source = connection[0]
        session.pid = pid if isinstance(pid, int) else None
        return self._remembered(host, event, session) or session

    def _numbered(self, host: str, number: str, event: Event, moment: int) -> _Session:
        key = ("audit", number)
        session = self._by_key.get((host, *key))
        if session is None or not session.open_at(moment):
            session = self._keep(_Session(host=host, key=key, start=moment, kind="init"))
        who = event.get("process.entry_leader.user.name")
        if event.get("event.action") in {"logged-in", "logind_session", "started-session"}:
            who = who or event.get("user.name")
            session.source = session.source or str(event.get("source.ip", ""))
            session.kind = "sshd" if session.source else "terminal"
        session.user = session.user or str(who or "")
        if event.get("event.type") == ("end",) and event.get("event.module") == "logind":
            session.end = moment
        return self._remembered(host, event, session) or session

    def _connected(self, host: str, event: Event, moment: int) -> _Session:
        key = ("ssh", str(event["source.ip"]), str(event["source.port"]))
        session = self._by_key.get((host, *key))
        if session is None or not session.open_at(moment):
            kind = str(event.get("process.entry_leader.entry_meta.type", "sshd"))
            session = self._keep(_Session(host=host, key=key, start=moment, kind=kind))
            session.source, session.user = key[1], str(event.get("user.name", ""))
        return self._remembered(host, event, session) or session

    def _of_process(self, host: str, event: Event, moment: int) -> _Session | None:
        for name in ("process.parent.pid", "process.session_leader.pid", "process.pid"):
            pid = event.get(name)
            if isinstance(pid, int) and pid > 1 and (found := self._by_process.get((host, pid))):
                return found if found.open_at(moment) else None
        return None

    def _only_open(self, host: str, user: str, moment: int) -> _Session | None:
        ours = (it for it in self._by_key.values() if it.host == host and it.user == user)
        found = [it for it in ours if it.open_at(moment)]
        return found[0] if len(found) == 1 else None

    def _keep(self, session: _Session) -> _Session:
        _put(self._by_key, (session.host, *session.key), session)
        return session

    def _remembered(self, host: str, event: Event, session: _Session | None) -> _Session | None:
        """Note that a process is of a session, so that what it starts is as well."""
        pid = event.get("process.pid")
        if session and isinstance(pid, int) and pid > 1:
            _put(self._by_process, (host, pid), session)
        return session


def _put(kept: OrderedDict[Any, _Session], key: Any, session: _Session) -> None:  # noqa: ANN401  # of either
    kept[key] = session
    kept.move_to_end(key)
    if len(kept) > REMEMBERED:
        kept.popitem(last=False)


def _when(told: tuple[int, Event]) -> tuple[int, int]:
    """Order events by when they happened, then by place."""
    return int(str(told[1].get("@timestamp", 0))), told[0]


def _rows(events: Events) -> Iterable[Event]:
    held = [name for name in _COLUMNS if name in events.table.column_names]
    return Events(events.table.select(held))


def _among(events: Events, name: str, values: Iterable[str]) -> Any:  # noqa: ANN401  # a column of truth values
    if name not in events.table.column_names:
        return pa.array([False] * len(events))
    return pc.is_in(events.table[name], value_set=pa.array(sorted(values), pa.string()))


def _logins(events: Events) -> Any:  # noqa: ANN401  # a column of truth values
    action, outcome = (
        _among(events, "event.action", ("ssh_login",)),
        _among(events, "event.outcome", ("success",)),
    )
    return pc.and_(action, outcome)


def _with_sessions(events: Events, found: dict[int, _Session]) -> Events:
    sessions = list({id(it): it for it in found.values()}.values())
    place_of = {id(it): place for place, it in enumerate(sessions)}
    rows: list[int | None] = [None] * len(events)
    for row, session in found.items():
        rows[row] = place_of[id(session)]
    of = pa.array(rows, pa.int64())
    said = [dict(it.fields()) for it in sessions]
    made: dict[str, Any] = {
        name: pa.array([it[name] for it in said], ARROW[FIELDS[name]]).take(of) for name in said[0]
    }
    for name in set(made).intersection(events.table.column_names):
        made[name] = pc.coalesce(made[name], events.table[name])
    return Events(with_columns(events.table, made))
