"""Three responders to the mock breach, scripted: a good, a lazy and a reckless one. Shows their grades.

    lab up office
    python bench/respond.py

Each plays `lab run mock-breach --respond` once, in the folder that it is started in; that takes a quarter of
an hour for all three. What they do is what a person would type.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

RUNS = Path("runs")
PARTS = (
    *("preparation", "identification", "containment", "evidence", "eradication", "recovery"),
    "lessons learned",
)


def lab(*words: str, code: int | None = 0) -> str:
    """Type a command."""
    argv = [sys.executable, "-c", "from lab.cli.entry import entry; entry()", *words]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    if code is not None and ran.returncode != code:
        raise SystemExit(f"lab {' '.join(words)} ended with {ran.returncode}: {ran.stdout}{ran.stderr}")
    return ran.stdout


def lines(run: str, name: str) -> list[dict[str, Any]]:
    """Read a file of a run."""
    path = RUNS / run / name
    return [json.loads(it) for it in path.read_text().splitlines() if it] if path.exists() else []


def until(holds: Callable[[], object], seconds: float) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            raise SystemExit("the run did not come so far")
        time.sleep(0.5)


def findings(run: str) -> None:
    """Write a finding of each technique that an alert names, with an event that shows it."""
    seen: set[str] = set()
    for it in lines(run, "alerts.jsonl"):
        host = next((one for one in it["entities"].get("host.name", ()) if one != "sensor"), "")
        account = next(iter(it["entities"].get("user.name", ())), "")
        for technique in it["techniques"]:
            if technique in seen or not host:
                continue
            seen.add(technique)
            said = ["--host", host, "--technique", technique, "--time", it["first_event"]]
            said += ["--account", account] if account else []
            lab("case", "finding", *said, "--event", it["event_ids"][0], it["title"], "--run", run)


def good(run: str) -> None:
    """Secure, shut every way, remove what was left, explain what is not from there, write it all down."""
    lab("case", "open", run, "--alert", lines(run, "alerts.jsonl")[0]["id"])
    for node in ("shop", "gateway", "files"):
        lab("evidence", node, "--run", run)
    act = ("respond",)
    for words in (
        ("block", "shop", "--address", "attacker"),
        ("block", "gateway", "--address", "attacker"),
        ("lock", "gateway", "--user", "jens"),
        ("remove", "shop", "/srv/shop/public/uploads/spring.php", "/tmp/.centreon_module"),
        ("remove", "gateway", "/etc/cron.d/centreon", "/etc/systemd/system/syslogd.service", "/tmp/.t"),
        ("remove", "gateway", "/root/.ssh/authorized_keys", "--line", "intruder"),
        ("remove", "files", "/tmp/.b"),
    ):
        lab(*act, *words, "--run", run, code=None)
    findings(run)
    attacker = next(iter(json.loads((RUNS / run / "lab.json").read_text())["nodes"][1]["addresses"].values()))
    event = lines(run, "alerts.jsonl")[0]["event_ids"][0]
    lab("case", "finding", "--address", attacker, "--event", event, "all of it came from here", "--run", run)
    known = "/etc/passwd, /home/tom and /home/admin: the administrator's work of today, asked and agreed"
    lab("case", "note", known, "--run", run)
    time.sleep(8)
    lab("case", "close", "contained", "--run", run)


def lazy(run: str) -> None:
    """Look, and go home."""
    lab("case", "open", run)
    lab("case", "close", "--run", run)


def reckless(run: str) -> None:
    """Make everything anew at once, cut the servers off, and name whatever has a name."""
    lab("case", "open", run)
    for node in ("shop", "gateway", "files"):
        lab("respond", "restore", node, "--run", run)
    lab("respond", "isolate", "shop", "--network", "outside", "--run", run)
    event = lines(run, "alerts.jsonl")[0]["event_ids"][0]
    for host in ("shop", "gateway", "files", "post", "dns", "admin", "clerk", "developer"):
        for account in ("root", "jens", "maria", "tom", "admin"):
            lab("case", "finding", "--host", host, "--account", account, "--event", event, "--run", run)
    lab("case", "close", "--run", run)


def play(responder: Callable[[str], None], words: Sequence[str]) -> dict[str, Any]:
    """Let somebody respond, and return their grade."""
    before = {it.name for it in RUNS.glob("*")}
    argv = [
        sys.executable,
        "-c",
        "from lab.cli.entry import entry; entry()",
        "run",
        "mock-breach",
        "--respond",
    ]
    running = subprocess.Popen([*argv, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until(lambda: {it.name for it in RUNS.glob("*")} - before, 60)
    (run,) = {it.name for it in RUNS.glob("*")} - before
    last = "remove-what-was-gathered"
    until(lambda: any(last in it["step"] for it in lines(run, "truth.jsonl")), 400)
    responder(run)
    _, said = running.communicate(timeout=900)
    if running.returncode:
        raise SystemExit(f"the run ended with {running.returncode}: {said}")
    found: dict[str, Any] = json.loads(lab("grade", run, "--format", "json"))
    return found


def main() -> None:
    """Play all three, and show their grades side by side."""
    found = {
        "good": play(good, ("--playbook", "web-shell")),
        "lazy": play(lazy, ()),
        "reckless": play(reckless, ()),
    }
    sys.stdout.write("part\t" + "\t".join(found) + "\n")
    for place, part in enumerate(PARTS):
        sys.stdout.write(
            f"{part}\t" + "\t".join(f"{it['parts'][place]['value']:.2f}" for it in found.values()) + "\n"
        )
    for name, grade in found.items():
        sys.stdout.write(f"{name}: {json.dumps(grade['times'])} {grade['run']}\n")


if __name__ == "__main__":
    main()
