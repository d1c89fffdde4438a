"""Sigma's log sources and field names, in terms of our events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Fields = dict[str | None, str | list[str]]
"""A field mapping as pySigma wants it."""

_PROCESS: Final[Fields] = {
    "Image": "process.executable",
    "OriginalFileName": "process.name",
    "CommandLine": "process.command_line",
    "CurrentDirectory": "process.working_directory",
    "ProcessId": "process.pid",
    "User": "user.name",
    "LogonId": "user.id",  # what Sysmon for Linux writes there: the number of the account
    "ParentImage": "process.parent.executable",
    "ParentCommandLine": "process.parent.command_line",
    "ParentProcessId": "process.parent.pid",
}
_WEB: Final[Fields] = {
    "cs-method": "http.request.method",
    "cs-uri": "url.original",
    "c-uri": "url.original",
    "cs-uri-query": "url.query",
    "c-uri-query": "url.query",
    "cs-uri-stem": "url.path",
    "c-uri-stem": "url.path",
    "cs-user-agent": "user_agent.original",
    "cs(user-agent)": "user_agent.original",
    "c-useragent": "user_agent.original",
    "cs-referer": "http.request.referrer",
    "cs-referrer": "http.request.referrer",
    "cs-host": "url.domain",
    "cs-username": "user.name",
    "sc-status": "http.response.status_code",
    "sc-bytes": "http.response.body.bytes",
    "c-ip": "source.ip",
    "src_ip": "source.ip",
    "s-ip": "destination.ip",
}


_DNS: Final[Fields] = {
    "query": "dns.question.name",
    "record_type": "dns.question.type",
    "answer": "dns.resolved_ip",
    "src_ip": "source.ip",
}

_AUTH: Final = ("accounts", "cron", "journal", "logind", "sshd", "su", "sudo", "syslog")
"""What is written to auth.log."""

_SYSLOG: Final = (*_AUTH, "dnsmasq")
"""What is written to a syslog."""

_LINUX_STARTS: Final = ("auditd", "snoopy", "sysmon")
"""What tells of each program that starts on Linux."""

_STARTS: Final = ("exec", "created-process")
"""What the start of a program is called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LogSource:
    """One log source of Sigma, among our events."""

    named: dict[str, str | None]
    """What a rule has to say to mean it; None for what it must not name."""

    modules: tuple[str, ...]
    """Values of `event.module` of its events."""

    begins: tuple[str, tuple[str, ...]] | None = None
    """A field of its events, and how the value may begin; None where the module says it all."""

    fields: Fields
    """Its field names in ECS; ECS names stay as they are."""


LOG_SOURCES: Final = (
    LogSource(
        named={"category": "process_creation", "product": "linux"},
        modules=_LINUX_STARTS,
        begins=("event.action", _STARTS),
        fields=_PROCESS,
    ),
    LogSource(
        named={"category": "process_creation", "product": None},
        modules=(*_LINUX_STARTS, "windows"),
        begins=("event.action", _STARTS),
        fields=_PROCESS,
    ),
    LogSource(
        named={"category": "process_creation", "product": "windows"},
        modules=("sysmon", "windows"),
        begins=("event.action", _STARTS),
        fields=_PROCESS,
    ),
    LogSource(named={"category": "webserver", "service": None}, modules=("apache",), fields=_WEB),
    LogSource(named={"service": "apache"}, modules=("apache", "apache_error"), fields=_WEB),
    LogSource(named={"service": "nginx"}, modules=("apache", "nginx"), fields=_WEB),
    LogSource(
        named={"category": "dns", "product": None}, modules=("dnsmasq", "suricata", "zeek"), fields=_DNS
    ),
    LogSource(named={"product": "zeek"}, modules=("zeek",), fields={}),
    LogSource(
        named={"product": "linux", "service": "sshd"},
        modules=("sshd",),
        begins=("process.name", ("sshd",)),
        fields={},
    ),
    LogSource(named={"product": "linux", "service": "auth"}, modules=_AUTH, fields={}),
    LogSource(named={"product": "linux", "service": "sudo"}, modules=("sudo",), fields={}),
    LogSource(named={"product": "linux", "service": "cron"}, modules=("cron",), fields={}),
    LogSource(named={"product": "linux", "service": "syslog"}, modules=_SYSLOG, fields={}),
    LogSource(
        named={"product": "linux", "service": None, "category": None},
        modules=(*_SYSLOG, "auditd", "snoopy"),
        fields={},
    ),
    LogSource(named={"product": "suricata"}, modules=("suricata",), fields={}),
)
"""The first entry that agrees with all a rule says of its log source is the one that counts."""
