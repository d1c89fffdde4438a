r"""Apache's access and error logs; nginx writes the same access formats.

Apache escapes quotes, backslashes and control characters in what clients send (`\"`, `\\`, `\x16`),
so the first bare quote ends the part a client cannot choose. Escaped quotes and backslashes are
turned back; control characters stay as escapes, as everywhere in our events.
"""

from __future__ import annotations

import re
from typing import Final

from lab.telemetry.event import Event, Line, Quick, Source, Unparsed
from lab.telemetry.sources.reading import address, put_peer
from lab.telemetry.sources.spoken import CLOCK, IPV4, PORT, groups, nanoseconds
from lab.telemetry.times import MONTHS, clf_second, instant, iso_second

_QUOTED: Final = r'[^"\\]*(?:\\.[^"\\]*)*'
_ACCESS: Final = re.compile(
    rf"(?P<who>{_QUOTED}) "
    r"\[(?P<clock>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,9}))? (?P<zone>[+-]\d{4})\] "
    rf'"(?P<request>{_QUOTED})" (?P<status>\d{{3}}|-) (?P<size>\d{{1,18}}|-)'
    rf'(?: "(?P<referrer>{_QUOTED})" "(?P<agent>{_QUOTED})"(?: port=(?P<port>\d{{1,5}}))?)?(?: .*)?\s*',
    re.ASCII | re.DOTALL,
)
_REQUEST: Final = re.compile(
    r"(?P<method>[A-Za-z][A-Za-z-]{0,31}) (?P<url>\S.*) HTTP/(?P<version>\d(?:\.\d)?)", re.ASCII | re.DOTALL
)
_SIMPLE_REQUEST: Final = re.compile(r"(?P<method>[A-Z]{3,16}) (?P<url>/\S*)(?P<version>)", re.ASCII)
_VHOST: Final = re.compile(r"(?P<name>\S+?)(?::(?P<port>\d{1,5}))?", re.ASCII)
_ESCAPED: Final = re.compile(r'\\(["\\])')
_ABSOLUTE: Final = re.compile(
    r"[a-z][a-z0-9+.-]{0,15}://(?:[^/?#]*@)?(?P<domain>[^/?#:\[\]]+|\[[^\]/]*\])?[^/?#]*"
)

_ERROR: Final = re.compile(
    r"\[[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2}) (?P<clock>\d\d:\d\d:\d\d)"
    r"(?:\.(?P<fraction>\d{1,9}))? (?P<year>\d{4})\] "
    r"\[(?:(?P<module>[\w-]*):)?(?P<level>[a-z0-9]+)\] "
    r"(?:\[pid (?P<pid>\d{1,9})(?::tid \d+)?\] )?"
    r"(?:(?:\S+\(\d+\): )?\(\d+\)[^\[\]]*?: )?"  # file and line at debug level; what the system answered
    r"(?:\[client (?P<client>[^\]\s]+)\] )?"
    r"(?P<message>.*)",
    re.ASCII | re.DOTALL,
)
_QUIET: Final = frozenset({"notice", "info", "debug", "warn"})
_FIRST_FAILURE: Final = 400
"""HTTP status from which a request did not get what it asked for."""


_WORD: Final = r'[^\s\v"\\\[]+'
_DAY_CLOCK: Final = rf"(?:0[1-9]|[12]\d|3[01])/[A-Z][a-z]{{2}}/(?:19[7-9]\d|20\d\d):{CLOCK}"
_ZONE: Final = r"[+-](?:0\d|1[0-3])[0-5]\d"

_EVERY: Final[Event] = {
    "event.dataset": "apache.access",
    "event.category": ("web",),
    "event.type": ("access",),
    "event.action": "http_request",
}
"""What every request is."""

_QUICK: Final = Quick(
    parts=(
        {"parts": "string_split(line, '\"')"},  # without escapes, each quote is one that Apache wrote
        {
            "head": groups(
                "parts[1]",
                rf"^({IPV4}) {_WORD} ({_WORD}) \[({_DAY_CLOCK})((?:\.\d{{1,9}})? {_ZONE})\] $",
                "client",
                "who",
                "clock",
                "zone",
            ),
            "request": "parts[2]",
            "asked": groups(
                "parts[2]",
                r"^([A-Za-z][A-Za-z-]{0,31}) (/[^ ?]*)(?:\?([^ ]*))? HTTP/(\d(?:\.\d)?)$",
                "method",
                "path",
                "query",
                "version",
            ),
            "said": groups("parts[3]", r"^ (\d{3}|-) (\d{1,18}|-) ?$", "status", "size"),
            "referrer": "parts[4]",
            "agent": "parts[6]",
            "port": "CASE WHEN parts[7] <> '' THEN try_cast(substr(parts[7], 7) AS INTEGER) END",
            "shape": "CASE len(parts) WHEN 3 THEN NOT ends_with(parts[3], ' ') "
            "WHEN 7 THEN ends_with(parts[3], ' ') "
            rf"AND parts[5] = ' ' AND (parts[7] = '' OR regexp_full_match(parts[7], ' port={PORT}')) END",
        },
        {
            "moment": nanoseconds("head.clock", "head.zone", "%d/%b/%Y:%H:%M:%S %z"),
            "status": "try_cast(said.status AS INTEGER)",
        },
    ),
    takes="NOT contains(line, '\\') AND shape AND moment IS NOT NULL "
    "AND asked.method NOT IN ('', 'CONNECT') AND said.status <> ''",  # CONNECT names no path
    fields={
        "@timestamp": "moment",
        "event.outcome": f"CASE WHEN status >= {_FIRST_FAILURE} THEN 'failure' "
        "WHEN status >= 0 THEN 'success' END",
        "message": "request",
        "source.ip": "head.client",
        "source.port": "CASE WHEN port <= 65535 THEN port END",
        "user.name": "nullif(head.who, '-')",
        "http.request.method": "asked.method",
        "http.version": "asked.version",
        "http.request.referrer": "nullif(referrer, '-')",
        "http.response.status_code": "status",
        "http.response.body.bytes": "try_cast(said.size AS BIGINT)",
        "url.original": "CASE WHEN contains(request, '?') THEN asked.path || '?' || asked.query "
        "ELSE asked.path END",
        "url.path": "asked.path",
        "url.query": "nullif(asked.query, '-')",
        "user_agent.original": "nullif(agent, '-')",
    },
    sorts=(_EVERY,),
)


class ApacheAccess(Source):
    """Access log: common, combined, or either with `%v:%p` in front; with or without fractions.

    Combined may end in `port=%{remote}p`, so that requests of one address can be told apart.
    """

    name = "apache"
    quick = _QUICK

    def parse(self, line: Line) -> Event | None:
        """Read one line; a blank one is no event."""
        if not line.text.strip():
            return None
        match = _ACCESS.fullmatch(line.text)
        if match is None:
            raise Unparsed("is not in the common or combined log format")
        parts = match.groupdict()
        at = instant(clf_second(parts["clock"], parts["zone"]), parts["fraction"])
        event: Event = {"@timestamp": at, **_EVERY}
        _put_who(event, parts["who"], parts["port"])
        _put_request(event, _plain(parts["request"]))
        _put_response(event, parts["status"], parts["size"])
        _put_text(event, "http.request.referrer", parts["referrer"])
        _put_text(event, "user_agent.original", parts["agent"])
        return event


class ApacheError(Source):
    """Error log of Apache 2.2 and 2.4; its times have no zone and are taken as UTC."""

    name = "apache_error"
    stateless = True

    def parse(self, line: Line) -> Event | None:
        """Read one line; a blank one is no event."""
        if not line.text.strip():
            return None
        match = _ERROR.fullmatch(line.text)
        if match is None:
            raise Unparsed("is not in the format of Apache's error log")
        parts = match.groupdict()
        failed = parts["level"] not in _QUIET
        event: Event = {"@timestamp": _error_time(parts), "event.module": "apache"}
        event |= {"event.dataset": "apache.error", "event.category": ("web",)}
        event |= {"event.type": ("error" if failed else "info",), "log.level": parts["level"]}
        if message := parts["message"].rstrip():
            event["message"] = message
        if parts["pid"]:
            event["process.pid"] = int(parts["pid"])
        _put_client(event, parts["client"], with_port=parts["module"] is not None)
        return event


def _error_time(parts: dict[str, str]) -> int:
    month = MONTHS.get(parts["month"], 0)
    clock = f"{parts['year']}-{month:02d}-{int(parts['day']):02d}T{parts['clock']}"
    return instant(iso_second(clock, "Z"), parts["fraction"])


def _put_client(event: Event, client: str | None, *, with_port: bool) -> None:
    """Note the client of an error line; 2.4 adds its port, to IPv6 without brackets."""
    host, _, port = (client or "").rpartition(":") if with_port else (client or "", "", "")
    if with_port and host and port.isascii() and port.isdigit() and len(port) <= 5:  # noqa: PLR2004 -- of a port
        put_peer(event, "source", host, port)
    else:
        put_peer(event, "source", client)


def _plain(text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text


def _put_text(event: Event, field: str, text: str | None) -> None:
    if text and text != "-":
        event[field] = _plain(text)


def _put_who(event: Event, who: str, port: str | None) -> None:
    """Note the client, with its port where the format has one, and the user, whose name may hold blanks.

    Raises:
        Unparsed: fewer than three parts.
    """
    first, _, rest = who.partition(" ")
    if _is_vhost(first, rest) and (match := _VHOST.fullmatch(first)):
        event["url.domain"] = match["name"]
        put_peer(event, "destination", address(match["name"]), match["port"])
        first, _, rest = rest.partition(" ")
    _, _, user = rest.partition(" ")
    if not first or not user:
        raise Unparsed("lacks client, identity or user before the time")
    put_peer(event, "source", first, port)
    _put_text(event, "user.name", user)


def _is_vhost(first: str, rest: str) -> bool:
    """Tell a virtual host from a client: it has a port, or an address follows it."""
    if address(first):
        return False
    named, _, port = first.rpartition(":")
    return bool(named and port.isdigit()) or address(rest.partition(" ")[0]) is not None


def _put_request(event: Event, request: str) -> None:
    """Take a request line apart; a broken one (a TLS hello, an empty line) leaves its fields absent."""
    match = _REQUEST.fullmatch(request) or _SIMPLE_REQUEST.fullmatch(request)
    if request:
        event["message"] = request
    if match is None:
        return
    event["http.request.method"] = match["method"]
    event["url.original"] = url = match["url"]
    if match["version"]:
        event["http.version"] = match["version"]
    if match["method"] != "CONNECT":  # names a host and a port, not a path
        _put_url(event, url)


def _put_url(event: Event, url: str) -> None:
    if absolute := _ABSOLUTE.match(url):
        url = url[absolute.end() :]
        _put_text(event, "url.domain", absolute["domain"])
    path, _, query = url.partition("?")
    _put_text(event, "url.path", path)
    _put_text(event, "url.query", query)


def _put_response(event: Event, status: str, size: str) -> None:
    if status != "-":
        event["http.response.status_code"] = int(status)
        event["event.outcome"] = "failure" if int(status) >= _FIRST_FAILURE else "success"
    if size != "-":
        event["http.response.body.bytes"] = int(size)
