"""Stages that watch: a run that goes on, or a lab in which somebody attacks by hand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import lab
from lab.errors import Busy, NotFound
from lab.files import records
from lab.flow.context import Context
from lab.flow.labs import lab_at_hand, lock_lab
from lab.flow.models import models_in_use
from lab.flow.play import lab_record, require_running, sensor_rules
from lab.flow.rules import rule_paths
from lab.moment import SECOND, Moment
from lab.provision import disk
from lab.provision.lock import locked
from lab.runs.header import FREE, Header
from lab.workers import told_to_stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.inventory.definition import Lab
    from lab.runs.folder import RunFolder
    from lab.runs.header import State
    from lab.runs.marks import Mark
    from lab.watch.following import Glance

_STOPPING: Final = "stopping: the last lines are waited for; once more stops at once"

_OPEN: Final = "watching; attack with  lab shell attacker , note it with  lab mark TEXT , end it with Ctrl-C"


@dataclass(frozen=True, kw_only=True, slots=True)
class Watching:
    """What to watch, and how."""

    run: str = ""
    """A run that goes on; the one that holds the lab, or a new one, when empty."""

    every: float = 5.0
    """Seconds between two glances."""

    seconds: float = 0.0
    """Seconds after which it ends; 0 until Ctrl-C."""

    on_glance: Callable[[Glance], None] = lambda _glance: None
    """Hears what came."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """A run that was watched."""

    run: RunFolder
    """The run."""

    own: bool
    """Whether nobody else plays or writes it."""


def watch(order: Watching, context: Context) -> Watched:
    """What to watch -> its run, once it is over; without an exercise, a run of what is done by hand.

    Raises:
        NotFound: there is no such run, or no lab.
        Busy: something else holds the lab.
    """
    from lab.runs import folder

    if order.run:
        return Watched(run=_follow(folder.find(context.workplace, order.run), order, context), own=False)
    lab_now = lab_at_hand(context)
    try:
        lock_lab(lab_now, context)
    except Busy:
        going = [it for it in folder.list_runs(context.workplace) if _goes_on(it, lab_now)]
        if not going:
            raise
        return Watched(run=_follow(going[-1], order, context), own=False)
    return Watched(run=_watch_by_hand(lab_now, order, context), own=True)


def report_watched(watched: Watched, context: Context) -> Watched:
    """The run -> the same, with a report, if it was ours."""
    from lab.flow.runs import score_run, write_report

    if watched.own:
        write_report(score_run(watched.run, context), context)
    return watched


def _goes_on(run: RunFolder, lab_now: Lab) -> bool:
    header = run.header()
    return header.state == "running" and header.lab == lab_now.name


def _follow(run: RunFolder, order: Watching, context: Context) -> RunFolder:
    """Look at the files of a run until it ends."""
    from lab.watch.following import Following

    following = Following(run.noticed)
    until = Moment.now() + round(order.seconds * SECOND) if order.seconds else None
    with told_to_stop(context.stop, lambda: None):
        while True:
            ended = run.header().state != "running"
            glance = following.look()
            for it in glance.alerts:
                context.on_alert(it)
            order.on_glance(glance)
            left = order.every if until is None else (until - Moment.now()) / SECOND
            if ended or context.stop.is_set() or left <= 0:
                return run
            context.stop.wait(min(order.every, left))


def _watch_by_hand(lab_now: Lab, order: Watching, context: Context) -> RunFolder:
    from lab.detect.detector import all_rules, detectors
    from lab.runs import folder
    from lab.watch.collection import read_collection
    from lab.watch.following import Following
    from lab.watch.live import watching

    running = context.engine.observe(lab_now.name)
    require_running(lab_now, running)
    rules = sensor_rules(lab_now)
    loaded = detectors(rules, rule_paths(context), models_in_use(context))
    started = Moment.now()
    run = folder.create(context.workplace, FREE, started)
    run.write_lab(lab_record(running))
    header = Header(
        id=run.path.name,
        lab=lab_now.name,
        scenario=FREE,
        summary="What was done by hand.",
        version=lab.__version__,
        started=started,
        rules=all_rules(loaded),
    )
    run.write_header(header)
    run.noticed.sensor_rules.write_text(rules, encoding="utf-8")
    limits = {node.name: node.kind.disk for node in lab_now.nodes}
    state: State = "stopped"
    try:
        with (
            told_to_stop(context.stop, partial(context.tell, _STOPPING)),
            disk.watched(lab_now.name, context.engine, limits, context.tell),
            watching(
                engine=context.engine,
                lab=lab_now,
                running=running,
                noticed=run.noticed,
                detectors=loaded,
                on_alert=context.on_alert,
                pause=context.pause,
                stop=context.stop,
            ) as watched,
        ):
            context.tell(f"{run.path.name}: {_OPEN}")
            following = Following(run.noticed)
            left = order.seconds or float("inf")
            while left > 0 and not context.stop.is_set():
                watched.pause(min(left, order.every))
                left -= order.every
                order.on_glance(following.look())
        state = "degraded" if read_collection(run.noticed).degraded else "done"
    finally:
        run.write_header(replace(header, ended=Moment.now(), state=state))
    return run


def mark(text: str, context: Context) -> Mark:
    """What was just done -> the note, with its time, in the run that goes on.

    Raises:
        NotFound: no run goes on.
    """
    from lab.runs import folder
    from lab.runs.marks import Mark

    runs = reversed(folder.list_runs(context.workplace))
    unfinished = (it for it in runs if it.header().state == "running")
    going = next((it for it in unfinished if _is_held(it.header().lab, context)), None)
    if going is None:
        raise NotFound("run that goes on", name="", remedy="lab watch  opens one")
    noted = Mark(time=Moment.now(), text=text)
    records.append(going.happened.marks, (noted,))
    return noted


def _is_held(name: str, context: Context) -> bool:
    """Tell whether a run holds a lab; one that was killed does not."""
    try:
        with locked(name, doing=context.command):
            return False
    except Busy:
        return True
