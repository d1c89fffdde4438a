"""Measures how quickly a run gets into Elasticsearch, beside the bulk helper of Elasticsearch's own client.

One node with a heap of 1 GB, built as `lab up elk` builds it; both send the same documents to it in turn, in
indices of the same mapping, each round into a new one. The helper is `streaming_bulk`, and `parallel_bulk`
with as many threads as we use, each with its usual settings. What is timed is from the first event read from
disk to the last document acknowledged for us, and from the first document made to the last one acknowledged
for the helper, which reads nothing from disk. A first round counts for nothing: Java has not compiled yet.
Run it from a checkout:  .venv/bin/python bench/siem.py [EVENTS] [ROUNDS]
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import elasticsearch
from elasticsearch import helpers

from lab.engine.docker import DockerEngine
from lab.engine.forward import forwarding
from lab.files.workplace import SHIPPED
from lab.moment import SECOND, Moment
from lab.provision import apply
from lab.runs.noticed import Noticed
from lab.siem import mapping
from lab.siem.document import documents
from lab.siem.elasticsearch import ElasticsearchWire
from lab.siem.lucene import LuceneSink
from lab.siem.push import Pusher
from lab.siem.target import Target
from lab.telemetry.event import Event
from lab.telemetry.events import Events
from lab.telemetry.store import Store

NAME = f"bench-siem-{os.getpid()}"
HEAP = "2g"
"""Memory of the node; half of it is the heap."""

INVENTORY = """\
all:
  vars: {lab_networks: {siem: {}}}
  children: {elasticsearch: {hosts: {store: {lab_attach: [siem]}}}}
"""


def make_run(folder: Path, count: int) -> Noticed:
    """Make a run of many events, out of those of the recording that ships."""
    noticed = Noticed(folder)
    shipped = list(Store(SHIPPED.folder / "recordings" / "ssh-brute-force" / "events"))
    store = Store(noticed.events)
    for first in range(0, count, 10_000):
        store.append(Events.of([numbered(shipped, it) for it in range(first, min(first + 10_000, count))]))
    store.compact()
    return noticed


def numbered(shipped: list[Event], number: int) -> Event:
    """Return an event like a recorded one, with an id and a time of its own."""
    event = shipped[number % len(shipped)]
    moment = Moment(int(str(event["@timestamp"])) + number // len(shipped) * 3600 * SECOND)
    return {**event, "event.id": f"{number:024d}", "@timestamp": moment}


def lab(folder: Path, *arguments: str) -> None:
    """Run a command."""
    argv = [sys.executable, "-c", "from lab.cli.entry import entry; entry()", *arguments]
    subprocess.run(argv, cwd=folder, check=True, capture_output=True)


def role_with_heap(folder: Path) -> None:
    """Put the role into the folder, with the memory that is to be measured."""
    role = folder / "playbooks" / "roles" / "elasticsearch"
    shutil.copytree(SHIPPED.roles()["elasticsearch"], role)
    node = role / "node.yml"
    text = node.read_text(encoding="utf-8").replace("memory: 1536m", f"memory: {HEAP}")
    node.write_text(text.replace("memory_share: 0.125", "memory_share: 0"), encoding="utf-8")


def ours(noticed: Noticed, target: Target, run: str) -> float:
    """Push the run, and return the seconds that took."""
    sink = LuceneSink("elasticsearch", ElasticsearchWire(target))
    pusher = Pusher(noticed=noticed, run=run, sink=sink, tell=lambda _line: None)
    begun = time.monotonic()
    pusher.advance()
    took = time.monotonic() - begun
    sink.close()
    shutil.rmtree(noticed.folder / "siem")
    return took


def theirs(
    client: elasticsearch.Elasticsearch, actions: list[dict[str, Any]], index: str, *, wide: bool
) -> float:
    """Send the same documents with the client's helper, and return the seconds that took."""
    client.indices.create(index=index, **settings())
    asked = ({**it, "_index": index} for it in actions)
    begun = time.monotonic()
    answers = helpers.parallel_bulk(client, asked) if wide else helpers.streaming_bulk(client, asked)
    sent = sum(done for done, _ in answers)
    took = time.monotonic() - begun
    assert sent == len(actions)  # noqa: S101  # or it is no measure
    return took


def settings() -> dict[str, Any]:
    """Return the settings and the mapping that our own template gives."""
    template = mapping.component_template()["template"]
    return {"settings": template["settings"], "mappings": template["mappings"]}


def main() -> int:
    """Measure, and say."""
    count, rounds = (int(it) for it in [*sys.argv[1:], *("100000", "5")[len(sys.argv) - 1 :]])
    engine = DockerEngine()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        role_with_heap(folder)
        (folder / "inventories").mkdir()
        (folder / "inventories" / f"{NAME}.yml").write_text(INVENTORY, encoding="utf-8")
        noticed = make_run(folder / "run", count)
        actions = [
            {"_op_type": "create", "_id": it.id, "_source": json.loads(it.body)}
            for it in documents(noticed, "r")
        ]
        try:
            lab(folder, "up", NAME)
            compare(engine, noticed, actions, rounds)
        finally:
            apply.remove(NAME, engine)
    return 0


def compare(engine: DockerEngine, noticed: Noticed, actions: list[dict[str, Any]], rounds: int) -> None:
    """Let the three take turns, and show the medians with the ratios."""
    node = engine.observe(NAME).node("store")
    assert node  # noqa: S101  # `up` made it
    secret = engine.execute(node, ("cat", "/etc/homerange/elastic")).stdout.decode()
    rates: dict[str, list[float]] = {"lab siem push": [], "streaming_bulk": [], "parallel_bulk": []}
    with forwarding(engine, node, 9200) as port:
        url = f"http://127.0.0.1:{port}"
        target = Target(name="elasticsearch", url=url, user="elastic", password=secret)
        client = elasticsearch.Elasticsearch(url, basic_auth=("elastic", secret), request_timeout=120)
        for number in range(rounds + 1):
            client.options(ignore_status=404).indices.delete(index=mapping.stream_name("events"))
            rates["lab siem push"].append(len(actions) / ours(noticed, target, f"r{number}"))
            for wide, title in ((False, "streaming_bulk"), (True, "parallel_bulk")):
                took = theirs(client, actions, f"bench-{title.replace('_', '-')}-{number}", wide=wide)
                rates[title].append(len(actions) / took)
                client.indices.delete(index=f"bench-{title.replace('_', '-')}-{number}")
        client.close()
    found = {title: it[1:] for title, it in rates.items()}
    best = max(statistics.median(found[it]) for it in ("streaming_bulk", "parallel_bulk"))
    for title, each in found.items():
        middle = statistics.median(each)
        sys.stdout.write(f"{title:16} {middle:8.0f} events/s  ({min(each):.0f} to {max(each):.0f})\n")
    sys.stdout.write(f"{statistics.median(found['lab siem push']) / best:.2f} x the better helper\n")


if __name__ == "__main__":
    sys.exit(main())
