"""Is this machine ready for a lab? Every precondition with its cause and its remedy."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.engine.addresses import POOLS, SMALLEST, free_subnets, routed
from lab.engine.engine import Engine
from lab.engine.facts import About
from lab.errors import EngineFault, NotReady
from lab.files.workplace import Workplace, logs
from lab.inventory.definition import Lab
from lab.inventory.kind import BASES, BUILT_BASE, Kind
from lab.moment import SECOND, Moment
from lab.provision import confinement
from lab.provision.blueprint import is_bridge
from lab.provision.program import within_reach

_OLDEST: Final = (1, 41)
"""The oldest version of the API this is tried with: that of Docker 20.10. What an engine calls itself counts
less: a distribution may call it anything."""

_DISK: Final = 512 * 2**20
"""Free bytes wanted where containers are kept, for what a lab writes."""

_IMAGE: Final = 400 * 2**20
"""Free bytes wanted for each image that has to be baked: the largest that ships takes 480 MB."""

_CLOCK: Final = 2.0
"""Seconds by which the engine's clock may differ from ours: times of events and steps are compared."""

_WATERMARK: Final = 2 * 2**30
"""Free bytes below which a store of ours spreads nothing more onto a disk, as its role sets it."""

MENDED: Final = ("engine", "base images")
"""The checks whose remedy `prepare` is."""

_PACKETS: Final = Path("/proc/net/packet")
_TUN: Final = Path("/dev/net/tun")
"""There where the kernel has packet sockets (packet(7)), which a sensor captures with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """One precondition."""

    name: str
    """What is looked at."""

    ready: bool
    """Whether it is as it should be."""

    found: str
    """What is there."""

    remedy: str = ""
    """What to do when it is not."""


def examine(
    connect: Callable[[], Engine], folder: Path, lab: Lab | None = None, *, unbaked: int | None = None
) -> tuple[Requirement, ...]:
    """Look at every precondition.

    Args:
        connect: Gives the engine, or raises what is wrong with it.
        folder: Where runs will be written.
        lab: What is to run, for its needs; None for what every lab needs.
        unbaked: How many images have to be baked; None when that is not known.
    """
    try:
        engine = connect()
        told = engine.about()
    except NotReady as error:
        return (Requirement(name="engine", ready=False, found=error.what, remedy=error.remedy), *_tools())
    except EngineFault as error:
        remedy = "restart it:  systemctl restart docker  or what started it"
        return (Requirement(name="engine", ready=False, found=error.message(), remedy=remedy), *_tools())
    return (
        *_engine(told),
        *_kernel(lab),
        *_machines(lab),
        *_resources(told, lab, unbaked),
        _folder(folder),
        *_addresses(engine, lab),
        *(_bases(engine) if unbaked != 0 else ()),
        *_stores(engine, lab, unbaked),
        *_tools(),
        *_leftovers(engine),
    )


def _engine(told: About) -> Iterator[Requirement]:
    api = tuple(int(part) for part in told.api.split("."))
    yield Requirement(
        name="engine",
        ready=told.name != "Podman" and api >= _OLDEST,
        found=f"{told.name} {told.version}, API {told.api}{', rootless' if told.rootless else ''}",
        remedy="Podman keeps an address of this machine on every network, so a lab would not be isolated: "
        "install Docker"
        if told.name == "Podman"
        else "Docker 20.10 or later is needed",
    )
    if told.rootless:
        yield Requirement(
            name="rootless engine",
            ready=True,
            found="bridges are in a name space of its own: they cannot be sealed against raw frames, "
            "and the receipt cannot see them; the engine's own view of what is left counts",
        )
    yield Requirement(
        name="limits",
        ready=not told.cannot,
        found=f"control groups {told.cgroups}"
        + (f": cannot {', '.join(told.cannot)}" if told.cannot else ""),
        remedy="enable the memory, pids and cpu control groups; on Debian boot with  cgroup_enable=memory",
    )
    yield Requirement(
        name="disk limit",
        ready=True,
        found="the storage driver limits what each node writes"
        if told.limits_disk
        else "the storage driver limits nothing: a file of a node has a largest size, and a node that writes "
        "more than it may is stopped while a command of ours is at work in it",
        remedy="",
    )
    if told.clock is not None:
        apart = abs(Moment.now() - told.clock) / SECOND
        yield Requirement(
            name="clock",
            ready=apart <= _CLOCK,
            found=f"{Moment.now().iso()[:19]} UTC, the engine's differs by {apart:.1f} s",
            remedy="set the clock of both:  timedatectl set-ntp true",
        )


def _kernel(lab: Lab | None) -> Iterator[Requirement]:
    """Look for what kinds need of the kernel: a sensor captures packets on this machine's bridges."""
    sensors = [node.name for node in lab.nodes if node.kind.host_network] if lab else []
    if platform.system() == "Linux" and (sensors or lab is None):
        yield Requirement(
            name="packet capture",
            ready=_PACKETS.exists(),
            found="the kernel has packet sockets"
            if _PACKETS.exists()
            else "the kernel has no packet sockets",
            remedy=f"needed by {', '.join(sensors) or 'sensors'}: modprobe af_packet",
        )


def _machines(lab: Lab | None) -> Iterator[Requirement]:
    """Say what nodes with a kernel of their own need: the processor that their kernel is for, and taps."""
    names = [node.name for node in lab.nodes if node.kind.machine] if lab else []
    if not names:
        return
    lacking = []
    if platform.machine() not in {"x86_64", "AMD64"}:
        lacking.append(f"their kernel is for x86-64, and this is {platform.machine()}")
    if platform.system() == "Linux" and not _TUN.exists():
        lacking.append(f"{_TUN} is not there: modprobe tun")
    yield Requirement(
        name="machines",
        ready=not lacking,
        found="; ".join(lacking) or "x86-64, with taps",
        remedy=f"needed by {', '.join(names)}; without  machine  they are containers",
    )


def _memory_of(kind: Kind) -> int:
    return confinement.wanted(kind, kind.machine.memory if kind.machine else 0).memory


def _resources(told: About, lab: Lab | None, unbaked: int | None) -> Iterator[Requirement]:
    import psutil

    wanted = sum(_memory_of(node.kind) for node in lab.nodes) if lab else 2**30
    free = min(psutil.virtual_memory().available, told.memory)
    yield Requirement(
        name="memory",
        ready=free >= wanted,
        found=f"{free // 2**20} MB free, the nodes may use {wanted // 2**20} MB",
        remedy="close other programs, or take nodes out of the inventory",
    )
    storage = Path(told.storage)
    if storage.exists():  # it does not when the engine runs in a virtual machine, as on macOS
        disk = shutil.disk_usage(storage).free
        needed = _DISK + _IMAGE * (unbaked or 0)
        yield Requirement(
            name="disk",
            ready=disk >= needed,
            found=f"{disk / 2**30:.1f} GB free in {storage}, {needed / 2**30:.1f} GB are wanted",
            remedy="lab prune  removes images that are not used",
        )


def _folder(folder: Path) -> Requirement:
    here = os.access(folder, os.W_OK)
    return Requirement(
        name="this folder",
        ready=here,
        found=f"{folder} is {'writable' if here else 'not writable'}",
        remedy="runs are written below the current folder; go to one of your own",
    )


def _addresses(engine: Engine, lab: Lab | None) -> Iterator[Requirement]:
    """Look for room for the lab's networks among the blocks that this machine and the engine use."""
    if lab and engine.observe(lab.name).networks:
        return
    wanted = len(lab.networks) if lab else 1
    used = [*routed(), *engine.subnets()]
    free = free_subnets(SMALLEST, used)
    yield Requirement(
        name="addresses",
        ready=free >= wanted,
        found=f"{free} free subnets, {wanted} wanted; {len(used)} blocks are in use",
        remedy=f"lab down  removes labs; free a block of {', '.join(POOLS)}",
    )


def _bases(engine: Engine) -> Iterator[Requirement]:
    image = BASES["debian"]
    if any(engine.image_labels(tag) is not None for tag in (image, BUILT_BASE)):
        found, ready = "a base image is here", True
    elif engine.registry_answers(image):
        found, ready = f"the registry answers for {image}", True
    else:
        ready = shutil.which("mmdebstrap") is not None
        found = f"no registry answers; mmdebstrap is {'here and builds a base' if ready else 'not here'}"
    remedy = "let the engine reach a registry, or  apt-get install mmdebstrap"
    yield Requirement(name="base images", ready=ready, found=found, remedy=remedy)


def _stores(engine: Engine, lab: Lab | None, unbaked: int | None) -> Iterator[Requirement]:
    """Look at what SIEMs are known to suffer from: their programs, mapped files, a full disk, old volumes."""
    kinds = {node.kind.name: node.kind for node in lab.nodes if node.kind.program} if lab else {}
    for kind in kinds.values():
        here = unbaked == 0 or within_reach(kind, engine, pull=False)
        image = kind.program.image if kind.program else ""
        without = f"no registry answers for {image}; the lab goes on without {kind.name}"
        yield Requirement(
            name=f"program {kind.name}",
            ready=here or kind.optional,
            found=f"{image} or an archive of it can be had" if here else without,
            remedy=f"let Docker reach a registry:  docker pull {image};  or install Maven",
        )
    if any(kind.service for kind in kinds.values()):
        yield Requirement(
            name="mapped files",
            ready=True,
            found=f"vm.max_map_count is {_max_map_count()}; stores in a lab map no files, so it may stay",
        )
        yield Requirement(
            name="old volumes",
            ready=True,
            found="a store keeps its data and its password in its own node: nothing old can disagree with it",
        )
        storage = Path(engine.about().storage)
        free = shutil.disk_usage(storage).free if storage.exists() else _WATERMARK
        yield Requirement(
            name="disk watermarks",
            ready=free >= _WATERMARK,
            found=f"{free / 2**30:.1f} GB free; a store spreads nothing onto less than "
            f"{_WATERMARK / 2**30:.0f} GB, and takes nothing new below a quarter of that",
            remedy="lab prune  removes images that are not used; make room",
        )


def _max_map_count() -> str:
    path = Path("/proc/sys/vm/max_map_count")
    return path.read_text(encoding="ascii").strip() if path.exists() else "unknown"


def _tools() -> Iterator[Requirement]:
    found = shutil.which("ansible-playbook", path=_programs())
    yield Requirement(
        name="ansible",
        ready=found is not None,
        found=found or "ansible-playbook is not beside this Python",
        remedy="pip install homerange  brings it",
    )


def _programs() -> str:
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def _leftovers(engine: Engine) -> Iterator[Requirement]:
    import psutil

    known = set()
    for name in engine.labs():
        running = engine.observe(name)
        known |= {network.bridge for network in running.networks}
        broken = [node.name for node in running.nodes if node.state != "running" or node.passing]
        if broken or not running.nodes:
            yield Requirement(
                name=f"lab {name}",
                ready=False,
                found=f"is there in part: {', '.join(broken) or 'networks without nodes'}",
                remedy=f"lab up {name}  repairs it, lab down {name}  removes it",
            )
    for bridge in sorted(name for name in psutil.net_if_addrs() if is_bridge(name) and name not in known):
        yield Requirement(
            name=f"lab interface {bridge}",
            ready=False,
            found="is left of a lab; the engine does not know it any more",
            remedy=f"as root:  ip link delete {bridge}",
        )


def require(checks: tuple[Requirement, ...]) -> None:
    """Go on only when all is ready.

    Raises:
        NotReady: something is not; names all of it.
    """
    missing = [check for check in checks if not check.ready and not check.name.startswith("lab ")]
    if missing:
        lines = [f"{check.name}: {check.found}" for check in missing]
        raise NotReady("\n".join(lines), remedy="\n    ".join(check.remedy for check in missing))


def changes(workplace: Workplace) -> tuple[str, ...]:
    """List what preparing this machine will change, for a person to agree to."""
    text = (workplace.playbook("host.yml").parent / "host-changes.txt").read_text(encoding="utf-8")
    return tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def prepare(workplace: Workplace, tell: Callable[[str], None], stop: threading.Event) -> None:
    """Install and start an engine where none answers.

    Raises:
        NotReady: this user or this system cannot; says what to do instead.
    """
    from lab.provision.playbook import prepare_machine

    refuse_unless_root()
    prepare_machine(workplace.playbook("host.yml"), logs() / "host.log", tell, stop)


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
