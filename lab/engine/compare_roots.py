"""Runs in a machine, with its disk as baked for root: prints what of the node's own files is not as there.

Prints JSON: pairs of a path and 0 for changed, 1 for added, 2 for removed, as Docker numbers them.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

OWN = "/proc/1/root"
"""Where the node's own files are."""


def traits(found: os.stat_result, path: str) -> tuple[object, ...]:
    """Return what a file is known by; of a folder, who may do what, since its times always change."""
    known = (found.st_mode, found.st_uid, found.st_gid)
    if stat.S_ISREG(found.st_mode):
        return (*known, found.st_size, found.st_mtime_ns // 10**9)
    return (*known, str(Path(path).readlink())) if stat.S_ISLNK(found.st_mode) else known


def entries(folder: str, device: int) -> dict[str, os.stat_result]:
    """List what is in a folder of one file system; what is mounted there belongs to another."""
    try:
        names = [it.name for it in Path(folder).iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    found = {}
    for name in names:
        try:
            told = os.lstat(f"{folder}/{name}")
        except FileNotFoundError:
            continue  # it went between the two looks
        if told.st_dev == device:
            found[name] = told
    return found


def differences(folder: str, own: int, baked: int) -> Iterator[tuple[str, int]]:
    """Compare a folder with what it was."""
    now, then = entries(f"{OWN}{folder}", own), entries(folder or "/", baked)
    for name in now.keys() | then.keys():
        path = f"{folder}/{name}"
        if name not in then:
            yield path, 1
        elif name not in now:
            if not os.path.ismount(f"{OWN}{path}"):
                yield path, 2
        elif traits(now[name], f"{OWN}{path}") != traits(then[name], path):
            yield path, 0
        if name in now and stat.S_ISDIR(now[name].st_mode):
            yield from differences(path, own, baked)


def main() -> None:
    """Compare everything."""
    own, baked = os.lstat(OWN + "/").st_dev, os.lstat("/").st_dev
    ours = {"/lost+found", "/.dockerenv"}
    json.dump([it for it in differences("", own, baked) if it[0] not in ours], sys.stdout)


if __name__ == "__main__":
    main()
