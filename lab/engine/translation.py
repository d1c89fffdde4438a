"""What Docker's API tells, as our values; and our names, as Docker's. Knows its JSON, not its client."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

from lab.engine import labels
from lab.engine.facts import About, Happening, Vitals, Wall
from lab.engine.nodes import NetworkSpec, NodeSpec, SeenNetwork, SeenNode
from lab.engine.outside import Difference
from lab.moment import SECOND, Moment

_STATES: Final[Mapping[str, Literal["running", "paused"]]] = {"running": "running", "paused": "paused"}
"""Docker's states in which a first process exists; in all others a node is stopped."""


_FEATURES: Final = {
    "MemoryLimit": "limit a node's memory",
    "PidsLimit": "limit a node's processes",
    "CpuCfsQuota": "limit a node's processors",
}
"""Docker's names of what a kernel or a rootless engine may lack, and what is impossible then."""


def container_name(lab: str, node: str) -> str:
    """Name a node's container."""
    return f"lab-{lab}-{node}"


ASIDE: Final = ".aside-"
"""Stands in the name of a container that was a node and was set aside, before the first letters of its id."""


def aside_name(node: SeenNode) -> str:
    """Name the container of a node that is set aside."""
    return f"{container_name(node.lab, node.name)}{ASIDE}{node.id[:8]}"


def network_name(lab: str, network: str) -> str:
    """Name a network of the engine."""
    return f"lab-{lab}-{network}"


def tmpfs(entry: str) -> tuple[str, str]:
    """Split a writable folder into its path and its options."""
    path, _, options = entry.partition(":")
    return path, options


def network_labels(spec: NetworkSpec) -> dict[str, str]:
    """Write what a network has to say of itself."""
    return {
        labels.LAB: spec.lab,
        labels.NETWORK: spec.name,
        labels.DEFINITION: spec.definition,
        labels.BEFORE: spec.before,
        labels.INVENTORY: spec.inventory,
        labels.INTERNET: "yes" if spec.internet else "",
    }


def network_options(spec: NetworkSpec, api: str) -> dict[str, str]:
    """Write the options of a network's bridge.

    The host is kept off it: on a plain internal network its services still answer there.
    """
    named = {"com.docker.network.bridge.name": spec.bridge}
    if spec.internet:
        return named
    if tuple(int(part) for part in api.split(".")) >= _ISOLATED_GATEWAY:
        return {**named, "com.docker.network.bridge.gateway_mode_ipv4": "isolated"}
    return {**named, "com.docker.network.bridge.inhibit_ipv4": "true"}


def node_labels(spec: NodeSpec) -> dict[str, str]:
    """Write what a node has to say of itself."""
    return {
        labels.LAB: spec.lab,
        labels.NODE: spec.name,
        labels.KIND: spec.kind,
        labels.DEFINITION: spec.definition,
        **({labels.MACHINE: str(spec.machine)} if spec.machine else {}),
    }


def about(version: Mapping[str, Any], info: Mapping[str, Any]) -> About:
    """Read what an engine tells of itself and of its machine."""
    podman = any("Podman" in part.get("Name", "") for part in version.get("Components") or ())
    rootless = any("rootless" in option for option in info.get("SecurityOptions") or ())
    clock = info.get("SystemTime", "")
    return About(
        name="Podman" if podman else "Docker",
        version=version["Version"],
        api=version["ApiVersion"],
        memory=info["MemTotal"],
        cpus=info["NCPU"],
        storage=info["DockerRootDir"],
        rootless=rootless,
        cgroups=info.get("CgroupVersion", "1"),
        limits_disk=_limits_disk(info),
        cannot=tuple(words for key, words in _FEATURES.items() if not info.get(key, True)),
        clock=Moment.parse(clock) if clock else None,
    )


def _limits_disk(info: Mapping[str, Any]) -> bool:
    """Tell whether a node can be given a largest size: on btrfs, on zfs, and by overlay2 on xfs."""
    driver = info.get("Driver", "")
    return driver in {"btrfs", "zfs"} or (
        driver == "overlay2" and ["Backing Filesystem", "xfs"] in (info.get("DriverStatus") or [])
    )


def vitals(told: Mapping[str, Any], started: str) -> Vitals:
    """Read what the engine measured of a container; control groups 1 and 2 name the cache differently."""
    memory = told["memory_stats"]
    details = memory.get("stats", {})
    cache = details.get("inactive_file", details.get("total_inactive_file", 0))
    return Vitals(
        memory=int(memory.get("usage", 0)) - int(cache),
        processor=int(told["cpu_stats"]["cpu_usage"]["total_usage"]),
        started=Moment.parse(started),
        measured=Moment.parse(told["read"]),
    )


def is_ours(labelled: Mapping[str, str]) -> bool:
    """Tell whether something has all the labels that we give; what has half of them is somebody else's."""
    return any(labelled.get(it) for it in (labels.NODE, labels.NETWORK, labels.BAKING, labels.HELPING))


def seen_network(told: dict[str, Any]) -> SeenNetwork:
    """Read what the engine tells of a network."""
    labelled = told["Labels"]
    pools = told["IPAM"]["Config"] or [{}]
    return SeenNetwork(
        lab=labelled[labels.LAB],
        name=labelled[labels.NETWORK],
        id=told["Id"],
        bridge=(told["Options"] or {}).get("com.docker.network.bridge.name", ""),
        subnet=pools[0].get("Subnet", ""),
        definition=labelled.get(labels.DEFINITION, ""),
        before=labelled.get(labels.BEFORE, ""),
        inventory=labelled.get(labels.INVENTORY, ""),
        internet=labelled.get(labels.INTERNET) == "yes",
    )


def seen_node(told: dict[str, Any], networks: Mapping[str, str]) -> SeenNode:
    """Read what the engine tells of a container."""
    labelled = told["Labels"]
    attached = told["NetworkSettings"]["Networks"]
    name, passing = _called(labelled, told["Names"][0])
    host = "host" in attached
    return SeenNode(
        lab=labelled[labels.LAB],
        name=name,
        kind=labelled.get(labels.KIND) or labelled.get(labels.BAKING, ""),
        id=told["Id"],
        state=_STATES.get(told["State"], "stopped"),
        image=told["Image"],
        definition=labelled.get(labels.DEFINITION, ""),
        addresses={
            networks[name]: it["IPAddress"] for name, it in sorted(attached.items()) if name in networks
        },
        elsewhere=() if host else tuple(sorted(attached.keys() - networks.keys())),
        created=Moment(told["Created"] * SECOND),
        machine=int(labelled.get(labels.MACHINE) or 0),
        passing=passing,
    )


def _called(labelled: Mapping[str, str], container: str) -> tuple[str, bool]:
    """Say what the node of a container is called, and whether it is none but passes for a moment."""
    if role := labelled.get(labels.BAKING):
        return f"bake-{role}", True
    if helped := labelled.get(labels.HELPING):
        return f"help-{helped}", True
    _, mark, which = container.partition(ASIDE)
    return labelled[labels.NODE] + mark + which, bool(mark)


def helping_node(id: str, node: SeenNode) -> SeenNode:  # noqa: A002  # the field's name
    """Describe a container that works on a node from outside."""
    return replace(
        node,
        id=id,
        name=f"help-{node.name}",
        kind="",
        addresses={},
        created=Moment.now(),
        machine=0,
        passing=True,
    )


def pristine_view(node: SeenNode) -> SeenNode:
    """Describe a machine, worked on from a view that has its disk as it was baked."""
    return replace(node, name=f"help-{node.name}", kind="", addresses={}, pristine=True, passing=True)


def difference(told: Mapping[str, Any]) -> Difference:
    """Read a changed path."""
    return Difference(path=told["Path"], how=_CHANGES[told["Kind"]])


def baking_node(id: str, image: str, *, lab: str, role: str) -> SeenNode:  # noqa: A002  # the field's name
    """Describe a container in which an image is baked."""
    return SeenNode(
        lab=lab,
        name=f"bake-{role}",
        kind=role,
        id=id,
        state="running",
        image=image,
        definition="",
        created=Moment.now(),
        passing=True,
    )


_CHANGES: Final[tuple[Literal["changed", "added", "removed"], ...]] = ("changed", "added", "removed")
"""Docker's numbers for what became of a path."""

_HAPPENED: Final = {
    "create": "was created",
    "destroy": "was removed",
    "die": "stopped",
    "oom": "ran out of memory",
    "pause": "was paused",
    "rename": "was renamed",
    "start": "was started",
    "unpause": "went on",
    "update": "had its limits changed",
}
"""Docker's words for what happens to a container, and ours. What it says of commands is left out."""

_ISOLATED_GATEWAY: Final = (1, 48)
"""From this version of the API (Docker 28) on a network can be made without a gateway on the host."""

_OF_A_MACHINE: Final = re.compile(r"(br|tap)\d+")
"""Interfaces in a machine's container, by which it has its networks: one of each, for each."""

_OF_THE_KERNEL: Final = frozenset({"lo", "tunl0", "sit0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0",
                                   "ip6tnl0", "ip6gre0"})  # fmt: skip
"""Interfaces that the kernel makes in every name space, by its modules."""

_ATTACHED: Final = {"connect": "got one more endpoint", "disconnect": "lost an endpoint"}


def happening(told: Mapping[str, Any], lab: str) -> Happening | None:
    """Read an event of the engine; None for one that is not about a lab's nodes or networks."""
    action, actor = told.get("Action", ""), told.get("Actor") or {}
    said = actor.get("Attributes") or {}
    if labels.HELPING in said:
        return None  # it works on a node from outside, and is no part of the lab
    if told.get("Type") == "container" and said.get(labels.LAB) == lab and action in _HAPPENED:
        node = said.get(labels.NODE) or said.get("name", "a container")
        return Happening(subject=node, what=_HAPPENED[action])
    name = said.get("name", "")
    ours = name.removeprefix(network_name(lab, "")) if name.startswith(network_name(lab, "")) else ""
    if told.get("Type") == "network" and ours:
        return Happening(subject=ours, what=_ATTACHED.get(action, f"was changed: {action}"))
    return None


def _interfaces(process: int, *, machine: bool) -> tuple[str, ...] | None:
    """List the interfaces that a process has, beside loopback, where it is of this machine (proc(5))."""
    try:
        rows = Path(f"/proc/{process}/net/dev").read_text(encoding="ascii").splitlines()[2:]
    except OSError:
        return None
    found = {row.split(":")[0].strip() for row in rows} - _OF_THE_KERNEL
    return tuple(sorted(it for it in found if not (machine and _OF_A_MACHINE.fullmatch(it))))


def wall(told: dict[str, Any]) -> Wall:
    """Read how a container is confined."""
    host, labelled = told["HostConfig"], told["Config"]["Labels"]
    return Wall(
        node=labelled.get(labels.NODE, told["Name"]),
        capabilities=tuple(sorted(cap.removeprefix("CAP_") for cap in host["CapAdd"] or ())),
        drops_all="ALL" in (host["CapDrop"] or ()),
        new_privileges=not any(
            option.startswith("no-new-privileges") for option in host["SecurityOpt"] or ()
        ),
        privileged=host["Privileged"],
        host_network=host["NetworkMode"] == "host",
        mounts=tuple(mount["Source"] for mount in told["Mounts"] if mount["Type"] == "bind"),
        nameservers=tuple(host["Dns"] or ()),
        memory=host["Memory"],
        processes=max(0, host["PidsLimit"] or 0),
        cpus=(host.get("NanoCpus") or 0) / 1e9,
        called=told["Name"].lstrip("/"),
        interfaces=_interfaces(told["State"].get("Pid", 0), machine=labels.MACHINE in labelled)
        if host["NetworkMode"] != "host"
        else None,
        devices=tuple(sorted(it["PathOnHost"] for it in host.get("Devices") or ())),
    )
