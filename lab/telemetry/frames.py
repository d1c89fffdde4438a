"""The packets of one connection, out of files of packets. The only module that imports dpkt.

A frame is matched by addresses, ports and protocol, whichever way it goes. What cannot be read as a frame
is left out; a file whose end is missing is read up to there.
"""

from __future__ import annotations

import io
import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import dpkt

from lab.files import careful
from lab.moment import SECOND

MOST: Final = 20_000
"""Packets of one connection that are taken: a flood is one as well."""

_DPKT_ERRORS: Final = (dpkt.Error, ValueError, IndexError, AttributeError)
"""What dpkt raises on bytes that are no packet: its own errors, and what its parsers run into."""

_LINKS: Final = {
    dpkt.pcap.DLT_EN10MB: dpkt.ethernet.Ethernet,
    dpkt.pcap.DLT_LINUX_SLL: dpkt.sll.SLL,
    276: dpkt.sll2.SLL2,
}
"""Class of a frame, by the type of link that a file names."""

_FLAGS: Final = ((2, "S"), (1, "F"), (4, "R"), (8, "P"), (16, "."))
"""TCP's flags as tcpdump writes them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """One connection."""

    source: str
    """Address that opened it."""

    destination: str
    """Address that it was opened to."""

    source_port: int | None = None
    """Its port; None where there are none."""

    destination_port: int | None = None
    """Its port there; None where there are none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Packet:
    """One packet of a connection."""

    at: int
    """When it was seen, in nanoseconds."""

    forward: bool
    """Whether it goes from the one that opened the connection."""

    protocol: str
    """`TCP`, `UDP`, `ICMP`, or another's number."""

    flags: str
    """TCP's flags as tcpdump writes them; empty for others."""

    payload: bytes
    """What it carries."""

    frame: bytes
    """All of it."""

    link: int
    """The type of link of its file."""


def packets_of(flow: Flow, files: Iterable[Path]) -> tuple[Packet, ...]:
    """Find the packets of a connection, in the order of time.

    Args:
        flow: The connection.
        files: Files of packets.

    Raises:
        BadFile: a file is a link, or none of packets.
    """
    found: list[Packet] = []
    for path in sorted(files):
        for packet in _matching(flow, path):
            found.append(packet)
            if len(found) >= MOST:
                break
    return tuple(sorted(found, key=lambda it: it.at))


def written(packets: Iterable[Packet]) -> bytes:
    """Write packets as a file of packets; those of another type of link than the first are left out."""
    kept = tuple(packets)
    link = kept[0].link if kept else dpkt.pcap.DLT_EN10MB
    out = io.BytesIO()
    writer = dpkt.pcap.Writer(out, linktype=link, nano=True)
    for it in kept:
        if it.link == link:
            writer.writepkt(it.frame, it.at / SECOND)
    return out.getvalue()


def _matching(flow: Flow, path: Path) -> Iterator[Packet]:
    with careful.open_plain(path, most=4 * 2**30) as file:
        try:
            reader = dpkt.pcap.UniversalReader(file)
        except (ValueError, dpkt.Error):
            return  # it has just been made, and has no head yet
        link = reader.datalink()
        kind = _LINKS.get(link)
        if kind is None:
            return
        ends = {_packed(flow.source): True, _packed(flow.destination): False}
        frames = iter(reader)
        while True:
            try:
                at, frame = next(frames)
            except (StopIteration, *_DPKT_ERRORS):
                return
            if all(it in frame for it in ends):  # most packets are others', and to take them apart takes long
                packet = _read(int(at * SECOND), frame, link, flow, ends)
                if packet is not None:
                    yield packet


def _packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def _read(at: int, frame: bytes, link: int, flow: Flow, ends: dict[bytes, bool]) -> Packet | None:
    """Return a frame if it is one of the connection."""
    try:
        network = _LINKS[link](frame).data
        forward = ends.get(network.src)
        if forward is None or network.dst not in ends or network.dst == network.src:
            return None
        inner = network.data
        sport, dport = getattr(inner, "sport", None), getattr(inner, "dport", None)
        payload = inner.data if isinstance(getattr(inner, "data", None), bytes) else bytes(inner)
    except _DPKT_ERRORS:
        return None
    wanted = (flow.source_port, flow.destination_port)
    if wanted != (None, None) and (sport, dport) != (wanted if forward else wanted[::-1]):
        return None
    flags = getattr(inner, "flags", 0) if isinstance(inner, dpkt.tcp.TCP) else 0
    return Packet(
        at=at,
        forward=forward,
        protocol=type(inner).__name__ if not isinstance(inner, bytes) else str(network.p),
        flags="".join(sign for bit, sign in _FLAGS if flags & bit),
        payload=payload,
        frame=frame,
        link=link,
    )
