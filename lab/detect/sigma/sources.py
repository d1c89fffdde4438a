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

_FILE: Final[Fields] = {
    "TargetFilename": "file.path",
    "Image": "process.executable",
    "ProcessId": "process.pid",
    "User": "user.name",
}
_CONNECTION: Final[Fields] = {
    "Image": "process.executable",
    "ProcessId": "process.pid",
    "User": "user.name",
    "Protocol": "network.transport",
    "SourceIp": "source.ip",
    "SourcePort": "source.port",
    "DestinationIp": "destination.ip",
    "DestinationPort": "destination.port",
    "DestinationHostname": "destination.domain",
}
_WINDOWS: Final[Fields] = {
    "EventID": "event.code",
    "Channel": "winlog.channel",
    "Provider_Name": "event.provider",
    "Computer": "host.name",
    "ComputerName": "host.name",
}
"""What Windows says of every event; all else is in `winlog.event_data`, under its own name."""

_SYSMON: Final[Fields] = {
    "Image": "process.executable",
    "SourceImage": "process.executable",
    "TargetFilename": "file.path",
    "ImageLoaded": "file.path",
    "TargetObject": "registry.path",
    "QueryName": "dns.question.name",
    "SourceIp": "source.ip",
    "SourcePort": "source.port",
    "DestinationIp": "destination.ip",
    "DestinationPort": "destination.port",
}
"""What Sysmon says of files, libraries, the registry and connections."""

_ZEEK: Final[Fields] = {
    "id.orig_h": "source.ip",
    "id.orig_p": "source.port",
    "id.resp_h": "destination.ip",
    "id.resp_p": "destination.port",
    "method": "http.request.method",
    "uri": "url.original",
    "c-uri": "url.original",
    "c-uri-query": "url.query",
    "host": "url.domain",
    "user_agent": "user_agent.original",
    "c-useragent": "user_agent.original",
    "status_code": "http.response.status_code",
    "query": "dns.question.name",
    "qtype_name": "dns.question.type",
    "rcode_name": "dns.response_code",
    "answers": "dns.resolved_ip",
    "server_name": "tls.client.server_name",
}

_AUTH: Final = ("accounts", "cron", "journal", "logind", "sshd", "su", "sudo", "syslog")
"""What is written to auth.log."""

_SYSLOG: Final = (*_AUTH, "dnsmasq")
"""What is written to a syslog."""

_LINUX_STARTS: Final = ("auditd", "snoopy", "sysmon")
"""What tells of each program that starts on Linux."""

_STARTS: Final = ("exec", "created-process")
"""What the start of a program is called."""


_WINDOWS_CATEGORIES: Final = {
    "create_remote_thread": ("remote-thread-created",),
    "create_stream_hash": ("file-stream-created",),
    "dns_query": ("dns-query",),
    "driver_load": ("driver-loaded",),
    "file_change": ("file-creation-time-changed",),
    "file_delete": ("file-deleted",),
    "file_event": ("file-created",),
    "image_load": ("image-loaded",),
    "network_connection": ("network-connection",),
    "pipe_created": ("pipe-created", "pipe-connected"),
    "process_access": ("process-accessed",),
    "process_tampering": ("process-tampering",),
    "process_termination": ("process-terminated",),
    "ps_module": ("powershell-module-logged",),
    "ps_script": ("powershell-script-block",),
    "raw_access_thread": ("raw-access-read",),
    "registry_add": ("registry-object-added-or-deleted",),
    "registry_delete": ("registry-object-added-or-deleted",),
    "registry_event": ("registry-",),
    "registry_rename": ("registry-object-renamed",),
    "registry_set": ("registry-value-set",),
    "sysmon_status": ("sysmon-",),
}
"""Sigma's categories of Windows, and how the actions of their events begin."""

_WINDOWS_SERVICES: Final = {
    "application": ("Application",),
    "powershell": ("Microsoft-Windows-PowerShell/Operational", "PowerShellCore/Operational"),
    "powershell-classic": ("Windows PowerShell",),
    "security": ("Security",),
    "sysmon": ("Microsoft-Windows-Sysmon/Operational",),
    "system": ("System",),
    "taskscheduler": ("Microsoft-Windows-TaskScheduler/Operational",),
    "terminalservices-localsessionmanager": (
        "Microsoft-Windows-TerminalServices-LocalSessionManager/Operational",
    ),
    "windefend": ("Microsoft-Windows-Windows Defender/Operational",),
    "wmi": ("Microsoft-Windows-WMI-Activity/Operational",),
}
"""Sigma's services of Windows, and how the names of their channels begin."""


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

    own_names: bool = False
    """Whether fields without such a name are looked for in `winlog.event_data`, under Windows' own."""


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
        fields={
            **_WINDOWS,
            **{name: field for name, field in _PROCESS.items() if name not in {"User", "LogonId"}},
            "OriginalFileName": "process.pe.original_file_name",
        },
        own_names=True,
    ),
    *(
        LogSource(
            named={"category": category, "product": "windows"},
            modules=("sysmon", "windows"),
            begins=("event.action", actions),
            fields=_WINDOWS | _SYSMON,
            own_names=True,
        )
        for category, actions in _WINDOWS_CATEGORIES.items()
    ),
    *(
        LogSource(
            named={"product": "windows", "service": service},
            modules=("sysmon", "windows"),
            begins=("winlog.channel", channels),
            fields=_WINDOWS,
            own_names=True,
        )
        for service, channels in _WINDOWS_SERVICES.items()
    ),
    LogSource(
        named={"product": "windows", "category": None, "service": None},
        modules=("sysmon", "windows"),
        fields=_WINDOWS,
        own_names=True,
    ),
    LogSource(
        named={"category": "file_event", "product": "linux"},
        modules=("auditd", "sysmon"),
        begins=("event.action", ("file-created", "opened-file", "renamed", "symlinked", "created-directory")),
        fields=_FILE,
    ),
    LogSource(
        named={"category": "network_connection", "product": "linux"},
        modules=("auditd", "sysmon"),
        begins=("event.action", ("network-connection", "connected-to")),
        fields=_CONNECTION,
    ),
    LogSource(
        named={"product": "linux", "service": "auditd"},
        modules=("auditd",),
        fields={
            "exe": "process.executable",
            "comm": "process.name",
            "key": "homerange.audit.key",
            "name": "file.path",
            "cwd": "process.working_directory",
            "uid": "user.id",
            "SYSCALL": "event.code",
        },
    ),
    LogSource(
        named={"category": "proxy"},
        modules=("suricata", "zeek"),
        begins=("event.dataset", ("suricata.http", "zeek.http")),
        fields=_WEB,
    ),
    LogSource(named={"category": "webserver", "service": None}, modules=("apache",), fields=_WEB),
    LogSource(named={"service": "apache"}, modules=("apache", "apache_error"), fields=_WEB),
    LogSource(named={"service": "nginx"}, modules=("apache", "nginx"), fields=_WEB),
    LogSource(
        named={"category": "dns", "product": None}, modules=("dnsmasq", "suricata", "zeek"), fields=_DNS
    ),
    *(
        LogSource(
            named={"product": "zeek", "service": service},
            modules=("zeek",),
            begins=("event.dataset", (f"zeek.{service}",)),
            fields=_ZEEK,
        )
        for service in ("conn", "dns", "files", "http", "notice", "ssh", "ssl", "weird")
    ),
    LogSource(named={"product": "zeek", "service": None}, modules=("zeek",), fields=_ZEEK),
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
