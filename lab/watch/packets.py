"""Packets from a file, read by Suricata on this machine: what it tells has the packets' own times."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from lab.errors import BadFile, NotReady, Problem
from lab.files.workplace import SHIPPED
from lab.telemetry.inputs import CHUNK
from lab.telemetry.lines import whole_lines

_LOOK_EVERY: Final = 0.2


def read_with_suricata(path: Path, stop: threading.Event) -> Iterator[bytes]:
    """Give the lines of EVE that Suricata writes of a file of packets.

    Raises:
        NotReady: there is no Suricata on this machine.
        BadFile: it could not read them.
    """
    program = shutil.which("suricata")
    if program is None:
        raise NotReady(
            "packets are read by Suricata, and there is none on the PATH",
            remedy="apt install suricata  brings it",
        )
    role = SHIPPED.roles()["suricata"] / "files"
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".suricata-") as folder:
        read = ("-r", str(path), "-k", "none", "--runmode", "single", "-l", folder)
        settings = ("-c", str(role / "suricata.yaml"), "-S", str(role / "homerange.rules"))
        argv = (program, *read, *settings)
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            errors = bytearray()
            reader = threading.Thread(
                target=lambda: errors.extend(process.stderr.read() if process.stderr else b"")
            )
            reader.start()
            while process.poll() is None:
                if stop.wait(_LOOK_EVERY):
                    process.terminate()
            reader.join()
        if process.returncode and not stop.is_set():
            said = errors.decode("utf-8", "replace").strip().splitlines()
            raise BadFile(
                Problem(path=str(path), line=0, what=f"Suricata cannot read it: {said[-1] if said else ''}")
            )
        eve = Path(folder) / "eve.json"
        if eve.exists():
            with eve.open("rb") as file:
                yield from whole_lines(iter(partial(file.read, CHUNK), b""))
