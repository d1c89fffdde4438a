"""Builds a lab as planned, waits until it is ready, and takes it away again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from lab.engine.engine import Engine
from lab.engine.nodes import NetworkSpec, NodeSpec, RunningLab, SeenNode
from lab.errors import LabError, NodeNotReady
from lab.inventory.definition import Lab, Node
from lab.inventory.kind import Handed
from lab.provision import receipt
from lab.provision.blueprint import Blueprint
from lab.provision.plan import Plan
from lab.workers import together

_READY_WITHIN: Final = 60.0
"""Seconds until a node that is not ready counts as broken, unless its kind says otherwise; ready ones take
one or two."""

_CHECK_EVERY: Final = 0.1
"""Seconds between two looks at a node that is not ready."""


_CLEARING_LOOKS: Final = 100
"""How often the host is looked at until it is empty: an engine clears interfaces, mounts and helpers in its
own time, on a busy machine some seconds."""

_FORGOTTEN_AFTER: Final = 30
"""Looks after which the helper of a node that the engine no longer has counts as forgotten by it: one whose
deletion took longer than the engine waits (Docker 20.10: 2 s) serves nobody, and holds interfaces."""


def apply_plan(blueprint: Blueprint, plan: Plan, engine: Engine) -> RunningLab:
    """Make the lab what the blueprint says, changing what the plan names and nothing else."""
    running = engine.observe(plan.lab)
    gone = plan.subjects("node", "remove", "recreate")
    engine.remove_nodes(node for node in running.nodes if node.name in gone)
    for network in running.networks:
        if network.name in plan.subjects("network", "remove", "recreate"):
            engine.remove_network(network)
    together([partial(engine.create_network, spec) for spec in _networks(blueprint, plan, running, engine)])
    for network in running.networks:
        if network.name in plan.subjects("network", "seal"):
            engine.seal_network(network)
    started = plan.subjects("node", "start")
    together(
        [
            *(partial(engine.create_node, spec) for spec in _nodes(blueprint, plan)),
            *(partial(engine.start_node, node) for node in running.nodes if node.name in started),
        ]
    )
    return engine.observe(plan.lab)


def _networks(blueprint: Blueprint, plan: Plan, running: RunningLab, engine: Engine) -> list[NetworkSpec]:
    """List the networks to make; each carries what the host had before the lab's first one."""
    made = plan.subjects("network", "create", "recreate")
    if not made:
        return []
    known = next((seen.before for seen in running.networks if seen.before), "")
    before = known or receipt.pack(receipt.snapshot(engine))
    return [replace(spec, before=before) for spec in blueprint.networks if spec.name in made]


def _nodes(blueprint: Blueprint, plan: Plan) -> list[NodeSpec]:
    made = plan.subjects("node", "create", "recreate")
    return [spec for spec in blueprint.nodes if spec.name in made]


def hand_secrets(lab: Lab, running: RunningLab, engine: Engine) -> None:
    """Give nodes the secrets of those they speak to, by their shells alone: no label or variable has them.

    Raises:
        NodeNotReady: a node did not make its secret in time.
    """
    together(
        [
            partial(_hand, handed, node, running, engine)
            for node in lab.nodes
            for handed in node.kind.handed
            if running.node(node.name)
        ]
    )


def _hand(handed: Handed, to: Node, running: RunningLab, engine: Engine) -> None:
    giver = next((it for it in running.nodes if it.kind == handed.of), None)
    taker = running.node(to.name)
    if giver is None or taker is None:
        return
    secret = _secret(giver, handed.path, engine)
    write = (
        "sh",
        "-c",
        'umask 077; mkdir -p "${0%/*}"; printf %s "$1" >"$0.host"; cat >"$0.new"; mv "$0.new" "$0"',
    )
    engine.execute(taker, (*write, handed.path, giver.name), user="root", stdin=secret)


def _secret(node: SeenNode, path: str, engine: Engine) -> bytes:
    """Read the secret that a node makes when it first starts."""
    argv = ("cat", path)
    begun = time.monotonic()
    while (waited := time.monotonic() - begun) < _READY_WITHIN:
        ran = engine.execute(node, argv, user="root")
        if ran.code == 0 and ran.stdout.strip():
            return ran.stdout
        time.sleep(_CHECK_EVERY)
    raise NodeNotReady(node=node.name, waited=waited, argv=argv, said="it made no secret")


def await_ready(lab: Lab, running: RunningLab, engine: Engine, tell: Callable[[str], None]) -> RunningLab:
    """Wait until every node passes its own health check.

    Raises:
        NodeNotReady: one did not in time; shows its last words.
    """
    checks = {node.name: node.kind for node in lab.nodes if node.kind.health or node.kind.machine}
    waiting = [node for node in running.nodes if node.name in checks]
    if not waiting:
        return running
    together(
        [
            partial(await_node, node, kind.health, engine, tell, within=kind.ready_within)
            for node in waiting
            for kind in (checks[node.name],)
        ]
    )
    return engine.observe(lab.name)


def await_node(
    node: SeenNode,
    argv: tuple[str, ...],
    engine: Engine,
    tell: Callable[[str], None],
    *,
    within: float | None = None,
) -> None:
    """Wait until a node passes a health check.

    Args:
        node: Which.
        argv: The check.
        engine: Where it runs.
        tell: Hears that it is ready.
        within: Seconds that it has.

    Raises:
        NodeNotReady: it did not in time; shows its last words.
    """
    begun = time.monotonic()
    while (waited := time.monotonic() - begun) < (within or _READY_WITHIN):
        said = healthy(node, argv, engine)
        if not said:
            tell(f"{node.name} is ready after {waited:.1f} s")
            return
        if not _runs(node, engine):
            said = "it stopped"
            break
        time.sleep(_CHECK_EVERY)
    last = engine.log_tail(node, 5).strip().replace("\n", "\n    ")
    raise NodeNotReady(node=node.name, waited=waited, argv=argv, said=last or said)


def _runs(node: SeenNode, engine: Engine) -> bool:
    """Tell whether a node's first process is still there; one that ended will never be ready."""
    seen = engine.observe(node.lab).node(node.name)
    return seen is None or seen.state == "running"


def healthy(node: SeenNode, argv: tuple[str, ...], engine: Engine) -> str:
    """Ask a node whether it is ready; nothing when it is, else what its check said."""
    if node.state != "running":
        return "it does not run"
    if not (argv or node.machine):
        return ""
    try:
        # A machine runs from the first moment on, and does something once it has started.
        ran = engine.execute(node, argv or ("true",), user="root", timeout=10)
    except LabError as error:
        return str(error)
    words = (ran.stderr or ran.stdout).decode("utf-8", "backslashreplace").strip()
    return "" if ran.code == 0 else words or f"its check ended with {ran.code}"


def remove(name: str, engine: Engine) -> receipt.Receipt:
    """Take a lab away by its labels alone, and prove that nothing is left.

    What cannot be removed does not stop the rest; the receipt names it.
    """
    running = engine.observe(name)
    before = next((receipt.unpack(seen.before) for seen in running.networks if seen.before), None)
    faults = [*_try_all([partial(engine.remove_nodes, running.nodes)])]
    faults += _try_all([partial(engine.remove_network, network) for network in running.networks])
    left = engine.observe(name)
    after = _settled(before, running, engine)
    there = {node.id for node in left.nodes} | {network.id for network in left.networks}
    return receipt.Receipt(
        lab=name,
        nodes=tuple(node.name for node in running.nodes if node.id not in there),
        networks=tuple(network.name for network in running.networks if network.id not in there),
        left=(*faults, *after.left),
        others=after.others,
        unchecked=after.unchecked if not running.empty else (),
    )


def _settled(before: receipt.Snapshot | None, running: RunningLab, engine: Engine) -> receipt.Comparison:
    """Compare the host; what the engine is still clearing away gets a moment to go."""
    for look in range(_CLEARING_LOOKS):
        found = receipt.compare(before, receipt.snapshot(engine), running)
        if not found.left:
            break
        if look == _FORGOTTEN_AFTER:
            there = {node.id for node in engine.observe(running.name).nodes}
            receipt.end_helpers(frozenset(node.id for node in running.nodes if node.id not in there))
        time.sleep(_CHECK_EVERY)
    return found


def _try_all(tasks: Sequence[Callable[[], None]]) -> list[str]:
    try:
        together(tasks)
    except LabError as error:
        return [str(error)]
    except ExceptionGroup as group:
        return [str(error) for error in group.exceptions]
    return []
