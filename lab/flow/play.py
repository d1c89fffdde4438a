"""Stages that play exercises: from the file to the run, and what is left of one that was killed."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

import lab
from lab.errors import BadFile, LabError, NotFound, WrongInput
from lab.files.workplace import lab_name
from lab.flow.atomic import library_at_hand
from lab.flow.context import Context
from lab.flow.labs import (
    SENSOR_RULES,
    apply_plan,
    await_ready,
    bake_images,
    hand_secrets,
    lab_at_hand,
    lock_lab,
    plan_nodes,
    read_lab,
)
from lab.flow.models import models_in_use
from lab.flow.respond import hand_in, read_plan
from lab.flow.rules import rule_paths
from lab.inventory.definition import Lab
from lab.moment import Moment
from lab.provision import apply, disk
from lab.runs import names
from lab.runs.header import FREE
from lab.runs.response import is_of_response
from lab.workers import together, told_to_stop

if TYPE_CHECKING:  # imported by the stages that need them, so that `lab up` is quick
    from collections.abc import Callable, Iterator, Mapping

    from lab.engine.nodes import RunningLab
    from lab.exercise.play import Play
    from lab.exercise.recover import Past
    from lab.exercise.respond.cacao import Playbook
    from lab.exercise.respond.standoff import Answering
    from lab.exercise.scenario import Scenario
    from lab.runs.folder import RunFolder
    from lab.runs.header import LabRecord, State
    from lab.siem.sink import Sink


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A scenario and the running lab it is for."""

    lab: Lab
    """The lab."""

    scenario: Scenario
    """The scenario."""

    siem: Sink | None = None
    """The SIEM that is sent what is noticed, while it is."""

    blind: bool = False
    """Whether nothing of what is done is to be seen until the user has answered."""

    respond: float = 0.0
    """Seconds that somebody has to respond after the last step; 0 when nobody does."""

    playbook: Playbook | None = None
    """What they mean to go by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A scenario, its lab, and the folder that its run is kept in."""

    prepared: Prepared
    """The scenario and the lab."""

    running: RunningLab
    """The lab as it is when the run begins, or goes on."""

    run: RunFolder
    """The folder."""

    past: Past | None = None
    """What was done before it was killed; None for a new one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """A run, and what it left."""

    lab: Lab
    """The lab."""

    run: RunFolder
    """The folder."""

    dirty: Mapping[str, str] = field(default_factory=dict)
    """Nodes on which something could not be undone, each with what and why."""


# -- run -----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """A scenario that is to be played."""

    scenario: str
    """Its name or path."""

    seed: int | None = None
    """What chance is drawn from, instead of what the file says."""

    siem: str = ""
    """A SIEM that is sent what is noticed, while it is; none when empty."""

    blind: bool = False
    """Whether nothing of what is done is to be seen until the user has answered."""

    respond: float = 0.0
    """Seconds that somebody has to respond after the last step; 0 when nobody does."""

    playbook: str = ""
    """The name or path of what they mean to go by; none when empty."""


def read_exercise(order: Order, context: Context) -> Prepared:
    """Order -> the scenario, read for the lab that runs; of several, for the one it was written for."""
    from lab.exercise.scenario import inventory_of, read_scenario

    path = context.workplace.find("scenarios", order.scenario)
    written_for = inventory_of(path)
    if not context.lab_name and lab_name(written_for) in context.engine.labs():
        context.lab_name = lab_name(written_for)
    lab_now = lab_at_hand(context)
    try:
        scenario = read_scenario(path, lab_now, library_at_hand(context))
    except BadFile:
        if lab_now.name != lab_name(written_for):
            told = f"it was written for the lab {written_for}, not for {lab_now.name}"
            context.tell(f"{order.scenario}: {told};  lab up {written_for}  makes that")
        raise
    if order.seed is not None:
        scenario = replace(scenario, seed=order.seed)
    if order.respond and not scenario.access:
        said = f"{scenario.name} has no ways in that an attacker could go on using: its file says no  access"
        raise WrongInput(f"{said}\n    lab run mock-breach --respond  has")
    return Prepared(
        lab=lab_now,
        scenario=scenario,
        siem=_siem(order, context),
        blind=order.blind,
        respond=order.respond,
        playbook=_plan(order, context),
    )


def _plan(order: Order, context: Context) -> Playbook | None:
    return read_plan(order.playbook, {}, context) if order.playbook else None


def _siem(order: Order, context: Context) -> Sink | None:
    """Reach the SIEM that is to be told; before the run begins, so that a wrong name or password ends it."""
    if not order.siem:
        return None
    from lab.flow.siem import Choice, reach_siem, tell_fields

    reached = reach_siem(Choice(siem=order.siem), context)
    tell_fields(reached, context)
    return reached.sink


def hold_lab(prepared: Prepared, context: Context) -> Prepared:
    """The scenario -> the same, with the lab ours alone until all is done."""
    lock_lab(prepared.lab, context)
    return prepared


def restart_sensors(prepared: Prepared, context: Context) -> Prepared:
    """The scenario -> the same, with sensors that remember nothing of what they saw before.

    A rule of Suricata that counts is silent for seconds once it has fired; the state of the last run must not
    hide what this one does.
    """
    running = context.engine.observe(prepared.lab.name)
    sensors = [node.name for node in prepared.lab.nodes if node.watch]
    found = [node for node in running.nodes if node.name in sensors and node.state == "running"]
    together([partial(context.engine.restart_node, node) for node in found])
    apply.await_ready(prepared.lab, replace(running, nodes=tuple(found)), context.engine, lambda _line: None)
    return prepared


def open_run(prepared: Prepared, context: Context) -> Opened:
    """The scenario -> the same, and a folder that says what the run will be."""
    from lab.runs import folder
    from lab.runs.header import Header

    running = context.engine.observe(prepared.lab.name)
    require_running(prepared.lab, running)
    started = Moment.now()
    run = folder.create(context.workplace, prepared.scenario.name, started)
    run.happened.scenario.write_text(prepared.scenario.text, encoding="utf-8")
    run.write_lab(lab_record(running))
    run.write_header(
        Header(
            id=run.path.name,
            lab=prepared.lab.name,
            scenario=prepared.scenario.name,
            summary=prepared.scenario.summary,
            story=prepared.scenario.story,
            version=lab.__version__,
            seed=prepared.scenario.seed,
            started=started,
            blind=prepared.blind,
        )
    )
    if prepared.playbook:
        hand_in(prepared.playbook, run)
    return Opened(prepared=prepared, running=running, run=run)


def require_running(wanted: Lab, running: RunningLab) -> None:
    """Make sure that every node of a lab runs.

    Raises:
        NotFound: one does not.
    """
    there = {node.name for node in running.nodes if node.state == "running"}
    missing = sorted({node.name for node in wanted.nodes} - there)
    if missing:
        remedy = f"lab up {wanted.name}  starts what is missing"
        raise NotFound("running node", name=", ".join(missing), remedy=remedy)


def lab_record(running: RunningLab) -> LabRecord:
    """Return what a run keeps of its lab."""
    from lab.runs.header import LabRecord, NodeRecord

    nodes = tuple(
        NodeRecord(name=node.name, kind=node.kind, image=node.image, addresses=node.addresses)
        for node in running.nodes
    )
    return LabRecord(lab=running.name, nodes=nodes)


def play_and_watch(opened: Opened, context: Context) -> Played:
    """The scenario -> its run: benign traffic, the attack, and what was noticed meanwhile.

    Ctrl-C once ends the attack: what is under way is stopped, all is undone, and what there is counts. Twice
    ends this at once; `lab resume` and `lab clean` know what is left.
    """
    from lab.detect.detector import all_rules, detectors
    from lab.watch.collection import read_collection
    from lab.watch.live import watching

    prepared, run = opened.prepared, opened.run
    rules = sensor_rules(prepared.lab)
    run.noticed.sensor_rules.write_text(rules, encoding="utf-8")
    loaded = detectors(rules, rule_paths(context), models_in_use(context))
    run.write_header(replace(run.header(), rules=all_rules(loaded), ended=None, state="running"))
    limits = {node.name: node.kind.disk for node in prepared.lab.nodes}
    state: State = "stopped"
    response = run.response
    try:
        with (
            told_to_stop(context.stop, partial(context.tell, _STOPPING)),
            _told(opened, context),
            disk.watched(prepared.lab.name, context.engine, limits, context.tell),
            watching(
                engine=context.engine,
                lab=prepared.lab,
                running=opened.running,
                noticed=run.noticed,
                detectors=loaded,
                on_alert=context.on_alert,
                pause=context.pause,
                stop=context.stop,
                killed=opened.past.until if opened.past else None,
                meant=lambda it: is_of_response(it.subject, it.at, response.entries()),
            ) as watch,
        ):
            dirty = _play(opened, context, pause=watch.pause, check=watch.check).play()
        if not context.stop.is_set():
            state = "degraded" if read_collection(run.noticed).degraded else "done"
    finally:
        run.write_header(replace(run.header(), ended=Moment.now(), state=state))
    return Played(lab=prepared.lab, run=run, dirty=dirty)


def _told(opened: Opened, context: Context) -> AbstractContextManager[None]:
    """Tell a SIEM what is noticed while it is, if one is to be told."""
    if opened.prepared.siem is None:
        return nullcontext()
    from lab.siem.follow import following
    from lab.siem.push import Pusher

    run = opened.run
    return following(
        Pusher(noticed=run.noticed, run=run.path.name, sink=opened.prepared.siem, tell=context.tell)
    )


_STOPPING = "stopping: what was done is undone and scored; once more stops at once"


def _play(
    opened: Opened,
    context: Context,
    pause: Callable[[float], None] | None = None,
    check: Callable[[], None] = lambda: None,
) -> Play:
    from lab.exercise.briefing import briefing
    from lab.exercise.play import Play
    from lab.exercise.recover import Past

    lab_now, scenario = opened.prepared.lab, opened.prepared.scenario
    return Play(
        lab=lab_now,
        scenario=scenario,
        before_step=lambda step: context.before_step(briefing(step, lab_now, scenario.look_for)),
        engine=context.engine,
        run=opened.run.path.name,
        happened=opened.run.happened,
        tell=context.on_step or context.tell,
        pause=pause or context.pause,
        check=check,
        stop=context.stop,
        past=opened.past or Past(),
        answering=_answering(opened),
    )


def _answering(opened: Opened) -> Answering | None:
    """Say how it is seen what somebody does against the attack, if anybody is to."""
    from lab.exercise.respond.standoff import Answering
    from lab.runs.case import frozen

    if not opened.prepared.respond:
        return None
    response, case = opened.run.response, opened.run.case
    return Answering(
        acted=lambda: len(response.entries()),
        over=lambda: frozen(case.entries()).closed is not None,
        most=opened.prepared.respond,
    )


def reset_dirty(played: Played, context: Context) -> RunFolder:
    """The run -> the same; nodes on which something could not be undone are made anew."""
    from lab.exercise.undoing import write_off

    if not played.dirty:
        return played.run
    planned = bake_images(plan_nodes(played.lab, frozenset(played.dirty), context), context)
    await_ready(hand_secrets(apply_plan(planned, context), context), context)
    context.engine.remove_nodes(it for it in context.engine.observe(played.lab.name).nodes if it.passing)
    write_off(played.run.happened, played.dirty)
    return played.run


def sensor_rules(lab_now: Lab) -> str:
    """Return the text of the rules that the lab's sensors were baked with."""
    folders = sorted({node.kind.folder for node in lab_now.nodes if node.kind.host_network})
    own = (path for it in folders for path in sorted(it.glob("files/*.rules")))
    more = {str(node.variables.get(SENSOR_RULES, "")) for node in lab_now.nodes if node.kind.host_network}
    return "\n".join([*(it.read_text(encoding="utf-8") for it in own), *sorted(more - {""})])


# -- what a kill left ----------------------------------------------------------------------------


def find_unfinished(name: str, context: Context) -> Opened:
    """Name, or how it begins -> a run that did not come to its end, its lab, and what it did and owes."""
    from lab.exercise.recover import read_past
    from lab.exercise.scenario import read_scenario
    from lab.runs import folder

    run = folder.find(context.workplace, name)
    if (run.path / names.ATOMICS).exists():
        remedy = f"lab atomic run --all --resume {run.path.name}  goes on with it"
        raise NotFound("run of a scenario", name=run.path.name, remedy=remedy)
    header, past = run.header(), read_past(run.happened)
    if header.scenario == FREE:
        remedy = "what was done by hand is for you to undo;  lab reset  makes nodes anew"
        raise NotFound("run of a scenario", name=run.path.name, remedy=remedy)
    if header.replay_of or (header.state not in {"running", "stopped"} and not past.owed):
        raise NotFound(
            "unfinished run", name=run.path.name, remedy="it came to its end, and all of it was undone"
        )
    context.lab_name = context.lab_name or header.lab
    lab_now = lab_at_hand(context)
    scenario = read_scenario(run.happened.scenario, lab_now, library_at_hand(context))
    scenario = replace(scenario, seed=header.seed)
    running = context.engine.observe(lab_now.name)
    there = {node.name for node in running.nodes if node.created < past.until}
    past = replace(past, owed=tuple(it for it in past.owed if it.revert.node in there))
    return Opened(prepared=Prepared(lab=lab_now, scenario=scenario), running=running, run=run, past=past)


def hold_unfinished(opened: Opened, context: Context) -> Opened:
    """The unfinished run -> the same, with its lab ours alone."""
    lock_lab(opened.prepared.lab, context)
    return opened


def reopen_run(opened: Opened, context: Context) -> Opened:
    """The unfinished run -> the same, once its lab is the one that it began in."""
    require_running(opened.prepared.lab, opened.running)
    began = opened.run.header().started
    anew = sorted(node.name for node in opened.running.nodes if node.created > began)
    if anew:
        raise NotFound(
            "lab of the run",
            name=opened.run.path.name,
            remedy=f"{', '.join(anew)} was made anew since: lab clean {opened.run.path.name}  ends the run",
        )
    restart_sensors(opened.prepared, context)
    return replace(opened, running=context.engine.observe(opened.prepared.lab.name))


def clean_run(opened: Opened, context: Context) -> Played:
    """The unfinished run -> the same, with all undone that it owes and nothing more done."""
    run = opened.run
    dirty = _play(opened, context).clean()
    run.write_header(replace(run.header(), ended=Moment.now(), state="stopped"))
    return Played(lab=opened.prepared.lab, run=run, dirty=dirty)


# -- lint ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A scenario that is to be read without a lab."""

    scenario: str
    """Its name or path."""

    inventory: str = ""
    """The inventory it is for; the one that it names itself when empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exercise:
    """A scenario, and what came of it here."""

    name: str
    """Its name."""

    summary: str
    """One line for people."""

    inventory: str
    """The inventory it is for."""

    steps: int
    """How many it has."""

    techniques: tuple[str, ...]
    """The techniques of its steps, sorted."""

    level: str
    """How much it asks of who watches it."""

    length: int
    """How long a run is expected to take, in nanoseconds; 0 when nobody says."""

    runs: int
    """How often it was run in this folder, replays left out."""

    recall: str
    """Steps detected of steps that took effect in the last run, `7 of 8`; empty when there was none."""


def list_exercises(_: None, context: Context) -> tuple[Exercise, ...]:
    """Nothing -> every scenario there is; one that cannot be read is said and left out."""
    played = _played(context)
    found = []
    for name, scenario in readable_scenarios(context):
        runs = played.get(scenario.name, [])
        found.append(
            Exercise(
                name=name,
                summary=scenario.summary,
                inventory=scenario.lab,
                steps=len(scenario.steps),
                techniques=tuple(sorted({it.technique for it in scenario.steps if it.technique})),
                level=scenario.level,
                length=scenario.length,
                runs=len(runs),
                recall=_recall(runs[-1]) if runs else "",
            )
        )
    return tuple(found)


def readable_scenarios(context: Context) -> Iterator[tuple[str, Scenario]]:
    """Yield every scenario there is, by name; one that cannot be read is said and left out."""
    for name in context.workplace.names("scenarios"):
        try:
            yield name, lint_scenario(Draft(scenario=name), context)
        except LabError as error:
            context.tell(error.message())


def _played(context: Context) -> dict[str, list[RunFolder]]:
    from lab.runs import folder

    found: dict[str, list[RunFolder]] = {}
    for run in folder.list_runs(context.workplace):
        with suppress(BadFile):
            header = run.header()
            if not header.replay_of:
                found.setdefault(header.scenario, []).append(run)
    return found


def _recall(run: RunFolder) -> str:
    from lab.files import records
    from lab.score.values import Score

    if not run.score.exists():
        return ""
    share = records.read(run.score, Score).recall
    return f"{share.hits} of {share.total}"


def lint_scenario(draft: Draft, context: Context) -> Scenario:
    """A scenario's name -> the scenario, or every problem of it; no lab is looked at."""
    from lab.exercise.scenario import inventory_of, read_scenario

    path = context.workplace.find("scenarios", draft.scenario)
    lab_then = read_lab(draft.inventory or inventory_of(path), context)
    return read_scenario(path, lab_then, library_at_hand(context))
