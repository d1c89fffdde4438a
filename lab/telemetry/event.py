"""One normalised log record, in Elastic Common Schema fields.

An event is a flat mapping from ECS field name to value, which is what a columnar store wants.
`FIELDS` is the whole schema: a source may set these fields and no others, and `store` gives each
its column. Names and meanings are those of ECS 9.2; the few that ECS lacks start with `homerange.`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from lab.moment import Moment

Value = str | int | float | bool | tuple[str, ...]
"""What a field may hold; a moment is an int of nanoseconds."""

Event = dict[str, Value]
"""ECS field name to value; a field without a value is absent, never empty."""

FieldType = Literal["keyword", "keywords", "long", "float", "boolean", "date", "ip"]
"""ECS types, as far as we use them; `keywords` is a list of keywords."""

SCHEMA_VERSION: Final = 1
"""Raised when a field changes its type or meaning; written into every segment."""

ECS_VERSION: Final = "9.2"
"""The release of ECS the names are from."""

FIELDS: Final[dict[str, FieldType]] = {
    "@timestamp": "date",  # when it happened, by the clock of the node that wrote it
    "event.id": "keyword",
    "event.created": "date",  # when our collector read the line
    "event.ingested": "date",  # when it entered the store
    "event.kind": "keyword",
    "event.category": "keywords",
    "event.type": "keywords",
    "event.action": "keyword",
    "event.outcome": "keyword",
    "event.reason": "keyword",  # why it happened, in the words of the source
    "event.module": "keyword",  # the log source: sshd, apache, snoopy, suricata
    "event.dataset": "keyword",  # source and sort of record: sshd.auth, suricata.alert
    "event.severity": "long",
    "event.duration": "long",
    "event.original": "keyword",
    "error.message": "keyword",  # why a line did not parse
    "message": "keyword",
    "log.file.path": "keyword",
    "log.offset": "long",
    "log.level": "keyword",
    "log.syslog.hostname": "keyword",  # what the host calls itself; host.name is the node's name
    "homerange.line": "long",  # line number in the file, from 1
    "homerange.repeated": "long",  # how often the line says it happened; absent means once
    "homerange.auth.method": "keyword",  # sshd: password, publickey, keyboard-interactive/pam, none
    "host.name": "keyword",
    "observer.name": "keyword",
    "observer.ingress.interface.name": "keyword",
    "source.ip": "ip",
    "source.domain": "keyword",  # a name instead of an address, as the log has it
    "source.port": "long",
    "source.bytes": "long",
    "source.packets": "long",
    "destination.ip": "ip",
    "destination.domain": "keyword",
    "destination.port": "long",
    "destination.bytes": "long",
    "destination.packets": "long",
    "network.transport": "keyword",
    "network.protocol": "keyword",
    "network.type": "keyword",
    "network.community_id": "keyword",
    "network.bytes": "long",
    "network.packets": "long",
    "user.name": "keyword",
    "user.id": "keyword",
    "user.effective.id": "keyword",
    "user.target.name": "keyword",
    "group.name": "keyword",
    "process.pid": "long",
    "process.name": "keyword",
    "process.executable": "keyword",
    "process.command_line": "keyword",
    "process.working_directory": "keyword",
    "process.interactive": "boolean",  # has a terminal
    "process.session_leader.pid": "long",
    "process.parent.pid": "long",
    "process.parent.name": "keyword",
    "process.parent.executable": "keyword",
    "process.parent.command_line": "keyword",
    "http.request.method": "keyword",
    "http.request.referrer": "keyword",
    "http.response.status_code": "long",
    "http.response.body.bytes": "long",
    "http.version": "keyword",
    "url.original": "keyword",
    "url.path": "keyword",
    "url.query": "keyword",
    "url.domain": "keyword",
    "user_agent.original": "keyword",
    "dns.question.name": "keyword",
    "dns.question.type": "keyword",
    "dns.type": "keyword",  # query or answer
    "dns.response_code": "keyword",
    "tls.client.server_name": "keyword",
    "tls.version": "keyword",
    "tls.server.subject": "keyword",
    "file.name": "keyword",
    "file.size": "long",
    "rule.id": "keyword",  # Suricata's gid:sid of an alert record
    "rule.name": "keyword",
    "rule.category": "keyword",
    "rule.version": "keyword",
    "threat.technique.id": "keywords",
    "threat.tactic.id": "keywords",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of a log, as collected."""

    text: str
    """The line without its end; bytes that are not UTF-8 are shown as backslash escapes."""

    host: str
    """Name of the node the log is on."""

    path: str
    """Path of the file on that node."""

    number: int
    """Line number since collection of this file began, from 1."""

    created: Moment
    """When the collector read it."""


class Source(Protocol):
    """Turns the lines of one log into events. One instance per file, since a source may keep state."""

    name: str
    """What `node.yml` and `event.module` call it."""

    def parse(self, line: Line) -> Event | None:
        """Read one line.

        Returns:
            The fields found in the line, at least `@timestamp` and `event.dataset`; None for a line
            that is rightly no event (blank, a comment).

        Raises:
            Unparsed: the line is not what this source writes; it is kept and counted.
        """
        ...


class Unparsed(ValueError):
    """A line is not in its source's format; the argument says why, for a person."""


def complete(event: Event, line: Line, module: str) -> Event:
    """Add what every event carries: where it came from, its original text and its id.

    The id is the hash of host, path, line number and text, so collecting the same file again gives
    the same ids. What the source has set is kept.
    """
    identity = "\0".join((line.host, line.path, str(line.number), line.text))
    return {
        "@timestamp": line.created,
        "event.id": hashlib.sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()[:24],
        "event.created": line.created,
        "event.kind": "event",
        "event.module": module,
        "event.original": line.text,
        "message": line.text,
        "log.file.path": line.path,
        "homerange.line": line.number,
        "host.name": line.host,
        **event,
    }


def read_line(source: Source, line: Line) -> Iterator[Event]:
    """Parse one line to at most one whole event; one that does not parse becomes an event that says so."""
    try:
        found = source.parse(line)
    except Unparsed as error:
        found = {"event.dataset": f"{source.name}.unparsed", "event.kind": "pipeline_error"}
        found["error.message"] = str(error)
    if found is not None:
        yield complete(found, line, source.name)
