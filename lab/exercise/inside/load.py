"""Makes so many connections or sends so many datagrams, a few at a time, and prints how many got through."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time

asked = json.load(sys.stdin)
done = {"sent": 0, "answered": 0, "refused": 0}
lock = threading.Lock()
begun = time.monotonic()
end = begun + asked["seconds"]
turns = iter(range(asked["count"]))


def one() -> str:
    """Send one, and say what came of it."""
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


workers = [threading.Thread(target=work) for _ in range(asked["beside"])]
for it in workers:
    it.start()
for it in workers:
    it.join()
json.dump(done, sys.stdout)
