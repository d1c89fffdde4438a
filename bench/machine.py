"""A node as a machine beside the same node as a container: what it costs, and what it lets one see.

    python bench/machine.py [--exercise]

Makes the starter lab twice in a folder of its own, its bastion a container and then a machine, and shows
each figure of both, side by side. With --exercise it plays `ssh-brute-force` in both, and compares verdicts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from lab.engine.docker import DockerEngine
from lab.engine.nodes import SeenNode
from lab.files.workplace import SHIPPED

STARTER = SHIPPED.find("inventories", "starter").read_text(encoding="utf-8")
PLACED = "{bastion: {lab_attach: [outside, inside]}}"
FORMS = {
    "container": STARTER,
    "machine": STARTER.replace(PLACED, PLACED.replace("]}}", "], machine: {memory: 256m}}}")),
}
PLUGINS = ("linux.pslist.PsList", "linux.bash.Bash", "linux.sockstat.Sockstat")
TYPED = "python3 -c 'import socket, time; s = socket.create_server((\"\", 4455)); time.sleep(999)' &"
IDLE = 20
"""Seconds over which a node that does nothing is watched; the person at work is stopped for that."""


def lab(folder: Path, *words: str) -> str:
    """Type a command."""
    argv = [sys.executable, "-c", "from lab.cli.entry import entry; entry()", *words]
    ran = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"lab {' '.join(words)} ended with {ran.returncode}: {ran.stdout}{ran.stderr}")
    return ran.stdout


def seconds(what: Callable[[], object]) -> float:
    """Take the time."""
    begun = time.monotonic()
    what()
    return time.monotonic() - begun


def measured(form: str, folder: Path, engine: DockerEngine, *, exercise: bool) -> dict[str, Any]:
    """Make the lab in one form, warm, and measure the bastion."""
    (folder / "inventories").mkdir(exist_ok=True)
    (folder / "inventories" / "beside.yml").write_text(FORMS[form], encoding="utf-8")
    lab(folder, "up", "beside")
    lab(folder, "down", "beside")
    found: dict[str, Any] = {"up, warm, s": seconds(lambda: lab(folder, "up", "beside"))}
    try:
        nodes = {it.name: it for it in engine.observe("beside").nodes}
        found |= _costs(engine, nodes["bastion"], nodes["desk"])
        if exercise:
            lab(folder, "run", "ssh-brute-force", "--lab", "beside", "--seed", "7")
            score = json.loads(lab(folder, "score", "last", "--format", "json"))
            found["verdicts"] = " ".join(it["verdict"] for it in score["steps"])
        found |= _evidence(form, folder, engine)
    finally:
        found["down"] = lab(folder, "down", "beside").splitlines()[-1].split("\t")[1] + " left"
    return found


def _costs(engine: DockerEngine, node: SeenNode, person: SeenNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    engine.stop_node(person)
    time.sleep(3)
    first = engine.vitals(node)
    time.sleep(IDLE)
    last = engine.vitals(node)
    found["memory, MB"] = last.memory / 2**20
    busy = (last.processor - first.processor) / (last.measured - first.measured)
    found["processor when idle, %"] = 100 * busy
    found["a command, s"] = seconds(lambda: engine.execute(node, ("true",)))
    found["python3 starts, s"] = seconds(lambda: engine.execute(node, ("python3", "-c", "import json")))
    engine.start_node(person)
    return found


def _evidence(form: str, folder: Path, engine: DockerEngine) -> dict[str, Any]:
    ssh = ("sshpass", "-p", "summer2026", "ssh", "-tt", "-o", "StrictHostKeyChecking=no", "maria@bastion")
    attacker = engine.observe("beside").node("attacker")
    if attacker is None:
        raise SystemExit("the attacker is gone")
    typing = subprocess.Popen(
        ["docker", "exec", "-i", attacker.id, *ssh], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    if typing.stdin:
        typing.stdin.write(f"{TYPED}\n".encode())
        typing.stdin.flush()
    time.sleep(6)
    lab(folder, "watch", "--lab", "beside", "--for", "1")
    begun = time.monotonic()
    told = lab(folder, "evidence", "bastion", "--lab", "beside").splitlines()[0]
    found: dict[str, Any] = {"evidence, s": time.monotonic() - begun}
    typing.kill()
    typing.communicate()
    if form == "machine":
        manifest = json.loads((Path(told) / "manifest.json").read_text(encoding="utf-8"))
        found["stood still, s"] = manifest["stood_still"]
        lab(folder, "evidence", "symbols")
        for plugin in PLUGINS:
            found |= _read(plugin, folder, Path(told) / "memory.elf")
    return found


def _read(plugin: str, folder: Path, memory: Path) -> dict[str, Any]:
    program = Path(sys.executable).with_name("vol")
    argv = [str(it) for it in (program, "-q", "-r", "json", "-s", folder / "symbols", "-f", memory, plugin)]
    begun = time.monotonic()
    ran = subprocess.run(argv, capture_output=True, text=True, check=True)
    took = time.monotonic() - begun
    rows = json.loads(ran.stdout[ran.stdout.index("[") :])
    ours = [it for it in rows if "4455" in json.dumps(it) or it.get("COMM") == "python3"]
    return {f"{plugin}": f"{took:.1f} s, {len(rows)} rows, {len(ours)} of ours"}


def main() -> None:
    """Measure both, and show them."""
    exercise = "--exercise" in sys.argv
    with closing(DockerEngine()) as engine, tempfile.TemporaryDirectory() as folder:
        both = {form: measured(form, Path(folder), engine, exercise=exercise) for form in FORMS}
    for what in dict.fromkeys([*both["container"], *both["machine"]]):
        values = [both[form].get(what, "-") for form in FORMS]
        shown = [f"{it:.2f}" if isinstance(it, float) else str(it) for it in values]
        ratio = ""
        if all(isinstance(it, float) and it > 0 for it in values):
            ratio = f"{values[1] / values[0]:.1f} x"
        sys.stdout.write("\t".join((what, *shown, ratio)) + "\n")


if __name__ == "__main__":
    main()
