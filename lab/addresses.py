"""Which addresses this machine has, and which it knows a way to."""

from __future__ import annotations

import ipaddress
import socket
import struct
from pathlib import Path
from typing import Final

import psutil

_ROUTES: Final = Path("/proc/net/route")
_UP: Final = 0x1
_REJECT: Final = 0x200


def host_addresses() -> tuple[str, ...]:
    """Return this machine's IPv4 addresses but for loopback, sorted."""
    found = {
        it.address for each in psutil.net_if_addrs().values() for it in each if it.family == socket.AF_INET
    }
    return tuple(sorted(address for address in found if not ipaddress.ip_address(address).is_loopback))


def routed() -> tuple[ipaddress.IPv4Network, ...]:
    """Return the blocks this machine has a route to, the default route left out.

    Read from /proc/net/route, whose fields are described in proc(5); elsewhere nothing is known.
    """
    if not _ROUTES.exists():
        return ()
    rows = [line.split() for line in _ROUTES.read_text(encoding="ascii").splitlines()[1:]]
    blocks = (
        _block(row[1], row[7]) for row in rows if int(row[3], 16) & _UP and not int(row[3], 16) & _REJECT
    )
    return tuple(block for block in blocks if block.prefixlen)


def _block(destination: str, mask: str) -> ipaddress.IPv4Network:
    """Read two little-endian hexadecimal words."""
    address, bits = (socket.inet_ntoa(struct.pack("<L", int(word, 16))) for word in (destination, mask))
    return ipaddress.IPv4Network(f"{address}/{bits}", strict=False)
