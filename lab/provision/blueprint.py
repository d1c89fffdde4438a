"""(Lab, images) -> what the engine is to make, and what of it changed. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lab.engine import machines
from lab.engine.nodes import NetworkSpec, NodeSpec
from lab.files import records
from lab.inventory.definition import Lab, Network, Node
from lab.inventory.kind import Kind
from lab.provision.confinement import wanted

PRIVATE: Final = "10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"
"""What a sensor takes for home (RFC 1918): the engine gives a lab's networks out of these."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blueprint:
    """All that an engine has to have for a lab."""

    lab: str
    """The lab's name."""

    networks: tuple[NetworkSpec, ...]
    """In the order of the inventory."""

    nodes: tuple[NodeSpec, ...]
    """In the order of the inventory."""


def draw(lab: Lab, images: Mapping[str, str]) -> Blueprint:
    """Work out what the engine is to make.

    Args:
        lab: What the inventory defines.
        images: Node name to its image's tag.
    """
    return Blueprint(
        lab=lab.name,
        networks=tuple(_network(lab, network) for network in lab.networks),
        nodes=tuple(_node(lab.name, node, images[node.name]) for node in lab.nodes),
    )


def bridge_name(lab: str, network: str) -> str:
    """Name the host's bridge of a network; the kernel allows 15 characters, so it is a hash."""
    return f"lab{_hash(lab, network)[:10]}"


def is_bridge(name: str) -> bool:
    """Tell whether an interface is named like a bridge of ours."""
    return re.fullmatch(r"lab[0-9a-f]{10}", name) is not None


def _network(lab: Lab, network: Network) -> NetworkSpec:
    prefix = _prefix(sum(network.name in node.attach for node in lab.nodes))
    return NetworkSpec(
        lab=lab.name,
        name=network.name,
        bridge=bridge_name(lab.name, network.name),
        internet=network.internet,
        prefix=prefix,
        definition=_definition(name=(lab.name, network.name), internet=network.internet, prefix=prefix),
        inventory=str(lab.path.resolve()),
    )


def _prefix(nodes: int) -> int:
    """Choose the smallest subnet with room to grow: one that is swept by a scanner in seconds."""
    return next((prefix for prefix in (26, 24, 22) if nodes * 5 // 4 < 2 ** (32 - prefix) - 3), 20)


_ROOM: Final = 4 * 2**30
"""Bytes for what a machine's container holds beside what the machine writes: its disk as baked, evidence."""


def _first_process(kind: Kind) -> tuple[str, ...]:
    """Return what runs as process 1 of a node's container: its own, or what runs the machine that it is."""
    if not kind.machine:
        return kind.command
    asked = {
        "memory": kind.machine.memory,
        "user": kind.user,
        "read_only": kind.read_only,
        "tmpfs": [it.mount for it in kind.tmpfs],
        "command": kind.command,
    }
    return (*machines.PROGRAM, records.to_json(asked))


def _node(lab: str, node: Node, image: str) -> NodeSpec:
    kind = node.kind
    machine = kind.machine.memory if kind.machine else 0
    limits = wanted(kind, machine)
    tmpfs = () if machine else tuple(it.mount for it in kind.tmpfs)
    watched = " ".join(bridge_name(lab, network) for network in node.watch)
    return NodeSpec(
        lab=lab,
        name=node.name,
        kind=kind.name,
        image=image,
        command=_first_process(kind),
        user="root" if machine else kind.user,
        capabilities=limits.capabilities,
        machine=machine,
        memory=limits.memory,
        cpus=limits.cpus,
        processes=limits.processes,
        disk=kind.disk + (_ROOM if machine else 0),
        read_only=kind.read_only and not machine,
        tmpfs=tmpfs,
        networks=node.attach,
        host_network=kind.host_network,
        devices=limits.devices,
        environment={"LAB_INTERFACES": watched, "LAB_HOME_NET": PRIVATE} if watched else {},
        definition=_definition(
            variables=dict(node.variables),
            command=kind.command,
            user=kind.user,
            capabilities=kind.capabilities,
            limits=(kind.memory, kind.cpus, kind.processes, kind.disk, *([machine] if machine else [])),
            files=(kind.read_only, tmpfs),
            networks=(node.attach, node.watch, kind.host_network),
        ),
    )


def _definition(**aspects: object) -> str:
    """Write a hash of each aspect, so that what changed can be named later."""
    return " ".join(f"{name}={_hash(value)}" for name, value in sorted(aspects.items()))


def changed(wanted: str, seen: str) -> tuple[str, ...]:
    """Name the aspects in which two definitions differ, sorted."""
    now, then = (dict(pair.partition("=")[::2] for pair in text.split()) for text in (wanted, seen))
    if now.keys() != then.keys():
        return ("definition",)  # another version of this program made it
    return tuple(sorted(name for name in now if now[name] != then[name]))


def _hash(*parts: object) -> str:
    return hashlib.sha256(records.to_json(parts).encode()).hexdigest()[:12]
