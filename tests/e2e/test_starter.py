"""The README, run: the starter lab and its scenario from start to receipt, on a real engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.detect.alert import read_alerts
from lab.engine.docker import DockerEngine
from lab.exercise.truth import read_truth
from lab.files import records
from lab.files.workplace import SHIPPED
from lab.moment import SECOND
from lab.provision import apply
from lab.runs.folder import RunFolder
from lab.score.values import Score
from lab.watch.collection import read_collection

pytestmark = pytest.mark.docker

LAB = f"e2e-{os.getpid()}"
"""A lab of this test's own: the starter inventory under another name."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What one pass through the README left behind."""

    folder: Path
    run: RunFolder
    score: Score
    up: str
    ran: subprocess.CompletedProcess[str]
    memory: int


def lab(*arguments: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the command as a user would, in a folder."""
    command = [sys.executable, "-c", "from lab.cli.main import main; main()", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=check, timeout=900)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, docker_engine: DockerEngine) -> Iterator[Finished]:
    folder = tmp_path_factory.mktemp("e2e")
    (folder / "inventories").mkdir()
    starter = SHIPPED.find("inventories", "starter").read_text(encoding="utf-8")
    (folder / "inventories" / f"{LAB}.yml").write_text(starter, encoding="utf-8")
    try:
        up = lab("up", LAB, cwd=folder)
        ran = lab("run", "ssh-brute-force", "--lab", LAB, cwd=folder)
        memory = sum(docker_engine.vitals(node).memory for node in docker_engine.observe(LAB).nodes)
        run = RunFolder(next((folder / "runs").iterdir()))
        score = records.read(run.score, Score)
        yield Finished(folder=folder, run=run, score=score, up=up.stdout, ran=ran, memory=memory)
    finally:
        apply.remove(LAB, docker_engine)


def test_up_shows_every_node_with_its_address(finished: Finished) -> None:
    assert [line.split("\t")[0] for line in finished.up.splitlines()] == [
        "attacker",
        "bastion",
        "desk",
        "sensor",
        "shop",
    ]


def test_every_step_of_the_attack_had_its_effect(finished: Finished) -> None:
    attacks = [it for it in read_truth(finished.run.happened) if it.label == "attack"]
    assert {it.step: (it.status, it.occurred, it.reason) for it in attacks if not it.occurred} == {}
    assert len(attacks) == 8


def test_every_step_was_detected_with_the_right_technique(finished: Finished) -> None:
    assert {it.step: it.verdict for it in finished.score.steps if it.verdict != "technique"} == {}
    assert finished.score.visibility.value == 1
    assert finished.score.recall.value == 1


def test_every_false_alarm_is_of_what_people_did(finished: Finished) -> None:
    """Not of our own checks, of collection, or of what a node does by itself."""
    work = [it for it in read_truth(finished.run.happened) if it.action]
    alerts = {alert.id: alert for alert in read_alerts(finished.run.noticed)}
    false = [alerts[it] for it in finished.score.false_alerts]
    nobody = [
        it.title
        for it in false
        if not any(one.start - SECOND <= it.first_event <= one.end + SECOND for one in work)
    ]
    assert nobody == []


def test_somebody_was_at_work(finished: Finished) -> None:
    work = [it for it in read_truth(finished.run.happened) if it.action]
    assert len(work) >= 3
    assert {it.sources[0].node for it in work} == {"desk"}
    assert [(it.action, it.reason) for it in work if it.occurred is False] == []


def test_detection_is_quick(finished: Finished) -> None:
    assert finished.score.time_to_detect.censored == 0
    assert finished.score.time_to_detect.median is not None
    assert finished.score.time_to_detect.median <= 2


def test_everything_read_was_understood(finished: Finished) -> None:
    collection = read_collection(finished.run.noticed)
    assert {(it.host, it.path): it.unparsed for it in collection.logs if it.unparsed} == {}
    assert collection.notes == ()
    assert {it.source for it in collection.logs if it.read} >= {"sshd", "apache", "snoopy", "suricata"}


def test_the_packets_were_kept(finished: Finished) -> None:
    packets = {path.name: path.stat().st_size for path in (finished.run.path / "packets").iterdir()}
    assert packets.keys() == {"outside.pcap", "inside.pcap"}
    assert min(packets.values()) > 1000


def test_the_lab_is_small(finished: Finished) -> None:
    assert finished.memory < 10**9


def test_scoring_again_gives_the_same_bytes(finished: Finished) -> None:
    before = finished.run.score.read_bytes()
    lab("score", finished.run.path.name, cwd=finished.folder)
    assert finished.run.score.read_bytes() == before


def test_the_report_needs_no_network_and_is_there(finished: Finished) -> None:
    page = finished.run.report.read_text(encoding="utf-8")
    assert finished.run.path.name in page
    assert 'src="http' not in page
    assert (finished.run.path / "report.md").stat().st_size > 1000


def test_no_id_of_the_run_is_in_what_the_nodes_saw(finished: Finished) -> None:
    marks = [finished.run.path.name, *(it.step for it in read_truth(finished.run.happened))]
    raw = [path for path in finished.run.path.glob("raw/**/*") if path.is_file()]
    assert raw
    seen = b"".join(path.read_bytes() for path in raw)
    seen += b"".join(path.read_bytes() for path in finished.run.path.glob("packets/*"))
    assert [mark for mark in marks if mark.encode() in seen] == []


HOSTILE = """
name: hostile
benign: 0s
vars:
  account: "<script>alert(1)</script>"
steps:
  - name: Guess passwords of an account with a hostile name
    technique: T1110.001
    from: attacker
    command:
      argv:
        - bash
        - -c
        # On its command line ssh refuses such a name; in its configuration it does not.
        - |
          echo "User {{ account }}" > /tmp/hostile
          for i in 1 2 3 4 5 6; do
            sshpass -p $i ssh -F /tmp/hostile -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \\
              {{ nodes.bastion.address }} true &
          done
          wait
      targets: [bastion]
    check: {counter: {node: bastion, counter: Tcp.PassiveOpens, at_least: 5}}
  - name: Ask the shop with a hostile user agent
    technique: T1190
    from: attacker
    command:
      argv: [curl, -s, -A, "sqlmap <img src=x onerror=alert(1)>", "http://{{ nodes.shop.address }}/"]
      targets: [shop]
    check: {open_port: {node: shop, port: 80}}
"""


def test_hostile_text_is_shown_harmless(finished: Finished) -> None:
    (finished.folder / "hostile.yml").write_text(HOSTILE, encoding="utf-8")
    ran = lab("run", "hostile.yml", "--lab", LAB, cwd=finished.folder)
    (folder,) = (finished.folder / "runs").glob("*hostile*")
    run = RunFolder(folder)
    assert {alert.title for alert in read_alerts(run.noticed)} >= {
        "SSH password guessing from one address",
        "SQL injection in a request",
    }
    page = run.report.read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "\x1b[31m" not in ran.stderr + ran.stdout + page


def test_down_removes_everything_and_says_so(finished: Finished, docker_engine: DockerEngine) -> None:
    down = lab("down", LAB, "--format", "json", cwd=finished.folder)
    (receipt,) = json.loads(down.stdout)
    assert receipt["left"] == []
    assert len(receipt["nodes"]) == 5
    assert docker_engine.observe(LAB).empty
    again = lab("down", LAB, cwd=finished.folder)
    assert "nothing to remove" in again.stdout
