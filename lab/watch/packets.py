"""Packets from a file, read by Suricata on this machine: what it tells has the packets' own times."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from lab.errors import BadFile, NotReady, Problem
from lab.files.workplace import SHIPPED
from lab.telemetry.inputs import CHUNK, whole_lines

_LOOK_EVERY: Final = 0.2

AS_FILE: Final = ("-k", "none", "--runmode", "single")
"""Checksums that a network card would have filled in are not looked at; one thread keeps the order."""

UNREADABLE: Final = "E: pcap: (?!error code)"
"""How Suricata says that a file is none of packets, for `re` and `grep -P` alike.

It then waits for a minute for itself, so nobody does. Of a file whose end is missing it says
`error code`, and has read all packets before: that is no reason to stop it.
"""


def unreadable(name: str, errors: bytes, code: int) -> BadFile:
    """Say that Suricata could not read a file of packets, in its last words."""
    said = errors.decode("utf-8", "replace").strip().splitlines() or [f"it ended with {code}"]
    return BadFile(Problem(path=name, line=0, what=f"Suricata cannot read it: {said[-1]}"))


def read_with_suricata(path: Path, name: str, stop: threading.Event) -> Iterator[bytes]:
    """Give the lines of EVE that Suricata writes of a file of packets.

    Args:
        path: The packets.
        name: What the user calls them.
        stop: Set when the user does not want to wait any more.

    Raises:
        NotReady: there is no Suricata on this machine.
        BadFile: it could not read them.
    """
    program = shutil.which("suricata")
    if program is None:
        raise NotReady(
            "packets are read by Suricata: no engine answers that could run it, and none is on the PATH",
            remedy="lab doctor --fix  brings an engine,  apt install suricata  the other",
        )
    role = SHIPPED.roles()["suricata"] / "files"
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".suricata-") as folder:
        read = ("-r", str(path), *AS_FILE, "-l", folder)
        settings = ("-c", str(role / "suricata.yaml"), "-S", str(role / "homerange.rules"))
        argv = (program, *read, *settings)
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            errors = bytearray()
            reader = threading.Thread(target=deque, args=(map(errors.extend, process.stderr or ()), 0))
            reader.start()
            while process.poll() is None:
                if stop.wait(_LOOK_EVERY) or re.search(UNREADABLE.encode(), errors):
                    process.kill()
            reader.join()
        if process.returncode and not stop.is_set():
            raise unreadable(name, bytes(errors), process.returncode)
        eve = Path(folder) / "eve.json"
        if eve.exists():
            with eve.open("rb") as file:
                yield from whole_lines(iter(partial(file.read, CHUNK), b""))
