"""dnsmasq: names that were asked for, what they are, and addresses that were given. dnsmasq 2.76 to 2.91."""

from __future__ import annotations

import re
from typing import Final

from lab.telemetry.event import Event, Line, Source, Unparsed
from lab.telemetry.sources import sentences
from lab.telemetry.sources.reading import address
from lab.telemetry.sources.sentences import sentence
from lab.telemetry.times import instant, yearless_second

PROGRAMS: Final = ("dnsmasq", "dnsmasq-dhcp", "dnsmasq-tftp")
"""What it logs under."""

_LINE: Final = re.compile(
    r"([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d\d:\d\d:\d\d) (dnsmasq(?:-\w+)?)(?:\[(\d{1,9})\])?: (.*)",
    re.ASCII | re.DOTALL,
)

_EXTRA: Final = re.compile(r"\d+ (?P<ip>[0-9a-fA-F:.]+)/(?P<port>\d{1,5}) (?P<rest>.*)", re.ASCII | re.DOTALL)
"""With `log-queries=extra` each line says for whom it was."""

_QUERIES: Final = (
    sentence(
        r"query\[(?P<type>[^\]\s]+)\] (?P<name>\S+) from (?P<ip>\S+)", "dns_query", "network:protocol,start"
    ),
    sentence(
        r"forwarded (?P<name>\S+) to (?P<to_ip>[^\s#]+)(?:#(?P<to_port>\d{1,5}))?",
        "dns_forwarded",
        "network:protocol",
    ),
    sentence(
        r"(?:reply|cached|config|\S*hosts\S*|\S+) (?P<name>\S+) is (?P<answer>.+)",
        "dns_answer",
        "network:protocol",
    ),
)
_LEASES: Final = (
    sentence(
        r"(?:\d+ )?DHCP(?:ACK|OFFER|REQUEST|RELEASE|DECLINE|INFORM)\((?P<interface>[^)]+)\) (?P<ip>[0-9.]+) "
        r"(?P<mac>[0-9a-f:]{17})(?: (?P<client>\S+))?",
        "dhcp_lease",
        "network:protocol",
    ),
    sentence(
        r"(?:\d+ )?DHCPDISCOVER\((?P<interface>[^)]+)\)(?: [0-9.]+)? (?P<mac>[0-9a-f:]{17}).*",
        "dhcp_discover",
        "network:protocol",
    ),
)
_ANSWER: Final = re.compile(r".* (\S+) is (.+)", re.DOTALL)
_FAULTS: Final = frozenset({"NXDOMAIN", "SERVFAIL", "REFUSED", "NODATA", "NODATA-IPv4", "NODATA-IPv6"})


class Dnsmasq(Source):
    """Its own log file (`log-facility=`), whose lines name no host."""

    name = "dnsmasq"
    stateless = True

    def parse(self, line: Line) -> Event | None:
        """Read one line; a blank one is no event."""
        if not line.text.strip():
            return None
        match = _LINE.fullmatch(line.text)
        if match is None:
            raise Unparsed("is not a line of dnsmasq's log")
        month, day, clock, program, pid, message = match.groups()
        event: Event = {"@timestamp": instant(yearless_second(month, day, clock, collected=line.created), "")}
        event["process.name"] = program
        if pid:
            event["process.pid"] = int(pid)
        if message:
            event["message"] = message
        understand(event, message)
        return event


def understand(event: Event, message: str) -> None:
    """Add what a message of dnsmasq means, if it is a sentence known here."""
    event["event.module"] = "dnsmasq"
    if event.get("process.name") == "dnsmasq-dhcp":
        event["event.dataset"], event["network.protocol"] = "dnsmasq.dhcp", "dhcp"
        sentences.understand(event, _LEASES, message)
        return
    event["event.dataset"] = "dnsmasq.dns"
    said = message
    if extra := _EXTRA.fullmatch(message):
        sentences.put_parts(event, {"ip": extra["ip"], "port": extra["port"]})
        said = extra["rest"]
    if sentences.understand(event, _QUERIES, said):
        event["network.protocol"] = "dns"
        event["dns.type"] = "answer" if event["event.action"] == "dns_answer" else "query"
        if found := _ANSWER.fullmatch(said):
            _put_answer(event, found[2])


def _put_answer(event: Event, answer: str) -> None:
    if found := address(answer):
        event["dns.resolved_ip"], event["dns.response_code"] = (found,), "NOERROR"
    elif answer in _FAULTS:
        event["dns.response_code"] = "NOERROR" if answer.startswith("NODATA") else answer
