"""What this machine has, before a lab and after it, so that a receipt can prove that nothing is left."""

from __future__ import annotations

import base64
import shutil
import subprocess
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from lab.engine.engine import Engine
from lab.engine.nodes import RunningLab
from lab.files import records

if TYPE_CHECKING:
    import psutil

_OBJECTS: Final = ("container ", "network ", "volume ")
"""What somebody makes on purpose; interfaces, mounts, processes and rules come with these."""

_ENGINES_OWN: Final = ("/run/docker/netns/default",)
"""Mounts that the engine makes for itself, once, when the first container of their sort starts."""

_NETNS: Final = "/docker/netns/"
"""Where the network namespaces of nodes are mounted; one that a process lives in is of a node that runs, and
may be of another lab's node that was just started again."""

_COUNTERS: Final = (":", "#", "*", "COMMIT")
"""How the lines of iptables-save begin that are no rules."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """What the host has at one moment."""

    containers: tuple[str, ...]
    """Ids of all containers, ours or not."""

    networks: tuple[str, ...]
    """Ids of all networks of the engine."""

    volumes: tuple[str, ...]
    """Names of the engine's volumes."""

    interfaces: tuple[str, ...]
    """Names of the host's network interfaces."""

    mounts: tuple[str, ...]
    """Mount points."""

    processes: tuple[str, ...]
    """Command lines of what serves containers, one per running container."""

    firewall: tuple[str, ...] | None
    """Firewall rules; None when this user may not read them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What the host has now that it had not before."""

    left: tuple[str, ...]
    """Things of this lab that are still there."""

    others: tuple[str, ...]
    """Things that somebody else made in the meantime; not ours, left alone."""

    unchecked: tuple[str, ...]
    """What could not be compared, and why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What `down` removed, with the host's state before and after."""

    lab: str
    """The lab's name."""

    nodes: tuple[str, ...]
    """Nodes that were removed."""

    networks: tuple[str, ...]
    """Networks that were removed."""

    left: tuple[str, ...]
    """Traces of the lab that are still there, and why where it is known."""

    others: tuple[str, ...]
    """What somebody else made meanwhile; left alone."""

    unchecked: tuple[str, ...]
    """What could not be compared, and why."""


def snapshot(engine: Engine) -> Snapshot:
    """Look at the engine and the machine."""
    import psutil

    has = engine.belongings()
    return Snapshot(
        containers=tuple(sorted(has.containers)),
        networks=tuple(sorted(has.networks)),
        volumes=tuple(sorted(has.volumes)),
        interfaces=tuple(sorted(psutil.net_if_addrs())),
        mounts=_mounts(),
        processes=_shims(),
        firewall=_firewall(),
    )


def pack(taken: Snapshot) -> str:
    """Write a snapshot small enough for a label."""
    return base64.b85encode(zlib.compress(records.to_json(taken).encode(), 9)).decode()


def unpack(text: str) -> Snapshot | None:
    """Read what `pack` wrote; None when there is nothing, or it is from another version."""
    try:
        return records.from_json(zlib.decompress(base64.b85decode(text)), Snapshot)
    except (ValueError, zlib.error):
        return None


def compare(before: Snapshot | None, after: Snapshot, removed: RunningLab) -> Comparison:
    """Say what is there now that was not before, and whose it is.

    Args:
        before: The host before the lab was made; None when nobody looked.
        after: The host now.
        removed: The lab as it was just before its removal; its ids tell what is ours.
    """
    marks = _marks(removed)
    known = set(_things(before)) if before else set()
    new = [thing for thing in _things(after) if thing not in known] if before else list(_things(after))
    ours = [thing for thing in new if any(mark in thing for mark in marks)]
    rest = [thing for thing in new if thing not in ours] if before else []
    others = [thing for thing in rest if thing.startswith(_OBJECTS)]
    # An interface or a mount does not say whose it is. When nobody else made a container or a network
    # in the meantime, it can only be ours.
    unexplained = [] if others else rest
    return Comparison(
        left=(*ours, *unexplained), others=tuple(others), unchecked=tuple(_unchecked(before, after))
    )


def _marks(lab: RunningLab) -> tuple[str, ...]:
    """Return the ids and names by which a thing shows that it belongs to the lab."""
    ids = (node.id for node in lab.nodes)
    networks = (mark for network in lab.networks for mark in (network.id, network.bridge))
    return tuple(mark for mark in (*ids, *networks) if mark)


def _things(taken: Snapshot) -> Iterable[str]:
    for what, things in (
        ("container", taken.containers),
        ("network", taken.networks),
        ("volume", taken.volumes),
        ("interface", taken.interfaces),
        ("mount", taken.mounts),
        ("process", taken.processes),
        ("firewall rule", taken.firewall or ()),
    ):
        yield from (f"{what} {thing}" for thing in things)


def _unchecked(before: Snapshot | None, after: Snapshot) -> Iterable[str]:
    if before is None:
        yield "the host before the lab: no snapshot was found, so only traces of this lab were looked for"
    if after.firewall is None:
        yield "firewall rules: only root may read them"


def _mounts() -> tuple[str, ...]:
    table = Path("/proc/self/mounts")
    if not table.exists():
        return ()
    points = {line.split(" ")[1] for line in table.read_text(encoding="utf-8").splitlines()}
    lived_in = _lived_in() if any(_NETNS in it for it in points) else frozenset[int]()
    return tuple(
        sorted(
            it for it in points if not it.endswith(_ENGINES_OWN) and not (_NETNS in it and _is(it, lived_in))
        )
    )


def _lived_in() -> frozenset[int]:
    """Return the network namespaces that processes live in, by inode: those of nodes that run."""
    found: set[int] = set()
    for path in Path("/proc").glob("[0-9]*/ns/net"):
        with suppress(OSError):  # it ended meanwhile
            found.add(path.stat().st_ino)
    return frozenset(found)


def _is(point: str, namespaces: frozenset[int]) -> bool:
    """Tell whether a mount is one of some namespaces; what is gone meanwhile is none."""
    try:
        return Path(point).stat().st_ino in namespaces
    except OSError:
        return False


def end_helpers(gone: frozenset[str]) -> None:
    """End the processes that serve nodes which the engine no longer has; containerd clears up behind them.

    Args:
        gone: Ids of nodes that were ours and are removed.
    """
    import psutil

    for helper in _helpers():
        if gone.intersection(helper.info["cmdline"]):
            with suppress(psutil.Error):  # it ended meanwhile, or is not ours to end: the receipt says so
                helper.kill()


def _shims() -> tuple[str, ...]:
    """Return the command line of what serves each running container."""
    return tuple(sorted(" ".join(it.info["cmdline"]) for it in _helpers()))


def _helpers() -> Iterator[psutil.Process]:
    """Find the process that serves each running container; its arguments name the container."""
    import psutil

    for it in psutil.process_iter(["name", "cmdline"]):
        if "containerd-shim" in (it.info["name"] or "") and it.info["cmdline"]:  # an ended one has no words
            yield it


def _firewall() -> tuple[str, ...] | None:
    found: list[str] = []
    for program in ("iptables-save", "ip6tables-save"):
        path = shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:/bin")
        if path is None:
            continue
        ran = subprocess.run([path], capture_output=True, text=True, check=False, timeout=10)
        if ran.returncode:
            return None
        found += [line for line in ran.stdout.splitlines() if not line.startswith(_COUNTERS)]
    return tuple(sorted(found))
