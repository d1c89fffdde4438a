"""What Windows and Sysmon say, whatever file it is in: an event's number decides what its values mean.

Numbers and values as Microsoft documents them (Security auditing; Sysmon 15; PowerShell), fields as
Winlogbeat fills them. What is not listed here is kept whole in `winlog.event_data`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from lab.files.records import to_json
from lab.moment import Moment
from lab.telemetry.event import Event
from lab.telemetry.sources.reading import LONG, put, put_peer

SYSMON: Final = "Sysmon"
"""What the names of Sysmon's providers hold, on Windows and on Linux."""

_NOTHING: Final = frozenset({"", "-", "::", "N/A", "?"})
"""What is written where there is no value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One event of Windows, as any of its forms has it."""

    at: Moment | None
    """When it was logged."""

    provider: str = ""
    """What logged it, `Microsoft-Windows-Sysmon`."""

    channel: str = ""
    """The log, `Security`."""

    code: str = ""
    """The event's number."""

    computer: str = ""
    """The machine."""

    number: int | None = None
    """Which record of the log it is."""

    values: Mapping[str, str] = field(default_factory=dict)
    """What it says, by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Meaning:
    """What an event's number means."""

    action: str
    category: str
    types: tuple[str, ...]
    outcome: str = ""


def _meaning(action: str, kinds: str, outcome: str = "") -> _Meaning:
    category, _, types = kinds.partition(":")
    return _Meaning(action=action, category=category, types=tuple(types.split(",")), outcome=outcome)


_SECURITY: Final = {
    "1102": _meaning("audit-log-cleared", "iam:admin,change"),
    "4616": _meaning("system-time-changed", "configuration:change"),
    "4624": _meaning("logged-in", "authentication:start", "success"),
    "4625": _meaning("logon-failed", "authentication:start", "failure"),
    "4634": _meaning("logged-out", "authentication:end"),
    "4647": _meaning("logged-out", "authentication:end"),
    "4648": _meaning("logged-in-explicit", "authentication:start", "success"),
    "4656": _meaning("object-access-requested", "file:access"),
    "4657": _meaning("registry-value-modified", "registry:change"),
    "4662": _meaning("object-operation-performed", "iam:admin,info"),
    "4663": _meaning("object-accessed", "file:access"),
    "4670": _meaning("permissions-changed", "iam:admin,change"),
    "4672": _meaning("logged-in-special", "iam:admin"),
    "4673": _meaning("privileged-service-called", "iam:admin"),
    "4688": _meaning("created-process", "process:start"),
    "4689": _meaning("exited-process", "process:end"),
    "4697": _meaning("service-installed", "configuration:creation"),
    "4698": _meaning("scheduled-task-created", "configuration:creation"),
    "4699": _meaning("scheduled-task-deleted", "configuration:deletion"),
    "4702": _meaning("scheduled-task-updated", "configuration:change"),
    "4719": _meaning("changed-audit-config", "configuration:change"),
    "4720": _meaning("added-user-account", "iam:user,creation", "success"),
    "4722": _meaning("enabled-user-account", "iam:user,change", "success"),
    "4723": _meaning("changed-password", "iam:user,change"),
    "4724": _meaning("reset-password", "iam:user,change"),
    "4725": _meaning("disabled-user-account", "iam:user,change", "success"),
    "4726": _meaning("deleted-user-account", "iam:user,deletion", "success"),
    "4728": _meaning("added-member-to-group", "iam:group,change", "success"),
    "4732": _meaning("added-member-to-group", "iam:group,change", "success"),
    "4733": _meaning("removed-member-from-group", "iam:group,change", "success"),
    "4735": _meaning("modified-group-account", "iam:group,change", "success"),
    "4738": _meaning("modified-user-account", "iam:user,change", "success"),
    "4740": _meaning("locked-out-user-account", "iam:user,change", "success"),
    "4756": _meaning("added-member-to-group", "iam:group,change", "success"),
    "4767": _meaning("unlocked-user-account", "iam:user,change", "success"),
    "4768": _meaning("kerberos-authentication-ticket-requested", "authentication:start"),
    "4769": _meaning("kerberos-service-ticket-requested", "authentication:start"),
    "4771": _meaning("kerberos-preauth-failed", "authentication:start", "failure"),
    "4776": _meaning("credential-validated", "authentication:start"),
    "5140": _meaning("network-share-object-accessed", "file:access"),
    "5145": _meaning("network-share-object-access-checked", "file:access"),
    "5156": _meaning("windows-firewall-connection", "network:connection,allowed"),
    "5157": _meaning("windows-firewall-packet-block", "network:connection,denied"),
}
_SYSMON: Final = {
    "1": _meaning("created-process", "process:start"),
    "2": _meaning("file-creation-time-changed", "file:change"),
    "3": _meaning("network-connection", "network:connection,start"),
    "4": _meaning("sysmon-state-changed", "process:change"),
    "5": _meaning("process-terminated", "process:end"),
    "6": _meaning("driver-loaded", "driver:start"),
    "7": _meaning("image-loaded", "library:start"),
    "8": _meaning("remote-thread-created", "process:change"),
    "9": _meaning("raw-access-read", "file:access"),
    "10": _meaning("process-accessed", "process:access"),
    "11": _meaning("file-created", "file:creation"),
    "12": _meaning("registry-object-added-or-deleted", "registry:change"),
    "13": _meaning("registry-value-set", "registry:change"),
    "14": _meaning("registry-object-renamed", "registry:change"),
    "15": _meaning("file-stream-created", "file:creation"),
    "16": _meaning("sysmon-configuration-changed", "configuration:change"),
    "17": _meaning("pipe-created", "file:creation"),
    "18": _meaning("pipe-connected", "file:access"),
    "22": _meaning("dns-query", "network:connection,protocol,info"),
    "23": _meaning("file-deleted", "file:deletion"),
    "25": _meaning("process-tampering", "process:change"),
    "26": _meaning("file-deleted", "file:deletion"),
}
_OTHERS: Final = {
    "104": _meaning("event-log-cleared", "iam:admin,change"),
    "4103": _meaning("powershell-module-logged", "process:info"),
    "4104": _meaning("powershell-script-block", "process:info"),
    "7045": _meaning("service-installed", "configuration:creation"),
}

_SYSMON_FIELDS: Final[Mapping[str, str]] = {
    "ProcessGuid": "process.entity_id",
    "SourceProcessGUID": "process.entity_id",
    "ProcessId": "process.pid",
    "SourceProcessId": "process.pid",
    "Image": "process.executable",
    "SourceImage": "process.executable",
    "OriginalFileName": "process.pe.original_file_name",
    "CommandLine": "process.command_line",
    "CurrentDirectory": "process.working_directory",
    "ParentProcessGuid": "process.parent.entity_id",
    "ParentProcessId": "process.parent.pid",
    "ParentImage": "process.parent.executable",
    "ParentCommandLine": "process.parent.command_line",
    "TargetFilename": "file.path",
    "ImageLoaded": "file.path",
    "PipeName": "file.name",
    "TargetObject": "registry.path",
    "QueryName": "dns.question.name",
    "Protocol": "network.transport",
    "LogonId": "winlog.logon.id",
    "LogonGuid": "",
}
_SECURITY_FIELDS: Final[Mapping[str, str]] = {
    "SubjectLogonId": "winlog.logon.id",
    "TargetLogonId": "winlog.logon.id",
    "LogonType": "winlog.logon.type",
    "NewProcessName": "process.executable",
    "ProcessName": "process.executable",
    "NewProcessId": "process.pid",
    "ProcessId": "process.pid",
    "CommandLine": "process.command_line",
    "ParentProcessName": "process.parent.executable",
    "ObjectName": "file.path",
    "RelativeTargetName": "file.path",
    "ServiceName": "service.name",
    "Status": "event.reason",
    "Protocol": "",
}
_OWN_ACCOUNT: Final = frozenset({"4624", "4625", "4634", "4647", "4768", "4769", "4771", "4776"})
"""Events that are about the account of `Target...`; in others that is whom something is done to."""

_GROUPS: Final = frozenset({"4728", "4732", "4733", "4735", "4756"})
_HASH: Final = re.compile(r"(MD5|SHA1|SHA256)=([0-9A-Fa-f]{32,64})")
_DOMAIN_USER: Final = re.compile(r"(?:(?P<domain>[^\\]+)\\)?(?P<user>.+)", re.DOTALL)


def event_of(record: Record) -> Event:
    """Say in ECS what a record says."""
    sysmon = SYSMON in record.provider or SYSMON in record.channel
    module = "sysmon" if sysmon else "windows"
    event: Event = {
        "event.module": module,
        "event.dataset": f"{module}.{'operational' if sysmon else _dataset(record)}",
    }
    if record.at is not None:
        event["@timestamp"] = record.at
    known = _SYSMON if sysmon else _SECURITY if record.channel.lower() == "security" else _OTHERS
    if meaning := known.get(record.code):
        event |= {"event.action": meaning.action, "event.category": (meaning.category,)}
        event["event.type"] = meaning.types
        put(event, {"event.outcome": meaning.outcome})
    put(
        event,
        {
            "event.code": record.code,
            "event.provider": record.provider,
            "event.sequence": record.number,
            "winlog.channel": record.channel,
            "host.name": record.computer,
            "winlog.event_data": to_json(dict(record.values)) if record.values else "",
        },
    )
    said = {name: text for name, text in record.values.items() if text not in _NOTHING}
    if sysmon:
        _put_sysmon(event, said)
    else:
        _put_security(event, record.code, said)
    _put_names(event)
    return event


def _dataset(record: Record) -> str:
    channel = record.channel.rpartition("/")[0] or record.channel
    return (channel.rpartition("-")[2] or "log").lower() if record.channel else "log"


def _number(text: str) -> int | None:
    """Read a number, which Windows writes in hexadecimal now and then."""
    try:
        found = int(text, 0)
    except ValueError:
        return None
    return found if -LONG <= found < LONG else None


def _put_fields(event: Event, said: Mapping[str, str], fields: Mapping[str, str]) -> None:
    for name, target in fields.items():
        if (text := said.get(name)) is None or not target:
            continue
        value = _number(text) if target.endswith(".pid") else text
        put(event, {target: value})


def _put_sysmon(event: Event, said: Mapping[str, str]) -> None:
    _put_fields(event, said, _SYSMON_FIELDS)
    put_peer(event, "source", said.get("SourceIp"), _port(said.get("SourcePort")))
    put_peer(event, "destination", said.get("DestinationIp"), _port(said.get("DestinationPort")))
    _put_account(event, said.get("User"), "user")
    hashes = said.get("Hashes", "")
    for name, digest in _HASH.findall(hashes):
        event[f"{'file' if 'file.path' in event else 'process'}.hash.{name.lower()}"] = digest.lower()
    if "registry.path" in event:
        put(event, {"registry.value": str(event["registry.path"]).rpartition("\\")[2]})
        if details := said.get("Details"):
            event["registry.data.strings"] = (details,)
    if rule := said.get("RuleName"):
        event["rule.name"] = rule


def _put_security(event: Event, code: str, said: Mapping[str, str]) -> None:
    _put_fields(event, said, _SECURITY_FIELDS)
    if "NewProcessId" in said:  # then `ProcessId` is who started it
        put(event, {"process.parent.pid": _number(said.get("ProcessId", ""))})
        put(event, {"process.pid": _number(said["NewProcessId"])})
    put_peer(event, "source", said.get("IpAddress"), _port(said.get("IpPort")))
    if "source.ip" not in event:
        put_peer(event, "source", said.get("SourceAddress"), _port(said.get("SourcePort")))
        put_peer(event, "destination", said.get("DestAddress"), _port(said.get("DestPort")))
    if "source.ip" not in event:
        put(event, {"source.domain": said.get("WorkstationName") or said.get("Workstation")})
    subject = {"name": said.get("SubjectUserName"), "domain": said.get("SubjectDomainName")}
    target = {"name": said.get("TargetUserName"), "domain": said.get("TargetDomainName")}
    if code in _OWN_ACCOUNT:
        put(event, {f"user.{key}": text for key, text in target.items()})
    elif code in _GROUPS:
        put(
            event,
            {
                "group.name": target["name"],
                "user.target.name": said.get("MemberName") or said.get("MemberSid"),
            },
        )
        put(event, {f"user.{key}": text for key, text in subject.items()})
    else:
        put(event, {f"user.{key}": text for key, text in subject.items()})
        put(event, {f"user.target.{key}": text for key, text in target.items()})
    if script := said.get("ScriptBlockText"):
        event["message"] = script
    if service := said.get("ImagePath") or said.get("ServiceFileName"):
        event["process.command_line"] = service


def _put_account(event: Event, account: str | None, field_name: str) -> None:
    if account and (match := _DOMAIN_USER.fullmatch(account)):
        put(event, {f"{field_name}.name": match["user"], f"{field_name}.domain": match["domain"]})


def _put_names(event: Event) -> None:
    """Add the names of what is known by its path."""
    for path, name in (
        ("process.executable", "process.name"),
        ("process.parent.executable", "process.parent.name"),
        ("file.path", "file.name"),
    ):
        if text := event.get(path):
            put(event, {name: re.split(r"[\\/]", str(text))[-1]})


def _port(text: str | None) -> str | None:
    return text if text and text.isascii() and text.isdigit() and text != "0" else None
