"""Plays the same exercise many times on one lab, and says what grows in its nodes, and which verdicts differ.

The lab is the starter lab under a name of its own; it is removed at the end. A run's own records are looked
at for whether it was disturbed. Run it from a checkout:  .venv/bin/python bench/in_a_row.py 100
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Final

from lab.engine.docker import DockerEngine
from lab.files import records
from lab.files.workplace import SHIPPED
from lab.runs.folder import RunFolder
from lab.score.values import Score

NAME: Final = f"in-a-row-{os.getpid()}"

_COUNT: Final = """
ls -d /proc/[0-9]* | wc -l
find / -xdev -type f | wc -l
awk '{pages += $2 - $3} END {print pages}' /proc/[0-9]*/statm 2>/dev/null
"""
"""Processes, files, and pages of memory of their own, of a node; these programs included."""


def main(times: int) -> None:
    """Play, and print what there is after each run."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "inventories").mkdir()
        (place / "scenarios").mkdir()
        starter = SHIPPED.find("inventories", "starter").read_text(encoding="utf-8")
        (place / "inventories" / f"{NAME}.yml").write_text(starter, encoding="utf-8")
        story = SHIPPED.find("scenarios", "ssh-brute-force").read_text(encoding="utf-8")
        quick = story.replace("benign: 30s", "benign: 1s")
        (place / "scenarios" / "quick.yml").write_text(quick, encoding="utf-8")
        lab(place, "up", NAME)
        try:
            _play(place, times)
        finally:
            lab(place, "down", NAME)


def _play(place: Path, times: int) -> None:
    verdicts: Counter[tuple[str, ...]] = Counter()
    states: Counter[str] = Counter()
    with closing(DockerEngine()) as engine:
        say("run", "state", "node:processes/files/MB ...")
        for number in range(times + 1):
            if number:
                lab(place, "run", "quick", "--lab", NAME)
                run = RunFolder(max((place / "runs").iterdir()))
                states[run.header().state] += 1
                score = records.read(run.score, Score)
                verdicts[tuple(step.verdict for step in score.steps)] += 1
            time.sleep(1)
            say(number, *states, *_sizes(engine))
    say("states:", dict(states))
    for found, count in verdicts.most_common():
        say(count, "times", ", ".join(found))


def _sizes(engine: DockerEngine) -> list[str]:
    found = []
    for node in engine.observe(NAME).nodes:
        ran = engine.execute(node, ("sh", "-c", _COUNT))
        processes, files, pages = map(int, ran.stdout.split())
        found.append(f"{node.name}:{processes}/{files}/{pages * 4096 / 2**20:.0f}")
    return found


def say(*words: object) -> None:
    """Write a line at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def lab(place: Path, *arguments: str) -> None:
    """Run a command of ours."""
    code = "from lab.cli.entry import entry; entry()"
    ran = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=place, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        say(arguments, "ended with", ran.returncode, ran.stderr[-500:])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
