"""Prints the files and processes of this node as JSON, compressed: some nodes have 40,000 files."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import zlib
from collections.abc import Iterator

SKIPPED = {"/proc", "/sys", "/dev"}
BY_TIME = ("/usr/", "/lib/", "/opt/", "/var/lib/apt/", "/var/lib/dpkg/info/", "/var/cache/")
LARGE = 4 * 2**20


def content(path: str, found: os.stat_result) -> str:
    """Return what tells a changed file from an unchanged one."""
    if stat.S_ISLNK(found.st_mode):
        return os.readlink(path)
    if not stat.S_ISREG(found.st_mode):
        return ""
    if path.startswith((*BY_TIME, "/var/log/")) or found.st_size > LARGE:
        return "" if path.startswith("/var/log/") else str(found.st_mtime_ns)
    seen = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while block := file.read(65536):
                seen.update(block)
    except OSError:
        return str(found.st_mtime_ns)
    return seen.hexdigest()[:16]


def paths() -> Iterator[tuple[str, object]]:
    """Yield every path; never held together, for a small node has 16 MB."""
    waiting = ["/"]
    while waiting:
        folder = waiting.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue
        for entry in entries:
            path = entry.path
            if path in SKIPPED:
                continue
            try:
                it = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISDIR(it.st_mode):
                waiting.append(path)
            name = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            size = it.st_size if stat.S_ISREG(it.st_mode) else 0
            owner = f"{it.st_uid}:{it.st_gid}"
            yield name, {"mode": it.st_mode, "owner": owner, "size": size, "content": content(path, it)}


def processes() -> dict[str, str]:
    """List every process but this one and those above it."""
    above, found = {os.getpid()}, {}
    parents = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
                with open(f"/proc/{name}/cmdline", encoding="utf-8", errors="replace") as file:
                    found[name] = file.read().replace("\0", " ").strip()
            except OSError:
                continue
    it = os.getpid()
    while it in parents and it > 1:
        above.add(it)
        it = parents[it]
    return {name: line for name, line in found.items() if int(name) not in above}


def text() -> Iterator[str]:
    """Yield the answer, piece by piece."""
    yield f'{{"processes": {json.dumps(processes())}, "paths": {{'
    for number, (name, entry) in enumerate(paths()):
        yield f"{', ' if number else ''}{json.dumps(name)}: {json.dumps(entry)}"
    yield "}}"


packer = zlib.compressobj()
for piece in text():
    sys.stdout.buffer.write(packer.compress(piece.encode()))
sys.stdout.buffer.write(packer.flush())
