"""Plays the exercises that ship, so often in a row on one lab, and writes what was detected as a table.

    .venv/bin/python bench/library.py 2                    # all of them, twice
    .venv/bin/python bench/library.py 1 recon flood        # these, once

Each lab is stood up once, and removed at the end. Exit code 1: a step had no effect, a run was disturbed, or
something was left.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Final

from lab.exercise.scenario import inventory_of
from lab.files import records
from lab.files.workplace import SHIPPED
from lab.runs.folder import RunFolder
from lab.score.values import Score
from lab.score.vocabulary import DETECTED

_HEAD: Final = (
    "| Exercise | steps | detected | missed: events | missed: none | no effect | false alarms | took | run |"
)


def lab(*arguments: str) -> bool:
    """Run a command; what it says goes to the terminal's error output. Tell whether it did what it should."""
    code = "from lab.cli.entry import entry; entry()"
    argv = [sys.executable, "-c", code, *arguments]
    return subprocess.run(argv, check=False, stdout=subprocess.DEVNULL).returncode == 0


def row(name: str, run: RunFolder, took: float) -> tuple[str, bool]:
    """Write a line of the table, and tell whether the run was whole and each step had its effect."""
    score = records.read(run.score, Score)
    of = Counter(it.verdict for it in score.steps)
    found = sum(of[it] for it in DETECTED)
    idle = of["no_effect"] + of["unverified"] + of["not_run"]
    missed = f"{of['telemetry_only']} | {of['no_telemetry']}"
    false = score.false_positives.count
    state = run.header().state
    line = (
        f"| `{name}` | {len(score.steps)} | {found} | {missed} | {idle} | {false} | {took:.0f} s | {state} |"
    )
    return line, not idle and state == "done"


def main() -> int:
    """Play all of them."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    wanted = set(sys.argv[2:])
    folder = SHIPPED.find("scenarios", "recon").parent
    by_lab: dict[str, list[str]] = {}
    for path in sorted(folder.glob("*.yml")):
        if not wanted or path.stem in wanted:
            by_lab.setdefault(inventory_of(path), []).append(path.stem)
    lines, whole = [], True
    for inventory, names in by_lab.items():
        whole = lab("up", inventory) and whole
        try:
            for name in names * times:
                begun = time.monotonic()
                lab("run", name, "--lab", inventory)
                run = RunFolder(max(Path("runs").glob(f"*-{name}")))
                line, all_of_it = row(name, run, time.monotonic() - begun)
                lines.append(line)
                whole = whole and all_of_it
        finally:
            whole = lab("down", inventory) and whole
    sys.stdout.write("\n".join((_HEAD, "|---|--:|--:|--:|--:|--:|--:|--:|---|", *lines)) + "\n")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
