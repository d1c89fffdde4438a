r"""Zeek: one log for each sort of record, as JSON lines or as columns between tabs. Zeek 3 to 7.

Columns are named by the lines that begin with `#`. Which log a line is of is said by `#path`, by `_path`, by
the file's name, or by what it holds (docs.zeek.org, "Log Files").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from lab.moment import SECOND
from lab.telemetry.event import Event, Line, Source, Unparsed
from lab.telemetry.sources.reading import LONG, address, json_object, put, put_peer
from lab.telemetry.times import epoch_moment, moment_of

Said = Mapping[str, Any]
"""What a record says, by the names of its columns."""

_SIGNS: Final = (
    ("conn", "conn_state"),
    ("dns", "qtype_name"),
    ("dns", "rcode_name"),
    ("ssh", "auth_attempts"),
    ("ssh", "auth_success"),
    ("http", "status_code"),
    ("http", "user_agent"),
    ("ssl", "cipher"),
    ("files", "fuid"),
    ("notice", "note"),
    ("weird", "addl"),
)
"""A column that no other log has, for records that do not say which log they are of."""

_LOGS: Final = frozenset({name for name, _ in _SIGNS})


class Zeek(Source):
    """One log of Zeek; columns are remembered from its head."""

    name = "zeek"

    def __init__(self) -> None:
        self._separator = "\t"
        self._path = ""
        self._unset, self._empty, self._between = "-", "(empty)", ","
        self._columns: tuple[str, ...] = ()

    def parse(self, line: Line) -> Event | None:
        """Read one line; a line of the head is no event."""
        text = line.text
        if not text.strip():
            return None
        if text.startswith("#"):
            self._head(text)
            return None
        said = json_object(text) if text.startswith("{") else self._row(text)
        return _told(said, self._path or _log_of(said, line.path))

    def _head(self, text: str) -> None:
        key, _, rest = (
            text.partition(" ") if text.startswith("#separator") else text.partition(self._separator)
        )
        if key == "#separator":
            codes = re.fullmatch(r"(?:\\x[0-9A-Fa-f]{2})+", rest, re.ASCII)
            plain = bytes.fromhex(rest.replace("\\x", "")).decode("latin-1") if codes else rest
            self._separator = plain or "\t"
        elif key == "#path":
            self._path = rest
        elif key == "#fields":
            self._columns = tuple(rest.split(self._separator))
        elif key == "#unset_field":
            self._unset = rest
        elif key == "#empty_field":
            self._empty = rest
        elif key == "#set_separator":
            self._between = rest or ","

    def _row(self, text: str) -> Said:
        if not self._columns:
            raise Unparsed("is no JSON, and no line before it names the columns")
        values = text.split(self._separator)
        if len(values) != len(self._columns):
            raise Unparsed(f"has {len(values)} columns, and {len(self._columns)} are named")
        pairs = zip(self._columns, values, strict=True)
        return {
            name: value.split(self._between) if name in _LISTS else value
            for name, value in pairs
            if value not in {self._unset, self._empty}
        }


_LISTS: Final = frozenset({"answers", "TTLs", "actions", "tx_hosts", "rx_hosts"})


def _log_of(said: Said, path: str) -> str:
    if isinstance(said.get("_path"), str):
        return str(said["_path"])
    stem = path.rpartition("/")[2].partition(".")[0]
    if stem in _TELLS:
        return stem
    return next(
        (log for log, sign in _SIGNS if sign in said), "weird" if "name" in said and "uid" in said else ""
    )


def _told(said: Said, log: str) -> Event:
    if "ts" not in said or not log:
        raise Unparsed("is not a record of Zeek: it lacks ts, or nothing says which log it is of")
    stamp = said["ts"]
    at = (
        epoch_moment(stamp)
        if isinstance(stamp, int | float) or "T" not in str(stamp)
        else moment_of(str(stamp))
    )
    event: Event = {"@timestamp": at, "event.dataset": f"zeek.{log}", "event.category": ("network",)}
    put_peer(event, "source", _text(said, "id.orig_h"), _port(said, "id.orig_p"))
    put_peer(event, "destination", _text(said, "id.resp_h"), _port(said, "id.resp_p"))
    source = str(event.get("source.ip", ""))
    put(event, {"network.type": ("ipv6" if ":" in source else "ipv4") if source else ""})
    put(
        event,
        {
            "network.transport": _text(said, "proto").lower()
            or ("tcp" if log in {"http", "ssh", "ssl"} else "")
        },
    )
    event["event.type"] = ("protocol",)
    if tell := _TELLS.get(log):
        tell(event, said)
    else:
        event["event.type"] = ("info",)
    return event


def _text(said: Said, name: str) -> str:
    value = said.get(name)
    return "" if value is None or isinstance(value, dict | list) else str(value)


def _texts(said: Said, name: str) -> tuple[str, ...]:
    value = said.get(name)
    return tuple(str(it) for it in value if it not in ("", None)) if isinstance(value, list) else ()


def _port(said: Said, name: str) -> str | None:
    text = _text(said, name)
    return text if text.isascii() and text.isdigit() and len(text) < 6 else None  # noqa: PLR2004


def _number(said: Said, name: str) -> int | None:
    text = _text(said, name)
    if not (text.isascii() and text.isdigit()):
        return None
    found = int(text) if len(text) < 20 else LONG  # noqa: PLR2004
    return found if found < LONG else None


def _conn(event: Event, said: Said) -> None:
    there, back = _number(said, "orig_bytes"), _number(said, "resp_bytes")
    sent, got = _number(said, "orig_pkts"), _number(said, "resp_pkts")
    event["event.type"] = ("connection", "end")
    put(
        event,
        {
            "network.protocol": _text(said, "service").partition(",")[0],
            "homerange.connection.state": _text(said, "conn_state"),
            "event.duration": _length(_text(said, "duration")),
            "source.bytes": there,
            "destination.bytes": back,
            "source.packets": sent,
            "destination.packets": got,
            "network.bytes": there + back if there is not None and back is not None else None,
            "network.packets": sent + got if sent is not None and got is not None else None,
            "network.community_id": _text(said, "community_id"),
        },
    )


def _length(text: str) -> int | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return int(found * SECOND) if 0 <= found < LONG / SECOND else None


def _http(event: Event, said: Said) -> None:
    uri = _text(said, "uri")
    path, _, query = uri.partition("?")
    event["event.category"], event["event.type"] = ("network", "web"), ("access", "protocol")
    status = _number(said, "status_code")
    put(
        event,
        {
            "network.protocol": "http",
            "http.request.method": _text(said, "method"),
            "http.request.referrer": _text(said, "referrer"),
            "http.request.body.bytes": _number(said, "request_body_len"),
            "http.response.status_code": status,
            "http.response.body.bytes": _number(said, "response_body_len"),
            "http.version": _text(said, "version"),
            "event.outcome": "" if status is None else "failure" if status >= 400 else "success",  # noqa: PLR2004
            "url.domain": _text(said, "host"),
            "url.original": uri,
            "url.path": path if path.startswith("/") else "",
            "url.query": query,
            "user_agent.original": _text(said, "user_agent"),
            "user.name": _text(said, "username"),
        },
    )


def _dns(event: Event, said: Said) -> None:
    answers = tuple(found for it in _texts(said, "answers") if (found := address(it)))
    put(
        event,
        {
            "network.protocol": "dns",
            "dns.type": "answer" if _text(said, "rcode_name") else "query",
            "dns.question.name": _text(said, "query"),
            "dns.question.type": _text(said, "qtype_name"),
            "dns.response_code": _text(said, "rcode_name"),
            "dns.resolved_ip": answers,
        },
    )


def _ssh(event: Event, said: Said) -> None:
    success = _text(said, "auth_success").lower()
    outcome = {"t": "success", "true": "success", "f": "failure", "false": "failure"}.get(success, "")
    put(
        event,
        {"network.protocol": "ssh", "event.outcome": outcome, "user_agent.original": _text(said, "client")},
    )


def _ssl(event: Event, said: Said) -> None:
    put(
        event,
        {
            "network.protocol": "tls",
            "tls.client.server_name": _text(said, "server_name"),
            "tls.version": _text(said, "version"),
            "tls.cipher": _text(said, "cipher"),
            "tls.server.subject": _text(said, "subject"),
            "tls.server.issuer": _text(said, "issuer"),
            "tls.client.ja3": _text(said, "ja3"),
        },
    )
    if established := _text(said, "established").lower():
        event["tls.established"] = established in {"t", "true"}


def _files(event: Event, said: Said) -> None:
    event["event.category"], event["event.type"] = ("network", "file"), ("info",)
    name = _text(said, "filename")
    put(
        event,
        {
            "file.name": name,
            "file.size": _number(said, "total_bytes"),
            "file.mime_type": _text(said, "mime_type"),
            "file.hash.md5": _text(said, "md5"),
            "file.hash.sha1": _text(said, "sha1"),
            "file.hash.sha256": _text(said, "sha256"),
        },
    )
    if "source.ip" not in event:  # sent by these, to those
        put_peer(event, "source", next(iter(_texts(said, "tx_hosts")), None))
        put_peer(event, "destination", next(iter(_texts(said, "rx_hosts")), None))


def _notice(event: Event, said: Said) -> None:
    event |= {
        "event.kind": "alert",
        "event.category": ("network", "intrusion_detection"),
        "event.type": ("info",),
    }
    if "source.ip" not in event:
        put_peer(event, "source", _text(said, "src"))
        put_peer(event, "destination", _text(said, "dst"), _port(said, "p"))
    put(
        event,
        {"rule.name": _text(said, "note"), "message": _text(said, "msg"), "event.reason": _text(said, "sub")},
    )


def _weird(event: Event, said: Said) -> None:
    event["event.type"] = ("info",)
    put(event, {"event.action": _text(said, "name"), "event.reason": _text(said, "addl")})


_TELLS: Final[dict[str, Callable[[Event, Said], None]]] = {
    "conn": _conn,
    "http": _http,
    "dns": _dns,
    "ssh": _ssh,
    "ssl": _ssl,
    "files": _files,
    "notice": _notice,
    "weird": _weird,
}
"""What each log says, by its name."""
