"""Kills `lab` at random moments, a hundred times, and counts what is left, lost or harmed.

Each time one of `up`, `down`, `reset` and `run` is killed with signal 9 after a random time; then
`lab down` has to leave nothing, a run has to keep what it had written, and a container and a network
of somebody else have to be as they were. Run it from a checkout:  .venv/bin/python bench/kills.py 100
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import docker

from lab.detect.alert import read_alerts
from lab.engine.docker import DockerEngine
from lab.errors import LabError
from lab.exercise.journal import Entry
from lab.exercise.truth import read_truth
from lab.files import records
from lab.runs.folder import RunFolder

NAME = f"kills-{os.getpid()}"
INVENTORY = """\
all:
  vars: {lab_networks: {left: {}, right: {}}}
  children:
    plain:
      hosts:
        one: {lab_attach: [left]}
        two: {lab_attach: [left, right]}
        three: {lab_attach: [right]}
"""
SCENARIO = """\
name: look-around
summary: Look around on a node.
benign: 1s
steps:
  - name: Who am I
    technique: T1033
    from: one
    command: {argv: [id]}
    check: {file: {node: one, path: /etc/hostname}}
    revert: none
  - name: What runs
    technique: T1057
    from: two
    command: {argv: [ls, /proc]}
    check: {file: {node: two, path: /etc/hostname}}
    revert: none
"""
LONGEST = {"up": 1.6, "down": 0.9, "reset": 1.2, "run": 3.5}
"""Seconds within which each is killed: about what it takes."""


def lab(*arguments: str, place: Path) -> subprocess.Popen[bytes]:
    """Start a command."""
    command = [sys.executable, "-c", "from lab.cli.entry import entry; entry()", *arguments]
    return subprocess.Popen(command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(*arguments: str, place: Path) -> tuple[int, str]:
    """Run a command to its end; return its exit code and all it said."""
    running = lab(*arguments, place=place)
    out, said = running.communicate(timeout=300)
    return running.returncode, (out + said).decode()


def kill(command: str, after: float, place: Path) -> None:
    """Bring the lab to where the command can begin, begin it, and kill it."""
    if command != "up":
        finish("up", NAME, place=place)
    arguments = {
        "up": ["up", NAME],
        "down": ["down", NAME],
        "reset": ["reset", "--lab", NAME],
        "run": ["run", "look-around", "--lab", NAME],
    }
    running = lab(*arguments[command], place=place)
    time.sleep(after)
    running.kill()
    running.communicate()


def lost(place: Path) -> int:
    """Count the runs whose evidence cannot be read."""
    bad = 0
    for path in sorted((place / "runs").glob("*/run.json")):
        run = RunFolder(path.parent)
        try:
            run.header()
            read_truth(run.happened)
            read_alerts(run.noticed)
            records.read_lines(run.happened.journal, Entry)
        except (ValueError, OSError, LabError):
            bad += 1
    return bad


def main() -> None:
    """Kill, take down, count; write the counts as JSON and end with 1 if any is not 0."""
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    chance = random.Random(20261124)
    counts = {"kills": 0, "leftovers": 0, "lost": 0, "harmed": 0}
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(docker.APIClient()) as client,
        closing(DockerEngine()) as engine,
    ):
        place = Path(folder)
        for shelf, text, name in (("inventories", INVENTORY, NAME), ("scenarios", SCENARIO, "look-around")):
            (place / shelf).mkdir()
            (place / shelf / f"{name}.yml").write_text(text)
        code, said = finish("up", NAME, place=place)
        if code:
            sys.exit(said)
        image = next(node.image for node in engine.observe(NAME).nodes)
        network = client.create_network(f"foreign-{os.getpid()}")["Id"]
        theirs = client.create_container(image, ["sleep", "infinity"], name=f"foreign-{os.getpid()}")["Id"]
        client.start(theirs)
        try:
            for _ in range(times):
                command = chance.choice(sorted(LONGEST))
                after = chance.uniform(0.05, LONGEST[command])
                kill(command, after, place)
                code, said = finish("down", NAME, place=place)
                counts["kills"] += 1
                if code or not engine.observe(NAME).empty:
                    counts["leftovers"] += 1
                    sys.stderr.write(f"{command} killed after {after:.2f} s: {said}\n")
                running = client.inspect_container(theirs)["State"]["Running"]
                counts["harmed"] += not (running and client.inspect_network(network)["Id"] == network)
            counts["lost"] = lost(place)
            counts["runs"] = len(list((place / "runs").glob("*"))) if (place / "runs").exists() else 0
        finally:
            client.remove_container(theirs, force=True)
            client.remove_network(network)
    sys.stdout.write(json.dumps(counts) + "\n")
    sys.exit(any(counts[what] for what in ("leftovers", "lost", "harmed")))


if __name__ == "__main__":
    main()
