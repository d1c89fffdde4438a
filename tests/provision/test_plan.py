"""A plan says what has to change and why, and nothing more."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from lab.engine.facts import Wall
from lab.engine.nodes import NetworkSpec, NodeSpec, RunningLab, SeenNetwork, SeenNode
from lab.moment import Moment
from lab.provision.blueprint import Blueprint
from lab.provision.plan import plan_changes
from tests.support import Case, by_name, cases


def _node(name: str, kind: str) -> NodeSpec:
    return NodeSpec(
        lab="lab",
        name=name,
        kind=kind,
        image=f"homerange/{kind}:1",
        command=("run",),
        user="root",
        capabilities=(),
        memory=1,
        cpus=1,
        processes=1,
        disk=1,
        read_only=False,
        tmpfs=(),
        networks=() if kind == "suricata" else ("outside",),
        host_network=kind == "suricata",
        environment={},
        definition="limits=1 variables=1",
    )


WANTED = Blueprint(
    lab="lab",
    networks=(
        NetworkSpec(
            lab="lab",
            name="outside",
            bridge="b0",
            internet=False,
            prefix=26,
            definition="internet=1 prefix=1",
        ),
    ),
    nodes=(_node("attacker", "kali"), _node("bastion", "sshd"), _node("sensor", "suricata")),
)


def _observed(told: dict[str, dict[str, Any]]) -> RunningLab:
    """Make what is there: all as wanted, but for what the case tells."""
    networks = {
        it.name: SeenNetwork(
            lab="lab",
            name=it.name,
            id=it.name,
            bridge=it.bridge,
            subnet="10.0.0.0/26",
            definition=it.definition,
        )
        for it in WANTED.networks
    }
    nodes = {
        it.name: SeenNode(
            lab="lab",
            name=it.name,
            kind=it.kind,
            id=it.name,
            state="running",
            image=it.image,
            definition=it.definition,
            created=Moment(0),
            addresses=dict.fromkeys(it.networks, "10.0.0.2"),
        )
        for it in WANTED.nodes
    }
    for name, changes in told.items():
        if changes.get("state") == "gone":
            nodes.pop(name, None)
            networks.pop(name, None)
        elif name in networks:
            networks[name] = replace(networks[name], **changes)
        elif changes.get("addresses") == "none":
            nodes[name] = replace(nodes[name], addresses={})
        else:
            base = nodes.get(name, replace(nodes["bastion"], name=name, id=name))
            nodes[name] = replace(base, **changes)
    return RunningLab(name="lab", networks=tuple(networks.values()), nodes=tuple(nodes.values()))


@pytest.mark.parametrize("case", cases("plan"), ids=by_name)
def test_plan(case: Case) -> None:
    plan = plan_changes(WANTED, _observed(case.raw["observed"] or {}), case.raw.get("unbaked", []))
    found = [asdict(change) for change in plan.changes]
    assert found == [
        {"by_hand": found[place]["by_hand"], **it} for place, it in enumerate(case.raw["expected"])
    ]


def test_what_somebody_did_by_hand_is_told_from_what_the_inventory_changed() -> None:
    limits = Wall(
        node="attacker", capabilities=(), drops_all=True, new_privileges=False, privileged=False,
        host_network=False, mounts=(), nameservers=("127.0.0.1",), memory=2, processes=0, cpus=1,
    )  # fmt: skip
    running = _observed({"bastion": {"state": "stopped"}, "sensor": {"definition": "limits=2 variables=1"}})
    found = {
        it.subject: (it.by_hand, it.reason) for it in plan_changes(WANTED, running, (), [limits]).changes
    }
    assert found == {
        "attacker": (True, "it has no limit of processes; it has a limit of memory of 2, not 1"),
        "bastion": (True, "it stopped"),
        "sensor": (False, "its limits changed"),
    }
