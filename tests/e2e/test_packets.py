"""Packets of others are read by the labs' sensor: times are the packets' own, and nothing is left of it."""

from __future__ import annotations

import socket
import struct
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from lab.flow.packets import LAB
from tests.e2e.conftest import Place

pytestmark = pytest.mark.docker

SECOND: Final = 1_588_291_200
"""The first of May 2020."""

ASKED: Final = "host.example"


def frame() -> bytes:
    """Write a question to a name server, as Ethernet carries it."""
    name = b"".join(bytes([len(it)]) + it.encode() for it in ASKED.split("."))
    question = struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + name + b"\0" + struct.pack(">HH", 1, 1)
    datagram = struct.pack(">HHHH", 40000, 53, 8 + len(question), 0) + question
    source, destination = socket.inet_aton("192.0.2.7"), socket.inet_aton("192.0.2.53")
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(datagram), 1, 0, 64, 17, 0) + source + destination
    return b"\2\0\0\0\0\1\2\0\0\0\0\2" + b"\x08\0" + head + datagram


def pcap() -> bytes:
    """Write a file of packets as tcpdump does."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    return head + struct.pack("<IIII", SECOND, 250_000, len(frame()), len(frame())) + frame()


def pcapng() -> bytes:
    """Write a file of packets as Wireshark does."""
    data = frame() + bytes(-len(frame()) % 4)
    micros = SECOND * 1_000_000 + 250_000
    packet = struct.pack("<IIIII", 0, micros >> 32, micros & 0xFFFFFFFF, len(frame()), len(frame())) + data
    blocks = (
        (0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)),
        (1, struct.pack("<HHI", 1, 0, 65535)),
        (6, packet),
    )
    return b"".join(
        struct.pack("<II", kind, 12 + len(body)) + body + struct.pack("<I", 12 + len(body))
        for kind, body in blocks
    )


@pytest.mark.parametrize("content", [pcap(), pcapng()], ids=["pcap", "pcapng"])
def test_packets_are_read_with_their_own_times(place: Place, content: bytes) -> None:
    (place.folder / "packets").write_bytes(content)
    place.lab("import", "packets")
    sql = """SELECT "dns.question.name", "@timestamp" FROM events WHERE "dns.question.name" IS NOT NULL"""
    assert place.lab("query", sql, "--format", "csv").stdout.splitlines()[1:] == [
        f"{ASKED},2020-05-01T00:00:00.250000000Z"
    ]
    assert place.engine.observe(LAB).empty


def test_packets_that_cannot_be_read_are_said(place: Place) -> None:
    cut, bad = place.folder / "cut.pcap", place.folder / "bad.pcap"
    cut.write_bytes(pcap() + struct.pack("<IIII", SECOND, 0, 60, 60) + bytes(5))
    bad.write_bytes(pcap()[:4] + b"\xff" * 200)
    place.lab("import", "cut.pcap")
    ran = place.lab("import", "bad.pcap", code=2)
    assert "bad.pcap: Suricata cannot read it: " in ran.stderr
    assert place.engine.observe(LAB).empty


def test_without_an_engine_and_without_suricata_it_is_said_what_to_do(place: Place, tmp_path: Path) -> None:
    (place.folder / "packets").write_bytes(pcap())
    there = replace(place, environment={"DOCKER_HOST": f"unix://{tmp_path}/none", "PATH": str(tmp_path)})
    ran = there.lab("import", "packets", code=3)
    assert "apt install suricata" in ran.stderr


def test_rules_for_suricata_are_read_by_it_before_they_are_used(place: Place) -> None:
    rules, packets = place.folder / "local.rules", place.folder / "packets"
    rules.write_text("# mine\nalert dns any any -> any any (msg:no quotes; sid:x;)\n", encoding="utf-8")
    refused = place.lab("rules", "add-suricata", "local.rules", code=2)
    assert "local.rules:2: " in refused.stderr
    assert not (place.folder / "rules.json").exists()
    asks = f'msg:"a question of mine"; dns.query; content:"{ASKED}"; sid:7000001;'
    rules.write_text(f"alert dns any any -> any any ({asks})\n", encoding="utf-8")
    assert "Suricata reads it" in place.lab("rules", "add-suricata", "local.rules").stdout
    packets.write_bytes(pcap())
    place.lab("import", "packets")
    sql = """
        SELECT count(DISTINCT "network.community_id"), count(*) FROM events
        WHERE "rule.id" = '1:7000001' OR "event.dataset" = 'suricata.dns'
    """
    assert place.lab("query", sql, "--format", "csv").stdout.splitlines()[1:] == ["1,2"]
    (run,) = (place.folder / "runs").iterdir()
    assert "a question of mine" in (run / "alerts.jsonl").read_text(encoding="utf-8")
    assert place.engine.observe(LAB).empty
