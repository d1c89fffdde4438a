"""How quickly files become events, beside DuckDB that writes the lines to Parquet as they are.

    python bench/telemetry.py [--lines 400000]

Each source is measured in a process of its own: lines or records a second from file to Parquet, the most
memory it held, bytes on disk for an event, and how many times as long as DuckDB it took. Nothing is detected.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import duckdb

from lab.files.loader import load
from lab.runs.noticed import Noticed
from lab.telemetry.inputs import Inputs
from lab.telemetry.store import Store
from lab.watch.importing import Importer, wanted

HERE: Final = Path(__file__).resolve().parent.parent
SAMPLES: Final = HERE / "tests" / "samples"
CASES: Final = HERE / "tests" / "cases" / "telemetry"

SOURCES: Final = ("apache", "openssh", "eve", "windows", "auditd")
"""What is measured."""


def main() -> None:
    """Measure each source, and write a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=400_000)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        sys.stdout.write(json.dumps(_measured(given.file, given.one)))
        return
    sys.stdout.write("source    events/s   MB held   bytes/event   x DuckDB\n")
    with tempfile.TemporaryDirectory() as folder:
        for name in SOURCES:
            path = Path(folder) / name
            count = _written(path, name, given.lines)
            argv = [sys.executable, __file__, "--one", name, "--file", str(path)]
            found = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
            floor = _floor(path, Path(folder) / "floor.parquet")
            speed, size, times = count / found["seconds"], found["size"] / count, found["seconds"] / floor
            sys.stdout.write(f"{name:9} {speed:9,.0f} {found['memory']:9,.0f} {size:13.1f} {times:10.1f}\n")


def _written(path: Path, name: str, lines: int) -> int:
    """Write a log of about so many lines; return how many there are."""
    texts = list(_texts(name))
    block = ("\n".join(texts) + "\n").encode()
    times = max(1, lines // len(texts))
    with path.open("wb") as file:
        for _ in range(times):
            file.write(block)
    return times * len(texts)


def _texts(name: str) -> Iterator[str]:
    if name == "openssh":
        yield from (SAMPLES / "loghub" / "openssh.log").read_text("utf-8").splitlines()
        return
    files = {
        "apache": ("apache-combined", "apache-common"),
        "eve": ("suricata", "suricata-alert", "suricata-others"),
        "windows": ("windows-winlogbeat", "windows-dump", "windows-flat"),
        "auditd": ("auditd",),
    }
    for file in files[name]:
        raw: Any = load(CASES / f"{file}.yml")[0].plain()
        pairs = zip(raw["lines"], raw["expected"], strict=True)
        yield from (text for text, found in pairs if found or name == "auditd")


def _measured(path: Path, name: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, closing(Inputs()) as found:
        kind = {"openssh": "syslog", "eve": "suricata"}.get(name, name)
        begun = time.perf_counter()
        importer = Importer(
            noticed=Noticed(Path(folder)), host="bench", packets=lambda _path, _name: iter(())
        )
        importer.run(wanted(found, [path], kind))
        seconds = time.perf_counter() - begun
        size = sum(it.stat().st_size for it in (Path(folder) / "events").iterdir())
        usage = [resource.getrusage(it) for it in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        memory = sum(it.ru_maxrss for it in usage)
        count = Store(Path(folder) / "events").count()
    return {"seconds": seconds, "size": size, "memory": memory / 1024, "events": count}


def _floor(path: Path, target: Path) -> float:
    """Return how long DuckDB takes to write the lines to Parquet as they are."""
    begun = time.perf_counter()
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute(
            f"COPY (FROM read_csv('{path}', delim = '\x1f', header = false, quote = '', escape = '',"
            " columns = {'line': 'VARCHAR'}, auto_detect = false, ignore_errors = true))"
            f" TO '{target}' (FORMAT parquet, COMPRESSION zstd)"
        )
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
