"""(what should be, what is) -> Plan: each change with its reason. Pure; a dry run prints this value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lab.blueprint import Blueprint
from lab.engine.base import NetworkSpec, NodeSpec, RunningLab, SeenNetwork, SeenNode

Action = Literal["create", "recreate", "start", "remove"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One difference between the lab as defined and the lab as observed."""

    action: Action
    """What `apply_plan` will do."""

    what: Literal["network", "node"]
    """What sort of thing it is done to."""

    subject: str
    """Node or network, as the inventory names it."""

    reason: str
    """Why, for a person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """All that has to change."""

    lab: str
    """The lab's name."""

    changes: tuple[Change, ...]
    """Networks first, each group in the order of the inventory; empty when nothing has to change."""

    def subjects(self, what: Literal["network", "node"], *actions: Action) -> frozenset[str]:
        """Name the networks or nodes that one of the actions will be done to."""
        return frozenset(it.subject for it in self.changes if it.what == what and it.action in actions)


def plan_changes(wanted: Blueprint, running: RunningLab) -> Plan:
    """Say what has to change, and why. Touches nothing."""
    networks = _network_changes(wanted, running)
    made_anew = frozenset(it.subject for it in networks if it.action in {"create", "recreate"})
    nodes = _node_changes(wanted, running, made_anew)
    return Plan(lab=wanted.lab, changes=(*networks, *nodes))


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
    if seen.definition != spec.definition:
        return Change(action="recreate", what="network", subject=spec.name, reason="its definition changed")
    return None


def _node_changes(wanted: Blueprint, running: RunningLab, networks: frozenset[str]) -> tuple[Change, ...]:
    names = {node.name for node in wanted.nodes}
    removed = [
        Change(action="remove", what="node", subject=seen.name, reason=_unwanted(seen))
        for seen in running.nodes
        if seen.name not in names
    ]
    # A sensor captures bridges; a network made anew has a new one.
    found = [_node_change(spec, running.node(spec.name), networks) for spec in wanted.nodes]
    return (*removed, *(change for change in found if change))


def _unwanted(seen: SeenNode) -> str:
    return "left by a bake that was killed" if seen.baking else "not in the inventory"


def _node_change(spec: NodeSpec, seen: SeenNode | None, networks: frozenset[str]) -> Change | None:
    if seen is None:
        return Change(action="create", what="node", subject=spec.name, reason="in the inventory")
    if why := _drift(spec, seen, networks):
        return Change(action="recreate", what="node", subject=spec.name, reason=why)
    if seen.state != "running":
        return Change(action="start", what="node", subject=spec.name, reason="it stopped")
    return None


def _drift(spec: NodeSpec, seen: SeenNode, networks: frozenset[str]) -> str:
    """Say why a node has to be made anew; empty when it has not."""
    touched = networks.intersection(spec.networks)
    by_hand = not spec.host_network and set(seen.addresses) != set(spec.networks)
    checks = (
        (seen.kind != spec.kind, f"its kind was {seen.kind}"),
        (seen.image != spec.image, f"role {spec.kind} changed"),
        (seen.definition != spec.definition, "its definition changed"),
        (bool(touched), f"network {min(touched, default='')} is made anew"),
        (spec.host_network and bool(networks), "a network it watches is made anew"),
        (by_hand, "it was attached elsewhere by hand"),
    )
    return next((why for holds, why in checks if holds), "")
