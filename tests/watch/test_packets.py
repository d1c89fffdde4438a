"""Packets read by a Suricata of this machine: a program that stands in for it says what it was handed."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from lab.errors import BadFile, NotReady
from lab.watch.packets import read_with_suricata

READS = """#!/bin/sh
while [ $# -gt 0 ]; do
    case "$1" in -l) folder=$2 ;; -r) packets=$2 ;; -S) rules=$2 ;; -c) settings=$2 ;; esac
    shift
done
test -s "$rules" && test -s "$settings" && test -s "$packets"
printf '{"event_type": "flow", "read": "%s"}\\n' "$packets" >"$folder/eve.json"
"""

WAITS = """#!/bin/sh
echo 'E: pcap: bad dump file format' >&2
exec sleep 60
"""


@pytest.fixture
def packets(tmp_path: Path) -> Path:
    path = tmp_path / "some.pcap"
    path.write_bytes(b"packets")
    return path


def on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str) -> None:
    program = tmp_path / "bin" / "suricata"
    program.parent.mkdir()
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def test_what_it_writes_of_a_file_is_read_and_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, packets: Path
) -> None:
    on_path(monkeypatch, tmp_path, READS)
    found = b"".join(read_with_suricata(packets, "some.pcap", threading.Event()))
    assert json.loads(found) == {"event_type": "flow", "read": str(packets)}
    assert sorted(it.name for it in tmp_path.iterdir()) == ["bin", "some.pcap"]


def test_a_file_that_it_cannot_read_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, packets: Path
) -> None:
    on_path(monkeypatch, tmp_path, WAITS)
    begun = time.monotonic()
    with pytest.raises(BadFile, match=r"some\.pcap.*bad dump file format"):
        list(read_with_suricata(packets, "some.pcap", threading.Event()))
    assert time.monotonic() - begun < 30  # it would wait for a minute


def test_a_user_who_does_not_want_to_wait_ends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, packets: Path
) -> None:
    on_path(monkeypatch, tmp_path, "#!/bin/sh\nexec sleep 60\n")
    stop = threading.Event()
    stop.set()
    assert list(read_with_suricata(packets, "some.pcap", stop)) == []


def test_without_one_it_is_said_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, packets: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotReady, match="apt install suricata"):
        list(read_with_suricata(packets, "some.pcap", threading.Event()))
