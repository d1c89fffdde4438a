"""nginx's error log; its access log is read as Apache's, which it writes alike. nginx 1.10 to 1.28."""

from __future__ import annotations

import re
from typing import Final

from lab.telemetry.event import Event, Line, Source, Unparsed
from lab.telemetry.sources.reading import put_peer
from lab.telemetry.times import instant, iso_second

_LINE: Final = re.compile(
    r"(?P<year>\d{4})/(?P<month>\d\d)/(?P<day>\d\d) (?P<clock>\d\d:\d\d:\d\d) \[(?P<level>[a-z]{1,8})\] "
    r"(?P<pid>\d{1,9})#\d{1,9}: (?:\*\d{1,18} )?(?P<message>.*)",
    re.ASCII | re.DOTALL,
)
_CLIENT: Final = re.compile(
    r", client: (?P<ip>[0-9A-Fa-f:.]{2,45}|unix:)(?:, server: (?P<server>[^,]*))?", re.ASCII
)
_REQUEST: Final = re.compile(
    r', request: "(?P<method>[A-Z]{1,16}) (?P<url>[^"\s]*)(?: HTTP/(?P<version>[\d.]{1,3}))?"'
)
_HOST: Final = re.compile(r', host: "(?P<host>[^"\s]{1,255})"')
_QUIET: Final = frozenset({"notice", "info", "debug", "warn"})


class NginxError(Source):
    """Lines of error.log; their times have no zone and are taken as UTC."""

    name = "nginx_error"
    stateless = True

    def parse(self, line: Line) -> Event | None:
        """Read one line; a blank one is no event."""
        if not line.text.strip():
            return None
        match = _LINE.fullmatch(line.text)
        if match is None:
            raise Unparsed("is not in the format of nginx's error log")
        at = instant(iso_second(f"{match['year']}-{match['month']}-{match['day']}T{match['clock']}", "Z"), "")
        failed = match["level"] not in _QUIET
        event: Event = {"@timestamp": at, "event.module": "nginx", "event.dataset": "nginx.error"}
        event |= {"event.category": ("web",), "event.type": ("error" if failed else "info",)}
        event |= {"log.level": match["level"], "process.pid": int(match["pid"])}
        if message := match["message"]:
            event["message"] = message
            _put_request(event, message)
        return event


def _put_request(event: Event, message: str) -> None:
    """Note who asked for what: nginx adds it behind what it says, so the last of each counts."""
    clients = list(_CLIENT.finditer(message))
    if not clients:
        return
    put_peer(event, "source", clients[0]["ip"])
    rest = message[clients[0].end() :]
    if asked := _REQUEST.search(rest):
        event["http.request.method"] = asked["method"]
        if asked["version"]:
            event["http.version"] = asked["version"]
        if asked["url"]:
            event["url.original"] = asked["url"]
            path, _, query = asked["url"].partition("?")
            event |= {name: text for name, text in (("url.path", path), ("url.query", query)) if text}
    if host := _HOST.search(rest):
        event["url.domain"] = host["host"]
