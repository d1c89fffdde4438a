"""Stages that play, replay, score and report runs."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import lab
from lab.errors import NotFound
from lab.flow.context import Context
from lab.flow.labs import lab_at_hand, lock_lab
from lab.inventory.definition import Lab
from lab.moment import Moment
from lab.provision import apply, disk
from lab.workers import together

if TYPE_CHECKING:  # imported by the stages that need them, so that `lab up` is quick
    from pathlib import Path

    from lab.ask.bounded import Answer
    from lab.engine.nodes import RunningLab
    from lab.exercise.scenario import Scenario
    from lab.runs.folder import RunFolder
    from lab.runs.header import LabRecord, State
    from lab.score.values import Score

DEFAULT_SCENARIO: Final = "ssh-brute-force"
"""What `lab demo` plays."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A scenario and the running lab it is for."""

    lab: Lab
    """The lab."""

    scenario: Scenario
    """The scenario."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A scenario, its lab, and the folder that its run is kept in."""

    prepared: Prepared
    """The scenario and the lab."""

    running: RunningLab
    """The lab as it is when the run begins."""

    run: RunFolder
    """The folder."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """A run and its score."""

    run: RunFolder
    """Where it is kept."""

    score: Score
    """What was detected."""

    degraded: tuple[str, ...] = ()
    """What disturbed the run, and when which source was silent; empty for a run that went as it should."""


# -- run -----------------------------------------------------------------------------------------


def read_exercise(name: str, context: Context) -> Prepared:
    """Scenario's name -> the scenario, read for the lab that runs."""
    from lab.exercise.scenario import read_scenario

    lab_now = lab_at_hand(context)
    path = context.workplace.find("scenarios", name)
    return Prepared(lab=lab_now, scenario=read_scenario(path, lab_now))


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
    _require_running(prepared.lab, running)
    started = Moment.now()
    run = folder.create(context.workplace, prepared.scenario.name, started)
    run.happened.scenario.write_text(prepared.scenario.text, encoding="utf-8")
    run.write_lab(_record_of(running))
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
    return Opened(prepared=prepared, running=running, run=run)


def _require_running(wanted: Lab, running: RunningLab) -> None:
    there = {node.name for node in running.nodes if node.state == "running"}
    missing = sorted({node.name for node in wanted.nodes} - there)
    if missing:
        remedy = f"lab up {wanted.name}  starts what is missing"
        raise NotFound("running node", name=", ".join(missing), remedy=remedy)


def _record_of(running: RunningLab) -> LabRecord:
    from lab.runs.header import LabRecord, NodeRecord

    nodes = tuple(
        NodeRecord(name=node.name, kind=node.kind, image=node.image, addresses=node.addresses)
        for node in running.nodes
    )
    return LabRecord(lab=running.name, nodes=nodes)


def play_and_watch(opened: Opened, context: Context) -> RunFolder:
    """The scenario -> its run: benign traffic, the attack, and what was noticed meanwhile."""
    from lab.detect.detector import all_rules, detectors
    from lab.exercise.play import Play
    from lab.watch.collection import read_collection
    from lab.watch.live import watching

    prepared, run = opened.prepared, opened.run
    rules = _sensor_rules(prepared.lab)
    run.noticed.sensor_rules.write_text(rules, encoding="utf-8")
    loaded = detectors(rules)
    run.write_header(replace(run.header(), rules=all_rules(loaded)))
    state: State = "stopped"
    try:
        limits = {node.name: node.kind.disk for node in prepared.lab.nodes}
        with (
            disk.watched(prepared.lab.name, context.engine, limits, context.tell),
            watching(
                engine=context.engine,
                lab=prepared.lab,
                running=opened.running,
                noticed=run.noticed,
                detectors=loaded,
                on_alert=context.on_alert,
                pause=context.pause,
            ) as watch,
        ):
            Play(
                lab=prepared.lab,
                scenario=prepared.scenario,
                engine=context.engine,
                run=run.path.name,
                happened=run.happened,
                tell=context.tell,
                pause=watch.pause,
                check=watch.check,
            ).play()
        state = "degraded" if read_collection(run.noticed).degraded else "done"
    finally:
        run.write_header(replace(run.header(), ended=Moment.now(), state=state))
    return run


def _sensor_rules(lab_now: Lab) -> str:
    """Return the text of the rules that the lab's sensors were baked with."""
    folders = sorted({node.kind.folder for node in lab_now.nodes if node.kind.host_network})
    return "\n".join(
        path.read_text(encoding="utf-8") for it in folders for path in sorted(it.glob("files/*.rules"))
    )


# -- replay, record ------------------------------------------------------------------------------


def find_recording(name: str, context: Context) -> RunFolder:
    """Name -> a recording that ships, the user's own, or a run."""
    from lab.runs import folder

    found = folder.find_recording(context.workplace, name)
    recorded = found.header().started.iso()[:10]
    context.tell(f"REPLAY of a run recorded {recorded}: no traffic is made now")
    return found


def replay_run(recording: RunFolder, context: Context) -> RunFolder:
    """A recorded run -> a new run: the same events and truth, alerts by today's rules."""
    from lab.detect.detector import all_rules, detectors
    from lab.files import careful
    from lab.runs import folder
    from lab.watch.replay import replay

    header = recording.header()
    run = folder.create(context.workplace, header.scenario, Moment.now(), prefix="replay-")
    recording.copy_to(run.path)
    rules = run.noticed.sensor_rules
    loaded = detectors(careful.read_bytes(rules).decode("utf-8", "replace") if os.path.lexists(rules) else "")
    hashes = all_rules(loaded)
    replay(run.noticed, loaded, context.on_alert)
    run.write_header(
        replace(
            header,
            id=run.path.name,
            version=lab.__version__,
            replay_of=header.id,
            rules=hashes,
            state=header.state,
        )
    )
    return run


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """Which run to keep, and where."""

    run: str
    """A run's id, or how it begins; else the last run."""

    to: Path
    """The folder to make."""


def record_run(recording: Recording, context: Context) -> RunFolder:
    """Which run -> the folder that keeps what a replay of it needs."""
    from lab.runs import folder

    return folder.record(folder.find(context.workplace, recording.run), context.path(recording.to))


# -- score, report -------------------------------------------------------------------------------


def find_run(name: str, context: Context) -> RunFolder:
    """Name, or how it begins -> a run; the last one when nothing is named."""
    from lab.runs import folder

    return folder.find(context.workplace, name)


def score_run(run: RunFolder, _: Context) -> Scored:
    """A run -> its score, from its files alone."""
    from lab.detect.alert import read_alerts
    from lab.exercise.truth import read_clocks, read_truth
    from lab.files import records
    from lab.score import measures
    from lab.telemetry.store import Store
    from lab.watch.collection import read_collection

    header, watched = run.header(), read_collection(run.noticed)
    found = measures.score_run(
        run=header.id,
        truth=read_truth(run.happened),
        alerts=read_alerts(run.noticed),
        events=Store(run.noticed.events).events(),
        clocks=read_clocks(run.happened),
        rules=header.rules,
        observed_until=header.ended or header.started,
        blind=watched.blind,
    )
    records.write(run.score, found)
    return Scored(run=run, score=found, degraded=tuple(map(str, (*watched.disturbances, *watched.blind))))


def write_report(scored: Scored, _: Context) -> Scored:
    """The score -> the same, with a report beside it."""
    from lab import report
    from lab.detect.alert import read_alerts
    from lab.exercise.truth import read_truth
    from lab.telemetry.store import Store
    from lab.watch.collection import read_collection

    run = scored.run
    story = report.make_story(
        header=run.header(),
        truth=read_truth(run.happened),
        alerts=read_alerts(run.noticed),
        score=scored.score,
        events=Store(run.noticed.events).events(),
        collection=read_collection(run.noticed),
    )
    report.write_report(run, story)
    return scored


# -- questions -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question about a run."""

    sql: str
    """One SELECT."""

    run: str = ""
    """A run's id, or how it begins; else the last run."""


def ask_run(question: Question, context: Context) -> Answer:
    """A question -> its answer."""
    from lab.ask.bounded import ask
    from lab.runs import folder

    return ask(folder.find(context.workplace, question.run).path, question.sql)
