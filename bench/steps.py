"""Measures what a step costs beyond its command, and how true its times are.

Twenty times a step does nothing, and twenty times it asks the shop for a page. The cost is from the journal's
entry before a step to the one after it, less the life of the command, as the kernel told it. The times of
truth are held against the sensor's capture of the same requests: the first and the last packet of each.
Run it from a checkout:  .venv/bin/python bench/steps.py
"""

from __future__ import annotations

import os
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lab.engine.docker import DockerEngine
from lab.exercise.journal import Entry
from lab.exercise.truth import Truth, read_truth
from lab.files import records
from lab.files.workplace import SHIPPED
from lab.provision import apply
from lab.runs.folder import RunFolder

NAME = f"steps-{os.getpid()}"
TIMES = 20
STEP = "  - {{name: {name} {number}, technique: T1082, from: attacker, command: {{argv: {argv}}}}}\n"
SHOP = 80
"""The port of the shop."""


def packets(path: Path) -> Iterator[tuple[float, int, int]]:
    """Yield time, source port and destination port of each TCP packet of a capture with Ethernet frames."""
    raw = path.read_bytes()
    fraction = 1e-9 if raw[:4] == b"\x4d\x3c\xb2\xa1" else 1e-6
    place = 24
    while place + 16 <= len(raw):
        second, part, kept, _ = struct.unpack_from("<IIII", raw, place)
        frame = raw[place + 16 : place + 16 + kept]
        place += 16 + kept
        if frame[12:14] == b"\x08\x00" and frame[23] == 6:  # noqa: PLR2004  # IPv4, TCP
            head = 14 + 4 * (frame[14] & 15)
            yield second + part * fraction, *struct.unpack_from("!HH", frame, head)


def apart(truth: Truth, capture: Path) -> tuple[float, float]:
    """Return by how many milliseconds a record's start and end are off its first and last packet."""
    ports = {port for it in truth.evidence for port in it.where.get("source.port", ())} - {SHOP}
    times = [time for time, source, other in packets(capture) if {source, other} & ports]
    return (min(times) - truth.start / 1e9) * 1e3, (truth.end / 1e9 - max(times)) * 1e3


def main() -> int:
    """Measure."""
    engine = DockerEngine()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "inventories").mkdir()
        starter = SHIPPED.find("inventories", "starter").read_text(encoding="utf-8")
        (place / "inventories" / f"{NAME}.yml").write_text(starter, encoding="utf-8")
        steps = "".join(
            STEP.format(name="nothing", number=it, argv="['true']")
            + STEP.format(name="page", number=it, argv="[curl, -s, -o, /dev/null, 'http://shop/']")
            for it in range(TIMES)
        )
        (place / "x.yml").write_text(f"name: x\nbenign: 1s\nsteps:\n{steps}", encoding="utf-8")
        try:
            for arguments in (("up", NAME), ("run", "./x.yml", "--lab", NAME)):
                command = [sys.executable, "-c", "from lab.cli.entry import entry; entry()", *arguments]
                subprocess.run(command, cwd=place, check=True, capture_output=True)
            run = RunFolder(next((place / "runs").iterdir()))
            report(run)
        finally:
            apply.remove(NAME, engine)
    return 0


def report(run: RunFolder) -> None:
    """Say what was measured."""
    truth = {it.step: it for it in read_truth(run.happened) if it.label == "attack"}
    begun: dict[str, int] = {}
    costs = []
    for it in records.read_lines(run.happened.journal, Entry):
        if it.act == "step" and it.state == "begun":
            begun[it.step] = it.at
        elif it.act == "step":
            life = truth[it.step].end - truth[it.step].start
            costs.append((it.at - begun[it.step] - life) / 1e6)
    sys.stdout.write(
        f"beyond the command, ms: median {statistics.median(costs):.0f},"
        f" p90 {statistics.quantiles(costs, n=10)[8]:.0f}, worst {max(costs):.0f}, {len(costs)} steps\n"
    )
    pages = [it for it in truth.values() if it.name.startswith("page")]
    off = [apart(it, run.noticed.packets / "outside.pcap") for it in pages]
    for what, place in (("before its first packet", 0), ("after its last packet", 1)):
        found = [it[place] for it in off]
        sys.stdout.write(
            f"truth {what}, ms: {min(found):.1f} to {max(found):.1f}, of {len(found)} requests\n"
        )


if __name__ == "__main__":
    sys.exit(main())
