"""The packets of one connection, out of files that others write."""

from __future__ import annotations

import io
from pathlib import Path

import dpkt
import pytest

from lab.errors import BadFile
from lab.telemetry.frames import Flow, packets_of, written

A, B = b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02"
FLOW = Flow(source="10.0.0.1", destination="10.0.0.2", source_port=1000, destination_port=80)


def frame(  # noqa: PLR0913, PLR0917  # what a packet has
    source: bytes, target: bytes, sport: int, dport: int, payload: bytes = b"", flags: int = 16
) -> bytes:
    segment = dpkt.tcp.TCP(sport=sport, dport=dport, flags=flags, data=payload)
    packet = dpkt.ip.IP(src=source, dst=target, p=6, data=segment)
    packet.len = len(packet)
    return bytes(dpkt.ethernet.Ethernet(data=packet))


def capture(path: Path, *frames: bytes) -> Path:
    with path.open("wb") as file:
        writer = dpkt.pcap.Writer(file)
        for number, it in enumerate(frames):
            writer.writepkt(it, 1_795_587_000 + number)
    return path


def test_a_connection_is_found_both_ways_and_no_other(tmp_path: Path) -> None:
    path = capture(
        tmp_path / "a.pcap",
        frame(A, B, 1000, 80, b"GET / HTTP/1.1", 24),
        frame(B, A, 80, 1000, b"HTTP/1.1 200 OK"),
        frame(A, B, 1001, 80, b"another"),
        frame(B, A, 1000, 80, b"the other way round"),
        frame(A, b"\x0a\x00\x00\x03", 1000, 80, b"elsewhere"),
    )
    found = packets_of(FLOW, [path])
    assert [(it.forward, it.payload, it.protocol, it.flags) for it in found] == [
        (True, b"GET / HTTP/1.1", "TCP", "P."),
        (False, b"HTTP/1.1 200 OK", "TCP", "."),
    ]


def test_what_is_written_is_a_file_of_packets_again(tmp_path: Path) -> None:
    frames = (frame(A, B, 1000, 80, b"one"), frame(B, A, 80, 1000, b"two"))
    text = written(packets_of(FLOW, [capture(tmp_path / "a.pcap", *frames)]))
    again = list(dpkt.pcap.UniversalReader(io.BytesIO(text)))
    assert [bytes(it) for _, it in again] == list(frames)
    assert [round(float(at)) for at, _ in again] == [1_795_587_000, 1_795_587_001]


def test_several_files_are_one_story(tmp_path: Path) -> None:
    one = capture(tmp_path / "a.pcap", frame(A, B, 1000, 80, b"one"))
    two = capture(tmp_path / "b.pcap", frame(B, A, 80, 1000, b"two"))
    assert [it.payload for it in packets_of(FLOW, [two, one])] == [b"one", b"two"]


@pytest.mark.parametrize("cut", [0, 10, 24, 30, 45, 100])
def test_a_file_whose_end_is_missing_is_read_up_to_there(tmp_path: Path, cut: int) -> None:
    path = capture(tmp_path / "a.pcap", frame(A, B, 1000, 80, b"one"), frame(B, A, 80, 1000, b"two" * 50))
    path.write_bytes(path.read_bytes()[:cut])
    assert [it.payload for it in packets_of(FLOW, [path])] == ([b"one"] if cut == 100 else [])


def test_what_is_no_packet_is_left_out(tmp_path: Path) -> None:
    broken = b"\x00" * 12 + b"\x08\x00" + b"\x4f" + A + B + b"\xff" * 30
    path = capture(
        tmp_path / "a.pcap", b"", A + B, broken, b"\xff" * 40 + A + B, frame(A, B, 1000, 80, b"one")
    )
    assert [it.payload for it in packets_of(FLOW, [path])] == [b"one"]
    (tmp_path / "text.pcap").write_text("no packets at all", encoding="utf-8")
    assert packets_of(FLOW, [tmp_path / "text.pcap"]) == ()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.pcap").symlink_to(capture(tmp_path / "real", frame(A, B, 1000, 80)))
    with pytest.raises(BadFile):
        packets_of(FLOW, [tmp_path / "a.pcap"])
