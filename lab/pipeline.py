"""What each command of `lab` does, in order. Start reading here.

A stage takes the value of the stage before and returns its own. It prints nothing, exits nothing
and reads no global; what it needs from outside comes in `Means`.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import lab
from lab.engine.engine import Engine
from lab.engine.nodes import RunningLab, SeenNode
from lab.errors import BadFile, NotFound, WrongInput
from lab.files import content, records
from lab.inventory.definition import Lab, read_inventory
from lab.moment import Moment
from lab.provision import apply, blueprint, doctor, images, status, walls
from lab.provision.apply import Receipt
from lab.provision.blueprint import Blueprint
from lab.provision.images import OldImage, Recipe
from lab.provision.lock import turn
from lab.provision.plan import Plan, plan_changes, reset_changes
from lab.provision.status import NodeStatus
from lab.provision.walls import Proof

if TYPE_CHECKING:  # what only a run needs is imported by its stages, so that `lab up` is quick
    from lab.bench.up import Contest
    from lab.detect.alert import Alert
    from lab.exercise.scenario import Scenario
    from lab.runs.folder import Cast, RunFolder
    from lab.score.values import Score

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

    held: ExitStack = field(default_factory=ExitStack)
    """What is given back when the last stage is done."""

    opened: list[RunFolder] = field(default_factory=list)
    """The run that was opened, for a message when the command is stopped."""

    @cached_property
    def engine(self) -> Engine:
        """The engine, connected when it is first needed."""
        return self.connect()


def execute(stages: tuple[Stage, ...], value: object, means: Means) -> Any:  # noqa: ANN401  # the last stage's value
    """Hand a value through the stages."""
    with means.held:
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


def read_lab(name: str, means: Means) -> Lab:
    """Name or path -> Lab, or every problem of the inventory."""
    del means
    return read_inventory(content.find("inventories", name or default_inventory()))


def take_turn(lab: Lab, means: Means) -> Lab:
    """Lab -> the same, with no other command changing it until the last stage is done."""
    means.held.enter_context(turn(lab.name))
    return lab


def plan_lab(lab: Lab, means: Means) -> Planned:
    """Lab -> what has to change."""
    recipes = images.recipes(lab.nodes)
    unbaked = images.missing(recipes.values(), means.engine)
    drawn = blueprint.draw(lab, {name: it.tag for name, it in recipes.items()})
    running = means.engine.observe(lab.name)
    plan = plan_changes(drawn, running, [it.tag for it in unbaked])
    return Planned(lab=lab, recipes=unbaked, blueprint=drawn, plan=plan)


def check_machine(planned: Planned, means: Means) -> Planned:
    """What has to change -> the same, or every reason why this machine cannot run it."""
    unbaked = len(planned.recipes)
    doctor.require(doctor.examine(lambda: means.engine, planned.lab, unbaked=unbaked))
    return planned


def bake_images(planned: Planned, means: Means) -> Planned:
    """What has to change -> the same, with an image for each node."""
    for change in planned.plan.changes:
        means.tell(f"{change.action} {change.what} {change.subject}: {change.reason}")
    images.bake(planned.lab.name, planned.recipes, means.engine, means.tell)
    return planned


def apply_plan(planned: Planned, means: Means) -> Standing:
    """What has to change -> the lab, changed."""
    running = apply.apply_plan(planned.blueprint, planned.plan, means.engine)
    return Standing(lab=planned.lab, running=running, changed=bool(planned.plan.changes))


def await_ready(standing: Standing, means: Means) -> Standing:
    """The lab -> the same, each node ready by its own check."""
    running = apply.await_ready(standing.lab, standing.running, means.engine, means.tell)
    return replace(standing, running=running)


def prove_walls(standing: Standing, means: Means) -> Proof:
    """The lab -> proof that it keeps in what is in it; when nothing changed, nothing is tried."""
    if not standing.changed:
        return Proof(running=standing.running, probes=())
    return walls.prove(standing.running, means.engine)


PLAN: Final[tuple[Stage, ...]] = (
    read_lab,  # name       -> Lab
    plan_lab,  # Lab        -> Planned
)

UP: Final[tuple[Stage, ...]] = (
    read_lab,  # name       -> Lab
    take_turn,  # Lab        -> Lab
    plan_lab,  # Lab        -> Planned
    check_machine,  # Planned    -> Planned, or every reason why not
    bake_images,  # Planned    -> Planned
    apply_plan,  # Planned    -> Standing
    await_ready,  # Standing   -> Standing
    prove_walls,  # Standing   -> Proof
)


# -- verify, reset -------------------------------------------------------------------------------


def attack_walls(name: str, means: Means) -> Proof:
    """Name -> every probe of every wall, with what came of it."""
    running = means.engine.observe(name)
    if not any(node.state == "running" for node in running.nodes):
        raise NotFound("running lab", name=name, known=means.engine.labs(), remedy="lab up  makes one")
    return walls.attack(running, means.engine)


VERIFY: Final[tuple[Stage, ...]] = (
    attack_walls,  # name       -> Proof
)


def plan_reset(nodes: tuple[str, ...], means: Means) -> Planned:
    """Names of nodes, none for all -> the plan that makes them anew and touches no other."""
    lab = take_turn(_lab_at_hand(means), means)
    names = tuple(node.name for node in lab.nodes)
    for name in nodes:
        if name not in names:
            raise NotFound("node", name=name, known=names)
    running = means.engine.observe(lab.name)
    if running.empty:
        raise NotFound("running lab", name=lab.name, remedy=f"lab up {lab.name}  makes it")
    planned = plan_lab(lab, means)
    return replace(planned, plan=reset_changes(planned.blueprint, running, frozenset(nodes or names)))


def _lab_at_hand(means: Means) -> Lab:
    """Read the inventory of the lab a command is about: the file it was made from, else one of its name."""
    name = find_lab(means)
    return read_lab(means.engine.observe(name).inventory or name, means)


RESET: Final[tuple[Stage, ...]] = (
    plan_reset,  # names      -> Planned
    bake_images,  # Planned    -> Planned
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
    from lab.exercise.scenario import read_scenario

    lab = _lab_at_hand(means)
    return Prepared(lab=lab, scenario=read_scenario(content.find("scenarios", name), lab))


def open_run(prepared: Prepared, means: Means) -> tuple[Prepared, RunFolder]:
    """The scenario -> the same, and a folder that says what the run will be."""
    from lab.runs import folder
    from lab.runs.folder import Header

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
    from lab.runs.folder import Cast, SeenParty

    nodes = tuple(
        SeenParty(name=node.name, kind=node.kind, image=node.image, addresses=node.addresses)
        for node in running.nodes
    )
    return Cast(lab=running.name, nodes=nodes)


def play_and_watch(opened: tuple[Prepared, RunFolder], means: Means) -> RunFolder:
    """The scenario -> its run: benign traffic, the attack, and what was noticed meanwhile."""
    from lab.detect.detector import own_detector
    from lab.exercise.play import Exercise
    from lab.watch.live import watching

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
    from lab.score.measures import score_run as judge
    from lab.telemetry.store import Store

    del means
    header = run.header()
    found = judge(
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
    from lab.watch.replay import replay

    run = replay(recording, means.on_alert)
    means.opened.append(run)
    return run


REPLAY: Final[tuple[Stage, ...]] = (
    replay_run,  # RunFolder  -> RunFolder
    *SCORE,
)


# -- down ----------------------------------------------------------------------------------------


def remove_lab(name: str, means: Means) -> Receipt:
    """Name -> what was removed, found by its labels alone; an `up` that is at work is stopped first."""
    with turn(name, ending=True):
        return apply.remove(name, means.engine)


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


def show_nodes(name: str, means: Means) -> tuple[NodeStatus, ...]:
    """Name -> the nodes of the lab as they are now; of every lab when none is named."""
    return status.nodes(means.engine, name, means.pause)


STATUS: Final[tuple[Stage, ...]] = (
    show_nodes,  # name       -> NodeStatus, ...
)


# -- prune ---------------------------------------------------------------------------------------


def old_images(means: Means, *, everything: bool) -> tuple[OldImage, ...]:
    """List our images that no container uses and, unless `everything` goes, no inventory needs."""
    needed = () if everything else _recipes_of_inventories()
    used = {node.image for name in means.engine.labs() for node in means.engine.observe(name).nodes}
    return images.unused(needed, used, means.engine)


def _recipes_of_inventories() -> list[Recipe]:
    """Work out the images of every inventory that a name can mean; one that cannot be read needs none."""
    found: list[Recipe] = []
    for path in content.inventories():
        with suppress(BadFile):
            found += images.recipes(read_inventory(path).nodes).values()
    return found


def remove_images(old: tuple[OldImage, ...], means: Means) -> tuple[OldImage, ...]:
    """Images -> the same, removed."""
    for image in old:
        means.engine.remove_image(image.tag)
    return old


# -- bench ---------------------------------------------------------------------------------------


def bench_lab(nodes: str, rounds: int, to: Path | None, means: Means) -> Contest:
    """Measure `up` and `down` beside others.

    Args:
        nodes: Numbers of nodes, separated by commas.
        rounds: How often each contender runs.
        to: A folder that gets `up.json` and `up.html`; nothing is kept without.
        means: As for every stage.

    Raises:
        WrongInput: that is not a list of numbers.
    """
    from lab.bench import up

    sizes = [int(it) if it.strip().isdecimal() else 0 for it in nodes.split(",")]
    if not all(0 < it <= up.MOST for it in sizes):
        raise WrongInput(f"--nodes {nodes}: write numbers from 1 to {up.MOST}, as  6,50,250")
    with tempfile.TemporaryDirectory(prefix="homerange-bench-") as folder:
        planned = plan_lab(read_inventory(up.write_inventory(Path(folder), 1, 0)), means)
        bake_images(planned, means)
        image = planned.blueprint.nodes[0].image
        machine_told = up.describe(means.engine.about())
        contest = up.measure(
            sizes, rounds, image=image, folder=Path(folder), machine=machine_told, tell=means.tell
        )
    if to is not None:
        to.mkdir(parents=True, exist_ok=True)
        records.write(to / "up.json", contest)
        up.picture(contest, to / "up.html")
    return contest


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
    if running.empty:
        raise NotFound("lab", name=running.name, known=means.engine.labs(), remedy="lab up  makes one")
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
