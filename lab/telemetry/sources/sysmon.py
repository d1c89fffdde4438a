"""Sysmon for Linux: its events are XML in a syslog line."""

from __future__ import annotations

import html
import re
from typing import Final

from lab.moment import Moment
from lab.telemetry.event import Event
from lab.telemetry.sources import windows

PROGRAMS: Final = ("sysmon",)
"""What it logs under."""

_DATA: Final = re.compile(r'<Data Name="([^"<>]{1,64})">([^<]*)</Data>')
_CODE: Final = re.compile(r"<EventID>(\d{1,5})</EventID>")
_PROVIDER: Final = re.compile(r'<Provider Name="([^"<>]{1,64})"')
_RECORD: Final = re.compile(r"<EventRecordID>(\d{1,18})</EventRecordID>")
_AT: Final = re.compile(r'<TimeCreated SystemTime="([^"<>]{20,40})"')
_COMPUTER: Final = re.compile(r"<Computer>([^<]{1,255})</Computer>")


def understand(event: Event, message: str) -> None:
    """Add what an event of Sysmon means.

    Its XML is flat, so patterns read it: an XML parser would follow what an attacker declares in it.
    """
    code = _CODE.search(message)
    event["event.module"], event["event.dataset"] = "sysmon", "sysmon.operational"
    if code is None:
        return
    provider, number, computer = (it.search(message) for it in (_PROVIDER, _RECORD, _COMPUTER))
    record = windows.Record(
        at=_time(message),
        provider=provider[1] if provider else "Linux-Sysmon",
        channel="Linux-Sysmon/Operational",
        code=code[1],
        computer=html.unescape(computer[1]) if computer else "",
        number=int(number[1]) if number else None,
        values={name: html.unescape(text) for name, text in _DATA.findall(message)},
    )
    found = windows.event_of(record)
    found.pop("host.name", None)  # the node's name is ours; what the host calls itself stands in the head
    event.pop("process.name", None)
    event.pop("process.pid", None)  # these are of Sysmon, not of what it saw
    event |= found


def _time(message: str) -> Moment | None:
    match = _AT.search(message)
    try:
        return Moment.parse(match[1]) if match else None
    except ValueError:
        return None
