"""Finds processes of the node beside which this runs, and ends them if it is told to."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time

asked = json.load(sys.stdin)
WAIT = 3.0


def account(name: str) -> int | None:
    """Return the number of an account of the node."""
    with open("/proc/1/root/etc/passwd", encoding="utf-8", errors="replace") as file:
        for line in file:
            fields = line.split(":")
            if fields[0] == name:
                return int(fields[2])
    return None


def read(process: int) -> dict[str, object] | None:
    """Describe a process; None for one that is gone."""
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            line = file.read().replace(b"\0", b" ").strip().decode("utf-8", "backslashreplace")
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            state, parent = file.read().rpartition(")")[2].split()[:2]
        owner = os.stat(f"/proc/{process}").st_uid
        try:
            program = os.readlink(f"/proc/{process}/exe")
        except OSError:
            program = ""
    except OSError:
        return None
    if state == "Z":
        return None
    return {"process": process, "parent": int(parent), "owner": owner, "line": line, "program": program}


def everything() -> dict[int, dict[str, object]]:
    """Describe every process but those of ours: what shares our root is no process of the node."""
    ours = os.stat("/proc/self/root")
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                root = os.stat(f"/proc/{name}/root")
            except OSError:
                continue
            if (root.st_dev, root.st_ino) == (ours.st_dev, ours.st_ino):
                continue
            it = read(int(name))
            if it:
                found[int(name)] = it
    return found


def below(heads: set[int], every: dict[int, dict[str, object]]) -> set[int]:
    """Return processes and all that they started."""
    found, look = set(heads), list(heads)
    while look:
        it = look.pop()
        new = {name for name, one in every.items() if one["parent"] == it} - found
        found |= new
        look += new
    return found


def of_account(every: dict[int, dict[str, object]]) -> set[int]:
    """Return what an account runs: all of it, and its sessions; of root the sessions alone."""
    number = account(asked["user"])
    marks = (
        f"sshd-session: {asked['user']} ",
        f"sshd-session: {asked['user']}@",
        f"sshd: {asked['user']} ",
        f"sshd: {asked['user']}@",
    )
    sessions = below({name for name, it in every.items() if str(it["line"]).startswith(marks)}, every)
    if not number:
        return sessions
    return sessions | {name for name, it in every.items() if it["owner"] == number}


def is_of(it: dict[str, object]) -> bool:
    """Tell whether a process is of the program that is meant, or of a script that it is."""
    return asked["program"] in (it["program"], *str(it["line"]).split(" ")[:2])


def wanted() -> list[dict[str, object]]:
    """Return the processes that are meant, the first one of the node never among them."""
    every = everything()
    if asked["user"]:
        chosen = of_account(every)
    elif asked["process"]:
        chosen = below({asked["process"]} & every.keys(), every)
    else:
        chosen = below({name for name, it in every.items() if is_of(it)}, every)
    return [every[name] for name in sorted(chosen - {1})]


found = wanted()
left = found
if asked["end"]:
    until = time.monotonic() + WAIT
    while left and time.monotonic() < until:
        for it in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(str(it["process"])), signal.SIGKILL)
        time.sleep(0.05)
        left = wanted()
json.dump({"found": found, "left": left}, sys.stdout)
