"""The probe itself, run here against listeners on loopback: what answers, and what there is on a node."""

from __future__ import annotations

import contextlib
import io
import json
import runpy
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.provision import walls

SCRIPT = Path(walls.__file__).with_name("probe.py")
NOTHING: dict[str, Any] = {
    "token": "t", "patience": 0.2, "port": 9, "tries": [], "raw": [], "outside": [], "sockets": [],
    "name": "",
}  # fmt: skip


def probe(monkeypatch: pytest.MonkeyPatch, **orders: object) -> dict[str, Any]:
    """Run the script as a node would, and read what it printed."""
    monkeypatch.setattr("sys.argv", ["probe", json.dumps({**NOTHING, **orders})])
    with contextlib.redirect_stdout(io.StringIO()) as out:
        runpy.run_path(str(SCRIPT), run_name="probe")
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


@pytest.fixture
def listener() -> Iterator[int]:
    """Something that takes TCP and echoes UDP on one port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.bind(("127.0.0.1", port))
            datagrams.settimeout(5)

            def echo() -> None:
                with contextlib.suppress(OSError):
                    said, whom = datagrams.recvfrom(2048)
                    datagrams.sendto(said, whom)

            thread = threading.Thread(target=echo, daemon=True)
            thread.start()
            yield port
            datagrams.close()
            thread.join()


def test_what_answers_is_found(listener: int, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = [["tcp", "127.0.0.1", listener], ["udp", "127.0.0.1", listener]]
    assert sorted(probe(monkeypatch, tries=tries)["reached"]) == tries


def test_a_refusal_is_an_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = [["tcp", "127.0.0.1", 1], ["udp", "127.0.0.1", 1]]
    assert sorted(probe(monkeypatch, tries=tries)["reached"]) == tries


def test_what_there_is_on_the_node_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").touch()
    sockets = [str(tmp_path / "there"), str(tmp_path / "not-there")]
    found = probe(monkeypatch, sockets=sockets, outside=["127.0.0.1"], name="homerange-probe.invalid")
    assert found["sockets"] == sockets[:1]
    assert found["resolved"] is False
    assert found["reached"] == []
    assert set(found["hops"]) == {"127.0.0.1"}


def functions() -> dict[str, Any]:
    """Return what the script defines."""
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()):
        patch.setattr("sys.argv", ["probe", json.dumps(NOTHING)])
        return runpy.run_path(str(SCRIPT), run_name="probe")


def test_frames_are_written_as_their_protocols_want() -> None:
    probe_functions = functions()
    packet = probe_functions["ipv4_frame"]("10.0.0.1", "10.0.0.2", 7, b"hello")
    assert probe_functions["checksum"](packet[:20]) == 0
    assert packet[12:20] == socket.inet_aton("10.0.0.1") + socket.inet_aton("10.0.0.2")
    assert packet.endswith(b"hello")
    packet = probe_functions["ipv6_frame"](bytes.fromhex("0242ac110002"), 7, b"hello")
    pseudo = packet[8:40] + (13).to_bytes(4) + (17).to_bytes(4)
    assert probe_functions["checksum"](pseudo + packet[40:]) == 0
    assert packet.endswith(b"hello")
