"""How a node is confined, and how it should be: said once, for the plan, for `up` and for `verify`. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lab.engine.facts import Wall
from lab.engine.machines import KVM, TUN
from lab.engine.nodes import SeenNode
from lab.inventory.kind import Kind

MONITOR_MEMORY: Final = 160 * 2**20
"""Bytes that what runs a machine takes beside the machine's own memory: code, translated code, buffers."""

_MONITOR_PROCESSES: Final = 256
"""Processes and threads of what runs a machine, and of the commands that are carried into it."""

MACHINE_DEVICES: Final = (KVM, TUN)
"""Devices that the container of a machine may have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a node of a kind may have."""

    capabilities: tuple[str, ...]
    """The capabilities it keeps."""

    memory: int
    """Limit in bytes."""

    processes: int
    """Limit."""

    cpus: float
    """Limit in processors."""

    host_network: bool
    """Whether it shares the host's network."""

    devices: tuple[str, ...] = ()
    """Devices of the host that it may have."""


def wanted(kind: Kind, machine: int) -> Wanted:
    """Say how a node's container is to be confined.

    Args:
        kind: What the node is.
        machine: Memory in bytes of the machine that it is; 0 for a container.
    """
    if not machine:
        return Wanted(
            capabilities=kind.capabilities,
            memory=kind.memory,
            processes=kind.processes,
            cpus=kind.cpus,
            host_network=kind.host_network,
        )
    return Wanted(
        capabilities=("NET_ADMIN",),
        memory=machine + MONITOR_MEMORY,
        processes=_MONITOR_PROCESSES,
        cpus=max(1.0, kind.cpus),
        host_network=False,
        devices=MACHINE_DEVICES,
    )


def upstream(wall: Wall) -> list[str]:
    """Return the name servers outside that a node's questions are handed to."""
    return [it for it in wall.nameservers if not ipaddress.ip_address(it).is_loopback]


def faults(wall: Wall, wanted: Wanted | None, node: SeenNode | None) -> Iterator[str]:
    """Say where a node is confined less, or otherwise, than it should be.

    Args:
        wall: How it is confined.
        wanted: How it should be; None when nobody knows, so that only what holds for every node is looked at.
        node: The node, as the engine has it.
    """
    yield from _of_any_node(wall)
    if wanted:
        yield from _of_its_kind(wall, wanted)
    if node and wall.interfaces is not None and len(wall.interfaces) > len(node.addresses):
        yield f"has {len(wall.interfaces)} interfaces for {len(node.addresses)} networks"
    if node and wall.called and wall.called != f"lab-{node.lab}-{node.name}":
        yield f"is called {wall.called}"


def _of_any_node(wall: Wall) -> Iterator[str]:
    if wall.privileged:
        yield "is privileged"
    if not wall.drops_all:
        yield "keeps capabilities it was not given"
    if wall.new_privileges:
        yield "may gain privileges"
    if wall.mounts:
        yield f"has folders of the host: {', '.join(wall.mounts)}"
    if not wall.host_network and (not wall.nameservers or upstream(wall)):
        yield "asks the host's name servers"
    if not wall.memory:
        yield "has no memory limit"
    if not wall.processes:
        yield "has no limit of processes"


def _of_its_kind(wall: Wall, wanted: Wanted) -> Iterator[str]:
    extra = sorted(set(wall.capabilities) - set(wanted.capabilities))
    if extra:
        yield f"has capabilities its kind does not name: {', '.join(extra)}"
    if more := sorted(set(wall.devices) - set(wanted.devices)):
        yield f"has devices of the host: {', '.join(more)}"
    if wall.host_network and not wanted.host_network:
        yield "shares the host's network"
    for what, has, should in (
        ("memory", wall.memory, wanted.memory),
        ("processes", wall.processes, wanted.processes),
        ("processors", wall.cpus, wanted.cpus),
    ):
        if has and has != should:
            yield f"has a limit of {what} of {has:g}, not {should:g}"
