"""What `lab.walls` runs inside a node: tries addresses, reads routes and resolvers, prints JSON.

It runs on the node's own Python, so it uses nothing but the standard library.
"""

import json
import socket
import struct
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PATIENCE = 0.6
"""Seconds for one connection: this machine answers itself within a millisecond."""

port, targets = int(sys.argv[1]), sys.argv[2:]


def answers(address: str) -> bool:
    """Try to connect."""
    try:
        socket.create_connection((address, port), timeout=PATIENCE).close()
    except OSError:
        return False
    return True


def lines(path: str) -> list[list[str]]:
    """Split a file into lines and words; a file that is not there has none."""
    file = Path(path)
    return [line.split() for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


with ThreadPoolExecutor(max(1, len(targets))) as pool:
    reached = [
        target for target, answered in zip(targets, pool.map(answers, targets), strict=True) if answered
    ]

DEFAULT = "00000000"
found = {
    "reached": reached,
    "gateways": [
        socket.inet_ntoa(struct.pack("<L", int(route[2], 16)))
        for route in lines("/proc/net/route")[1:]
        if route[1] == DEFAULT and route[2] != DEFAULT
    ],
    "sockets": [
        it for it in ("/var/run/docker.sock", "/run/containerd/containerd.sock") if Path(it).exists()
    ],
    "nameservers": [words[1] for words in lines("/etc/resolv.conf") if words[:1] == ["nameserver"]],
}
sys.stdout.write(json.dumps(found))
