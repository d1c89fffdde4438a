"""One normalised log record, in Elastic Common Schema fields.

An event is a flat mapping from ECS field name to value, which is what a columnar store wants.
`FIELDS` is the whole schema: a source may set these fields and no others, and the store gives each
its column. Names, types and allowed values are those of ECS 9.4, which a test holds against the published
list; the few that ECS lacks start with `homerange.`, and with `winlog.`, as Winlogbeat calls them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, Literal

from lab.moment import Moment

Value = str | int | float | bool | tuple[str, ...]
"""What a field may hold; a moment is an int of nanoseconds."""

Event = dict[str, Value]
"""ECS field name to value; a field without a value is absent, never empty."""

FieldType = Literal["keyword", "keywords", "long", "float", "boolean", "date", "ip", "ips"]
"""ECS types, as far as we use them; `keywords` and `ips` are lists."""

SCHEMA_VERSION: Final = 2
"""Raised when a field changes its type or meaning; written into every segment."""

ECS_VERSION: Final = "9.4"
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
    "event.code": "keyword",  # what the source calls this sort of record: a Windows event id, an audit type
    "event.provider": "keyword",
    "event.sequence": "long",
    "event.severity": "long",
    "event.duration": "long",
    "event.original": "keyword",
    "error.message": "keyword",  # why a line did not parse
    "message": "keyword",
    "log.file.path": "keyword",
    "log.level": "keyword",
    "log.syslog.hostname": "keyword",  # what the host calls itself; host.name is the node's name
    "log.syslog.appname": "keyword",
    "log.syslog.procid": "keyword",
    "log.syslog.msgid": "keyword",
    "log.syslog.priority": "long",
    "log.syslog.facility.code": "long",
    "log.syslog.severity.code": "long",
    "homerange.line": "long",  # line number in the file, from 1
    "homerange.repeated": "long",  # how often the line says it happened; absent means once
    "homerange.auth.method": "keyword",  # sshd: password, publickey, keyboard-interactive/pam, none
    "homerange.audit.session": "keyword",  # the kernel's number of a log-in session, `ses` of auditd
    "homerange.audit.key": "keyword",  # what an audit rule calls itself
    "homerange.connection.state": "keyword",  # Zeek's conn_state: S0, SF, REJ
    "winlog.channel": "keyword",
    "winlog.event_data": "keyword",  # what a Windows event says besides, as one JSON object
    "winlog.logon.type": "keyword",
    "winlog.logon.id": "keyword",
    "host.name": "keyword",
    "service.name": "keyword",
    "source.mac": "keyword",
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
    "user.domain": "keyword",
    "user.effective.id": "keyword",
    "user.effective.name": "keyword",
    "user.target.name": "keyword",
    "user.target.id": "keyword",
    "user.target.domain": "keyword",
    "group.name": "keyword",
    "group.id": "keyword",
    "process.pid": "long",
    "process.entity_id": "keyword",
    "process.args": "keywords",
    "process.exit_code": "long",
    "process.hash.md5": "keyword",
    "process.hash.sha1": "keyword",
    "process.hash.sha256": "keyword",
    "process.pe.original_file_name": "keyword",
    "process.name": "keyword",
    "process.executable": "keyword",
    "process.command_line": "keyword",
    "process.working_directory": "keyword",
    "process.interactive": "boolean",  # has a terminal
    "process.session_leader.pid": "long",
    "process.entry_leader.pid": "long",  # of the log-in session that this belongs to, as far as is known
    "process.entry_leader.entity_id": "keyword",
    "process.entry_leader.start": "date",
    "process.entry_leader.user.name": "keyword",  # who logged in
    "process.entry_leader.entry_meta.type": "keyword",  # sshd, cron, su, web
    "process.entry_leader.entry_meta.source.ip": "ip",  # from where
    "process.parent.pid": "long",
    "process.parent.entity_id": "keyword",
    "process.parent.name": "keyword",
    "process.parent.executable": "keyword",
    "process.parent.command_line": "keyword",
    "http.request.method": "keyword",
    "http.request.body.bytes": "long",
    "http.request.referrer": "keyword",
    "http.response.status_code": "long",
    "http.response.body.bytes": "long",
    "http.response.mime_type": "keyword",
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
    "dns.resolved_ip": "ips",
    "tls.client.server_name": "keyword",
    "tls.version": "keyword",
    "tls.server.subject": "keyword",
    "tls.server.issuer": "keyword",
    "tls.cipher": "keyword",
    "tls.established": "boolean",
    "tls.client.ja3": "keyword",
    "file.name": "keyword",
    "file.path": "keyword",
    "file.size": "long",
    "file.mime_type": "keyword",
    "file.hash.md5": "keyword",
    "file.hash.sha1": "keyword",
    "file.hash.sha256": "keyword",
    "registry.path": "keyword",
    "registry.value": "keyword",
    "registry.data.strings": "keywords",
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Quick:
    """How a source reads most of its lines in one go, as SQL over a table `lines` with the column `line`.

    It takes only lines that it reads as `parse` does, and leaves the others to that. Whoever writes one
    has cases that show that the two agree; a test holds both against each other.
    """

    parts: tuple[Mapping[str, str], ...]
    """Names for parts of the line, in rounds: a round may use the names of those before."""

    takes: str
    """The condition that a line is read here. Without a value means no."""

    fields: Mapping[str, str]
    """ECS field to the SQL of its value; a date is a number of nanoseconds, what is NULL is absent."""

    sort: str = "0"
    """The SQL of which of `sorts` a line is."""

    sorts: tuple[Event, ...] = ({},)
    """What every line of a sort has; a field that has a value of its own keeps it."""


class Source(ABC):
    """Turns the lines of one log into events. One instance per file, since a source may keep state."""

    name: ClassVar[str]
    """What `node.yml` and `event.module` call it."""

    stateless: ClassVar[bool] = False
    """Whether a line means the same whatever came before it, so that several may read a file together."""

    quick: ClassVar[Quick | None] = None
    """How it reads many lines at once; None when it goes line by line."""

    @abstractmethod
    def parse(self, line: Line) -> Event | None:
        """Read one line.

        Returns:
            The fields found in the line, at least `@timestamp` and `event.dataset`; None for a line
            that is rightly no event (blank, a comment), or that waits for the lines that go with it.

        Raises:
            Unparsed: the line is not what this source writes; it is kept and counted.
        """

    def rest(self) -> Iterable[Event]:
        """Give what waited for lines that do not come any more; asked when a log has been quiet, or ends."""
        return ()


UNPARSED: Final = "pipeline_error"
"""ECS's `event.kind` of a line that could not be read."""


class Unparsed(ValueError):
    """A line is not in its source's format; the argument says why, for a person."""


@dataclass(kw_only=True, slots=True)
class Origin:
    """Where an event that several lines tell of begins."""

    number: int
    """Number of the first line."""

    texts: list[str] = field(default_factory=list)
    """The lines."""

    def put(self, event: Event) -> None:
        """Note all the lines, and the number of the first."""
        event["homerange.line"] = self.number
        event["event.original"] = "\n".join(self.texts)
        event.setdefault("message", event.get("process.command_line", self.texts[0]))


def parsed(source: Source, line: Line) -> Event | None:
    """Parse one line; one that does not parse is an event that says so."""
    try:
        return source.parse(line)
    except Unparsed as error:
        return {
            "event.dataset": f"{source.name}.unparsed",
            "event.kind": UNPARSED,
            "error.message": str(error),
        }
