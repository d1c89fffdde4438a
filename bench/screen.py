"""How quickly the pages of `lab serve` answer over a large run, and what the server holds in memory.

    python bench/screen.py [--events 1000000] [--alerts 10000] [--rounds 40] [--keep FOLDER]

The run is the recording that ships, again and again, a minute later each time, each line with a number of
its own. Each page is asked for over HTTP on one connection; every request asks for something else of its
sort. Beside it stands what DuckDB alone takes for the heart of the question over the same files.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lab.files.workplace import Workplace
from lab.moment import SECOND, Moment
from lab.runs.folder import find_recording
from lab.telemetry.events import Events
from lab.telemetry.segments import present_segments
from lab.telemetry.store import Store

RUN: Final = "20261127-000000-large"
_BATCH: Final = 65_000
_RULES: Final = 40
_MINUTE: Final = 60 * SECOND


def make_run(workplace: Path, events: int, alerts: int) -> Path:
    """Write a run, and return its folder."""
    recording = find_recording(Workplace(workplace), "ssh-brute-force").path
    folder = workplace / "runs" / RUN
    shutil.copytree(recording, folder)
    shutil.rmtree(folder / "events")
    header = json.loads((folder / "run.json").read_text("utf-8"))
    (folder / "run.json").write_text(json.dumps({**header, "id": RUN}), encoding="utf-8")
    once = pa.concat_tables(
        [pq.read_table(it.path) for it in present_segments(recording / "events")], promote_options="default"
    )
    store = Store(folder / "events")
    waiting: list[pa.Table] = []
    done = 0
    while done < events:
        part = _moved(once.slice(0, min(len(once), events - done)), done, done // len(once))
        waiting.append(part)
        done += len(part)
        if sum(map(len, waiting)) >= _BATCH or done == events:
            store.append(Events(pa.concat_tables(waiting)))
            waiting = []
    store.compact()
    _write_alerts(folder / "alerts.jsonl", alerts, events, header["started"])
    return folder


def _moved(table: pa.Table, first: int, times: int) -> pa.Table:
    """Return the recording once more: later, with ids and numbers of its own."""
    chance = random.Random(first)
    later = pc.add(table["@timestamp"], pa.scalar(times * _MINUTE, pa.duration("ns")))
    lines = table["event.original"].to_pylist()
    numbers = [f" n={chance.randrange(10**9)}" for _ in lines]
    new: dict[str, pa.Array[Any] | pa.ChunkedArray[Any]] = {
        "@timestamp": later,
        "event.id": pa.array([f"{first + it:024x}" for it in range(len(table))]),
        "event.original": pa.array([f"{line}{it}" for line, it in zip(lines, numbers, strict=True)]),
    }
    for name, column in new.items():
        place = table.column_names.index(name)
        table = table.set_column(place, table.schema.field(name), column)
    return table


def _write_alerts(path: Path, alerts: int, events: int, started: str) -> None:
    chance, begun = random.Random(1), Moment.parse(started)
    levels = ("low", "medium", "high", "critical")
    with path.open("w", encoding="utf-8") as file:
        for number in range(alerts):
            rule = chance.randrange(_RULES)
            moment = Moment(begun + number * SECOND).iso()
            said = {
                "id": f"{number:016x}",
                "engine": "sigma",
                "rule_id": f"rule-{rule}",
                "rule_hash": "0" * 64,
                "title": f"Something that rule {rule} is about",
                "level": levels[rule % len(levels)],
                "risk": 47,
                "techniques": [f"T10{rule + 10}"],
                "tactics": ["discovery"],
                "first_event": moment,
                "ingested": moment,
                "raised": moment,
                "entities": {
                    "source.ip": [f"10.9.{chance.randrange(20)}.{chance.randrange(50)}"],
                    "destination.ip": [f"10.8.0.{chance.randrange(30)}"],
                    "host.name": ["bastion"],
                },
                "event_ids": [f"{chance.randrange(events):024x}" for _ in range(5)],
                "evidence_count": 5,
            }
            file.write(json.dumps(said) + "\n")


class Client:
    """One connection to the server, with its cookie."""

    def __init__(self, address: str) -> None:
        """Open the address that the server printed."""
        found = re.fullmatch(r"http://([\d.]+):(\d+)(/.*)", address)
        if found is None:
            raise SystemExit(f"no address: {address!r}")
        self._connection = http.client.HTTPConnection(found[1], int(found[2]))
        self._connection.request("GET", found[3])
        answer = self._connection.getresponse()
        answer.read()
        self._cookie = str(answer.getheader("set-cookie")).partition(";")[0]

    def ask(self, path: str) -> tuple[float, str]:
        """Return how long an answer took in milliseconds, and the answer."""
        begun = time.perf_counter()
        self._connection.request("GET", f"/run/{RUN}{path}", headers={"cookie": self._cookie})
        answer = self._connection.getresponse()
        text = answer.read()
        took = (time.perf_counter() - begun) * 1000
        if answer.status != http.HTTPStatus.OK:
            raise SystemExit(f"{path}: {answer.status} {text[:300]!r}")
        return took, text.decode()


@contextmanager
def serving(workplace: Path) -> Iterator[tuple[subprocess.Popen[str], Client, float]]:
    """Serve a folder; gives the process, a client, and seconds to the first page."""
    begun = time.perf_counter()
    lab = Path(sys.executable).with_name("lab")
    with subprocess.Popen(
        [lab, "serve", "--port", "0"],
        cwd=workplace,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            client = Client((process.stdout or sys.stdin).readline().strip())
            yield process, client, time.perf_counter() - begun
        finally:
            process.terminate()


def _memory(process: subprocess.Popen[str]) -> dict[str, int]:
    text = Path(f"/proc/{process.pid}/status").read_text("ascii")
    return {name: int(value) // 1024 for name, value in re.findall(r"(VmHWM|VmRSS):\s+(\d+) kB", text)}


def _questions(events: int) -> dict[str, tuple[Callable[[random.Random], str], str]]:
    """Return each sort of page: its address by chance, and the heart of it in SQL."""
    return {
        "inbox, grouped": (lambda it: f"/inbox?level={it.choice(['low', 'informational'])}", ""),
        "inbox, by source": (lambda _: "/inbox?by=source", ""),
        "inbox, by incident": (lambda _: "/inbox?by=incident", ""),
        "inbox, searched": (lambda it: f"/inbox?q=rule+{it.randrange(_RULES)}", ""),
        "events, newest": (
            lambda _: "/hunt?",
            'SELECT file_row_number FROM e ORDER BY "@timestamp" DESC LIMIT 100',
        ),
        "pivot to a value": (
            lambda it: f"/hunt?f={it.choice(['event.module=sshd', 'user.name=maria', 'event.action=exec'])}",
            """SELECT file_row_number FROM e WHERE "user.name" = 'maria' ORDER BY 1 DESC LIMIT 100""",
        ),
        "histogram": (
            lambda it: f"/bars?{it.choice(['', 'f=event.module%3Dsshd', 'f=user.name%3Dmaria'])}",
            'SELECT epoch_ns("@timestamp") // 600000000000, count(*) FROM e GROUP BY 1',
        ),
        "group by": (
            lambda it: f"/hunt?group={it.choice(['source.ip', 'event.action', 'user.name'])}",
            'SELECT "source.ip", count(*) FROM e GROUP BY 1 ORDER BY 2 DESC LIMIT 50',
        ),
        "raw event": (
            lambda it: f"/event/{it.randrange(events):024x}?part=1",
            """SELECT * FROM e WHERE "event.id" = '000000000000000000000abc'""",
        ),
        "substring, frequent": (
            lambda it: f"/hunt?q={quote(it.choice(['failed password', 'session opened', '/usr/bin/id']))}",
            """SELECT count(*) FROM e WHERE contains("event.original", 'Failed password')""",
        ),
        "substring, rare": (
            lambda it: f"/hunt?q=n%3D{it.randrange(10**8, 10**9)}",
            """SELECT count(*) FROM e WHERE contains("event.original", 'n=123456789')""",
        ),
        "substring, counted": (
            lambda it: f"/bars?q={quote(it.choice(['failed password', 'n=5551', 'nowhere to be found']))}",
            """SELECT count(*) FROM e WHERE contains("event.original", 'Failed password')""",
        ),
    }


def _alone(folder: Path, sql: str) -> float:
    """Return the median time that DuckDB alone takes, in milliseconds."""
    files = [str(it.path) for it in present_segments(folder / "events")]
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute(f"CREATE VIEW e AS FROM read_parquet({files}, file_row_number = true)")
        taken = []
        for _ in range(5):
            begun = time.perf_counter()
            connection.execute(sql).fetchall()
            taken.append((time.perf_counter() - begun) * 1000)
    return statistics.median(taken)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--alerts", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--keep", type=Path, help="a folder to make the run in, and to leave it")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        workplace = asked.keep or Path(made)
        folder = workplace / "runs" / RUN
        if not folder.exists():
            folder = make_run(workplace, asked.events, asked.alerts)
        _measure(workplace, folder, asked.events, asked.rounds)


def _measure(workplace: Path, folder: Path, events: int, rounds: int) -> None:
    write = sys.stdout.write
    chance = random.Random(7)
    with serving(workplace) as (process, client, first):
        write(f"first page after {first:.2f} s, {_memory(process)} MB, {os.cpu_count()} cores\n")
        write(f"{'page':22} {'p50 ms':>8} {'p95 ms':>8} {'DuckDB alone':>13} {'ratio':>6} {'MB':>6}\n")
        for name, (address, sql) in _questions(events).items():
            client.ask(address(chance))
            taken = sorted(client.ask(address(chance))[0] for _ in range(rounds))
            middle, late = statistics.median(taken), taken[int(0.95 * (len(taken) - 1))]
            alone = _alone(folder, sql) if sql else None
            beside = f"{alone:13.1f} {middle / alone:6.2f}" if alone else f"{'-':>13} {'-':>6}"
            write(f"{name:22} {middle:8.1f} {late:8.1f} {beside} {_memory(process)['VmHWM']:6}\n")
        write(f"{_memory(process)} MB\n")


if __name__ == "__main__":
    main()
