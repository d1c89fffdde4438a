"""Kills a run of ten steps at random moments, a hundred times; each is resumed or cleaned by turns.

Afterwards truth and journal have to be readable, nothing may be owed, and every node has to be as it was: its
files and its processes. Run it from a checkout:  .venv/bin/python bench/killed_runs.py 100
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lab.engine.docker import DockerEngine
from lab.exercise.atomic.state import State, changes, read_state
from lab.exercise.inside import argv_of
from lab.exercise.recover import read_past
from lab.exercise.truth import read_truth
from lab.provision import apply
from lab.runs.folder import RunFolder

NAME = f"killed-{os.getpid()}"
INVENTORY = """\
all:
  vars: {lab_networks: {left: {}}}
  children:
    plain: {hosts: {one: {lab_attach: [left]}, two: {lab_attach: [left]}}}
"""
STEP = """\
  - name: Step {number}
    technique: T1105
    from: {node}
    repeatable: {repeatable}
    command:
      argv: [sh, -c, "echo {number} >> /tmp/step-{number}; sleep 0.3; mkdir -p /tmp/folder-{number}"]
    check: {{file: {{node: {node}, path: /tmp/step-{number}}}}}
    revert: {{node: {node}, argv: [rm, -rf, /tmp/step-{number}, /tmp/folder-{number}]}}
"""
LONGEST = 9.0
"""Seconds within which it is killed: about what a run takes."""


def finish(*arguments: str, place: Path) -> tuple[int, str]:
    """Run a command to its end; return its exit code and all it said."""
    command = [sys.executable, "-c", "from lab.cli.entry import entry; entry()", *arguments]
    ran = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300, check=False)
    return ran.returncode, ran.stdout + ran.stderr


def states(engine: DockerEngine) -> dict[str, State]:
    """Look at every node."""
    return {
        node.name: read_state(engine.execute(node, argv_of("look"))) for node in engine.observe(NAME).nodes
    }


def kill(after: float, place: Path) -> Path:
    """Begin a run, and kill it; return its folder."""
    command = [sys.executable, "-c", "from lab.cli.entry import entry; entry()"]
    before = set((place / "runs").glob("*"))
    running = subprocess.Popen(
        [*command, "run", "./ten.yml", "--lab", NAME],
        cwd=place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(after)
    running.kill()
    running.wait()
    made = set((place / "runs").glob("*")) - before
    return made.pop() if made else Path()


def wrong(run: Path, engine: DockerEngine, before: dict[str, State]) -> list[str]:
    """Say what is not as it should be once a run was resumed or cleaned."""
    found = [f"{it.step} is owed" for it in read_past(RunFolder(run).happened).owed]
    found += [] if read_truth(RunFolder(run).happened) else ["no truth was written"]
    after = states(engine)
    return found + [f"{node}: {it}" for node in before for it in changes(before[node], after[node])]


def main(times: int, seed: int) -> int:
    """Kill it so often; return how many times something was not as it should be."""
    chance, engine, failed, begun = random.Random(seed), DockerEngine(), 0, 0
    counts = {"resume": 0, "clean": 0}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "inventories").mkdir()
        (place / "inventories" / f"{NAME}.yml").write_text(INVENTORY, encoding="utf-8")
        steps = "".join(
            STEP.format(number=it, node=("one", "two")[it % 2], repeatable=str(it % 3 != 0).lower())
            for it in range(1, 11)
        )
        (place / "ten.yml").write_text(f"name: ten\nbenign: 0s\nsteps:\n{steps}", encoding="utf-8")
        try:
            finish("up", NAME, place=place)
            before = states(engine)
            for _ in range(times):
                after = chance.uniform(0.8, LONGEST)
                run = kill(after, place)
                if not (run / "run.json").exists():
                    continue  # killed before the run began: there is nothing to finish
                begun += 1
                how = ("resume", "clean")[begun % 2]
                code, said = finish(how, run.name, "--lab", NAME, place=place)
                counts[how] += code in {0, 4}
                if found := wrong(run, engine, before):
                    failed += 1
                    sys.stdout.write(f"killed after {after:.2f} s, {how} {code}: {found}\n{said[-300:]}\n")
        finally:
            apply.remove(NAME, engine)
    sys.stdout.write(
        f"{times} kills, {begun} of a run that had begun: {counts['resume']} resumed,"
        f" {counts['clean']} cleaned, {begun - sum(counts.values())} had come to their end;"
        f" {failed} not as before\n"
    )
    return failed


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1))  # noqa: PLR2004  # a seed
