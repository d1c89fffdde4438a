"""Sigma's log sources, told from the fields of events that have Sigma's own names.

Windows says it with channel and event id, as Sysmon does; elsewhere a category is known by the fields that
only its events have. A rule whose log source has no such mark is asked of every event: its fields decide.
Names are those of Sigma's appendix on taxonomy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from lab.detect.sigma.predicate import Columns, WrittenColumns, literal, match
from lab.errors import WrongInput
from lab.telemetry.conditions import Condition

if TYPE_CHECKING:  # pySigma takes half a second to import, and only conversion needs it
    from sigma.rule import SigmaRule

SYSMON: Final = "microsoft-windows-sysmon/operational"

_SYSMON_IDS: Final[Mapping[str, tuple[int, ...]]] = {
    "create_remote_thread": (8,),
    "create_stream_hash": (15,),
    "dns_query": (22,),
    "driver_load": (6,),
    "file_access": (),
    "file_block": (27, 28),
    "file_change": (2,),
    "file_delete": (23, 26),
    "file_event": (11,),
    "file_executable_detected": (29,),
    "file_rename": (),
    "image_load": (7,),
    "network_connection": (3,),
    "pipe_created": (17, 18),
    "process_access": (10,),
    "process_creation": (1,),
    "process_tampering": (25,),
    "process_termination": (5,),
    "raw_access_thread": (9,),
    "registry_add": (12,),
    "registry_delete": (12,),
    "registry_event": (12, 13, 14),
    "registry_rename": (14,),
    "registry_set": (13,),
    "sysmon_error": (255,),
    "sysmon_status": (4, 16),
    "wmi_event": (19, 20, 21),
}
"""Sigma's categories of Sysmon's events, and their ids."""

_POWERSHELL: Final = ("microsoft-windows-powershell/operational", "powershellcore/operational")

_OTHER_IDS: Final[Mapping[str, tuple[tuple[str, tuple[int, ...]], ...]]] = {
    "process_creation": (("security", (4688,)),),
    "ps_classic_provider_start": (("windows powershell", (600,)),),
    "ps_classic_start": (("windows powershell", (400,)),),
    "ps_module": (
        ("microsoft-windows-powershell/operational", (4103,)),
        ("powershellcore/operational", (4103,)),
    ),
    "ps_script": (
        ("microsoft-windows-powershell/operational", (4104,)),
        ("powershellcore/operational", (4104,)),
    ),
}
"""Categories whose events Windows writes as well: channel and ids."""

_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "create_remote_thread": ("StartAddress", "StartModule", "StartFunction"),
    "dns_query": ("QueryName",),
    "file_access": ("FileName",),
    "file_change": ("TargetFilename",),
    "file_delete": ("TargetFilename",),
    "file_event": ("TargetFilename",),
    "file_rename": ("TargetFilename",),
    "image_load": ("ImageLoaded",),
    "network_connection": ("DestinationIp", "DestinationPort", "DestinationHostname"),
    "pipe_created": ("PipeName",),
    "process_access": ("GrantedAccess", "CallTrace"),
    "process_creation": ("CommandLine", "ParentImage"),
    "ps_module": ("Payload", "ContextInfo"),
    "ps_script": ("ScriptBlockText",),
    "registry_add": ("TargetObject",),
    "registry_delete": ("TargetObject",),
    "registry_event": ("TargetObject",),
    "registry_rename": ("TargetObject",),
    "registry_set": ("TargetObject",),
}
"""Fields of which an event of a category has one, and a process creation no other's."""

_FOREIGN: Final = (
    *("TargetFilename", "DestinationIp", "DestinationPort", "QueryName", "TargetObject", "ImageLoaded"),
    *("PipeName", "TargetImage", "ScriptBlockText"),
)
"""Fields that no process creation has."""

_CHANNELS: Final[Mapping[str, tuple[str, ...]]] = {
    "application": ("application",),
    "applocker": (
        "microsoft-windows-applocker/exe and dll",
        "microsoft-windows-applocker/msi and script",
        "microsoft-windows-applocker/packaged app-deployment",
        "microsoft-windows-applocker/packaged app-execution",
    ),
    "bits-client": ("microsoft-windows-bits-client/operational",),
    "codeintegrity-operational": ("microsoft-windows-codeintegrity/operational",),
    "dhcp": ("microsoft-windows-dhcp-server/operational",),
    "dns-client": ("microsoft-windows-dns client events/operational",),
    "dns-server": ("dns server",),
    "driver-framework": ("microsoft-windows-driverframeworks-usermode/operational",),
    "firewall-as": ("microsoft-windows-windows firewall with advanced security/firewall",),
    "msexchange-management": ("msexchange management",),
    "ntlm": ("microsoft-windows-ntlm/operational",),
    "openssh": ("openssh/operational",),
    "powershell": _POWERSHELL,
    "powershell-classic": ("windows powershell",),
    "printservice-admin": ("microsoft-windows-printservice/admin",),
    "printservice-operational": ("microsoft-windows-printservice/operational",),
    "security": ("security",),
    "security-mitigations": (
        "microsoft-windows-security-mitigations/kernel mode",
        "microsoft-windows-security-mitigations/user mode",
    ),
    "shell-core": ("microsoft-windows-shell-core/operational",),
    "smbclient-connectivity": ("microsoft-windows-smbclient/connectivity",),
    "smbclient-security": ("microsoft-windows-smbclient/security",),
    "sysmon": (SYSMON,),
    "system": ("system",),
    "taskscheduler": ("microsoft-windows-taskscheduler/operational",),
    "terminalservices-localsessionmanager": (
        "microsoft-windows-terminalservices-localsessionmanager/operational",
    ),
    "windefend": ("microsoft-windows-windows defender/operational",),
    "wmi": ("microsoft-windows-wmi-activity/operational",),
}
"""Services of Windows, and their channels in lower case."""

_WEB: Final = (
    *("cs-method", "cs-uri", "cs-uri-query", "cs-uri-stem", "c-uri", "c-uri-query", "c-uri-stem"),
    *("sc-status", "cs-user-agent", "c-useragent", "cs-referer"),
)
"""Fields of which an event of a web server or a proxy has one."""


NAMES: Final = frozenset(
    {
        *(field for fields in _FIELDS.values() for field in fields),
        *_FOREIGN,
        *_WEB,
        *("Image", "EventID", "Channel", "Provider_Name", "OriginalFileName", "SubjectUserName", "_path"),
    }
)
"""Field names of Sigma's own, by which events that have them are known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A log source, as far as it is named."""

    category: str = ""
    """What sort of events."""

    product: str = ""
    """What they are of."""

    service: str = ""
    """Which log of it."""

    @classmethod
    def of(cls, rule: SigmaRule) -> Self:
        """Return what a rule asks for."""
        asked = rule.logsource
        return cls(category=asked.category or "", product=asked.product or "", service=asked.service or "")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `product/category` or `product/service`, or a category alone.

        Raises:
            WrongInput: it is neither.
        """
        parts = text.strip().lower().split("/")
        if len(parts) > 2 or not all(parts):  # noqa: PLR2004  # product and one more
            raise WrongInput(
                f"--as {text}: write  product/category  or  product/service, as  linux/process_creation"
            )
        *product, last = parts
        name = product[0] if product else ""
        if last in CATEGORIES or (not product and last not in _CHANNELS):
            return cls(category=last, product=name)
        return cls(service=last, product=name or "windows")

    def includes(self, events: Source) -> bool:
        """Tell whether events of another source are of this one."""
        if events is ANY:
            return True
        asked = (self.category, self.product, self.service)
        given = (events.category, events.product, events.service)
        return all(not ours or ours.lower() == theirs for ours, theirs in zip(asked, given, strict=True))


ANY: Final = Source()
"""Events that are of whatever source is asked for."""

CATEGORIES: Final = frozenset(
    {
        *_SYSMON_IDS,
        *_OTHER_IDS,
        *("antivirus", "application", "database", "dns", "email", "firewall", "proxy", "webserver"),
    }
)
"""Sigma's categories; what else is named is a product or a service."""


def guards(source: Source) -> tuple[Condition, Condition]:
    """Return what an event has to be to be of a log source: with texts, and with lists."""
    return _guard(source, WrittenColumns(many=False)), _guard(source, WrittenColumns(many=True))


def joined(guard: Condition, condition: Condition) -> Condition:
    """Ask for both."""
    return Condition(sql=f"({guard.sql} AND {condition.sql})", fields=guard.fields | condition.fields)


def _guard(source: Source, columns: Columns) -> Condition:
    seen = _Seen(columns)
    parts = [*_category(source, seen), *_product(source, seen), *_service(source, seen)]
    return Condition(sql=f"({' AND '.join(parts) or 'true'})", fields=frozenset(seen.fields))


class _Seen:
    """Conditions on fields, which remember what they look at."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self.fields: set[str] = set()

    def among(self, field: str, values: tuple[str, ...] | tuple[int, ...]) -> str:
        """Ask whether a field has one of some values, written in lower case."""
        self.fields.add(field)
        listed = ", ".join(literal(str(it)) for it in values)
        return match(self._columns.of(field), lambda value: f"{value} IN ({listed})", cased=False)

    def holds(self, field: str, part: str) -> str:
        """Ask whether a field holds a text."""
        self.fields.add(field)
        return match(self._columns.of(field), lambda value: f"contains({value}, {literal(part)})")

    def some(self, fields: tuple[str, ...]) -> str:
        """Ask whether an event has one of some fields."""
        self.fields.update(fields)
        return "(" + " OR ".join(f"{self._columns.of(it).value} IS NOT NULL" for it in fields) + ")"


def _category(source: Source, seen: _Seen) -> Iterator[str]:
    name = source.category
    if name in {"webserver", "proxy"}:
        yield seen.some(_WEB)
        return
    if name not in CATEGORIES or (name not in _FIELDS and not _marks(name)):
        return
    by_id = [
        f"({seen.among('Channel', (channel,))} AND {seen.among('EventID', ids)})"
        for channel, ids in _marks(name)
    ]
    shaped = seen.some(_FIELDS[name]) if name in _FIELDS else "false"
    if name == "process_creation":
        shaped += f" AND NOT {seen.some(_FOREIGN)}"
    # Where no channel is named, the id alone says what Sysmon wrote, and without one the fields do.
    sysmon = seen.among("EventID", _SYSMON_IDS[name]) if _SYSMON_IDS.get(name) else "false"
    unmarked = f"CASE WHEN NOT {seen.some(('Channel',))} THEN coalesce({sysmon}, false) OR ({shaped}) END"
    yield f"({' OR '.join([*by_id, unmarked])})"


def _marks(category: str) -> list[tuple[str, tuple[int, ...]]]:
    ids = _SYSMON_IDS.get(category, ())
    return [*([(SYSMON, ids)] if ids else []), *_OTHER_IDS.get(category, ())]


def _product(source: Source, seen: _Seen) -> Iterator[str]:
    """A program's path says what it runs on; what names none may be anything."""
    if source.product == "windows" and source.category:
        yield f"({seen.some(('Channel',))} OR NOT {seen.some(('Image',))} OR {seen.holds('Image', chr(92))})"
    elif source.product in {"linux", "macos"} and source.category:
        unmarked = f"NOT {seen.some(('Channel',))}"
        yield f"({unmarked} AND (NOT {seen.some(('Image',))} OR {seen.holds('Image', '/')}))"


def _service(source: Source, seen: _Seen) -> Iterator[str]:
    if source.product == "windows" and source.service in _CHANNELS:
        yield f"({seen.among('Channel', _CHANNELS[source.service])} OR NOT {seen.some(('Channel',))})"
    elif source.product == "zeek" and source.service:
        yield f"({seen.among('_path', (source.service,))} OR NOT {seen.some(('_path',))})"
