"""Suricata's EVE: one JSON object a line, whose `event_type` says what it is about.

Fields as in Suricata 7 and 8 (doc/userguide/output/eve). What we do not use is not read, so a new
kind of record or a new key changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from lab.files.records import QuickRecord, from_json
from lab.moment import Moment
from lab.telemetry.event import Event, Line, Source, Unparsed
from lab.telemetry.sources.reading import address, put, put_peer
from lab.telemetry.times import instant, iso_second

_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)", re.ASCII)

_KINDS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "alert": (("network", "intrusion_detection"), ("allowed",)),
    "flow": (("network",), ("connection", "end")),
    "http": (("network", "web"), ("access", "protocol")),
    "dns": (("network",), ("protocol",)),
    "ssh": (("network",), ("protocol",)),
    "tls": (("network",), ("protocol",)),
    "anomaly": (("network",), ("info",)),
    "fileinfo": (("network", "file"), ("info",)),
}
"""ECS category and type of the records we know well, by `event_type`."""

_TALKS: Final = frozenset({"http", "dns", "ssh", "tls"})
"""Records that are named for the protocol they are about."""


class _Alert(QuickRecord, frozen=True):
    """What a Suricata rule raised."""

    action: str = "allowed"
    gid: int = 1
    signature_id: int = 0
    rev: int = 0
    signature: str = ""
    category: str = ""
    severity: int | None = None
    metadata: Mapping[str, list[str] | str] | None = None


class _Flow(QuickRecord, frozen=True):
    """The counts of one flow, by direction."""

    pkts_toserver: int | None = None
    pkts_toclient: int | None = None
    bytes_toserver: int | None = None
    bytes_toclient: int | None = None
    start: str = ""
    end: str = ""
    reason: str = ""


class _Http(QuickRecord, frozen=True):
    """One request and its response, as seen on the wire."""

    hostname: str = ""
    url: str = ""
    http_user_agent: str = ""
    http_method: str = ""
    http_refer: str = ""
    protocol: str = ""
    status: int | None = None
    length: int | None = None


class _Query(QuickRecord, frozen=True):
    """One question of a DNS message."""

    rrname: str = ""
    rrtype: str = ""


class _Answer(QuickRecord, frozen=True):
    """One answer of a DNS message."""

    rdata: object = None


class _Dns(QuickRecord, frozen=True):
    """A DNS message; Suricata 8 lists its questions, 7 has one."""

    type: str = ""
    rrname: str = ""
    rrtype: str = ""
    rcode: str = ""
    queries: list[_Query] | None = None
    answers: list[_Answer] | None = None


class _Ja3(QuickRecord, frozen=True):
    """How a client begins TLS, which tells it from others."""

    hash: str = ""


class _Tls(QuickRecord, frozen=True):
    """A TLS handshake."""

    sni: str = ""
    version: str = ""
    subject: str = ""
    issuerdn: str = ""
    ja3: _Ja3 | None = None


class _Software(QuickRecord, frozen=True):
    """What one side of an SSH connection says it is."""

    software_version: str = ""


class _Ssh(QuickRecord, frozen=True):
    """The banners of an SSH connection."""

    client: _Software | None = None
    server: _Software | None = None


class _Anomaly(QuickRecord, frozen=True):
    """Something a protocol does not allow."""

    type: str = ""
    event: str = ""


class _File(QuickRecord, frozen=True):
    """A file seen in transfer."""

    filename: str = ""
    size: int | None = None
    magic: str = ""
    mimetype: str = ""
    md5: str = ""
    sha1: str = ""
    sha256: str = ""


class _Eve(QuickRecord, frozen=True):
    """The parts of a record that we use."""

    timestamp: str
    event_type: str
    in_iface: str = ""
    src_ip: str = ""
    src_port: int | None = None
    dest_ip: str = ""
    dest_port: int | None = None
    proto: str = ""
    app_proto: str = ""
    community_id: str = ""
    alert: _Alert | None = None
    flow: _Flow | None = None
    http: _Http | None = None
    dns: _Dns | None = None
    tls: _Tls | None = None
    ssh: _Ssh | None = None
    anomaly: _Anomaly | None = None
    fileinfo: _File | None = None


class Suricata(Source):
    """EVE JSON of a sensor."""

    name = "suricata"
    stateless = True

    def parse(self, line: Line) -> Event | None:
        """Read one line; a blank one is no event."""
        if not line.text.strip():
            return None
        try:
            eve = from_json(line.text, _Eve)
        except (ValueError, RecursionError) as error:
            raise Unparsed(f"is not an EVE record: {error}") from error
        event: Event = {"@timestamp": _moment(_when(eve))}
        _put_kind(event, eve)
        _put_ends(event, eve)
        _put_parts(event, eve)
        return event


def _when(eve: _Eve) -> str:
    """Return when what a record tells of began: Suricata stamps a flow when it logs it, not at its start."""
    begun = eve.flow.start if eve.flow and eve.event_type == "flow" else ""
    return begun or eve.timestamp


def _moment(text: str) -> Moment:
    match = _TIME.fullmatch(text)
    if match is None:
        raise Unparsed("the timestamp is not a time with a zone")
    clock, fraction, zone = match.groups()
    return instant(iso_second(clock, zone), fraction)


def _put_kind(event: Event, eve: _Eve) -> None:
    event["event.dataset"] = f"suricata.{eve.event_type}"
    if eve.event_type == "stats":
        event["event.kind"] = "metric"
    elif kind := _KINDS.get(eve.event_type):
        event["event.category"], event["event.type"] = kind
    elif eve.src_ip:
        event["event.category"], event["event.type"] = ("network",), ("info",)


def _put_ends(event: Event, eve: _Eve) -> None:
    """Note who talked to whom, over what."""
    put_peer(event, "source", eve.src_ip, _port(eve.src_port))
    put_peer(event, "destination", eve.dest_ip, _port(eve.dest_port))
    talk = eve.app_proto.lower() or (eve.event_type if eve.event_type in _TALKS else "")
    version = "ipv6" if ":" in eve.src_ip else "ipv4"
    put(
        event,
        {
            "network.transport": eve.proto.lower(),
            "network.protocol": "" if talk in {"failed", "unknown"} else talk,
            "network.type": version if eve.src_ip else "",
            "network.community_id": eve.community_id,
            "observer.ingress.interface.name": eve.in_iface,
        },
    )


def _port(number: int | None) -> str | None:
    return str(number) if number is not None and number >= 0 else None


def _put_parts(event: Event, eve: _Eve) -> None:
    """Add what is special to each kind of record; an alert also carries the talk it was raised on."""
    if eve.alert:
        _put_alert(event, eve.alert)
    if eve.flow and eve.event_type == "flow":  # in an alert the counts have only begun
        _put_flow(event, eve.flow)
    if eve.http:
        _put_http(event, eve.http)
    if eve.dns:
        _put_dns(event, eve.dns)
    if eve.tls:
        tls = eve.tls
        put(event, {"tls.client.server_name": tls.sni, "tls.version": tls.version})
        put(event, {"tls.server.subject": tls.subject, "tls.server.issuer": tls.issuerdn})
        put(event, {"tls.client.ja3": tls.ja3.hash if tls.ja3 else ""})
    if eve.ssh:
        _put_ssh(event, eve.ssh)
    if eve.anomaly:
        put(event, {"event.reason": eve.anomaly.event, "event.action": eve.anomaly.type})
    if eve.fileinfo:
        _put_file(event, eve.fileinfo)


def _put_alert(event: Event, alert: _Alert) -> None:
    event["event.kind"] = "alert"
    event["event.type"] = ("denied" if alert.action == "blocked" else "allowed",)
    put(
        event,
        {
            "event.action": alert.action,
            "event.severity": alert.severity,
            "message": alert.signature,
            "rule.id": f"{alert.gid}:{alert.signature_id}",
            "rule.name": alert.signature,
            "rule.category": alert.category,
            "rule.version": str(alert.rev),
            "threat.technique.id": _told(alert, "mitre_technique_id"),
            "threat.tactic.id": _told(alert, "mitre_tactic_id"),
        },
    )


def _told(alert: _Alert, key: str) -> tuple[str, ...]:
    """Return what a rule's metadata says under a key; the writer of the rule may give it many times."""
    value = (alert.metadata or {}).get(key, ())
    values = (value,) if isinstance(value, str) else value
    return tuple(text.upper().replace("_", ".") for text in values if text)  # some rule sets write T1110_001


def _put_flow(event: Event, flow: _Flow) -> None:
    put(
        event,
        {
            "source.bytes": flow.bytes_toserver,
            "source.packets": flow.pkts_toserver,
            "destination.bytes": flow.bytes_toclient,
            "destination.packets": flow.pkts_toclient,
            "network.bytes": _sum(flow.bytes_toserver, flow.bytes_toclient),
            "network.packets": _sum(flow.pkts_toserver, flow.pkts_toclient),
            "event.reason": flow.reason,
        },
    )
    if flow.start and flow.end:
        put(event, {"event.duration": max(0, _moment(flow.end) - _moment(flow.start))})


def _sum(there: int | None, back: int | None) -> int | None:
    return there + back if there is not None and back is not None else None


def _put_http(event: Event, http: _Http) -> None:
    path, _, query = http.url.partition("?")
    put(
        event,
        {
            "url.domain": http.hostname,
            "url.original": http.url,
            "url.path": path if path.startswith("/") else "",
            "url.query": query,
            "user_agent.original": http.http_user_agent,
            "http.request.method": http.http_method,
            "http.request.referrer": http.http_refer,
            "http.version": http.protocol.removeprefix("HTTP/"),
            "http.response.status_code": http.status,
            "http.response.body.bytes": http.length,
        },
    )


def _put_dns(event: Event, dns: _Dns) -> None:
    first = dns.queries[0] if dns.queries else _Query(rrname=dns.rrname, rrtype=dns.rrtype)
    put(
        event,
        {
            "dns.type": {"request": "query", "response": "answer"}.get(dns.type, dns.type),
            "dns.question.name": first.rrname,
            "dns.question.type": first.rrtype,
            "dns.response_code": dns.rcode,
            "dns.resolved_ip": tuple(
                found
                for it in dns.answers or ()
                if isinstance(it.rdata, str) and (found := address(it.rdata))
            ),
        },
    )


def _put_file(event: Event, file: _File) -> None:
    put(
        event,
        {
            "file.name": file.filename,
            "file.size": file.size,
            "file.mime_type": file.mimetype or file.magic,
            "file.hash.md5": file.md5,
            "file.hash.sha1": file.sha1,
            "file.hash.sha256": file.sha256,
        },
    )


def _put_ssh(event: Event, ssh: _Ssh) -> None:
    """Note the client's software as its agent, as for HTTP."""
    put(event, {"user_agent.original": ssh.client.software_version if ssh.client else ""})
