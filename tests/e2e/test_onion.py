"""Security Onion by its published contract: a real sshd, and recorded answers of its own tools."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from lab.detect.alert import Alert
from lab.engine.docker import DockerEngine
from lab.engine.forward import forwarding
from lab.engine.ssh import Machine, UnknownHost, connected
from lab.errors import NotReady, SiemFault
from lab.files import records
from lab.provision import apply
from lab.runs.noticed import Noticed
from lab.siem.onion import Onion, show
from lab.telemetry.store import Store
from tests.e2e.conftest import Place
from tests.siem.runs import copy_recording

pytestmark = pytest.mark.docker

INVENTORY: Final = """\
all:
  vars: {lab_networks: {outside: {}}}
  children:
    sshd: {hosts: {onion: {lab_attach: [outside]}}}
"""

PASSWORD: Final = "summer2026"

IMPORTED: Final = {
    "success_count": "1",
    "fail_count": "0",
    "skipped_count": "0",
    "begin_date": "2026-11-24",
    "end_date": "2026-11-26",
    "url": "https://onion.example/#/dashboards?q=import.id:abc",
    "hash": ["abc"],
}
"""What `so-import-pcap --json` of version 2.4 writes: `jq` gives the counts as texts."""

TOOL: Final = """#!/bin/sh
[ "$1" = --json ] || { echo "wants --json"; exit 9; }
shift
for file; do
  [ "$(head -c 4 "$file" | od -An -tx1 | tr -d ' ')" = d4c3b2a1 ] || { echo "no pcap: $file"; exit 9; }
done
echo "$# files" >>/tmp/imports
cat /etc/answers/import
"""

QUERY: Final = """#!/bin/sh
[ "$2" = -XPOST ] && [ "$3" = -d ] || { echo '{"error": "wrong arguments"}'; exit 0; }
printf '%s' "$4" | python3 -c 'import json, sys; json.load(sys.stdin)' || exit 9
case "$1" in
  'logs-*/_count') echo '{"count": 42}' ;;
  'logs-*/_search') cat /etc/answers/alerts ;;
  *) echo '{"error": "no such path"}' ;;
esac
"""

SUDO: Final = """#!/bin/sh
while [ "$1" != -- ]; do [ "$1" = -S ] && read -r password && [ "$password" != right ] && exit 1; shift; done
shift
exec "$@"
"""
"""Stands where sudo would: nothing in a node gains rights."""


@pytest.fixture(scope="module")
def machine(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A node with sshd that answers as an appliance does."""
    found = Place(
        folder=tmp_path_factory.mktemp("onion"),
        name=f"onion-{os.getpid()}",
        engine=docker_engine,
        environment={},
    )
    found.write(INVENTORY)
    try:
        found.lab("up", found.name, timeout=600)
        put(found, "/etc/soversion", "2.4.180\n")
        put(found, "/usr/sbin/so-import-pcap", TOOL, mode="755")
        put(found, "/usr/sbin/so-elasticsearch-query", QUERY, mode="755")
        put(found, "/usr/local/bin/sudo", SUDO, mode="755")
        put(found, "/etc/answers/import", json.dumps(IMPORTED))
        yield found
    finally:
        apply.remove(found.name, docker_engine)


def put(place: Place, path: str, text: str, *, mode: str = "644") -> None:
    argv = ("sh", "-c", 'mkdir -p "${0%/*}"; cat >"$0"; chmod "$1" "$0"', path, mode)
    assert place.engine.execute(place.node("onion"), argv, stdin=text.encode()).code == 0


@contextmanager
def reached(place: Place, *, accepted: str = "", password: str = PASSWORD) -> Iterator[Machine]:
    with forwarding(place.engine, place.node("onion"), 22) as port:
        yield Machine(host="127.0.0.1", port=port, user="maria", password=password, accepted=accepted)


@pytest.fixture(scope="module")
def key(machine: Place) -> str:
    """The fingerprint that the machine itself shows."""
    ran = machine.engine.execute(
        machine.node("onion"), ("sh", "-c", "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub")
    )
    return ran.stdout.decode().split()[1]


@pytest.fixture(autouse=True)
def nobody_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without keys, agent or known hosts."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir()
    return tmp_path / ".ssh" / "known_hosts"


def with_sudo(place: Place, right: str) -> None:
    put(place, "/usr/local/bin/sudo", SUDO.replace("!= right", f"!= {right}"), mode="755")


def alerts_of(noticed: Noticed) -> dict[str, object]:
    """Make what its Elasticsearch answers: an alert of a connection of ours, and one of none."""
    ours = next(
        it for it in Store(noticed.events) if it.get("network.community_id") and it.get("source.port")
    )
    moment = str(ours["@timestamp"].iso())  # type: ignore[union-attr]
    rule = {"uuid": "2001219", "name": "ET SCAN Potential SSH Scan"}
    known = {
        "@timestamp": moment,
        "network": {"community_id": ours["network.community_id"]},
        "source": {"ip": ours["source.ip"], "port": ours["source.port"]},
        "destination": {"ip": ours["destination.ip"]},
        "event": {"severity_label": "high"},
        "rule": rule,
        "log": {"id": {"uid": "1"}},
    }
    other = {
        "@timestamp": moment,
        "source.ip": "192.0.2.1",
        "destination.ip": "192.0.2.2",
        "event.severity_label": "low",
        "rule.uuid": "1",
        "rule.name": "Other",
        "log.id.uid": "2",
    }
    return {"hits": {"hits": [{"_source": it, "sort": [1, "x"]} for it in (known, other)]}}


def recorded(folder: Path) -> Noticed:
    noticed = copy_recording(folder)
    noticed.packets.mkdir()
    (noticed.packets / "outside.pcap").write_bytes(b"\xd4\xc3\xb2\xa1" + bytes(20))
    return noticed


def test_a_run_goes_there_and_its_alerts_come_back(
    machine: Place, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.siem.onion._LOOK_EVERY", 0.1)
    noticed = recorded(tmp_path / "run")
    put(machine, "/etc/answers/alerts", json.dumps(alerts_of(noticed)))
    with_sudo(machine, PASSWORD)
    said: list[str] = []
    with reached(machine, accepted=key) as target, connected(target) as session:
        found = show(Onion(session=session, tell=said.append), noticed)
    assert (found.events, found.alerts, found.server.version) == (42, 2, "2.4.180")
    assert found.imports[0].url == IMPORTED["url"]
    assert f"it shows them at {IMPORTED['url']}" in said
    raised = {it.title: it for it in records.read_lines(noticed.alerts_of("onion"), Alert)}
    ids = {str(it["event.id"]) for it in Store(noticed.events)}
    assert set(raised["ET SCAN Potential SSH Scan"].event_ids) <= ids
    assert (raised["ET SCAN Potential SSH Scan"].level, raised["Other"].level) == ("high", "low")
    assert raised["Other"].event_ids == ("2",)
    left = machine.engine.execute(machine.node("onion"), ("sh", "-c", "ls -d /tmp/tmp.*"))
    assert left.stdout == b""


def test_an_unknown_key_is_refused_with_its_fingerprint(machine: Place, key: str) -> None:
    with reached(machine) as target, pytest.raises(UnknownHost) as raised, connected(target):
        raise AssertionError
    assert f"--accept-host-key {key}" in raised.value.message()
    with reached(machine, accepted="SHA256:other") as target, pytest.raises(UnknownHost), connected(target):
        raise AssertionError


def test_a_known_key_is_enough_and_a_changed_one_is_refused(
    machine: Place, key: str, nobody_is_known: Path
) -> None:
    public = machine.engine.execute(machine.node("onion"), ("cat", "/etc/ssh/ssh_host_ed25519_key.pub"))
    kind, ours, *_ = public.stdout.decode().split()
    with reached(machine) as target:
        nobody_is_known.write_text(f"[127.0.0.1]:{target.port} {kind} {ours}\n")
        with connected(target) as session:
            assert session.run(("id", "-un")).stdout == b"maria\n"
        other = "AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS"
        nobody_is_known.write_text(f"[127.0.0.1]:{target.port} {kind} {other}\n")
        with (
            pytest.raises(UnknownHost, match="another key than the one in known_hosts") as raised,
            connected(target),
        ):
            raise AssertionError
    assert key in raised.value.message()
    assert "ssh-keygen -R" in raised.value.message()


def test_a_wrong_password_is_said(machine: Place, key: str) -> None:
    with (
        reached(machine, accepted=key, password="wr0ng") as target,
        pytest.raises(NotReady, match="does not let us in") as raised,
        connected(target),
    ):
        raise AssertionError
    assert "wr0ng" not in raised.value.message()


def test_what_it_needs_is_checked_first(machine: Place, key: str, tmp_path: Path) -> None:
    noticed = recorded(tmp_path / "run")

    def refused() -> str:
        with reached(machine, accepted=key) as target, connected(target) as session:
            with pytest.raises(SiemFault) as raised:
                show(Onion(session=session, tell=lambda _line: None), noticed)
            return raised.value.message()

    with_sudo(machine, "another")
    assert "its account needs sudo for so-import-pcap" in refused()
    with_sudo(machine, PASSWORD)
    put(machine, "/etc/soversion", "2.3.300\n")
    assert "version 2.4 or 3 is needed" in refused()
    put(machine, "/etc/soversion", "\n")
    assert "is not Security Onion" in refused()
    put(machine, "/etc/soversion", "3.0.0\n")
    put(machine, "/usr/sbin/so-import-pcap", TOOL)
    assert "it has no so-import-pcap" in refused()
    put(machine, "/usr/sbin/so-import-pcap", TOOL, mode="755")
    put(machine, "/etc/answers/import", json.dumps({**IMPORTED, "fail_count": "1", "hash": []}))
    assert "1 of 2 files could not be read" in refused()
    put(machine, "/etc/answers/import", "it fell over")
    assert "run it there by hand" in refused()
    put(machine, "/etc/answers/import", json.dumps(IMPORTED))


def test_the_command_says_how_it_is_written(machine: Place) -> None:
    run = machine.folder / "runs" / "20260101-000000-x"
    run.parent.mkdir(exist_ok=True)
    copy_recording(run)
    said = machine.lab("siem", "push", "--to", "onion+ssh://127.0.0.1", code=2).stderr
    assert "onion+ssh://ACCOUNT@HOST" in said
    with forwarding(machine.engine, machine.node("onion"), 22) as port:
        said = machine.lab("siem", "push", "--to", f"onion+ssh://maria@127.0.0.1:{port}", code=2).stderr
    assert "is not known: its key is SHA256:" in said
