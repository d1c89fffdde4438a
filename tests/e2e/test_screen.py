"""The screen over a run that goes on, on a real engine: live, blind, and one connection's packets."""

from __future__ import annotations

import http.client
import json
import os
import re
import statistics
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from lab.engine.docker import DockerEngine
from lab.files.workplace import SHIPPED
from lab.moment import Moment
from lab.provision import apply
from tests.e2e.conftest import Place
from tests.web.serving import Client, Server, serving

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, docker_engine: DockerEngine) -> Iterator[Place]:
    """The starter lab, up, and an exercise that is short."""
    place = Place(
        folder=tmp_path_factory.mktemp("screen"),
        name=f"screen-{os.getpid()}",
        engine=docker_engine,
        environment={},
    )
    place.write(SHIPPED.find("inventories", "starter").read_text("utf-8"))
    scenario: dict[str, Any] = yaml.safe_load(SHIPPED.find("scenarios", "ssh-brute-force").read_text("utf-8"))
    text = yaml.safe_dump({**scenario, "benign": "8s", "after": "3s"}, sort_keys=False)
    (place.folder / "short.yml").write_text(text, encoding="utf-8")
    try:
        place.lab("up", place.name, timeout=900)
        yield place
    finally:
        apply.remove(place.name, docker_engine)


@pytest.fixture(scope="module")
def served(lab: Place) -> Iterator[Server]:
    """Serve its folder."""
    with serving(lab.folder) as server:
        yield server


def told(client: Client, run: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Follow a run as the page does: when each message came, and what it says."""
    connection = http.client.HTTPConnection(client.host, client.port, timeout=120)
    connection.request("GET", f"/run/{run}/stream?known=0", headers={"cookie": client.cookie})
    answer = connection.getresponse()
    assert answer.headers["content-type"].startswith("text/event-stream")
    while line := answer.readline():
        if line.startswith(b"data: "):
            yield int(Moment.now()), json.loads(line[6:])
    connection.close()


def begun(lab: Place, client: Client, *words: str) -> tuple[subprocess.Popen[str], str]:
    """Begin the exercise, and wait until the list of runs has it."""
    before = set(re.findall(r"/run/([\w-]+)/inbox", client.ask("/").text))
    process = lab.begin("run", "./short.yml", "--lab", lab.name, *words)
    while process.poll() is None:
        new = set(re.findall(r"/run/([\w-]+)/inbox", client.ask("/").text)) - before
        if new:
            return process, new.pop()
    raise AssertionError(process.communicate()[1])


def test_a_run_is_seen_while_it_goes_on(lab: Place, served: Server) -> None:
    process, run = begun(lab, served.client)
    seen: dict[str, int] = {}
    last: dict[str, Any] = {}
    healths: dict[str, str] = {}
    for came, now in told(served.client, run):
        seen |= {it["id"]: came for it in now["alerts"]}
        healths |= now["health"] or {}
        last = now if now["totals"] else last
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, out + said
    raised = {
        it["id"]: int(Moment.parse(it["raised"]))
        for it in map(
            json.loads, (lab.folder / "runs" / run / "alerts.jsonl").read_text("utf-8").splitlines()
        )
    }
    assert seen.keys() == raised.keys()
    delays = sorted((seen[it] - raised[it]) / 1e9 for it in seen)
    print(f"raised to sent: median {statistics.median(delays):.2f} s, most {delays[-1]:.2f} s")  # noqa: T201  # a figure
    assert last["ended"]
    assert {"sshd", "suricata", "snoopy"} <= last["totals"].keys()
    assert {it["state"] for it in last["steps"]} == {"took effect"}
    assert {(it["first"], it["second"]) for it in last["traffic"]} >= {("attacker", "bastion")}
    assert healths["bastion"] == "ready"


def test_the_packets_of_one_connection(lab: Place, served: Server) -> None:
    run = max(it.name for it in (lab.folder / "runs").iterdir())
    sql = """SELECT DISTINCT "network.community_id" AS id, "source.port" AS port FROM events
        WHERE "destination.port" = 22 AND "network.community_id" IS NOT NULL"""
    said = served.client.ask(f"/run/{run}/sql?csv=1&sql={quote(sql)}").text
    connections = [it.split(",") for it in said.splitlines()[1:]]
    pages = {it: served.client.ask(f"/run/{run}/connection?id={quote(it)}").text for it, _ in connections}
    # A connection that ended before the run has a flow in it, and no packets.
    identity, port = next(it for it in connections if "packets of this connection" in pages[it[0]])
    assert f":{port}" in pages[identity]
    answer = served.client.ask(f"/run/{run}/packets?id={quote(identity)}")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/vnd.tcpdump.pcap")


def test_a_blind_run_shows_alerts_and_hides_what_is_done(lab: Place, served: Server) -> None:
    process, run = begun(lab, served.client, "--blind")
    steps = [now["steps"] for _, now in told(served.client, run)]
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, out + said
    assert set(map(str, steps)) == {"None"}
    assert "alerts in" in served.client.ask(f"/run/{run}/inbox").text
    assert served.client.ask(f"/run/{run}/report").status == 404
    first = json.loads((lab.folder / "runs" / run / "alerts.jsonl").read_text("utf-8").splitlines()[0])
    said_of_it = {"disposition": "TruePositive", "reason": "T1018 or T1046"}
    served.client.post(f"/run/{run}/triage", act="dispose", alert=first["id"], **said_of_it)
    assert lab.lab("grade", run, code=2).stdout == ""
    served.client.post(f"/run/{run}/triage", act="answer")
    graded = json.loads(lab.lab("grade", run, "--format", "json").stdout)
    assert graded["verdicts"]["hits"] == graded["answered"]["hits"] == 1
    assert served.client.ask(f"/run/{run}/report").status == 200
