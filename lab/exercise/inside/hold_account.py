"""Shuts and opens the doors of an account of the node beside which this runs; reads how they are."""

from __future__ import annotations

import json
import os
import sys

asked = json.load(sys.stdin)
os.chroot("/proc/1/root")
os.chdir("/")
SHADOW = "/etc/shadow"
PASSWORD, EXPIRES = 1, 7
GONE = "1"  # a day in 1970: neither a password nor a key opens an account that has expired (shadow(5))


def entry() -> list[str] | None:
    """Return the account's line."""
    with open(SHADOW, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields = line.rstrip("\n").split(":")
            if fields[0] == asked["user"]:
                return fields
    return None


def write(fields: list[str]) -> None:
    """Put the line in the place of the one that is there; readers see the old file or the new one."""
    with open(SHADOW, encoding="utf-8", errors="surrogateescape") as file:
        lines = [":".join(fields) + "\n" if it.split(":")[0] == fields[0] else it for it in file]
    was = os.stat(SHADOW)
    with open(SHADOW + ".new", "w", encoding="utf-8", errors="surrogateescape") as file:
        os.fchmod(file.fileno(), was.st_mode & 0o777)
        os.fchown(file.fileno(), was.st_uid, was.st_gid)
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    os.replace(SHADOW + ".new", SHADOW)


found = entry()
if found is None:
    json.dump({"there": False, "password": "", "expires": "", "shut": []}, sys.stdout)
    sys.exit()
kept = {"password": found[PASSWORD], "expires": found[EXPIRES]}
if asked["do"] == "shut":
    if "password" in asked["doors"] and not found[PASSWORD].startswith("!"):
        found[PASSWORD] = "!" + found[PASSWORD]
    if "key" in asked["doors"]:
        found[EXPIRES] = GONE
    write(found)
elif asked["do"] == "open":
    found[PASSWORD], found[EXPIRES] = asked["password"], asked["expires"]
    write(found)
shut = [
    name
    for name, is_shut in (
        ("password", found[PASSWORD].startswith(("!", "*"))),
        ("key", found[EXPIRES] == GONE),
    )
    if is_shut
]
json.dump({"there": True, **kept, "shut": shut}, sys.stdout)
