"""How quickly files become events, beside peers that do less with them.

    python bench/telemetry.py [--lines 400000]

Each source is measured in a process of its own: lines or records a second from file to Parquet, the most
memory it held with its helpers, bytes on disk for an event, and how many times as long as its peers it took.
DuckDB writes the lines to Parquet as they are. GoAccess (a Debian package; left out where it is not
installed) counts an access log. `evtx` turns records into JSON. Nothing is detected.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import duckdb
from evtx import PyEvtxParser

from lab.files.loader import load
from lab.runs.noticed import Noticed
from lab.telemetry.inputs import Inputs
from lab.telemetry.store import Store
from lab.watch.importing import Importer, wanted

HERE: Final = Path(__file__).resolve().parent.parent
SAMPLES: Final = HERE / "tests" / "samples"
CASES: Final = HERE / "tests" / "cases" / "telemetry"

SOURCES: Final[dict[str, str]] = {
    "apache": "apache",
    "openssh": "syslog",
    "eve": "suricata",
    "evtx": "windows",
    "winlogbeat": "windows",
    "auditd": "auditd",
}
"""What is measured, and which parser reads it."""

_AGENTS: Final = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0",
    "curl/8.10.1",
    "Mozilla/5.0 (compatible; Example-Crawler/2.1; +http://crawler.example/about)",
)
_CHUNK: Final = 65_536
_CHUNK_HEAD: Final = 512
_FILE_HEAD: Final = 4096
_RECORD: Final = b"\x2a\x2a\x00\x00"
_A_CHUNK_HOLDS: Final = 80
"""Records in a chunk of an EVTX file: of 800 bytes each, as in most Security logs."""


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
    sys.stdout.write("source      events/s   MB held   bytes/event   times as long as\n")
    with tempfile.TemporaryDirectory() as folder:
        for name in SOURCES:
            path = Path(folder) / f"{name}.log"
            count = _evtx(path, given.lines) if name == "evtx" else _written(path, name, given.lines)
            argv = [sys.executable, __file__, "--one", name, "--file", str(path)]
            found = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
            peers = {it: found["seconds"] / took for it, took in _peers(name, path)}
            speed, size = count / found["seconds"], found["size"] / count
            beside = ", ".join(f"{it} {times:.1f}" for it, times in peers.items())
            sys.stdout.write(f"{name:10} {speed:9,.0f} {found['memory']:9,.0f} {size:13.1f}   {beside}\n")
            sys.stdout.flush()
            path.unlink()


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
    if name == "apache":
        yield from _requests(10_000)
        return
    if name == "openssh":
        yield from (SAMPLES / "loghub" / "openssh.log").read_text("utf-8").splitlines()
        return
    files = {
        "eve": ("suricata", "suricata-alert", "suricata-others"),
        "winlogbeat": ("windows-winlogbeat",),
        "auditd": ("auditd",),
    }
    for file in files[name]:
        raw: Any = load(CASES / f"{file}.yml")[0].plain()
        pairs = zip(raw["lines"], raw["expected"], strict=True)
        yield from (text for text, found in pairs if found or name == "auditd")


def _requests(count: int) -> Iterator[str]:
    """Make what a small site is asked for; one line in a thousand is one that clients spoil."""
    chance, at = random.Random(19), datetime(2026, 11, 1, tzinfo=UTC)
    for number in range(count):
        at += timedelta(seconds=chance.expovariate(2))
        path = f"/articles/{chance.randrange(400)}/page-{chance.randrange(9)}.html"
        path += f"?from={chance.randrange(50)}" if not chance.randrange(5) else ""
        request = f"GET {path} HTTP/1.1" if number % 1000 else r"\x16\x03\x01"
        status = chance.choices((200, 304, 404, 500), (80, 12, 7, 1))[0]
        referrer = chance.choice(("-", "http://site.example/", "https://search.example/?q=logs"))
        client = f"192.0.2.{chance.randrange(1, 255)}"
        yield (
            f'{client} - - [{at:%d/%b/%Y:%H:%M:%S +0000}] "{request}" {status} {chance.randrange(99_999)}'
            f' "{referrer}" "{chance.choice(_AGENTS)}"'
        )


def _evtx(path: Path, records: int) -> int:
    """Write an EVTX file of about so many records; return how many there are.

    The records are those of a real chunk and copies of the fifth, which is whole without its neighbours.
    """
    sample = (SAMPLES / "evtx" / "security.evtx").read_bytes()
    chunk, found, end = sample[_FILE_HEAD : _FILE_HEAD + _CHUNK], list[bytes](), _CHUNK_HEAD
    while chunk[end : end + 4] == _RECORD:
        size = struct.unpack_from("<I", chunk, end + 4)[0]
        found.append(chunk[end : end + size])
        end += size
    first = struct.unpack_from("<Q", found[0], 8)[0]
    body = bytearray(b"".join(found))
    for number in range(len(found), _A_CHUNK_HOLDS):
        body += found[4][:8] + struct.pack("<Q", first + number) + found[4][16:]
    last, free = _CHUNK_HEAD + len(body) - len(found[4]), _CHUNK_HEAD + len(body)
    whole = bytearray(chunk[:_CHUNK_HEAD] + body).ljust(_CHUNK, b"\0")
    numbers = first, first + _A_CHUNK_HOLDS - 1
    struct.pack_into("<QQQQ", whole, 8, *numbers, *numbers)
    struct.pack_into("<III", whole, 44, last, free, zlib.crc32(body))
    struct.pack_into("<I", whole, 124, zlib.crc32(whole[:120] + whole[128:_CHUNK_HEAD]))
    times = max(1, records // _A_CHUNK_HOLDS)
    head = bytearray(sample[:_FILE_HEAD])
    struct.pack_into("<H", head, 42, min(times, 0xFFFF))
    struct.pack_into("<I", head, 124, zlib.crc32(head[:120]))
    with path.open("wb") as file:
        file.write(head)
        for _ in range(times):
            file.write(whole)
    return times * _A_CHUNK_HOLDS


def _measured(path: Path, name: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, closing(Inputs()) as found:
        begun = time.perf_counter()
        importer = Importer(
            noticed=Noticed(Path(folder)), host="bench", packets=lambda _path, _name: iter(())
        )
        importer.run(wanted(found, [path], SOURCES[name]))
        seconds = time.perf_counter() - begun
        size = sum(it.stat().st_size for it in (Path(folder) / "events").iterdir())
        usage = [resource.getrusage(it) for it in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        memory = sum(it.ru_maxrss for it in usage)
        count = Store(Path(folder) / "events").count()
    return {"seconds": seconds, "size": size, "memory": memory / 1024, "events": count}


def _peers(name: str, path: Path) -> Iterator[tuple[str, float]]:
    """Give the seconds that each peer takes."""
    if name == "evtx":
        begun = time.perf_counter()
        for _ in PyEvtxParser(str(path)).records_json():
            pass
        yield "evtx", time.perf_counter() - begun
        return
    yield "DuckDB", _floor(path, path.with_suffix(".parquet"))
    program = shutil.which("goaccess") if name == "apache" else None
    if program:
        begun = time.perf_counter()
        argv = [program, str(path), "--log-format=COMBINED", "-o", str(path.with_suffix(".json"))]
        subprocess.run(argv, check=True, capture_output=True)
        yield "GoAccess", time.perf_counter() - begun


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
