"""Elasticsearch 9 and OpenSearch 3, built and booted: everything arrives once, rules mean the same."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from lab.detect.alert import Alert
from lab.engine.docker import DockerEngine
from lab.engine.forward import forwarding
from lab.engine.nodes import SeenNode
from lab.files import records
from lab.files.workplace import SHIPPED
from lab.provision import apply
from lab.runs.noticed import Noticed
from lab.siem import sinks
from lab.siem.compare import Comparer, Comparison
from lab.siem.document import Document, documents
from lab.siem.lucene import LuceneSink
from lab.siem.push import Pusher
from lab.siem.sink import Delivery
from lab.siem.target import Target
from lab.telemetry.event import Event
from lab.telemetry.events import Events
from lab.telemetry.store import Store
from tests.detect.sigma.test_sigma import PUBLIC, event, written
from tests.e2e.conftest import Place
from tests.siem.runs import RECORDING, copy_recording, make_run
from tests.support import cases, until

pytestmark = pytest.mark.docker

PRODUCTS: Final = {"elasticsearch": "store", "opensearch": "search"}

INVENTORY: Final = """\
all:
  vars: {lab_networks: {outside: {}, siem: {}}}
  children:
    kali: {hosts: {attacker: {lab_attach: [outside]}}}
    sshd: {hosts: {bastion: {lab_attach: [outside]}}}
    elasticsearch: {hosts: {store: {lab_attach: [siem]}}}
    opensearch: {hosts: {search: {lab_attach: [siem]}}}
    kibana: {hosts: {screen: {lab_attach: [siem]}}}
"""

SCENARIO: Final = """\
name: look-around
summary: Somebody looks around.
benign: 2s
steps:
  - name: Ask who I am
    technique: T1033
    from: bastion
    command: {argv: [sh, -c, 'whoami; id']}
    check: {open_port: {node: bastion, port: 22}}
"""


@pytest.fixture(scope="module")
def stores(docker_engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A lab with both stores; Kibana is named, and left out where no registry answers."""
    found = Place(
        folder=tmp_path_factory.mktemp("siem"),
        name=f"siem-{os.getpid()}",
        engine=docker_engine,
        environment={},
    )
    found.write(INVENTORY)
    try:
        up = found.lab("up", found.name, timeout=900)
        if docker_engine.image_labels("kibana:9.2.0") is None:
            assert "going on without screen: no registry answers for kibana:9.2.0" in up.stderr
        yield found
    finally:
        apply.remove(found.name, docker_engine)


@contextmanager
def speaking(place: Place, product: str) -> Iterator[LuceneSink]:
    """Speak to a store as the commands do."""
    node = place.node(PRODUCTS[product])
    with forwarding(place.engine, node, 9200) as port:
        target = Target(
            name=product,
            product=product,
            url=f"http://127.0.0.1:{port}",
            user="elastic" if product == "elasticsearch" else "",
            password=password(place) if product == "elasticsearch" else "",
        )
        sink = sinks.open_sink(target)
        assert isinstance(sink, LuceneSink)
        yield sink
        sink.close()


def password(place: Place) -> str:
    ran = place.engine.execute(place.node("store"), ("cat", "/etc/homerange/elastic"))
    assert ran.code == 0
    return ran.stdout.decode().strip()


def ask(sink: LuceneSink, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401  # JSON
    return sink._ask("a test", method, path, body)  # noqa: SLF001  # what no command does


def pushing(noticed: Noticed, sink: LuceneSink, run: str) -> Pusher:
    return Pusher(noticed=noticed, run=run, sink=sink, tell=lambda _line: None, patience=120)


def present(sink: LuceneSink, noticed: Noticed, run: str) -> None:
    """Make sure that each document of a run is there, and there once."""
    wanted = {it.id: it for it in documents(noticed, run)}
    held = sink.held(run)
    assert sum(held.values()) == len(wanted) if held else not wanted
    for stream in ("events", "alerts"):
        names = [it.id for it in wanted.values() if it.stream == stream]
        path = f"/logs-homerange.{stream}-default/_search"
        for first in range(0, len(names), 1000):
            part = names[first : first + 1000]
            found = ask(
                sink, "POST", path, {"query": {"ids": {"values": part}}, "size": 1000, "_source": False}
            )
            assert {it["_id"] for it in found["hits"]["hits"]} == set(part)


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_run_is_pushed_and_its_rules_find_the_same_there(stores: Place, product: str) -> None:
    run = stores.folder / "runs" / f"recorded-{product}"
    run.parent.mkdir(exist_ok=True)
    copy_recording(run)
    stores.lab("replay", str(run))
    (made,) = [it for it in run.parent.iterdir() if it.name.startswith("20")][-1:]
    stores.lab("siem", "push", made.name, "--to", product, "--lab", stores.name)
    again = stores.lab(
        "siem", "push", made.name, "--to", PRODUCTS[product], "--lab", stores.name, "--format", "json"
    )
    assert json.loads(again.stdout)["whole"]
    with speaking(stores, product) as sink:
        present(sink, Noticed(made), made.name)
    stores.lab("siem", "detect", made.name, "--siem", product, "--rules", str(PUBLIC), "--lab", stores.name)
    found = records.read(Noticed(made).detection(product), Comparison)
    assert found.equal == len(found.rules) > 30
    assert found.memory > 2**28
    assert found.startup > 1
    shown = stores.lab("score", made.name, "--by", f"embedded,{product}", "--format", "json")
    here, there = json.loads(shown.stdout)
    assert here["score"]["recall"] == there["score"]["recall"]
    assert there["waiting"] > here["waiting"]
    assert product in (made / "report.html").read_text(encoding="utf-8")


def test_a_user_who_is_not_root_reaches_a_store_by_a_command(
    stores: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(DockerEngine, "dial", lambda _engine, _node, _port: None)
    noticed = make_run(tmp_path / "run", events=3_000, alerts=20, each=5_000)
    with speaking(stores, "opensearch") as sink:
        assert pushing(noticed, sink, "by-command").push().whole
        present(sink, noticed, "by-command")


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_construct_of_sigma_means_the_same_there(stores: Place, product: str, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    noticed = Noticed(tmp_path / "run")
    told: list[Event] = []
    for case in cases("sigma"):
        text = written(
            title=case.name,
            id=str(uuid.uuid5(uuid.NAMESPACE_URL, case.name)),
            detection=case.raw["detection"],
        )
        (rules / f"{case.name}.yml").write_text(text, encoding="utf-8")
        for it in [*case.raw["matches"], *case.raw["must_not"]]:
            told.append({**event(it, len(told)), "event.id": f"{case.name}-{len(told):03d}"})
    Store(noticed.events).append(Events.of(told))
    with speaking(stores, product) as sink:
        assert pushing(noticed, sink, "cases").push().whole
        found = Comparer(noticed=noticed, run="cases", sink=sink, rules=[rules]).compare()
    named = {it.title: it for it in found.rules if it.title in {case.name for case in cases("sigma")}}
    assert {name: (it.verdict, it.cause) for name, it in named.items() if it.verdict != "equal"} == {
        "fields-compared": (
            "not asked",
            "pySigma's backend cannot say it: ES Lucene backend can't handle field references.",
        )
    }
    assert sum(it.here for it in named.values()) > 40


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_pusher_that_is_killed_doubles_and_loses_nothing(stores: Place, product: str) -> None:
    run = f"killed-{product}"
    noticed = make_run(stores.folder / "runs" / run, events=20_000, alerts=500, each=5_000)
    (noticed.folder / "run.json").write_text((RECORDING / "run.json").read_text())
    argv = ("siem", "push", run, "--to", product, "--lab", stores.name)
    for _ in range(2):
        at_work = stores.begin(*argv)
        until(partial(_under_way, at_work, noticed, product), seconds=60)
        at_work.kill()
        at_work.communicate()
    stores.lab(*argv)
    with speaking(stores, product) as sink:
        present(sink, noticed, run)


def _under_way(at_work: subprocess.Popen[str], noticed: Noticed, product: str) -> bool:
    return _sent(noticed, product) > 0 or at_work.poll() is not None


def _sent(noticed: Noticed, product: str) -> int:
    path = noticed.delivery(product)
    return sum(records.read(path, Delivery).sent.values()) if path.exists() else 0


def test_a_server_that_is_killed_loses_nothing(stores: Place, tmp_path: Path) -> None:
    noticed = make_run(tmp_path / "run", events=20_000, alerts=10, each=5_000)
    with speaking(stores, "opensearch") as sink:
        at_work = threading.Thread(target=pushing(noticed, sink, "server").push)
        at_work.start()
        until(lambda: _sent(noticed, "opensearch") > 0, seconds=60)
        node = stores.node("search")
        stores.engine.stop_node(node)
        time.sleep(1)
        stores.engine.start_node(stores.node("search"))
        at_work.join(180)
        assert not at_work.is_alive()
        present(sink, noticed, "server")


@pytest.mark.parametrize("product", PRODUCTS)
def test_a_full_disk_loses_nothing_and_is_told(stores: Place, product: str, tmp_path: Path) -> None:
    noticed = make_run(tmp_path / "run", events=3_000, alerts=10, each=5_000)
    with speaking(stores, product) as sink:
        pushing(make_run(tmp_path / "before", events=10, alerts=1), sink, f"before-{product}").push()
        _watermark(sink, "900tb")
        until(lambda: "nearly full" in str(sink.meet().notes), seconds=90)
        run = f"full-{product}"
        refused = Pusher(noticed=noticed, run=run, sink=sink, tell=lambda _line: None, patience=1)
        with pytest.raises(Exception, match=r"its disk is nearly full|took nothing") as raised:
            refused.push()
        assert "lab siem push" in str(raised.value)
        _watermark(sink, None)
        ask(sink, "PUT", "/logs-homerange.*/_settings", {"index.blocks.read_only_allow_delete": None})
        assert pushing(noticed, sink, run).push().whole
        present(sink, noticed, run)


def _watermark(sink: LuceneSink, size: str | None) -> None:
    """Make a disk count as full, by the server's own rules, or no more."""
    routing = "cluster.routing.allocation.disk.watermark."
    settings = {f"{routing}{name}": size for name in ("low", "high", "flood_stage")}
    body = {"transient": {**settings, "cluster.info.update.interval": "10s" if size else None}}
    ask(sink, "PUT", "/_cluster/settings", body)


def test_a_run_is_told_to_a_store_while_it_goes_on(stores: Place) -> None:
    (stores.folder / "look.yml").write_text(SCENARIO, encoding="utf-8")
    said = stores.lab("run", "look.yml", "--siem", "opensearch", "--lab", stores.name, code=None)
    assert "opensearch has " in said.stderr
    run = max((stores.folder / "runs").glob("*-look-around"))
    assert records.read(Noticed(run).delivery("opensearch"), Delivery).whole
    with speaking(stores, "opensearch") as sink:
        present(sink, Noticed(run), run.name)
    assert records.read_lines(Noticed(run).alerts, Alert)
    stores.lab("siem", "push", run.name, "--to", "opensearch", "--lab", stores.name, "--steps")
    with speaking(stores, "opensearch") as sink:
        ask(sink, "POST", "/logs-homerange.steps-default/_refresh")
        query = {"query": {"term": {"homerange.run": run.name}}}
        assert ask(sink, "POST", "/logs-homerange.steps-default/_count", query)["count"] == 1


def test_the_password_is_in_one_file_of_one_node(stores: Place) -> None:
    secret = password(stores)
    assert len(secret) > 20
    mode = stores.engine.execute(stores.node("store"), ("stat", "-c", "%a %U", "/etc/homerange/elastic"))
    assert mode.stdout.decode().split() == ["600", "root"]
    names = [f"lab-{stores.name}-{node.name}" for node in stores.observe().nodes]
    told = subprocess.run(["docker", "inspect", *names], capture_output=True, text=True, check=True).stdout
    logs = "".join(stores.engine.log_tail(node, 5000) for node in stores.observe().nodes)
    shown = stores.lab("status", stores.name).stdout
    assert secret not in told + logs + shown
    for node in stores.observe().nodes:
        seen = stores.engine.execute(node, ("sh", "-c", "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline; env"))
        assert secret.encode() not in seen.stdout
    for path in stores.folder.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path


def test_nobody_else_in_the_lab_reaches_a_store(stores: Place) -> None:
    stores.lab("verify", stores.name)
    addresses = [it for name in PRODUCTS.values() for it in stores.node(name).addresses.values()]
    for address in addresses:
        tried = stores.engine.execute(
            stores.node("attacker"), ("timeout", "2", "bash", "-c", f"</dev/tcp/{address}/9200")
        )
        assert tried.code


def test_a_wrong_password_is_said(stores: Place) -> None:
    with forwarding(stores.engine, stores.node("store"), 9200) as port:
        wrong = Place(
            folder=stores.folder,
            name=stores.name,
            engine=stores.engine,
            environment={"LAB_SIEM_USER": "elastic", "LAB_SIEM_PASSWORD": "wr0ng"},
        )
        said = wrong.lab("siem", "setup", "--siem", f"http://127.0.0.1:{port}", code=4).stderr
    assert "it does not know us (401" in said
    assert "wr0ng" not in said


def test_a_second_up_changes_nothing_and_verify_misses_nobody(stores: Place) -> None:
    assert "nothing had to be changed" in stores.lab("up", stores.name).stderr


# -- a vendor's image --------------------------------------------------------------------------------


STAND_IN: Final = """\
#!/usr/bin/python3
import http.server, json
class Status(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
        self.wfile.write(json.dumps({"status": {"overall": {"level": "available"}}}).encode())
    def log_message(self, *_): pass
http.server.HTTPServer(("", 5601), Status).serve_forever()
"""
"""Stands where Kibana's program would: what is tried is how a vendor's files come into a node of ours."""


def test_a_program_comes_out_of_its_vendors_image_and_is_handed_the_password(
    stores: Place, docker_engine: DockerEngine, tmp_path: Path
) -> None:
    if docker_engine.image_labels("kibana:9.2.0") is not None:
        return  # the real one is here, and `up` used it
    root = tmp_path / "usr" / "share" / "kibana"
    (root / "bin").mkdir(parents=True)
    program = root / "bin" / "kibana"
    program.write_text(STAND_IN)
    program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    archive = subprocess.run(
        ["tar", "-C", str(tmp_path), "-c", "usr"], capture_output=True, check=True
    ).stdout
    subprocess.run(["docker", "import", "-", "kibana:9.2.0"], input=archive, capture_output=True, check=True)
    try:
        before = {node.id for node in stores.observe().nodes}
        stores.lab("up", stores.name, timeout=300)
        screen = stores.node("screen")
        assert {node.id for node in stores.observe().nodes} == before | {screen.id}
        handed = stores.engine.execute(
            screen, ("cat", "/etc/homerange/elastic", "/etc/homerange/elastic.host")
        )
        assert handed.stdout.decode() == f"{password(stores)}store"
        path = "/usr/share/kibana/config/kibana.yml"  # which not even root reads there
        settings = stores.engine.execute(screen, ("cat", path), user="kibana").stdout.decode()
        assert 'hosts: ["http://store:9200"]' in settings
        assert "serviceAccountToken" in settings
        assert password(stores) not in settings
        _serves(stores, screen)
    finally:
        for tag in [it for it in docker_engine.images() if it.startswith("homerange/kibana:")]:
            docker_engine.remove_nodes([stores.node("screen")])
            docker_engine.remove_image(tag)
        docker_engine.remove_image("kibana:9.2.0")


def _serves(stores: Place, screen: SeenNode) -> None:
    """Look at it as a browser would."""
    with forwarding(stores.engine, screen, 5601) as port:
        import urllib.request

        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/status", timeout=10) as answer:
            assert json.load(answer)["status"]["overall"]["level"] == "available"


def test_up_of_the_shipped_elk_lab_is_planned(stores: Place) -> None:
    assert "elasticsearch" in SHIPPED.find("inventories", "elk").read_text(encoding="utf-8")
    planned = stores.lab("plan", "elk", "--format", "json")
    subjects = {it["subject"] for it in json.loads(planned.stdout)["changes"]}
    assert {"store", "attacker", "sensor"} <= subjects


def test_documents_are_what_was_noticed(tmp_path: Path) -> None:
    found: list[Document] = list(documents(make_run(tmp_path / "r"), "r1"))
    assert [it.stream for it in found] == ["events"] * 5 + ["alerts"] * 2
