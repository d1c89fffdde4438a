"""Disturbs a run in many ways; its state and its report have to tell, and `down` has to leave nothing.

Root and an engine on this machine are needed; the engine is restarted as
well, which other labs notice. Run it from a checkout:  .venv/bin/python bench/disturbed.py
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from lab.files.workplace import SHIPPED
from lab.runs.folder import RunFolder
from lab.watch.collection import read_collection

NAME: Final = f"disturbed-{os.getpid()}"
SCENARIO: Final = """\
name: slow
summary: Guess slowly.
benign: 1s
steps:
  - name: Look for services
    technique: T1046
    from: attacker
    nmap: {target: bastion, ports: 1-1000, arguments: -sT -n -Pn}
    check: {counter: {node: bastion, counter: Tcp.OutRsts, at_least: 500}}
    revert: none
  - name: Wait
    from: attacker
    wait: {seconds: 4}
  - name: Look again
    technique: T1046
    from: attacker
    nmap: {target: bastion, ports: 1-1000, arguments: -sT -n -Pn}
    check: {counter: {node: bastion, counter: Tcp.OutRsts, at_least: 500}}
    revert: none
"""
NODES: Final = ("attacker", "bastion", "shop", "desk", "sensor")
FILL: Final = "dd if=/dev/zero of=/var/log/suricata/fill bs=1M count=200"

ENGINE: Final = (
    "set -- $(tr '\\0' ' ' </proc/$(cat /var/run/docker.pid)/cmdline); "
    "kill $(cat /var/run/docker.pid); sleep 3; "
    'setsid "$@" >/dev/null 2>&1 </dev/null & sleep 6'
)
"""Restarts a daemon that nobody supervises; with systemd one would ask that."""

WAYS: Final = {
    **{f"{node} removed": f"docker rm -f lab-{NAME}-{node}" for node in NODES},
    **{f"{node} killed": f"docker kill lab-{NAME}-{node}" for node in ("bastion", "sensor", "attacker")},
    **{f"{node} paused": f"docker pause lab-{NAME}-{node}" for node in ("bastion", "desk", "sensor")},
    "paused for a moment": f"docker pause lab-{NAME}-bastion; sleep 0.2; docker unpause lab-{NAME}-bastion",
    "sensor filled": f"docker exec lab-{NAME}-sensor {FILL}",
    "sensor's log taken away": f"docker exec lab-{NAME}-sensor sh -c 'rm /var/log/suricata/eve.json'",
    "sensor halted": f"docker kill -s STOP lab-{NAME}-sensor",
    "log daemon stopped": f"docker exec lab-{NAME}-bastion pkill -KILL rsyslogd",
    "log of programs cut": f"docker exec lab-{NAME}-bastion sh -c 'rm /etc/ld.so.preload'",
    "network of somebody else": f"docker network connect bridge lab-{NAME}-shop",
    "network taken away": f"docker network disconnect lab-{NAME}-outside lab-{NAME}-shop",
    "limits changed": f"docker update --cpus 0.1 lab-{NAME}-shop",
    "clock set back": "date -s '-17 seconds' >/dev/null; sleep 1; date -s '+17 seconds' >/dev/null",
    "another run": f"LAB run slow --lab {NAME} || true",
    "reset": f"LAB reset bastion --lab {NAME} || true",
    "engine restarted": ENGINE,
    "terminal closed": "HUP",
    "killed": "KILL",
    "down": f"LAB down {NAME}",
}
UNDISTURBED: Final = ("another run", "reset")
"""What is refused leaves the run as it should be."""


def main() -> None:
    """Disturb a run in each way, and say what it tells."""
    ways = dict(WAYS)
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "inventories").mkdir()
        (place / "scenarios").mkdir()
        starter = SHIPPED.find("inventories", "starter").read_text(encoding="utf-8")
        (place / "inventories" / f"{NAME}.yml").write_text(starter, encoding="utf-8")
        (place / "scenarios" / "slow.yml").write_text(SCENARIO, encoding="utf-8")
        try:
            for what, how in ways.items():
                wrong += not _told(place, what, how)
        finally:
            lab(place, "down", NAME)
    say(f"{len(ways)} ways, {wrong} not told")
    sys.exit(bool(wrong))


def _told(place: Path, what: str, how: str) -> bool:
    lab(place, "up", NAME)
    run = begin(place, "run", "slow", "--lab", NAME)
    time.sleep(5.5)
    if how in {"HUP", "KILL"}:
        run.send_signal(signal.SIGHUP if how == "HUP" else signal.SIGKILL)
    else:
        program = f"{sys.executable} -c 'from lab.cli.entry import entry; entry()'"
        subprocess.run(["sh", "-c", how.replace("LAB", program)], cwd=place, capture_output=True, check=False)
    _, said = run.communicate(timeout=120)
    made = RunFolder(max((place / "runs").iterdir(), key=lambda it: it.stat().st_mtime_ns))
    state, seen = made.header().state, read_collection(made.noticed)
    wanted = {"HUP": {"stopped"}, "KILL": {"running"}}.get(how, {"degraded", "stopped"})
    if what in UNDISTURBED:
        wanted = {"done"}
    if what == "down":
        wanted = {"stopped"}
    named = [*map(str, seen.disturbances), *map(str, seen.blind)]
    good = state in wanted and (bool(named) or state != "degraded") and "Traceback" not in said
    say("ok  " if good else "MISS", what, "|", state, run.returncode, "|", "; ".join(named)[:200])
    lab(place, "down", NAME)
    left = subprocess.run(
        ["sh", "-c", f"docker ps -a --format '{{{{.Names}}}}' | grep {NAME}; pgrep -fa '[n]map -' || true"],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    if left.strip():
        say("    left:", left.strip()[:200])
    return good and not left.strip()


def say(*words: object) -> None:
    """Write a line at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def begin(place: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a command of ours."""
    heeding = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)"
    code = f"{heeding}; from lab.cli.entry import entry; entry()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def lab(place: Path, *arguments: str) -> None:
    """Run a command of ours to its end."""
    begin(place, *arguments).communicate()


if __name__ == "__main__":
    main()
