"""Prints the connections over IPv4 of one process of this node."""

from __future__ import annotations

import json
import os
import sys

process = int(sys.argv[1])
mine = set()
for name in os.listdir(f"/proc/{process}/fd"):
    try:
        mine.add(os.readlink(f"/proc/{process}/fd/{name}"))
    except OSError:
        continue


def end(text: str) -> tuple[str, int]:
    """Read address and port as the kernel's tables write them."""
    address, port = text.split(":")
    return ".".join(str(it) for it in reversed(bytes.fromhex(address[-8:]))), int(port, 16)


found = []
for table in ("tcp", "tcp6"):
    with open(f"/proc/net/{table}", encoding="ascii") as file:
        for line in list(file)[1:]:
            words = line.split()
            if f"socket:[{words[9]}]" in mine:
                (source, own), (destination, other) = end(words[1]), end(words[2])
                ends = {"source": source, "source_port": own, "destination": destination}
                found.append({"transport": "tcp", **ends, "destination_port": other})
json.dump(found, sys.stdout)
