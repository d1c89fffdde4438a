"""The host's end of a network: a bridge on which the host's own stack is made deaf.

A bridge without an address is not enough. The kernel takes a packet for any address it has from any
interface (the weak host model of RFC 1122, 3.3.4.2), answers ARP for it, and gives the bridge an
IPv6 address of its own. A node that may write raw frames would reach the host that way. The settings
belong to the bridge and go with it, so they leave nothing behind. What is sent to everybody, from no address,
no setting stops; the firewall does, by one rule that goes when the network does. Only root may do all this.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from lab.engine.addresses import addresses_of
from lab.engine.nodes import SeenNetwork, SeenNode

_SETTINGS: Final = Path("/proc/sys/net")
_UP: Final = 0x1
_TRIES: Final = 3
"""How often the firewall is asked: while the engine starts, it may keep others waiting too long."""


_DEAF: Final = {
    "ipv4/conf/{}/arp_ignore": "8",  # answers no ARP request
    "ipv4/conf/{}/drop_unicast_in_l2_multicast": "1",  # needs the bridge's own MAC address, told to nobody
    "ipv4/conf/{}/rp_filter": "1",  # takes no source it would not answer on this bridge: none
    "ipv4/conf/{}/forwarding": "0",  # passes nothing on
    "ipv6/conf/{}/disable_ipv6": "1",  # has no IPv6 at all
}
"""Names and values as the kernel's Documentation/networking/ip-sysctl.rst has them."""


_IPTABLES: Final = shutil.which("iptables", path="/usr/sbin:/sbin:/usr/bin:/bin")

_RULE: Final = re.compile(r"-A INPUT -i (lab[0-9a-f]{10}) -j DROP")


def firewall() -> frozenset[str] | None:
    """Name the bridges from which the firewall lets nothing in; None where this user may not read it."""
    if os.geteuid() != 0 or _IPTABLES is None:
        return None
    ran = _iptables("-S", "INPUT")
    return frozenset(_RULE.findall(ran.stdout)) if ran.returncode == 0 else None


def loose(bridge: str, dropped: frozenset[str] | None) -> tuple[str, ...] | None:
    """Say where the host listens on a bridge; None when this user, or this system, cannot make it deaf.

    Args:
        bridge: Its name.
        dropped: What `firewall` said.
    """
    if os.geteuid() != 0 or not (_SETTINGS / "ipv4/conf" / bridge).is_dir():
        return None
    try:
        found = [
            f"{path.name} is {now}"
            for path, value in _settings(bridge)
            if (now := path.read_text(encoding="ascii").strip()) != value
        ]
    except OSError:  # it is going just now
        return None
    if dropped is not None and bridge not in dropped:
        found.append("the firewall lets it in")
    return tuple(found)


def seal(bridge: str) -> None:
    """Make the host deaf on a bridge, as far as this user may."""
    dropped = firewall()
    if not loose(bridge, dropped):
        return
    with suppress(FileNotFoundError):  # it is going just now
        for path, value in _settings(bridge):
            path.write_text(value, encoding="ascii")
    if dropped is not None and bridge not in dropped:
        _iptables("-I", "INPUT", "-i", bridge, "-j", "DROP")


def unseal(bridge: str) -> None:
    """Take a bridge's rule out of the firewall, and those of bridges that are gone; the rest goes with it."""
    for _ in range(_TRIES):
        old = [it for it in firewall() or () if it == bridge or not (_SETTINGS / "ipv4/conf" / it).is_dir()]
        for name in old:
            _iptables("-D", "INPUT", "-i", name, "-j", "DROP")
        if not old:
            return


def strange(bridge: str, nodes: int) -> str:
    """Say what somebody changed about a bridge that only making it anew puts right; nothing when all is well.

    Args:
        bridge: Its name.
        nodes: How many running nodes are attached to it.
    """
    folder = Path("/sys/class/net") / bridge
    addresses = addresses_of(bridge)
    try:
        ports = sorted(it.name for it in (folder / "brif").iterdir())
        up = int((folder / "flags").read_text(encoding="ascii"), 16) & _UP
    except OSError:  # gone, or going while the engine is restarted
        return "its bridge is gone" if Path("/sys/class/net").is_dir() and nodes else ""
    said = (
        (bool(addresses), f"its bridge has the address {', '.join(addresses)}"),
        (len(ports) > nodes, f"its bridge has {len(ports)} ports for {nodes} nodes: {', '.join(ports)}"),
        (not up, "its bridge is down"),
    )
    return "; ".join(words for holds, words in said if holds)


def _iptables(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_IPTABLES or "iptables", "-w", "5", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


def _settings(bridge: str) -> list[tuple[Path, str]]:
    """List the settings that this kernel has; one built without IPv6 has none for it."""
    named = [(_SETTINGS / name.format(bridge), value) for name, value in _DEAF.items()]
    return [(path, value) for path, value in named if path.exists()]


def looked_at(network: SeenNetwork, nodes: list[SeenNode], dropped: frozenset[str] | None) -> SeenNetwork:
    """Add what this machine shows of a network's bridge."""
    if network.internet or not network.bridge:
        return network
    attached = sum(node.state != "stopped" and network.name in node.addresses for node in nodes)
    return replace(
        network,
        loose=loose(network.bridge, dropped),
        strange=strange(network.bridge, attached),
    )
