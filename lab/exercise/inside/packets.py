"""Makes packets with Scapy, all to one address, sends them, and prints what went out and what came back."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import IP, Raw, conf, sr1  # noqa: E402
from scapy.packet import Packet  # noqa: E402

asked = json.load(sys.stdin)
conf.verb = 0
known = {it.__name__: it for it in conf.layers if issubclass(it, Packet)}


def made(layers: list[dict[str, Any]]) -> Any:  # Scapy has no types
    """Stack the layers on an IP header to the one address there is."""
    own = layers[0]["fields"] if layers and layers[0]["layer"] == "IP" else {}
    packet = IP(dst=asked["address"], **own)
    for it in layers[1:] if own or (layers and layers[0]["layer"] == "IP") else layers:
        if it["layer"] == "IP" or it["layer"] not in known:
            sys.exit(f"scapy has no layer {it['layer']!r} that may stand here")
        packet = packet / known[it["layer"]](**it["fields"])
    return packet


def told(packet: Any) -> dict[str, object]:  # likewise
    """Say where a packet is from and to."""
    inner = packet[IP].payload
    return {
        "transport": {1: "icmp", 6: "tcp", 17: "udp"}.get(packet[IP].proto, f"ip-{packet[IP].proto}"),
        "source": packet[IP].src, "source_port": getattr(inner, "sport", 0) or 0,
        "destination": packet[IP].dst, "destination_port": getattr(inner, "dport", 0) or 0,
    }  # fmt: skip


sent, answers = [], []
for _ in range(asked["count"]):
    for layers in asked["packets"]:
        packet = IP(bytes(made(layers)))
        if packet.dst != asked["address"]:
            sys.exit(f"a packet would go to {packet.dst}")
        sent.append(told(packet))
        answer = sr1(packet, timeout=asked["wait"])
        if answer is not None:
            load = bytes(answer[Raw])[:200].hex() if Raw in answer else ""
            answers.append({"summary": answer.summary(), "load": load})
        time.sleep(asked["interval"])
json.dump({"sent": sent, "answers": answers}, sys.stdout)
