"""What `lab up`, `lab run` and `lab down` do, in order. Start reading here.

A stage takes the value of the stage before and returns its own. It prints nothing, exits nothing
and reads no global; what it needs from outside comes in `Means`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Final, Literal

import lab
from lab import blueprint, content, folder, machine, records, steward, walls
from lab.blueprint import Blueprint
from lab.definition import Lab, read_inventory
from lab.detect.alert import Alert
from lab.engine.base import BASE, Engine, RunningLab, SeenNode
from lab.errors import NotFound
from lab.folder import Cast, Header, RunFolder, SeenParty
from lab.images import Baked, bake
from lab.kind import Kind, kinds
from lab.moment import Moment
from lab.plan import Plan, plan_changes
from lab.scenario import Scenario, read_scenario
from lab.score import Score
from lab.steward import Receipt
from lab.walls import Proof
from lab.workers import together

Stage = Callable[[Any, "Means"], Any]
"""One stage: the value before it, and the means, to its own value."""

DEFAULT_LAB: Final = "starter"
"""The lab that is meant when none is named, none runs, and the folder has no inventory of its own."""

DEFAULT_SCENARIO: Final = "ssh-brute-force"
"""What `lab demo` plays."""


def connect() -> Engine:
    """Connect to the engine of this machine.

    Raises:
        EngineUnreachable: none answers.
        NoRights: this user may not.
    """
    from lab.engine.docker import DockerEngine

    return DockerEngine()


@dataclass(kw_only=True)
class Means:
    """What stages need from outside."""

    connect: Callable[[], Engine] = connect
    """Gives the engine."""

    tell: Callable[[str], None] = lambda _line: None
    """Hears one line about what is going on."""

    on_alert: Callable[[Alert], None] = lambda _alert: None
    """Hears of each alert as it is raised."""

    timed: Callable[[str], AbstractContextManager[None]] = lambda _name: nullcontext()
    """Wraps each stage, to say how long it took."""

    pause: Callable[[float], None] = time.sleep
    """Waits."""

    lab_name: str = ""
    """The lab a command is about; found when empty."""

    opened: list[RunFolder] = field(default_factory=list)
    """The run that was opened, for a message when the command is stopped."""

    @cached_property
    def engine(self) -> Engine:
        """The engine, connected when it is first needed."""
        return self.connect()


def execute(stages: tuple[Stage, ...], value: object, means: Means) -> Any:  # noqa: ANN401  # the last stage's value
    """Hand a value through the stages."""
    for stage in stages:
        with means.timed(stage.__name__.replace("_", " ")):
            value = stage(value, means)
    return value


# -- up ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """A lab, what is to be made, and what has to change for it."""

    lab: Lab
    """The lab."""

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


def read_lab(name: str, means: Means) -> Lab:
    """Name or path -> Lab, or every problem of the inventory."""
    del means
    return read_inventory(content.find("inventories", name or default_inventory()))


def check_machine(lab: Lab, means: Means) -> Lab:
    """Lab -> the same, or every reason why this machine cannot run it."""
    machine.require(machine.examine(lambda: means.engine, lab))
    return lab


def bake_images(lab: Lab, means: Means) -> Baked:
    """Lab -> the lab with an image for each node."""
    return bake(lab, means.engine, means.tell)


def plan_lab(baked: Baked, means: Means) -> Planned:
    """The lab with its images -> what has to change."""
    drawn = blueprint.draw(baked.lab, baked.images)
    return Planned(
        lab=baked.lab, blueprint=drawn, plan=plan_changes(drawn, means.engine.observe(baked.lab.name))
    )


def apply_plan(planned: Planned, means: Means) -> Standing:
    """What has to change -> the lab, changed."""
    for change in planned.plan.changes:
        means.tell(f"{change.action} {change.what} {change.subject}: {change.reason}")
    running = steward.apply_plan(planned.blueprint, planned.plan, means.engine)
    return Standing(lab=planned.lab, running=running)


def await_ready(standing: Standing, means: Means) -> Standing:
    """The lab -> the same, each node ready by its own check."""
    running = steward.await_ready(standing.lab, standing.running, means.engine, means.tell)
    return replace(standing, running=running)


def prove_walls(standing: Standing, means: Means) -> Proof:
    """The lab -> proof that it keeps in what is in it."""
    return walls.prove(standing.lab, standing.running, means.engine)


UP: Final[tuple[Stage, ...]] = (
    read_lab,  # name       -> Lab
    check_machine,  # Lab        -> Lab, or every reason why not
    bake_images,  # Lab        -> Baked
    plan_lab,  # Baked      -> Planned
    apply_plan,  # Planned    -> Standing
    await_ready,  # Standing   -> Standing
    prove_walls,  # Standing   -> Proof
)


# -- run -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A scenario and the running lab it is for."""

    lab: Lab
    """The lab."""

    scenario: Scenario
    """The scenario."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """A run and its score."""

    run: RunFolder
    """Where it is kept."""

    score: Score
    """What was detected."""


def read_exercise(name: str, means: Means) -> Prepared:
    """Scenario's name -> the scenario, read for the lab that runs."""
    found = find_lab(means)
    lab = read_lab(means.engine.observe(found).inventory or found, means)
    return Prepared(lab=lab, scenario=read_scenario(content.find("scenarios", name), lab))


def open_run(prepared: Prepared, means: Means) -> tuple[Prepared, RunFolder]:
    """The scenario -> the same, and a folder that says what the run will be."""
    running = means.engine.observe(prepared.lab.name)
    missing = sorted(
        {node.name for node in prepared.lab.nodes} - {n.name for n in running.nodes if n.state == "running"}
    )
    if missing:
        raise NotFound(
            "running node",
            name=", ".join(missing),
            remedy=f"lab up {prepared.lab.name}  starts what is missing",
        )
    started = Moment.now()
    run = folder.create(prepared.scenario.name, started)
    means.opened.append(run)
    (run.path / "scenario.yml").write_text(prepared.scenario.text, encoding="utf-8")
    records.write(run.path / "lab.json", _cast(running))
    run.write_header(
        Header(
            id=run.path.name,
            lab=prepared.lab.name,
            scenario=prepared.scenario.name,
            summary=prepared.scenario.summary,
            version=lab.__version__,
            started=started,
        )
    )
    return prepared, run


def _cast(running: RunningLab) -> Cast:
    nodes = tuple(
        SeenParty(name=node.name, kind=node.kind, image=node.image, addresses=node.addresses)
        for node in running.nodes
    )
    return Cast(lab=running.name, nodes=nodes)


def play_and_watch(opened: tuple[Prepared, RunFolder], means: Means) -> RunFolder:
    """The scenario -> its run: benign traffic, the attack, and what was noticed meanwhile."""
    from lab.detect.detector import own_detector
    from lab.exercise import Exercise
    from lab.watch import watching

    prepared, run = opened
    rules = _sensor_rules(prepared.lab)
    (run.path / "sensor.rules").write_text(rules, encoding="utf-8")
    detector = own_detector(rules)
    exercise = Exercise(
        lab=prepared.lab, scenario=prepared.scenario, engine=means.engine, run=run, tell=means.tell
    )
    run.write_header(replace(run.header(), rules=detector.hashes))
    state: Literal["done", "stopped"] = "stopped"
    try:
        with watching(means.engine, prepared.lab, run, detector, means.on_alert):
            exercise.play(means.pause)
        state = "done"
    finally:
        run.write_header(replace(run.header(), ended=Moment.now(), state=state))
    return run


def _sensor_rules(lab: Lab) -> str:
    """Return the text of the rules that the lab's sensors were baked with."""
    folders = sorted({node.kind.folder for node in lab.nodes if node.kind.host_network})
    return "\n".join(
        path.read_text(encoding="utf-8") for it in folders for path in sorted(it.glob("files/*.rules"))
    )


def score_run(run: RunFolder, means: Means) -> Scored:
    """A run -> its score, from its files alone."""
    from lab import score
    from lab.telemetry.store import Store

    del means
    header = run.header()
    found = score.score_run(
        run=header.id,
        truth=run.truth(),
        alerts=run.alerts(),
        events=Store(run.events).events(),
        clocks=run.clocks(),
        rules=header.rules,
        observed_until=header.ended or header.started,
    )
    records.write(run.score_file, found)
    return Scored(run=run, score=found)


def write_report(scored: Scored, means: Means) -> Scored:
    """The score -> the same, with a report beside it."""
    from lab import report
    from lab.telemetry.store import Store

    del means
    run = scored.run
    story = report.make_story(
        header=run.header(),
        truth=run.truth(),
        alerts=run.alerts(),
        score=scored.score,
        events=Store(run.events).events(),
        sight=run.sight(),
    )
    report.write_report(run.path, story)
    return scored


SCORE: Final[tuple[Stage, ...]] = (
    score_run,  # RunFolder  -> Scored
    write_report,  # Scored     -> Scored
)

RUN: Final[tuple[Stage, ...]] = (
    read_exercise,  # name       -> Prepared
    open_run,  # Prepared   -> Prepared, RunFolder
    play_and_watch,  # both       -> RunFolder
    *SCORE,
)


# -- replay --------------------------------------------------------------------------------------


def replay_run(recording: RunFolder, means: Means) -> RunFolder:
    """A recorded run -> a new run: its events evaluated again, by today's rules."""
    from lab.recording import replay

    run = replay(recording, means.on_alert)
    means.opened.append(run)
    return run


REPLAY: Final[tuple[Stage, ...]] = (
    replay_run,  # RunFolder  -> RunFolder
    *SCORE,
)


# -- down ----------------------------------------------------------------------------------------


def remove_lab(name: str, means: Means) -> Receipt:
    """Name -> what was removed, found by its labels alone."""
    return steward.remove(name, means.engine)


DOWN: Final[tuple[Stage, ...]] = (
    remove_lab,  # name       -> Receipt
)


def labs_to_remove(name: str, means: Means, *, everything: bool) -> tuple[str, ...]:
    """Return the labs a `down` is about; none is no error."""
    if everything:
        return means.engine.labs()
    if name:
        return (content.lab_name(name),)
    known = means.engine.labs()
    return known if len(known) < 2 else (find_lab(means),)  # noqa: PLR2004  # two are not one


# -- status --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeStatus:
    """A node as it is now."""

    lab: str
    """The lab it belongs to."""

    name: str
    """Its name."""

    kind: str
    """Its kind."""

    health: str
    """`ready`, or why not."""

    addresses: Mapping[str, str]
    """Network to address."""

    memory: int
    """Bytes it uses."""

    created: Moment
    """When it was made."""

    base: str
    """What its image is built on."""


def show_nodes(name: str, means: Means) -> tuple[NodeStatus, ...]:
    """Name -> the nodes of the lab; of every lab when none is named."""
    found = [
        node for it in ((name,) if name else means.engine.labs()) for node in means.engine.observe(it).nodes
    ]
    return tuple(together([partial(_status, node, means.engine, kinds().get(node.kind)) for node in found]))


def _status(node: SeenNode, engine: Engine, kind: Kind | None) -> NodeStatus:
    said = steward.healthy(node, kind.health if kind else (), engine)
    return NodeStatus(
        lab=node.lab,
        name=node.name,
        kind=node.kind,
        health=said or "ready",
        addresses=node.addresses,
        memory=engine.usage(node) if node.state == "running" else 0,
        created=node.created,
        base=(engine.image_labels(node.image) or {}).get(BASE, ""),
    )


STATUS: Final[tuple[Stage, ...]] = (
    show_nodes,  # name       -> NodeStatus, ...
)


# -- what is meant when nothing is named -----------------------------------------------------------


def default_inventory() -> str:
    """Return the folder's only inventory, else the starter lab."""
    own = sorted(content.shelves("inventories")[0].glob("*.y*ml"))
    return own[0].stem if len(own) == 1 else DEFAULT_LAB


def find_node(name: str, means: Means) -> SeenNode:
    """Return a running node of the lab a command is about.

    Raises:
        NotFound: the lab has no such node, or it does not run.
    """
    running = means.engine.observe(find_lab(means))
    node = running.node(name)
    if node is None or node.state != "running":
        raise NotFound("running node", name=name, known=tuple(it.name for it in running.nodes))
    return node


def find_lab(means: Means) -> str:
    """Return the lab a command is about: the one that was named, else the only one that runs.

    Raises:
        NotFound: none runs, or several do.
    """
    if means.lab_name:
        return means.lab_name
    known = means.engine.labs()
    if len(known) == 1:
        return known[0]
    if known:
        raise NotFound("single lab", name="", known=known, remedy="name one of them with  --lab NAME")
    raise NotFound("running lab", name="", remedy=f"lab up {default_inventory()}  makes one")
