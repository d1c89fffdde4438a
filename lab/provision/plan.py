"""(what should be, what is) -> Plan: each change with its reason. Pure; a dry run prints this value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lab.engine.facts import Wall
from lab.engine.nodes import NetworkSpec, NodeSpec, RunningLab, SeenNetwork, SeenNode
from lab.provision.blueprint import Blueprint, changed
from lab.provision.confinement import Wanted, faults

Action = Literal["bake", "create", "recreate", "seal", "start", "remove"]
What = Literal["image", "network", "node"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One difference between the lab as defined and the lab as observed."""

    action: Action
    """What `apply_plan` will do."""

    what: What
    """What sort of thing it is done to."""

    subject: str
    """Node or network, as the inventory names it; an image's tag."""

    reason: str
    """Why, for a person."""

    by_hand: bool = False
    """Whether somebody changed what runs; else the inventory or a role changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """All that has to change."""

    lab: str
    """The lab's name."""

    changes: tuple[Change, ...]
    """Images, then networks, then nodes, in the inventory's order; empty when all is as it should be."""

    def subjects(self, what: What, *actions: Action) -> frozenset[str]:
        """Name the networks or nodes that one of the actions will be done to."""
        return frozenset(it.subject for it in self.changes if it.what == what and it.action in actions)


def plan_changes(
    wanted: Blueprint, running: RunningLab, unbaked: Sequence[str] = (), walls: Sequence[Wall] = ()
) -> Plan:
    """Say what has to change, and why. Touches nothing.

    Args:
        wanted: What the engine is to have.
        running: What it has.
        unbaked: Tags of images that do not exist yet.
        walls: How the nodes are confined now.
    """
    confined = {wall.node: wall for wall in walls}
    images = tuple(
        Change(action="bake", what="image", subject=tag, reason="no image has this role and these variables")
        for tag in unbaked
    )
    networks = _network_changes(wanted, running)
    made_anew = frozenset(it.subject for it in networks if it.action in {"create", "recreate"})
    nodes = _node_changes(wanted, running, made_anew, confined)
    return Plan(lab=wanted.lab, changes=(*images, *networks, *nodes))


def reset_changes(wanted: Blueprint, running: RunningLab, nodes: frozenset[str]) -> Plan:
    """Say what takes nodes back to their baked state. The rest of the lab is not touched."""
    changes = tuple(
        Change(
            action="recreate" if running.node(spec.name) else "create",
            what="node",
            subject=spec.name,
            reason="back to its baked state",
        )
        for spec in wanted.nodes
        if spec.name in nodes
    )
    return Plan(lab=wanted.lab, changes=changes)


def _network_changes(wanted: Blueprint, running: RunningLab) -> tuple[Change, ...]:
    names = {network.name for network in wanted.networks}
    removed = [
        Change(action="remove", what="network", subject=seen.name, reason="not in the inventory")
        for seen in running.networks
        if seen.name not in names
    ]
    found = [_network_change(spec, running.network(spec.name)) for spec in wanted.networks]
    return (*removed, *(change for change in found if change))


def _network_change(spec: NetworkSpec, seen: SeenNetwork | None) -> Change | None:
    if seen is None:
        return Change(action="create", what="network", subject=spec.name, reason="in the inventory")
    if aspects := changed(spec.definition, seen.definition):
        why = f"its {' and '.join(aspects)} changed"
        return Change(action="recreate", what="network", subject=spec.name, reason=why)
    if seen.strange:
        return Change(action="recreate", what="network", subject=spec.name, reason=seen.strange, by_hand=True)
    if seen.loose:
        why = f"the host listens on its bridge: {', '.join(seen.loose)}"
        return Change(action="seal", what="network", subject=spec.name, reason=why, by_hand=True)
    return None


def _node_changes(
    wanted: Blueprint, running: RunningLab, networks: frozenset[str], walls: Mapping[str, Wall]
) -> tuple[Change, ...]:
    names = {node.name for node in wanted.nodes}
    removed = [
        Change(action="remove", what="node", subject=seen.name, reason=_unwanted(seen), by_hand=True)
        for seen in running.nodes
        if seen.name not in names
    ]
    # A sensor captures bridges; a network made anew has a new one.
    found = [
        _node_change(
            spec, running.node(spec.name), networks, walls.get(spec.name), standing=bool(running.nodes)
        )
        for spec in wanted.nodes
    ]
    return (*removed, *(change for change in found if change))


def _unwanted(seen: SeenNode) -> str:
    return "left by a command that was killed" if seen.passing else "not in the inventory"


def _node_change(
    spec: NodeSpec, seen: SeenNode | None, networks: frozenset[str], wall: Wall | None, *, standing: bool
) -> Change | None:
    if seen is None:
        return Change(
            action="create", what="node", subject=spec.name, reason="in the inventory", by_hand=standing
        )
    if why := _drift(spec, seen, networks):
        return Change(action="recreate", what="node", subject=spec.name, reason=why)
    if why := _attached_by_hand(spec, seen) or _loosened(spec, seen, wall):
        return Change(action="recreate", what="node", subject=spec.name, reason=why, by_hand=True)
    if seen.state != "running":
        why = "it was paused" if seen.state == "paused" else "it stopped"
        return Change(action="start", what="node", subject=spec.name, reason=why, by_hand=True)
    return None


def _drift(spec: NodeSpec, seen: SeenNode, networks: frozenset[str]) -> str:
    """Say why a node has to be made anew; empty when it has not."""
    if seen.kind != spec.kind:
        return f"its kind was {seen.kind}"
    if aspects := changed(spec.definition, seen.definition):
        return f"its {' and '.join(aspects)} changed"
    if seen.image != spec.image:
        return f"role {spec.kind} changed"
    if touched := networks.intersection(spec.networks):
        return f"network {min(touched)} is made anew"
    if spec.host_network:
        return "a network it watches is made anew" if networks else ""
    return ""


def _loosened(spec: NodeSpec, seen: SeenNode, wall: Wall | None) -> str:
    """Say how a node is confined less than it should be, because somebody changed that by hand."""
    wanted = Wanted(
        capabilities=spec.capabilities,
        memory=spec.memory,
        processes=spec.processes,
        cpus=spec.cpus,
        host_network=spec.host_network,
        devices=spec.devices,
    )
    return "; ".join(f"it {said}" for said in faults(wall, wanted, seen)) if wall else ""


def _attached_by_hand(spec: NodeSpec, seen: SeenNode) -> str:
    if spec.host_network:
        return ""
    extra = sorted({*seen.addresses, *seen.elsewhere} - set(spec.networks))
    missing = sorted(set(spec.networks) - seen.addresses.keys())
    if extra:
        return f"it was attached to {' and '.join(extra)} by hand"
    return f"it was detached from {' and '.join(missing)} by hand" if missing else ""
