"""Windows events as JSON lines, in the three forms in which they go about.

Winlogbeat's, in ECS with `winlog`; that of dumps of EVTX files, `Event` with `System` and `EventData`; and
flat ones, as NXLog and the data sets of Mordor have them, with the values of an event beside `EventID`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from lab.moment import Moment
from lab.telemetry.event import Event, Line, Source, Unparsed
from lab.telemetry.sources import ecs, windows
from lab.telemetry.sources.reading import json_object
from lab.telemetry.times import moment_of

Said = Mapping[str, Any]


class Winlog(Source):
    """JSON lines of Windows events."""

    name = "windows"
    stateless = True

    def parse(self, line: Line) -> Event | None:
        """Read one event; a blank line is none."""
        if not line.text.strip():
            return None
        said = json_object(line.text)
        if isinstance(said.get("winlog"), dict):
            return _of_winlogbeat(said)
        if isinstance(said.get("Event"), dict):
            return windows.event_of(dumped(said["Event"]))
        if "EventID" in said:
            return windows.event_of(_flat(said))
        raise Unparsed("is no event of Windows: it has neither winlog, nor Event, nor EventID")


def _of_winlogbeat(said: Said) -> Event:
    winlog = said["winlog"]
    data = winlog.get("event_data")
    record = windows.Record(
        at=_moment(said.get("@timestamp")),
        provider=_text(winlog.get("provider_name")),
        channel=_text(winlog.get("channel")),
        code=_text(winlog.get("event_id")),
        computer=_text(winlog.get("computer_name")),
        number=_number(winlog.get("record_id")),
        values=dict(_values(data)) if isinstance(data, dict) else {},
    )
    event = windows.event_of(record)
    if "@timestamp" in said:
        own = ecs.event_of(dict(ecs.flat(said)))
        event = {
            **own,
            **event,
            **{name: own[name] for name in ("event.action", "event.outcome") if name in own},
        }
    return event


def dumped(said: Said) -> windows.Record:
    """Read an event as dumps of EVTX files have it."""
    system = said.get("System")
    if not isinstance(system, dict):
        raise Unparsed("is no event of Windows: Event has no System")
    data = said.get("EventData") or said.get("UserData") or {}
    return windows.Record(
        at=_moment(_attribute(system.get("TimeCreated"), "SystemTime")),
        provider=_attribute(system.get("Provider"), "Name"),
        channel=_text(system.get("Channel")),
        code=_text(system.get("EventID")),
        computer=_text(system.get("Computer")),
        number=_number(system.get("EventRecordID")),
        values=dict(_values(data)) if isinstance(data, dict) else {"Data": _text(data)},
    )


_HEAD: Final = frozenset(
    {
        *("EventID", "Channel", "Hostname", "Computer", "EventTime", "EventReceivedTime", "@timestamp"),
        *("RecordNumber", "SourceName", "ProviderGuid", "SourceModuleName", "SourceModuleType", "@version"),
        *(
            "tags",
            "host",
            "port",
            "Severity",
            "SeverityValue",
            "Keywords",
            "Version",
            "OpcodeValue",
            "Opcode",
        ),
        *("ExecutionProcessID", "ThreadID", "Task", "Category", "EventType", "Message", "AccountName"),
        *("AccountType", "Domain", "UserID", "EventTypeOrignal"),
    }
)
"""What flat events say of themselves; the rest is what happened."""


def _flat(said: Said) -> windows.Record:
    times = (said.get(name) for name in ("@timestamp", "TimeCreated", "UtcTime", "EventTime"))
    return windows.Record(
        at=_moment(next(filter(None, times), "")),
        provider=_text(said.get("SourceName") or said.get("Provider") or said.get("ProviderName")),
        channel=_text(said.get("Channel")),
        code=_text(said.get("EventID")),
        computer=_text(said.get("Hostname") or said.get("Computer")),
        number=_number(said.get("RecordNumber") or said.get("EventRecordID")),
        values=dict(_values({name: value for name, value in said.items() if name not in _HEAD})),
    )


def _values(data: Said, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in data.items():
        if name == "#attributes":
            continue
        if name == "Data" and isinstance(value, list | dict):
            yield from _named(value)
        elif isinstance(value, dict):
            inner = value.get("#text")
            yield from [(f"{prefix}{name}", _text(inner))] if inner is not None else _values(value, prefix)
        elif value is not None:
            yield f"{prefix}{name}", _text(value)


def _named(data: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401  # JSON
    """Read `Data` that is a list: with names, or by place."""
    for place, it in enumerate(data if isinstance(data, list) else [data], 1):
        if isinstance(it, dict):
            name = it.get("@Name") or it.get("Name") or _attribute(it, "Name") or f"param{place}"
            yield _text(name), _text(it.get("#text", it.get("content")))
        elif it is not None:
            yield f"param{place}", _text(it)


def _attribute(value: Any, name: str) -> str:  # noqa: ANN401  # JSON
    if not isinstance(value, dict):
        return _text(value) if name != "Name" or isinstance(value, str) else ""
    inner = value.get("#attributes", value)
    return _text(inner.get(name) or inner.get(f"@{name}")) if isinstance(inner, dict) else ""


def _text(value: Any) -> str:  # noqa: ANN401  # JSON
    if isinstance(value, dict):
        return _text(value.get("#text"))
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _number(value: Any) -> int | None:  # noqa: ANN401  # JSON
    text = _text(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None  # noqa: PLR2004


def _moment(value: Any) -> Moment:  # noqa: ANN401  # JSON
    return moment_of(_text(value).removesuffix(" UTC"))
