"""Damages lines of every source, and files that hold logs: each has to be read, or refused in one sentence.

    python bench/fuzzed.py [--lines 100000] [--files 300] [--seed 1]

A line is a real one of the tests' cases with pieces replaced, or cut. All lines of a source are read in
batches, as an import reads them. Files are gzip, xz, zip and EVTX with bytes changed, or
with a part missing at the end. Run it from a checkout; whatever is raised that is no refusal ends it.
"""

from __future__ import annotations

import argparse
import gzip
import io
import lzma
import random
import resource
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from lab.errors import LabError
from lab.files.loader import load
from lab.runs.noticed import Noticed
from lab.telemetry.inputs import Inputs
from lab.telemetry.lines import Lines
from lab.telemetry.reader import AtOnce, Reader
from lab.telemetry.sources import SOURCES, source_named
from lab.watch.importing import Importer, wanted

HERE: Final = Path(__file__).resolve().parent.parent / "tests"

PIECES: Final = (
    "", "\0",
    "\\", '"', "[", "]", "{", "}", "=", "-", " ", "\t", "\r", "\x1b[31m", "٣", "\N{PILE OF POO}", "￿",
    "999999999999999999999", "1e999", "NaN", "0x", "2026-02-30T25:61:61Z", " from 1.2.3.4 port 99999999 ssh2",
    "msg=audit(1e9:1)", '":null,"', "a" * 5000, "(" * 500, "[" * 500, '{"a":' * 500,
)  # fmt: skip

BATCH: Final = 10_000


def damaged(chance: random.Random, text: str, others: list[str]) -> str:
    """Damage a line once or a few times."""
    for _ in range(chance.choice((1, 1, 2, 5))):
        first = chance.randrange(len(text) + 1)
        last = min(len(text), first + chance.choice((0, 1, 4, 40)))
        other = chance.choice(others)
        piece = chance.choice((*PIECES, other[: chance.randrange(len(other) + 1)]))
        text = text[:first] + piece + text[last:]
        if chance.random() < 0.1:  # noqa: PLR2004  # now and then
            text = text[: chance.randrange(len(text) + 1)]
    return text.replace("\n", " ")


def read_lines(kind: str, count: int, chance: random.Random) -> tuple[int, int]:
    """Read damaged lines of a source; return how many were events, and how many of these say why not."""
    cases: list[Any] = [
        load(path)[0].plain() for path in sorted((HERE / "cases" / "telemetry").glob("*.yml"))
    ]
    real = [text for it in cases if it["source"] == kind for text in it["lines"]]
    source = source_named(kind)
    reader, events, unparsed = Reader(source), 0, 0
    with closing(AtOnce(source)) as at_once:
        for begin in range(0, count, BATCH):
            size = min(BATCH, count - begin)
            chunk = "".join(damaged(chance, chance.choice(real), real) + "\n" for _ in range(size))
            content = chunk.encode("utf-8", "surrogatepass")
            lines = Lines.cut(content, after=begin, host="host", path=f"/{kind}", file="file")
            (quick,) = at_once.read([lines])
            found = reader.read(lines, quick)
            events, unparsed = events + len(found.events), unparsed + found.unparsed
            events += len(reader.rest())
    return events, unparsed


def files() -> dict[str, bytes]:
    """Write a whole file of each form."""
    log = (HERE / "samples" / "loghub" / "openssh.log").read_bytes()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("auth.log", log)
    return {
        "log.gz": gzip.compress(log),
        "log.xz": lzma.compress(log),
        "log.zip": packed.getvalue(),
        "log.evtx": (HERE / "samples" / "evtx" / "security.evtx").read_bytes(),
    }


def torn(chance: random.Random, content: bytes) -> bytes:
    """Damage a file: bytes changed, or its end missing."""
    found = bytearray(content)
    for _ in range(chance.choice((0, 1, 3, 30))):
        found[chance.randrange(len(found))] = chance.randrange(256)
    return bytes(found[: chance.randrange(len(found))] if chance.random() < 0.5 else found)  # noqa: PLR2004  # half


def read_file(name: str, content: bytes, folder: Path) -> str:
    """Import a file; return what came of it."""
    path = folder / name
    path.write_bytes(content)
    try:
        with closing(Inputs()) as found:
            importer = Importer(
                noticed=Noticed(folder / "run"), host="host", packets=lambda _path, _name: iter(())
            )
            importer.run(wanted(found, [path]))
    except LabError as error:
        return "refused" if error.message() else "silent"
    return "read"


def main() -> int:
    """Damage, read, and write a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    chance = random.Random(given.seed)
    for row in rows(given.lines, given.files, chance):
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        sys.stdout.write(f"{row}, at most {held:.0f} MB held so far\n")
        sys.stdout.flush()
    return 0


def rows(lines: int, count: int, chance: random.Random) -> Iterator[str]:
    """Do it all, and say what came of each source and form."""
    for kind in sorted(SOURCES):
        begun = time.monotonic()
        events, unparsed = read_lines(kind, lines, chance)
        yield f"{kind:14} {events:8,} events, {unparsed:8,} unparsed, {time.monotonic() - begun:6.1f} s"
    for name, content in files().items():
        begun, said = time.monotonic(), list[str]()
        for _ in range(count):
            with tempfile.TemporaryDirectory() as folder:
                said.append(read_file(name, torn(chance, content), Path(folder)))
        yield (
            f"{name:14} {said.count('read'):5} read, {said.count('refused'):5} refused, "
            f"{said.count('silent')} silent, {time.monotonic() - begun:6.1f} s"
        )


if __name__ == "__main__":
    sys.exit(main())
