"""Puts a load on one port, a few at a time, and prints how much got through."""

from __future__ import annotations

import http.client
import json
import random
import socket
import struct
import sys
import threading
import time

asked = json.load(sys.stdin)
done = {"sent": 0, "answered": 0, "refused": 0}
lock = threading.Lock()
begun = time.monotonic()
end = begun + asked["seconds"]
turns = iter(range(asked["count"]))


def own_address() -> str:
    """Return the address from which this node reaches the other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.connect((asked["address"], asked["port"]))
        return str(link.getsockname()[0])


def syn(source: str) -> bytes:
    """Make the packet that begins a connection (RFC 9293); the kernel fills in the header below."""
    own = random.randint(20000, 60000)  # noqa: S311  # any port will do
    ports = struct.pack(">HH", own, asked["port"])
    rest = struct.pack(">IIBBHHH", random.getrandbits(32), 0, 5 << 4, 2, 64240, 0, 0)
    ends = socket.inet_aton(source) + socket.inet_aton(asked["address"])
    words = struct.unpack(">16H", ends + struct.pack(">HH", 6, 20) + ports + rest)
    total = sum(words)
    total = (total & 0xFFFF) + (total >> 16)
    check = ~(total + (total >> 16)) & 0xFFFF
    return ports + rest[:12] + struct.pack(">HH", check, 0)


def slowly() -> str:
    """Begin a request, say a little more each second, and never finish it."""
    try:
        with socket.create_connection((asked["address"], asked["port"]), timeout=3) as link:
            link.sendall(b"GET /?")
            while time.monotonic() < end:
                time.sleep(min(1, max(0, end - time.monotonic())))
                link.sendall(b"x")
    except OSError:
        return "refused"
    return "answered"


def requested() -> str:
    """Ask for the page."""
    link = http.client.HTTPConnection(asked["address"], asked["port"], timeout=3)
    try:
        link.request("GET", asked["path"], headers={"Connection": "close"})
        link.getresponse().read()
    except (OSError, http.client.HTTPException):
        return "refused"
    finally:
        link.close()
    return "answered"


def one() -> str:
    """Send one, and say what came of it."""
    if asked["transport"] == "syn":
        raw.sendto(syn(source), (asked["address"], 0))
        return "sent"
    if asked["transport"] == "slow-header":
        return slowly()
    if asked["transport"] == "http":
        return requested()
    payload = asked["payload"].encode()
    if asked["transport"] == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
            link.sendto(payload, (asked["address"], asked["port"]))
        return "sent"
    try:
        with socket.create_connection((asked["address"], asked["port"]), timeout=3) as link:
            if payload:
                link.sendall(payload)
                link.settimeout(3)
                link.recv(4096)
    except OSError:
        return "refused"
    return "answered"


def work() -> None:
    """Take turns, each at its time, until there are no more or the time is over."""
    while time.monotonic() < end:
        with lock:
            turn = next(turns, None)
        if turn is None:
            return
        wait = begun + turn / asked["rate"] - time.monotonic()
        if wait > 0:
            time.sleep(min(wait, max(0, end - time.monotonic())))
        came = one()
        with lock:
            done["sent"] += 1
            if came != "sent":
                done[came] += 1


if asked["transport"] == "syn":
    raw, source = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP), own_address()
workers = [threading.Thread(target=work) for _ in range(asked["beside"])]
for it in workers:
    it.start()
for it in workers:
    it.join()
json.dump(done, sys.stdout)
