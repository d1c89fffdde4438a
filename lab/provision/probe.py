"""Runs inside a node for `lab.provision.walls`: tries every way out it is told of, prints what got through.

It runs on the node's own Python, so it uses nothing but the standard library. All tries are sent
first and then waited for together: a wall that holds costs the patience once.
"""

import contextlib
import errno
import fcntl
import json
import select
import socket
import struct
import sys
import time
from pathlib import Path

ICMP_ECHO = struct.pack("!BBHHH", 8, 0, 0, 1, 1)
ICMPV6_ECHO = struct.pack("!BBHHH", 128, 0, 0, 1, 1)
ETHERTYPE = {"arp": 0x0806, "ipv4": 0x0800, "ipv6": 0x86DD}
EVERYBODY, ALL_NODES = b"\xff" * 6, b"\x33\x33\x00\x00\x00\x01"
ARP_REPLY = 2
BROADCASTS = {"255.255.255.255": EVERYBODY, "224.0.0.1": b"\x01\x00\x5e\x00\x00\x01"}

Way = tuple[str, str, int]
"""Protocol, address and port; for ICMP the port means nothing."""


def family(address: str) -> socket.AddressFamily:
    """Tell the family of a numeric address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def interfaces() -> dict[str, bytes]:
    """Return the node's interfaces with their hardware addresses; loopback and tunnels have none."""
    found = {}
    for folder in sorted(Path("/sys/class/net").iterdir()):
        hardware = bytes.fromhex((folder / "address").read_text().strip().replace(":", ""))
        if any(hardware):
            found[folder.name] = hardware
    return found


def lines(path: str) -> list[list[str]]:
    """Split a file into lines and words; a file that is not there has none."""
    file = Path(path)
    return [line.split() for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def begin(protocol: str, address: str, port: int, payload: bytes) -> socket.socket:
    """Send one try; return the socket on which an answer would show."""
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    number = 0
    if protocol == "icmp":
        number = socket.IPPROTO_ICMPV6 if ":" in address else socket.IPPROTO_ICMP
    line = socket.socket(family(address), kind, number)
    line.settimeout(0)
    if address.startswith("fe80:"):
        address = f"{address}%{next(iter(interfaces()), 'lo')}"  # holds on one link, so the link is named
    with contextlib.suppress(BlockingIOError):
        line.connect(socket.getaddrinfo(address, port, type=kind, flags=socket.AI_NUMERICHOST)[0][4])
    if protocol == "udp":
        line.send(payload)
    elif protocol == "icmp":
        line.send(ICMPV6_ECHO if ":" in address else ICMP_ECHO)
    return line


def answered(protocol: str, line: socket.socket) -> bool:
    """Tell whether somebody answered; a refusal is an answer too."""
    code = line.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code or protocol == "tcp":
        return code in (0, errno.ECONNREFUSED)
    try:
        return bool(line.recv(2048))
    except OSError as error:
        return error.errno == errno.ECONNREFUSED


def attempt(tries: list[Way], token: str, patience: float) -> list[Way]:
    """Try all ways through the node's own network stack; return those on which somebody answered."""
    waiting: dict[socket.socket, Way] = {}
    through: list[Way] = []
    for way in tries:
        protocol, address, port = way
        try:
            waiting[begin(protocol, address, port, f"{token} {protocol} {address}".encode())] = way
        except ConnectionRefusedError:
            through.append(way)
        except OSError:
            continue  # no route, no such family, no right: it cannot even be sent
    end, left = time.monotonic() + patience, patience
    while left > 0:
        left = end - time.monotonic()
        # The last look is after the end: on a busy machine the answers may be there, and only we were late.
        streams = [line for line, way in waiting.items() if way[0] == "tcp"]
        others = [line for line, way in waiting.items() if way[0] != "tcp"]
        readable, writable, _ = select.select(others, streams, [], max(left, 0))
        for line in (*readable, *writable):
            way = waiting.pop(line)
            if answered(way[0], line):
                through.append(way)
            line.close()
    return through


def checksum(data: bytes) -> int:
    """Add up as IP, UDP and ICMP do (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - total


def ipv4_frame(source: str, target: str, port: int, payload: bytes) -> bytes:
    """Write a UDP datagram over IPv4."""
    udp = struct.pack("!4H", port, port, 8 + len(payload), 0) + payload
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, socket.IPPROTO_UDP, 0)
    return head[:10] + struct.pack("!H", checksum(head + ends)) + ends + udp


def ipv6_frame(hardware: bytes, port: int, payload: bytes) -> bytes:
    """Write a UDP datagram over IPv6 to all nodes of the link."""
    middle = bytes([hardware[0] ^ 2, *hardware[1:3], 0xFF, 0xFE, *hardware[3:]])
    ends = b"\xfe\x80" + b"\0" * 6 + middle + b"\xff\x02" + b"\0" * 13 + b"\x01"
    length = 8 + len(payload)
    pseudo = ends + struct.pack("!II", length, socket.IPPROTO_UDP)
    udp = struct.pack("!4H", port, port, length, 0) + payload
    udp = udp[:6] + struct.pack("!H", checksum(pseudo + udp) or 0xFFFF) + udp[8:]
    return struct.pack("!IHBB", 0x60000000, length, socket.IPPROTO_UDP, 1) + ends + udp


def write_frames(targets: list[str], port: int, token: str) -> list[socket.socket] | None:
    """Write frames past the node's own stack: ARP and UDP to the host's addresses, UDP over IPv6 to all.

    Returns:
        The sockets on which answers to ARP show, or None where this node may not write frames.
    """
    opened = []
    for name, hardware in interfaces().items():
        try:
            line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETHERTYPE["arp"]))
        except PermissionError:
            return None
        line.bind((name, ETHERTYPE["arp"]))
        source = own_address(name)
        for target in targets:
            ends = hardware + socket.inet_aton(source) + b"\0" * 6 + socket.inet_aton(target)
            asked = struct.pack("!HHBBH", 1, ETHERTYPE["ipv4"], 6, 4, 1) + ends
            line.send(EVERYBODY + hardware + struct.pack("!H", ETHERTYPE["arp"]) + asked)
            datagram = ipv4_frame(source, target, port, f"{token} raw {target}".encode())
            line.send(EVERYBODY + hardware + struct.pack("!H", ETHERTYPE["ipv4"]) + datagram)
        for target, hardware_target in BROADCASTS.items():
            datagram = ipv4_frame("0.0.0.0", target, port, f"{token} raw {target}".encode())  # noqa: S104  # no address
            line.send(hardware_target + hardware + struct.pack("!H", ETHERTYPE["ipv4"]) + datagram)
        datagram = ipv6_frame(hardware, port, f"{token} raw ff02::1".encode())
        line.send(ALL_NODES + hardware + struct.pack("!H", ETHERTYPE["ipv6"]) + datagram)
        opened.append(line)
    return opened


def own_address(name: str) -> str:
    """Return the node's address on an interface, or one from nowhere when it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        try:
            told = fcntl.ioctl(line.fileno(), 0x8915, struct.pack("256s", name.encode()))  # SIOCGIFADDR
        except OSError:
            return "0.0.0.0"  # noqa: S104  # the source that means none, nothing is bound to it
    return socket.inet_ntoa(told[20:24])


def replies(opened: list[socket.socket], targets: list[str]) -> list[str]:
    """Collect who has answered ARP by now."""
    found: set[str] = set()
    for line in opened:
        while select.select([line], [], [], 0)[0]:
            frame = line.recv(256)
            if struct.unpack("!H", frame[20:22])[0] == ARP_REPLY:
                found.add(socket.inet_ntoa(frame[28:32]))
        line.close()
    return sorted(found & set(targets))


def next_hop(address: str) -> str:
    """Say where a packet to an IPv4 address would be handed: an address, `direct`, or `none`."""
    wanted, best, hop = int.from_bytes(socket.inet_aton(address), "little"), -1, "none"
    for row in lines("/proc/net/route")[1:]:
        block, gateway, mask = (int(row[column], 16) for column in (1, 2, 7))
        if wanted & mask == block and mask.bit_count() > best:
            best = mask.bit_count()
            hop = socket.inet_ntoa(struct.pack("<L", gateway)) if gateway else "direct"
    return hop


def resolves(name: str) -> bool:
    """Tell whether a name that nobody can have is answered all the same."""
    try:
        socket.getaddrinfo(name, 80)
    except OSError:
        return False
    return True


def main() -> None:
    """Read what to try, try it, print what came of it."""
    told = json.loads(sys.argv[1])
    frames = write_frames(told["raw"], told["port"], told["token"]) if told["raw"] else []
    found = {
        "reached": attempt(told["tries"], told["token"], told["patience"]),
        "raw": None if frames is None else replies(frames, told["raw"]),
        "hops": {address: next_hop(address) for address in told["outside"]},
        "sockets": [path for path in told["sockets"] if Path(path).exists()],
        "nameservers": [words[1] for words in lines("/etc/resolv.conf") if words[:1] == ["nameserver"]],
        "ipv6": [row[0] for row in lines("/proc/net/if_inet6") if row[5] != "lo"],
        "resolved": resolves(told["name"]) if told["name"] else False,
    }
    sys.stdout.write(json.dumps(found))


main()
