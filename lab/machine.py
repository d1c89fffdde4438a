"""Is this machine ready for a lab? Every precondition with its cause and its remedy."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from lab import content
from lab.definition import Lab
from lab.engine.base import Engine
from lab.errors import NotReady

_OLDEST: Final = (20, 10)
"""The oldest engine this is tried with."""

_DISK: Final = 3 * 2**30
"""Free bytes wanted where images are kept: the starter lab's images take about 1.5 GB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One precondition."""

    name: str
    """What is looked at."""

    ready: bool
    """Whether it is as it should be."""

    found: str
    """What is there."""

    remedy: str = ""
    """What to do when it is not."""


def examine(connect: Callable[[], Engine], lab: Lab | None = None) -> tuple[Check, ...]:
    """Look at every precondition.

    Args:
        connect: Gives the engine, or raises NotReady.
        lab: What is to run, for its needs; None for what every lab needs.
    """
    try:
        engine = connect()
    except NotReady as error:
        return (Check(name="engine", ready=False, found=error.what, remedy=error.remedy), *_tools())
    return (*_engine(engine), *_resources(engine, lab), *_tools(), *_leftovers(engine))


def _engine(engine: Engine) -> Iterator[Check]:
    told = engine.about()
    parts = tuple(int(part) for part in told.version.split(".")[:2] if part.isdecimal())
    yield Check(
        name="engine",
        ready=told.name != "Docker" or parts >= _OLDEST,
        found=f"{told.name} {told.version}",
        remedy=f"Docker {_OLDEST[0]}.{_OLDEST[1]} or later is needed",
    )


def _resources(engine: Engine, lab: Lab | None) -> Iterator[Check]:
    wanted = sum(node.kind.memory for node in lab.nodes) if lab else 2**30
    free = psutil.virtual_memory().available
    yield Check(
        name="memory",
        ready=free >= wanted,
        found=f"{free // 2**20} MB free, the nodes may use {wanted // 2**20} MB",
        remedy="close other programs, or take nodes out of the inventory",
    )
    storage = Path(engine.about().storage)
    if storage.exists():  # it does not when the engine runs in a virtual machine, as on macOS
        disk = shutil.disk_usage(storage).free
        yield Check(
            name="disk",
            ready=disk >= _DISK,
            found=f"{disk / 2**30:.1f} GB free in {storage}",
            remedy=f"{_DISK // 2**30} GB are wanted; lab prune  removes images that are not used",
        )
    here = os.access(Path.cwd(), os.W_OK)
    yield Check(
        name="this folder",
        ready=here,
        found=f"{Path.cwd()} is {'writable' if here else 'not writable'}",
        remedy="runs are written below the current folder; go to one of your own",
    )


def _tools() -> Iterator[Check]:
    found = shutil.which("ansible-playbook", path=_programs())
    yield Check(
        name="ansible",
        ready=found is not None,
        found=found or "ansible-playbook is not beside this Python",
        remedy="pip install homerange  brings it",
    )


def _programs() -> str:
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def _leftovers(engine: Engine) -> Iterator[Check]:
    for name in engine.labs():
        running = engine.observe(name)
        broken = [node.name for node in running.nodes if node.state != "running" or node.baking]
        if broken or not running.nodes:
            yield Check(
                name=f"lab {name}",
                ready=False,
                found=f"is there in part: {', '.join(broken) or 'networks without nodes'}",
                remedy=f"lab up {name}  repairs it, lab down {name}  removes it",
            )


def require(checks: tuple[Check, ...]) -> None:
    """Go on only when all is ready.

    Raises:
        NotReady: something is not; names all of it.
    """
    missing = [check for check in checks if not check.ready and not check.name.startswith("lab ")]
    if missing:
        lines = [f"{check.name}: {check.found}" for check in missing]
        raise NotReady("\n".join(lines), remedy="\n    ".join(check.remedy for check in missing))


def changes() -> tuple[str, ...]:
    """List what preparing this machine will change, for a person to agree to."""
    text = (content.playbook("host.yml").parent / "host-changes.txt").read_text(encoding="utf-8")
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def prepare(connect: Callable[[], Engine], tell: Callable[[str], None]) -> Engine:
    """Install and start an engine where none answers, then connect to it.

    Raises:
        NotReady: this user or this system cannot; says what to do instead.
    """
    from lab.provision import prepare_machine

    refuse_unless_root()
    prepare_machine(content.playbook("host.yml"), content.logs() / "host.log", tell)
    return connect()


def refuse_unless_root() -> None:
    """Say what a user without rights, or on another system, has to do.

    Raises:
        NotReady: always, unless this is root on Linux.
    """
    if platform.system() != "Linux":
        raise NotReady(
            f"on {platform.system()} this program installs no engine",
            remedy="Install Docker Desktop and start it;  lab demo --replay  works without.",
        )
    if os.geteuid() != 0:
        raise NotReady(
            "this user may not install or start an engine",
            remedy="Where Docker is not installed:       sudo apt-get install docker.io\n"
            "    Where this user may not use it yet:  sudo usermod -aG docker $USER  then log in again\n"
            "    Without an engine:                   lab demo --replay",
        )
