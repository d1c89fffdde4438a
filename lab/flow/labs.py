"""Stages that build, check, change and remove labs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from lab.engine.nodes import RunningLab, SeenNode
from lab.engine.shell import Hear
from lab.errors import BadFile, NotFound
from lab.files.workplace import lab_name
from lab.flow.context import Context
from lab.flow.rules import sensor_additions
from lab.inventory.definition import Lab, Node, read_inventory
from lab.provision import apply, blueprint, disk, doctor, images, program, status, walls
from lab.provision.blueprint import Blueprint
from lab.provision.images import Baker, OldImage, Recipe
from lab.provision.lock import locked, taken_over
from lab.provision.plan import Plan, plan_changes, reset_changes
from lab.provision.receipt import Receipt
from lab.provision.status import LabStatus, LogTail, NodeStatus
from lab.provision.walls import Probe, Proof

DEFAULT_LAB: Final = "starter"
"""The lab that is meant when none is named, none runs, and the folder has no inventory of its own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """A lab, what is to be made, and what has to change for it."""

    lab: Lab
    """The lab."""

    recipes: tuple[Recipe, ...]
    """The images that do not exist yet."""

    blueprint: Blueprint
    """What the engine is to have."""

    plan: Plan
    """What has to change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A lab and what runs of it."""

    lab: Lab
    """The lab."""

    running: RunningLab
    """What the engine has."""

    changed: bool
    """Whether anything had to be changed."""


SENSOR_RULES: Final = "suricata_more_rules"
"""The variable of a role that takes further rules for its sensor."""


# -- up ------------------------------------------------------------------------------------------


def read_lab(name: str, context: Context) -> Lab:
    """Name or path -> Lab, or every problem of the inventory."""
    path = context.workplace.find("inventories", name or default_inventory(context))
    lab = read_inventory(path, context.kinds)
    return replace(lab, nodes=tuple(with_sensor_rules(it, sensor_additions(context)) for it in lab.nodes))


def with_sensor_rules(node: Node, rules: str) -> Node:
    """Return a node that also has some rules, if it is a sensor that takes any."""
    if not rules or SENSOR_RULES not in node.kind.arguments:
        return node
    own = str(node.variables.get(SENSOR_RULES, ""))
    return replace(node, variables={**node.variables, SENSOR_RULES: f"{own}\n{rules}".strip()})


def lock_lab(lab: Lab, context: Context) -> Lab:
    """Lab -> the same, with no other command changing it until the last stage is done."""
    context.held.enter_context(locked(lab.name, doing=context.command))
    return lab


def plan_lab(lab: Lab, context: Context) -> Planned:
    """Lab -> what has to change."""
    recipes = images.recipes(lab.nodes, context.workplace)
    unbaked = images.missing(recipes.values(), context.engine)
    drawn = blueprint.draw(lab, {name: it.tag for name, it in recipes.items()})
    running = context.engine.observe(lab.name)
    confined = context.engine.walls(lab.name) if running.nodes else ()
    plan = plan_changes(drawn, running, [it.tag for it in unbaked], confined)
    return Planned(lab=lab, recipes=unbaked, blueprint=drawn, plan=plan)


def check_machine(planned: Planned, context: Context) -> Planned:
    """What has to change -> the same, or every reason why this machine cannot run it."""
    unbaked = len(planned.recipes)
    folder = context.workplace.folder
    doctor.require(doctor.examine(lambda: context.engine, folder, planned.lab, unbaked=unbaked))
    return planned


def bake_images(planned: Planned, context: Context) -> Planned:
    """What has to change -> the same, with an image for each node."""
    for change in planned.plan.changes:
        context.tell(f"{change.action} {change.what} {change.subject}: {change.reason}")
    baker = Baker(
        lab=planned.lab.name,
        engine=context.engine,
        workplace=context.workplace,
        tell=context.tell,
        stop=context.stop,
    )
    baker.bake(planned.recipes)
    return planned


def apply_plan(planned: Planned, context: Context) -> Standing:
    """What has to change -> the lab, changed."""
    running = apply.apply_plan(planned.blueprint, planned.plan, context.engine)
    return Standing(lab=planned.lab, running=running, changed=bool(planned.plan.changes))


def leave_out(lab: Lab, context: Context) -> Lab:
    """Lab -> the same without the nodes that may be missing, where their programs cannot be had."""
    return _without_unreachable(lab, context, pull=True)


def _without_unreachable(lab: Lab, context: Context, *, pull: bool) -> Lab:
    optional = [node for node in lab.nodes if node.kind.optional]
    tags = images.recipes(optional, context.workplace)
    lacking = {
        node.name
        for node in optional
        if context.engine.image_labels(tags[node.name].tag) is None
        and not program.within_reach(node.kind, context.engine, pull=pull)
    }
    for node in optional:
        if node.name in lacking and node.kind.program:
            context.tell(f"going on without {node.name}: no registry answers for {node.kind.program.image}")
    return replace(lab, nodes=tuple(node for node in lab.nodes if node.name not in lacking))


def hand_secrets(standing: Standing, context: Context) -> Standing:
    """The lab -> the same; who speaks to another node has the secret for it."""
    apply.hand_secrets(standing.lab, standing.running, context.engine)
    return standing


def await_ready(standing: Standing, context: Context) -> Standing:
    """The lab -> the same, each node ready by its own check."""
    running = apply.await_ready(standing.lab, standing.running, context.engine, context.tell)
    return replace(standing, running=running)


def prove_walls(standing: Standing, context: Context) -> Proof:
    """The lab -> proof that it keeps in what is in it; when nothing changed, nothing is tried."""
    if not standing.changed:
        return Proof(running=standing.running, probes=())
    return walls.prove(standing.running, context.engine, context.kinds)


# -- verify, reset -------------------------------------------------------------------------------


def named_lab(name: str, context: Context) -> str:
    """Name, or nothing -> the lab that is meant."""
    return name or find_lab(context)


def attack_walls(name: str, context: Context) -> Proof:
    """Name -> every probe of every wall, with what came of it."""
    running = context.engine.observe(name)
    if not any(node.state == "running" for node in running.nodes):
        raise NotFound("running lab", name=name, known=context.engine.labs(), remedy="lab up  makes one")
    proof = walls.attack(running, context.engine, context.kinds)
    return replace(proof, probes=(*_held_against_plan(running, context), *proof.probes))


def _held_against_plan(running: RunningLab, context: Context) -> Iterator[Probe]:
    """Hold a lab against its inventory, as `plan` does: what somebody changed by hand is a hole."""
    if not Path(running.inventory).is_file():
        return  # taken away meanwhile; the probes go on without it
    planned = plan_lab(_present(read_lab(running.inventory, context), running), context)
    for change in planned.plan.changes:
        if change.by_hand:
            said = f"{change.reason};  lab up  puts it right"
            yield Probe(
                node=change.subject,
                wall="definition",
                target=f"{change.what} as planned",
                held=False,
                said=said,
            )


def plan_reset(nodes: tuple[str, ...], context: Context) -> Planned:
    """Names of nodes, none for all -> the plan that makes them anew and touches no other."""
    lab = lock_lab(lab_at_hand(context), context)
    names = tuple(node.name for node in lab.nodes)
    for name in nodes:
        if name not in names:
            raise NotFound("node", name=name, known=names)
    return plan_nodes(lab, frozenset(nodes or names), context)


def plan_nodes(lab: Lab, names: frozenset[str], context: Context) -> Planned:
    """Plan to make nodes anew and touch no other."""
    running = context.engine.observe(lab.name)
    if running.empty:
        raise NotFound("running lab", name=lab.name, remedy=f"lab up {lab.name}  makes it")
    planned = plan_lab(lab, context)
    return replace(planned, plan=reset_changes(planned.blueprint, running, names))


# -- down ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Removal:
    """Which labs are to go."""

    name: str = ""
    """One lab; when empty, the only one there is."""

    everything: bool = False
    """Whether all of them go."""


def labs_to_remove(removal: Removal, context: Context) -> tuple[str, ...]:
    """Which labs are to go -> their names; none is no error."""
    if removal.everything:
        return context.engine.labs()
    known = context.engine.labs()
    if removal.name:
        name = lab_name(removal.name)
        if name not in known and not context.workplace.has("inventories", removal.name):
            raise NotFound("lab", name=name, known=known, remedy="lab ls  lists those of this machine")
        return (name,)
    return known if len(known) < 2 else (find_lab(context),)  # noqa: PLR2004  # two are not one


def remove_labs(names: tuple[str, ...], context: Context) -> tuple[Receipt, ...]:
    """Names -> what was removed, by labels alone; an `up` that is at work is stopped first."""
    receipts = []
    for name in names:
        with taken_over(name, tell=context.tell):
            receipts.append(apply.remove(name, context.engine))
    return tuple(receipts)


# -- what there is -------------------------------------------------------------------------------


def show_labs(_: None, context: Context) -> tuple[LabStatus, ...]:
    """Nothing -> every lab on this machine."""
    return status.labs(context.engine)


def show_nodes(name: str, context: Context) -> tuple[NodeStatus, ...]:
    """Name -> the nodes of the lab as they are now; of every lab when none is named."""
    return status.nodes(context.engine, context.kinds, name, context.pause)


@dataclass(frozen=True, kw_only=True, slots=True)
class LogChoice:
    """Which logs to read, and how much of them."""

    node: str
    """The node's name."""

    source: str = ""
    """Only this log; all when empty."""

    lines: int = 20
    """How many lines of each."""


def read_logs(choice: LogChoice, context: Context) -> tuple[LogTail, ...]:
    """Which logs -> their last lines."""
    node = find_node(choice.node, context)
    return status.read_logs(node, context.engine, context.kinds, source=choice.source, lines=choice.lines)


def follow_logs(choice: LogChoice, context: Context) -> Iterator[str]:
    """Which logs -> their last lines, and each new one as it is written, until it is stopped."""
    node = find_node(choice.node, context)
    return status.follow_logs(node, context.engine, context.kinds, source=choice.source, lines=choice.lines)


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeCommand:
    """A command that a person wants run on a node."""

    node: str
    """The node's name."""

    argv: tuple[str, ...]
    """What to run; no shell is added."""

    hear: Hear
    """Takes what it writes, as it comes."""

    stdin: Iterable[bytes] = ()
    """What it reads, as it comes."""


def run_command(command: NodeCommand, context: Context) -> int:
    """A command -> the exit code with which it ended on its node."""
    node = find_node(command.node, context)
    with _disk_watched(node, context):
        return context.engine.relay(node, command.argv, stdin=command.stdin, hear=command.hear)


def _disk_watched(node: SeenNode, context: Context) -> AbstractContextManager[None]:
    kind = context.kinds.find(node.kind)
    return disk.watched(node.lab, context.engine, {node.name: kind.disk} if kind else {}, context.tell)


def open_shell(name: str, context: Context) -> int:
    """A node's name -> the exit code of the shell that this terminal had there."""
    node = find_node(name, context)
    with _disk_watched(node, context):
        return context.engine.open_shell(node)


# -- prune ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruning:
    """Which images are to go."""

    everything: bool
    """Whether those go as well that inventories need."""

    dry_run: bool
    """Whether they are only listed."""


def prune_images(pruning: Pruning, context: Context) -> tuple[OldImage, ...]:
    """Which images -> those that no container uses and no inventory needs, removed."""
    needed = () if pruning.everything else _recipes_of_inventories(context)
    used = {node.image for name in context.engine.labs() for node in context.engine.observe(name).nodes}
    old = images.unused(needed, used, context.engine, context.workplace)
    for image in () if pruning.dry_run else old:
        context.engine.remove_image(image.tag)
    return old


def _recipes_of_inventories(context: Context) -> list[Recipe]:
    """Work out the images of every inventory that a name can mean; one that cannot be read needs none."""
    found: list[Recipe] = []
    for path in context.workplace.inventories():
        with suppress(BadFile):
            lab = read_inventory(path, context.kinds)
            found += images.recipes(lab.nodes, context.workplace).values()
    return found


# -- what is meant when nothing is named -----------------------------------------------------------


def default_inventory(context: Context) -> str:
    """Return the folder's only inventory, else the starter lab."""
    return context.workplace.only_inventory() or DEFAULT_LAB


def lab_at_hand(context: Context) -> Lab:
    """Read the inventory of the lab a command is about: the file it was made from, else one of its name."""
    name = find_lab(context)
    running = context.engine.observe(name)
    return _present(read_lab(running.inventory or name, context), running)


def _present(lab: Lab, running: RunningLab) -> Lab:
    """Return a lab without the nodes that `up` had to leave out."""
    there = {node.name for node in running.nodes}
    return replace(lab, nodes=tuple(it for it in lab.nodes if not it.kind.optional or it.name in there))


def find_node(name: str, context: Context) -> SeenNode:
    """Return a running node of the lab a command is about.

    Raises:
        NotFound: the lab has no such node, or it does not run.
    """
    running = context.engine.observe(find_lab(context))
    if running.empty:
        raise NotFound("lab", name=running.name, known=context.engine.labs(), remedy="lab up  makes one")
    node = running.node(name)
    if node is None or node.state != "running":
        raise NotFound("running node", name=name, known=tuple(it.name for it in running.nodes))
    return node


def find_lab(context: Context) -> str:
    """Return the lab a command is about: the one that was named, else the only one that runs.

    Raises:
        NotFound: none runs, or several do.
    """
    if context.lab_name:
        return context.lab_name
    known = context.engine.labs()
    if len(known) == 1:
        return known[0]
    if known:
        raise NotFound("single lab", name="", known=known, remedy="name one of them with  --lab NAME")
    raise NotFound("running lab", name="", remedy=f"lab up {default_inventory(context)}  makes one")
