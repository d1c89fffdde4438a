"""Which addresses this machine has, and which it knows a way to."""

from __future__ import annotations

import ipaddress
import random
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

POOLS: Final = ("10.213.0.0/16", "172.29.0.0/16", "192.168.208.0/20")
"""Where networks get their addresses from (RFC 1918); seldom used by others."""

SMALLEST: Final = 26
"""Length of the prefix of a small lab's network."""

_ROUTES: Final = Path("/proc/net/route")
_UP: Final = 0x1
_REJECT: Final = 0x200


@dataclass(frozen=True, kw_only=True, slots=True)
class Addresses:
    """This machine's addresses but for loopback."""

    ipv4: tuple[str, ...]
    """Sorted."""

    ipv6: tuple[str, ...]
    """Sorted; one that holds on a single link has no zone."""

    @property
    def all(self) -> tuple[str, ...]:
        """Both."""
        return (*self.ipv4, *self.ipv6)


def host_addresses() -> Addresses:
    """Look at every interface of this machine."""
    import psutil

    found = [it for each in psutil.net_if_addrs().values() for it in each]
    ipv4, ipv6 = (
        _plain(it.address for it in found if it.family == family)
        for family in (socket.AF_INET, socket.AF_INET6)
    )
    return Addresses(ipv4=ipv4, ipv6=ipv6)


def addresses_of(interface: str) -> tuple[str, ...]:
    """List the IPv4 addresses of one interface of this machine."""
    import psutil

    found = psutil.net_if_addrs().get(interface, ())
    return tuple(sorted(it.address for it in found if it.family == socket.AF_INET))


def _plain(addresses: Iterable[str]) -> tuple[str, ...]:
    plain = {address.partition("%")[0] for address in addresses}
    return tuple(sorted(address for address in plain if not ipaddress.ip_address(address).is_loopback))


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


def free_subnet(prefix: int, used: Sequence[ipaddress.IPv4Network], *, seed: str) -> str | None:
    """Find a subnet that overlaps nothing that is used; None when there is none.

    Args:
        prefix: Length of its prefix.
        used: Blocks that are taken.
        seed: Says where the search begins, so that two that search at once do not collide.
    """
    for pool in POOLS:
        subnets = list(ipaddress.IPv4Network(pool).subnets(new_prefix=prefix))
        first = random.Random(seed).randrange(len(subnets))  # noqa: S311  # spreads, hides nothing
        for subnet in (*subnets[first:], *subnets[:first]):
            if not any(subnet.overlaps(it) for it in used):
                return str(subnet)
    return None


def free_subnets(prefix: int, used: Sequence[ipaddress.IPv4Network]) -> int:
    """Count the subnets that `free_subnet` can choose from."""
    return sum(
        not any(subnet.overlaps(it) for it in used)
        for pool in POOLS
        for subnet in ipaddress.IPv4Network(pool).subnets(new_prefix=prefix)
    )
