"""What many logs write alike: addresses, ports. All of it takes text that an attacker may have chosen."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final

from lab.files.records import from_json
from lab.telemetry.event import Event, Unparsed, Value

LONG: Final = 2**63
"""One more than the highest value of a `long` field."""

MAX_PORT: Final = 65_535
"""The highest TCP or UDP port."""


@lru_cache(maxsize=4096)
def address(text: str) -> str | None:
    """Return an IP address in its one short form, or None when the text is none.

    IPv6 is compressed, IPv4 inside IPv6 becomes IPv4, brackets and the scope are left out, so equal
    hosts are equal texts whichever log they are from.
    """
    try:
        found = ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return str(getattr(found, "ipv4_mapped", None) or found)


def put_peer(event: Event, side: str, host: str | None, port: str | None = None) -> None:
    """Note one end of a connection: `source` or `destination`, its address or name, its port."""
    if not host:
        return
    if found := address(host):
        event[f"{side}.ip"] = found
    elif host != "UNKNOWN":  # sshd's word for a peer that is gone already
        event[f"{side}.domain"] = host
    if port and int(port) <= MAX_PORT:
        event[f"{side}.port"] = int(port)


def put(event: Event, values: Mapping[str, Value | None]) -> None:
    """Set the fields that have a value.

    Raises:
        Unparsed: a number does not fit into 64 bits.
    """
    for field, value in values.items():
        if value is None or value in {"", ()}:
            continue
        if isinstance(value, int) and not -LONG <= value < LONG:
            raise Unparsed(f"{field} is out of range: {value}")
        event[field] = value


def json_object(text: str) -> dict[str, Any]:
    """Read a line that is one JSON object.

    Raises:
        Unparsed: it is not.
    """
    try:
        found = from_json(text, dict)
    except (ValueError, RecursionError) as error:
        raise Unparsed(f"is not a JSON object: {error}") from error
    return found
