"""The host's end of a network: a bridge on which the host's own stack is made deaf.

A bridge without an address is not enough. The kernel takes a packet for any address it has from any
interface (the weak host model of RFC 1122, 3.3.4.2), answers ARP for it, and gives the bridge an
IPv6 address of its own. A node that may write raw frames would reach the host that way. The settings
belong to the bridge and go with it, so they leave nothing behind. Only root may change them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_SETTINGS: Final = Path("/proc/sys/net")

_DEAF: Final = {
    "ipv4/conf/{}/arp_ignore": "8",  # answers no ARP request
    "ipv4/conf/{}/drop_unicast_in_l2_multicast": "1",  # needs the bridge's own MAC address, told to nobody
    "ipv4/conf/{}/rp_filter": "1",  # takes no source it would not answer on this bridge: none
    "ipv4/conf/{}/forwarding": "0",  # passes nothing on
    "ipv6/conf/{}/disable_ipv6": "1",  # has no IPv6 at all
}
"""Names and values as the kernel's Documentation/networking/ip-sysctl.rst has them."""


def sealed(bridge: str) -> bool | None:
    """Tell whether the host is deaf on a bridge; None when this user, or this system, cannot make it so."""
    if os.geteuid() != 0 or not (_SETTINGS / "ipv4/conf" / bridge).is_dir():
        return None
    return all(path.read_text(encoding="ascii").strip() == value for path, value in _settings(bridge))


def seal(bridge: str) -> None:
    """Make the host deaf on a bridge, as far as this user may."""
    if sealed(bridge) is False:
        for path, value in _settings(bridge):
            path.write_text(value, encoding="ascii")


def _settings(bridge: str) -> list[tuple[Path, str]]:
    """List the settings that this kernel has; one built without IPv6 has none for it."""
    named = [(_SETTINGS / name.format(bridge), value) for name, value in _DEAF.items()]
    return [(path, value) for path, value in named if path.exists()]
