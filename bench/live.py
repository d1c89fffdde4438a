"""Measures live collection: so many lines a second over five nodes, through to an event that can be queried.

    python bench/live.py [--rate 20000] [--seconds 120] [--rules 150]

Three web servers and two SSH servers each write their share into their own log; every line has the moment at
which it was written. A run's own watch follows, parses, stores and detects. What arrives is counted against
what the nodes say they wrote, and each segment is looked for every 5 ms: the delay is from the moment in
the line to the moment at which its segment was there. Run it from a checkout, on a machine with nothing else
to do. `--rules` adds rules to ours until there are so many, half on requests and half on log-ins.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import duckdb

from lab.detect.detector import OWN_RULES, detectors
from lab.engine.docker import DockerEngine
from lab.engine.nodes import RunningLab, SeenNode
from lab.files.workplace import SHIPPED
from lab.inventory.definition import Lab, read_inventory
from lab.inventory.kind import Kinds
from lab.provision import apply, images
from lab.provision.blueprint import draw
from lab.provision.plan import plan_changes
from lab.runs.noticed import Noticed
from lab.telemetry.store import Store
from lab.watch.collection import read_collection
from lab.watch.live import watching
from lab.workers import together

NAME: Final = "bench-live"

INVENTORY: Final = """\
all:
  vars: {lab_networks: {inside: {}}}
  children:
    webshop: {hosts: {w1: {lab_attach: [inside]}, w2: {lab_attach: [inside]}, w3: {lab_attach: [inside]}}}
    sshd: {hosts: {s1: {lab_attach: [inside]}, s2: {lab_attach: [inside]}}}
"""

WRITER: Final = """\
import sys, time
path, source, rate, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def web(n, now):
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now // 10**9))
    said = f'"GET /item/{n % 5000}?at={now} HTTP/1.1" 200 5316 "-" "Mozilla/5.0"'
    return f"10.9.{n // 250 % 250}.{n % 250} - - [{stamp}] {said}"
def ssh(n, now):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now // 10**9)) + f".{now % 10**9 // 1000:06}+00:00"
    said = f"Connection closed by 10.9.{n // 250 % 250}.{n % 250} port {n % 60000 + 1}"
    return f"{stamp} server sshd[{n % 30000}]: {said}"
line = {"apache": web, "sshd": ssh}[source]
written, begun = 0, time.time()
with open(path, "a") as log:
    while time.time() < begun + seconds:
        due = int((time.time() - begun) * rate)
        now = time.time_ns()
        log.write("".join(line(n, now) + "\\n" for n in range(written, due)))
        log.flush()
        written = max(written, due)
        time.sleep(0.02)
print(written)
"""
"""Runs on the nodes, and prints how many lines it wrote."""

LOGS: Final = {"webshop": ("apache", "/var/log/apache2/access.log"), "sshd": ("sshd", "/var/log/auth.log")}

WRITTEN: Final = """\
coalesce(try_cast(regexp_extract("event.original", 'at=([0-9]{19})', 1) AS BIGINT), epoch_ns("@timestamp"))"""
"""When a line was written, in nanoseconds since 1970."""


@dataclass(slots=True)
class Segments:
    """Every segment that was ever there, and when it was first seen."""

    folder: Path
    kept: Path
    seen: dict[str, int] = field(default_factory=dict)
    _ending: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def looked_for(self) -> Iterator[None]:
        """Look until the body ends; each is kept under a second name, since they are joined later."""
        thread = threading.Thread(target=self._look)
        thread.start()
        yield
        self._ending.set()
        thread.join()

    def _look(self) -> None:
        while not self._ending.wait(0.005):
            for path in self.folder.glob("*.parquet"):
                if path.name not in self.seen:
                    self.seen[path.name] = time.time_ns()
                    (self.kept / path.name).hardlink_to(path)

    def delays(self) -> tuple[int, list[float]]:
        """Return how many lines arrived; the delays' median, 95th and 99th percentile and maximum in s."""
        connection = duckdb.connect()
        connection.execute("CREATE TABLE seen (name VARCHAR, since BIGINT)")
        connection.executemany("INSERT INTO seen VALUES (?, ?)", list(self.seen.items()))
        count, delays = connection.execute(
            f"""WITH written AS (
                SELECT {WRITTEN} AS written, min(since) AS since
                FROM read_parquet('{self.kept}/*.parquet', filename=true, union_by_name=true)
                JOIN seen ON name = parse_filename(filename)
                WHERE "event.original" LIKE '%at=%' OR "event.original" LIKE '%Connection closed by 10.9.%'
                GROUP BY "host.name", "event.original", "@timestamp")
            SELECT count(*), quantile_cont((since - written) / 1e9, [0.5, 0.95, 0.99, 1]) FROM written"""  # noqa: S608
        ).fetchall()[0]
        return count, delays


def stand_up(engine: DockerEngine, folder: Path) -> tuple[Lab, RunningLab]:
    """Build the lab."""
    path = folder / f"{NAME}.yml"
    path.write_text(INVENTORY, encoding="utf-8")
    lab = read_inventory(path, Kinds(SHIPPED.roles()))
    recipes = images.recipes(lab.nodes, SHIPPED)
    baker = images.Baker(lab=NAME, engine=engine, workplace=SHIPPED, tell=print, stop=threading.Event())
    baker.bake(images.missing(recipes.values(), engine))
    drawn = draw(lab, {name: it.tag for name, it in recipes.items()})
    return lab, apply.apply_plan(drawn, plan_changes(drawn, engine.observe(NAME)), engine)


def write(engine: DockerEngine, node: SeenNode, rate: int, seconds: int) -> int:
    """Let a node write; return how many lines it wrote."""
    source, path = LOGS[node.kind]
    argv = ("python3", "-c", WRITER, path, source, str(rate), str(seconds))
    return int(engine.execute(node, argv, user="root", timeout=seconds + 60).stdout)


def more_rules(folder: Path, wanted: int) -> Path:
    """Write rules like those that people write, until there are so many with ours."""
    folder.mkdir()
    for number in range(wanted - len(list(OWN_RULES.glob("*.yml")))):
        source, field = (
            ("{category: webserver}", "cs-uri-query")
            if number % 2
            else ("{product: linux, service: sshd}", "message")
        )
        (folder / f"{number}.yml").write_text(
            f"title: rule {number}\nlogsource: {source}\nlevel: medium\ndetection:\n"
            f"  selection:\n    {field}|contains: ['=probe{number}', 'token{number}/', '%2e{number}%2f']\n"
            f"  other: {{{field}|endswith: '.bak{number}', {field}|re: 'id{number}[0-9]+x'}}\n"
            f"  filter: {{{field}|startswith: '/health'}}\n"
            f"  condition: (selection or other) and not filter\n",
            encoding="utf-8",
        )
    return folder


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--rules", type=int, default=0)
    given = parser.parse_args()
    engine = DockerEngine()
    with tempfile.TemporaryDirectory() as place:
        noticed, kept = Noticed(Path(place) / "run"), Path(place) / "kept"
        kept.mkdir()
        segments = Segments(noticed.events, kept)
        try:
            lab, running = stand_up(engine, Path(place))
            with (
                segments.looked_for(),
                watching(
                    engine=engine,
                    lab=lab,
                    running=running,
                    noticed=noticed,
                    detectors=detectors("", (OWN_RULES, more_rules(Path(place) / "rules", given.rules))),
                    on_alert=lambda _alert: None,
                ),
            ):
                rate = given.rate // len(running.nodes)
                written = sum(
                    together([partial(write, engine, it, rate, given.seconds) for it in running.nodes])
                )
        finally:
            apply.remove(NAME, engine)
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        arrived, delays = segments.delays()
        collection = read_collection(noticed)
        stored = Store(noticed.events).count()
    sys.stdout.write(
        f"written on 5 nodes  {written:,} lines in {given.seconds} s\n"
        f"queryable           {arrived:,}; lost {written - arrived:,}; in the store {stored:,}\n"
        f"unparsed, dropped   {sum(it.unparsed for it in collection.logs):,}, "
        f"{sum(it.dropped for it in collection.logs):,}\n"
        f"delay               median {delays[0]:.2f} s, p95 {delays[1]:.2f} s, p99 {delays[2]:.2f} s, "
        f"most {delays[3]:.2f} s\n"
        f"most memory held    {held:.0f} MB\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
