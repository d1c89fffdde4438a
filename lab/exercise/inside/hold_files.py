"""Takes files, or lines of them, out of the node beside which this runs, and puts them back as they were."""

from __future__ import annotations

import base64
import json
import os
import stat
import sys

asked = json.load(sys.stdin)
os.chroot("/proc/1/root")
os.chdir("/")
MOST = 8 * 2**20


def described(path: str) -> dict[str, object]:
    """Read a file with all that makes it what it is."""
    it = os.lstat(path)
    kept = {"path": path, "mode": it.st_mode, "owner": it.st_uid, "group": it.st_gid, "content": ""}
    kept["changed"] = it.st_mtime_ns
    if stat.S_ISDIR(it.st_mode):
        return kept
    if stat.S_ISLNK(it.st_mode):
        return {**kept, "content": os.readlink(path)}
    with open(path, "rb") as file:
        return {**kept, "content": base64.b64encode(file.read()).decode()}


def whole(paths: list[str]) -> list[str]:
    """Return the files that paths mean: what is below a folder as well, the deepest first."""
    found = []
    for path in paths:
        if os.path.islink(path) or not os.path.isdir(path):
            found += [path] if os.path.lexists(path) else []
            continue
        for folder, folders, files in os.walk(path, topdown=False):
            found += [os.path.join(folder, name) for name in files]
            links = [os.path.join(folder, name) for name in folders]
            found += [it for it in links if os.path.islink(it)]
            found.append(folder)
    return found


def take(path: str) -> None:
    """Take out a file, a folder that is empty by now, or the lines that are meant."""
    if stat.S_ISDIR(os.lstat(path).st_mode):
        os.rmdir(path)
        return
    if not asked["line"]:
        os.unlink(path)
        return
    mark = asked["line"].encode()
    with open(path, "rb") as file:
        lines = file.readlines()
    left = [line for line in lines if mark not in line]
    with open(path, "wb") as file:
        file.writelines(left)


def put(kept: dict[str, object]) -> None:
    """Put back what was taken out."""
    path, mode = str(kept["path"]), int(str(kept["mode"]))
    if stat.S_ISDIR(mode):
        os.makedirs(path, exist_ok=True)
    elif stat.S_ISLNK(mode):
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink(str(kept["content"]), path)
    else:
        with open(path, "wb") as file:
            file.write(base64.b64decode(str(kept["content"])))
    os.chown(path, int(str(kept["owner"])), int(str(kept["group"])), follow_symlinks=False)
    if not stat.S_ISLNK(mode):
        os.chmod(path, stat.S_IMODE(mode))


def as_it_was(kept: dict[str, object]) -> None:
    """Give a path the time that it had."""
    os.utime(str(kept["path"]), ns=(int(str(kept["changed"])),) * 2, follow_symlinks=False)


def has_line(path: str) -> bool:
    """Tell whether a file has a line that is meant."""
    try:
        with open(path, "rb") as file:
            return asked["line"].encode() in file.read()
    except OSError:
        return False


def known(path: str) -> bool:
    """Tell whether a path is of a sort that can be put back: a file, a folder or a link."""
    mode = os.lstat(path).st_mode
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)


kept: list[dict[str, object]] = []
odd: list[str] = []
meant = [it for it in asked["paths"] if has_line(it)] if asked["line"] else whole(asked["paths"])
if asked["do"] == "look":
    odd = [f"{it} is no file, folder or link" for it in meant if not known(it)]
    size = sum(os.lstat(it).st_size for it in meant)
    if size > MOST:
        odd.append(f"it has {size} bytes, and {MOST} can be kept to be put back")
    kept = [] if odd else [described(it) for it in meant]
elif asked["do"] == "take":
    for it in meant:
        take(it)
else:
    for one in reversed(asked["kept"]):
        put(one)
    for one in asked["kept"]:  # what was put into a folder has changed its time
        as_it_was(one)
left = [it for it in asked["paths"] if (has_line(it) if asked["line"] else os.path.lexists(it))]
json.dump({"kept": kept, "left": left, "odd": odd}, sys.stdout)
