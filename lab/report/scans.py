"""What scans of a run found: hosts, ports and versions, as values and as the places of a picture. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lab.exercise.recorder import Result
from lab.exercise.truth import Truth

_HEAD: Final = 48
"""Height of a host's name and address in the picture."""

_LINE: Final = 20
"""Height of one port."""

_GAP: Final = 16
_MOST_HOSTS: Final = 64
_MOST_SERVICES: Final = 40
"""What is drawn; a scan of a lab finds fewer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """An open port, and what listens there."""

    port: int
    """Its number."""

    protocol: str
    """`tcp` or `udp`."""

    name: str
    """What the scanner takes it for; empty when it did not ask."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """A host that answered, and where it stands in the picture."""

    address: str
    """Its address."""

    node: str
    """The node's name; empty when no step names it."""

    services: tuple[Service, ...]
    """What is open, by port."""

    top: int
    """Distance from the top of the picture, in pixels."""

    height: int
    """Its own height, in pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """What all scans found together."""

    source: str
    """The node that scanned."""

    hosts: tuple[Host, ...]
    """By address."""

    height: int
    """Of the picture, in pixels."""


def picture(results: Iterable[Result], truth: Iterable[Truth]) -> Picture | None:
    """Gather what scans found; None when there was none that answered.

    Args:
        results: What steps gave to later ones.
        truth: What happened: it knows which node has which address.
    """
    records = tuple(truth)
    names = {
        address: it.node
        for record in records
        for it in (*record.sources, *record.targets)
        for address in it.addresses
    }
    found: dict[str, dict[tuple[str, int], str]] = {}
    scans = [it for it in results if isinstance(it.value.get("hosts"), list)]
    for result in scans:
        for host in result.value["hosts"]:
            _add(found.setdefault(str(host.get("address", "")), {}), host)
    steps = {it.step for it in scans}
    source = next((it.sources[0].node for it in records if it.step in steps and it.sources), "")
    hosts, top = [], _GAP
    for address in sorted(found, key=_order)[:_MOST_HOSTS]:
        host = _host(address, names.get(address, ""), found[address], top)
        hosts.append(host)
        top += host.height + _GAP
    return Picture(source=source, hosts=tuple(hosts), height=top) if hosts else None


def _add(known: dict[tuple[str, int], str], host: Mapping[str, Any]) -> None:
    """Take what one scan says of a host; the longest words about a port stay."""
    for it in host.get("services", ()):
        words = " ".join(str(it.get(key, "")) for key in ("product", "version")).strip()
        said = words or str(it.get("name", ""))
        key = (str(it.get("protocol", "tcp")), int(it.get("port", 0)))
        known[key] = max(known.get(key, ""), said, key=len)


def _host(address: str, node: str, ports: Mapping[tuple[str, int], str], top: int) -> Host:
    services = tuple(
        Service(port=port, protocol=protocol, name=name) for (protocol, port), name in sorted(ports.items())
    )[:_MOST_SERVICES]
    return Host(address=address, node=node, services=services, top=top, height=_HEAD + _LINE * len(services))


def _order(address: str) -> tuple[int, ...]:
    return tuple(int(it) for it in address.split(".") if it.isdecimal())
