"""What Docker's API tells, as our values; and our names, as Docker's. Knows its JSON, not its client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.engine import base
from lab.engine.base import SeenNetwork, SeenNode, Wall
from lab.moment import SECOND, Moment


def container_name(lab: str, node: str) -> str:
    """Name a node's container."""
    return f"lab-{lab}-{node}"


def network_name(lab: str, network: str) -> str:
    """Name a network of the engine."""
    return f"lab-{lab}-{network}"


def tmpfs(entry: str) -> tuple[str, str]:
    """Split a writable folder into its path and its options."""
    path, _, options = entry.partition(":")
    return path, options


def seen_network(told: dict[str, Any]) -> SeenNetwork:
    """Read what the engine tells of a network."""
    labels = told["Labels"]
    pools = told["IPAM"]["Config"] or [{}]
    return SeenNetwork(
        lab=labels[base.LAB],
        name=labels[base.NETWORK],
        id=told["Id"],
        bridge=told["Options"].get("com.docker.network.bridge.name", ""),
        subnet=pools[0].get("Subnet", ""),
        definition=labels.get(base.DEFINITION, ""),
        before=labels.get(base.BEFORE, ""),
        inventory=labels.get(base.INVENTORY, ""),
    )


def seen_node(told: dict[str, Any], networks: Mapping[str, str]) -> SeenNode:
    """Read what the engine tells of a container."""
    labels = told["Labels"]
    attached = told["NetworkSettings"]["Networks"]
    role = labels.get(base.BENCH, "")
    return SeenNode(
        lab=labels[base.LAB],
        name=labels.get(base.NODE) or f"bake-{role}",
        kind=labels.get(base.KIND) or role,
        id=told["Id"],
        state="running" if told["State"] == "running" else "stopped",
        image=told["Image"],
        definition=labels.get(base.DEFINITION, ""),
        addresses={
            networks[name]: it["IPAddress"] for name, it in sorted(attached.items()) if name in networks
        },
        created=Moment(told["Created"] * SECOND),
        baking=bool(role),
    )


def wall(told: dict[str, Any]) -> Wall:
    """Read how a container is confined."""
    host = told["HostConfig"]
    return Wall(
        node=told["Config"]["Labels"].get(base.NODE, told["Name"]),
        capabilities=tuple(sorted(cap.removeprefix("CAP_") for cap in host["CapAdd"] or ())),
        drops_all="ALL" in (host["CapDrop"] or ()),
        new_privileges=not any(
            option.startswith("no-new-privileges") for option in host["SecurityOpt"] or ()
        ),
        privileged=host["Privileged"],
        mounts=tuple(mount["Source"] for mount in told["Mounts"] if mount["Type"] == "bind"),
        nameservers=tuple(host["Dns"] or ()),
        memory=host["Memory"],
        processes=host["PidsLimit"] or 0,
    )
