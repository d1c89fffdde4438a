"""Stages that run tests of Atomic Red Team, each on a node of its own, and say what came of each."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import lab
from lab.errors import NotFound
from lab.files import records
from lab.flow.atomic import LAB, Choice, Chosen, Prepared
from lab.flow.context import Context
from lab.flow.labs import plan_lab
from lab.flow.models import models_in_use
from lab.flow.rules import rule_paths
from lab.moment import SECOND, Moment
from lab.provision import apply, walls
from lab.runs import names
from lab.workers import together, told_to_stop

if TYPE_CHECKING:  # imported by the stages that need them, so that `lab up` is quick
    from lab.engine.nodes import NodeSpec, SeenNode
    from lab.exercise.atomic.library import AtomicTest
    from lab.exercise.recorder import Recorder
    from lab.exercise.scenario import ScenarioStep
    from lab.runs.folder import RunFolder
    from lab.score.values import StepScore
    from lab.watch.desk import Desk

_SCENARIO: Final = "atomic-red-team"

_TIMEOUT: Final = 30 * SECOND
"""How long one command of a test may take, in nanoseconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """What came of one test: a line of `atomics.jsonl`."""

    id: str
    """Technique and number."""

    refused: str
    """Why it was not run; empty when it was."""

    seconds: float
    """How long all of it took, prerequisites and cleanup included."""

    left: str
    """What its cleanup left on the node; nothing when the node was as before."""

    elevated: bool
    """Whether it was run as root although it did not ask for it: as an ordinary user it had no effect."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TestsRun:
    """A run of tests."""

    chosen: Chosen
    """What was asked for."""

    run: RunFolder
    """Where it is kept."""

    tried: tuple[Tried, ...]
    """What came of each."""


def find_resumed(choice: Choice, context: Context) -> Choice:
    """What is meant -> the same, with the whole id of the run to go on with, if one is."""
    if not choice.resume:
        return choice
    return replace(choice, resume=_unfinished(choice.resume, context).path.name)


def run_tests(prepared: Prepared, context: Context) -> TestsRun:
    """Tests and their lab -> what came of each; the lab is gone afterwards."""
    run, before = _opened(prepared, context)
    done = {it.id for it in before}
    left = [it for it in prepared.chosen.tests if it.id not in done]
    with _standing(prepared, context) as spec, _desk(run, context) as desk:
        bench = _Bench(context, prepared, run, spec, desk)
        with told_to_stop(context.stop, partial(context.tell, "stopping; once more stops at once")):
            bench.first()
            found = together(
                [partial(bench.run, test) for test in left],
                workers=max(1, prepared.chosen.choice.jobs),
                stop=context.stop,
            )
    whole = not context.stop.is_set()
    run.write_header(replace(run.header(), ended=Moment.now(), state="done" if whole else "stopped"))
    tried = (*before, *(it for it in found if it))
    return TestsRun(chosen=prepared.chosen, run=run, tried=tried)


def _opened(prepared: Prepared, context: Context) -> tuple[RunFolder, tuple[Tried, ...]]:
    """Open a new run, or the one to go on with, and return what it has done already."""
    from lab.detect.detector import all_rules, detectors
    from lab.runs import folder
    from lab.runs.header import Header, LabRecord

    choice = prepared.chosen.choice
    if choice.resume:
        run = _unfinished(choice.resume, context)
        return run, records.read_lines(run.path / names.ATOMICS, Tried)
    started = Moment.now()
    run = folder.create(context.workplace, _SCENARIO, started)
    run.happened.scenario.write_text(f"# {len(prepared.chosen.tests)} tests of Atomic Red Team\n", "utf-8")
    run.write_lab(LabRecord(lab=LAB, nodes=()))
    run.write_header(
        Header(
            id=run.path.name,
            lab=LAB,
            scenario=_SCENARIO,
            summary=f"{len(prepared.chosen.tests)} tests of Atomic Red Team",
            version=lab.__version__,
            started=started,
            rules=all_rules(detectors("", rule_paths(context), models_in_use(context))),
        )
    )
    return run, ()


def _unfinished(name: str, context: Context) -> RunFolder:
    from lab.runs import folder

    known = [it for it in folder.list_runs(context.workplace) if it.header().scenario == _SCENARIO]
    wanted = [it for it in known if name == "last" or it.path.name.startswith(name)]
    if not wanted:
        raise NotFound("run of atomic tests", name=name, known=tuple(it.path.name for it in known[-5:]))
    return wanted[-1]


@contextmanager
def _standing(prepared: Prepared, context: Context) -> Iterator[NodeSpec]:
    """Have the lab's network while the body runs; what an earlier run left is removed first.

    Yields:
        The node to make, under a name of its own each time.
    """
    apply.remove(LAB, context.engine)
    planned = plan_lab(prepared.lab, context)
    without = replace(planned.blueprint, nodes=())
    plan = replace(planned.plan, changes=tuple(it for it in planned.plan.changes if it.what == "network"))
    try:
        apply.apply_plan(without, plan, context.engine)
        yield planned.blueprint.nodes[0]
    finally:
        receipt = apply.remove(LAB, context.engine)
        for it in receipt.left:
            context.tell(f"left on this machine: {it}")


@contextmanager
def _desk(run: RunFolder, context: Context) -> Iterator[Desk]:
    from lab.detect.detector import detectors
    from lab.watch.collection import Collection
    from lab.watch.desk import usual_desk

    desk = usual_desk(
        run.noticed, detectors("", rule_paths(context), models_in_use(context)), context.on_alert
    )
    try:
        yield desk
    finally:
        desk.close()
        records.write(run.noticed.collection, Collection(logs=desk.counts(Counter()), notes=()))


class _Bench:
    """Runs one test after the other, each on a node of its own; used by several threads."""

    def __init__(
        self, context: Context, prepared: Prepared, run: RunFolder, spec: NodeSpec, desk: Desk
    ) -> None:
        from lab.exercise.journal import Journal
        from lab.exercise.recorder import Recorder
        from lab.exercise.truth import read_truth

        self._context = context
        self._prepared = prepared
        self._run = run
        self._spec = spec
        self._desk = desk
        self._recorder: Recorder = Recorder(run.path.name, run.happened)
        self._journal = Journal(run.happened.journal)
        self._lock = threading.Lock()
        self._made = len(list(run.path.glob("raw/*")))
        self._behind = Counter(it.step for it in read_truth(run.happened))

    def first(self) -> None:
        """Prove the walls of the lab from inside a node, before anybody's test runs there."""
        with self._node() as node:
            running = self._context.engine.observe(LAB)
            walls.prove(replace(running, nodes=(node,)), self._context.engine, self._context.kinds)

    def run(self, test: AtomicTest) -> Tried | None:
        """Run a test; None when the user stopped before."""
        if self._context.stop.is_set():
            return None
        begun, numbers = time.monotonic(), itertools.count(self._behind[test.id] + 1)
        tried = self._on_a_node(test, next(numbers), elevated=False)
        if tried.broken:
            tried = self._on_a_node(test, next(numbers), elevated=False)
        if tried.no_effect and not test.elevated and not self._context.stop.is_set():
            again = self._on_a_node(test, next(numbers), elevated=True)
            tried = again if not again.no_effect else tried
        if self._context.stop.is_set():
            return None  # `--resume` runs it again
        found = Tried(
            id=test.id,
            refused=tried.refused,
            seconds=round(time.monotonic() - begun, 2),
            left=tried.left,
            elevated=tried.elevated,
        )
        with self._lock:
            records.append(self._run.path / names.ATOMICS, (found,))
        said = tried.refused or tried.said
        self._context.tell(f"{test.id}  {test.name}: {'refused: ' if tried.refused else ''}{said}")
        return found

    def _on_a_node(self, test: AtomicTest, number: int, *, elevated: bool) -> _Once:
        from lab.exercise.atomic.refusal import why_refused

        given = self._prepared.chosen.choice.arguments
        kind = self._prepared.lab.nodes[0].kind
        said = why_refused(test, given, kind.capabilities)
        step = _step(test, "-", given, elevated=elevated)
        if said:
            self._recorder.write(self._recorder.not_run(step, number, "refused", said))
            return _Once(refused=said)
        with self._node() as node:
            return self._played(replace(step, source=node.name), node, number, elevated=elevated)

    def _played(self, step: ScenarioStep, node: SeenNode, number: int, *, elevated: bool) -> _Once:
        from lab.exercise.attempt import Attempt, Surroundings
        from lab.exercise.evidence import Evidence
        from lab.exercise.rendering import Renderer
        from lab.exercise.undoing import Undoing

        context, begun = self._context, Moment.now()
        undoing = Undoing(
            engine=context.engine,
            lab=LAB,
            recorder=self._recorder,
            journal=self._journal,
            tell=lambda _line: None,
            pause=context.pause,
        )
        with Renderer() as renderer:
            around = Surroundings(
                lab=self._prepared.lab,
                engine=context.engine,
                journal=self._journal,
                recorder=self._recorder,
                undoing=undoing,
                renderer=renderer,
                pause=context.pause,
                stop=context.stop,
            )
            attempt = Attempt(around, step, number, _TIMEOUT / SECOND)
            truth = attempt.run({}, {})
        undoing.undo_all()
        self._recorder.write(truth)
        looked = sum((it.evidence() for it in attempt.looked), Evidence())
        self._recorder.phase("setup", begun, f"{step.id}-setup-{number}", f"Looks: {step.name}", looked)
        self._take_logs(node)
        return _Once(
            refused=truth.reason if truth.status != "ran" else "",
            broken=truth.status == "skipped",
            said=truth.reason,
            no_effect=truth.status == "ran" and truth.occurred is False,
            left="; ".join(undoing.dirty.values()),
            elevated=elevated,
        )

    def _take_logs(self, node: SeenNode) -> None:
        """Read what the node's logs say, keep it, and have it looked at."""
        from lab.telemetry.lines import Lines, file_identity
        from lab.watch.desk import Collected, FollowedLog

        found = []
        for log in self._prepared.lab.nodes[0].kind.logs:
            ran = self._context.engine.execute(node, ("cat", "--", log.path), user="root")
            path = self._run.noticed.raw / node.name / log.path.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(ran.stdout)
            followed = FollowedLog(node=node, source=log.source, path=log.path)
            whole, end, _torn = ran.stdout.rpartition(b"\n")
            file = file_identity(node.name, log.path, str(Moment.now()))
            lines = Lines.cut(whole + end, after=0, host=node.name, path=log.path, file=file)
            found.append(Collected(key=followed.key, lines=lines))
        with self._lock:
            self._desk.take_lines(found)

    @contextmanager
    def _node(self) -> Iterator[SeenNode]:
        """Have a new node while the body runs; its name is its own, so nobody's events are another's."""
        engine = self._context.engine
        with self._lock:
            self._made += 1
            name = f"host{self._made:04d}"
        engine.create_node(replace(self._spec, name=name))
        node = engine.observe(LAB).node(name)
        assert node is not None  # noqa: S101  # it was just made
        try:
            health = self._prepared.lab.nodes[0].kind.health
            apply.await_node(node, health, engine, lambda _line: None)
            yield node
        finally:
            engine.remove_nodes((node,))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Once:
    """What came of one attempt of a test."""

    refused: str = ""
    broken: bool = False  # the node or the engine failed it, so it is tried on another
    said: str = ""
    no_effect: bool = False
    left: str = ""
    elevated: bool = False


def _step(test: AtomicTest, node: str, given: Mapping[str, str], *, elevated: bool) -> ScenarioStep:
    """Make a step of a test, as a scenario would have it."""
    from lab import attack
    from lab.exercise.scenario import ScenarioStep
    from lab.exercise.steps.atomic import Atomic

    known = attack.techniques().get(test.technique)
    return ScenarioStep(
        id=test.id,
        name=test.name,
        source=node,
        technique=test.technique if known else "",
        tactics=known.tactics if known else (),
        timeout=_TIMEOUT,
        action=Atomic(
            technique=test.technique, test=test.number, arguments=given, elevated=elevated, bound=test
        ),
    )


# -- results -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of a test, all of it."""

    technique: str
    """ATT&CK technique id."""

    test: int
    """Its number."""

    name: str
    """Its name."""

    guid: str
    """Its id in Atomic Red Team."""

    ran: bool
    """Whether it was run."""

    refused: str
    """Why not."""

    occurred: bool | None
    """Whether it had an effect; None when nobody could tell."""

    effect: str
    """What was seen of it."""

    events: int
    """Events that are of it."""

    alerts: int
    """Alerts that rest on them."""

    rules: tuple[str, ...]
    """Titles of the rules that raised them."""

    verdict: str
    """As in a run's score."""

    seconds: float
    """How long all of it took."""

    left: str
    """What its cleanup left; the node is thrown away in any case."""

    elevated: bool
    """Whether it was run as root although it did not ask for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcomes:
    """What came of all tests of a run."""

    run: RunFolder
    """Where it is kept."""

    tests: tuple[Outcome, ...]
    """In the order in which they were chosen."""

    minutes: float
    """How long the run took."""


def gather_outcomes(found: TestsRun, context: Context) -> Outcomes:
    """A run of tests -> what came of each: run or refused, effect, telemetry, detection."""
    from lab.exercise.truth import read_truth
    from lab.flow.runs import score_run, write_report

    scored = write_report(score_run(found.run, context), context)
    steps: dict[str, StepScore] = {it.step: it for it in scored.score.steps}
    truth = {it.step: it for it in read_truth(found.run.happened) if it.label in {"attack", "setup"}}
    tried = {it.id: it for it in found.tried}
    tests = []
    for test in found.chosen.tests:
        it, step = tried.get(test.id), steps.get(test.id)
        if it is None:
            continue
        tests.append(
            Outcome(
                technique=test.technique,
                test=test.number,
                name=test.name,
                guid=test.guid,
                ran=not it.refused,
                refused=it.refused,
                occurred=truth[test.id].occurred,
                effect="" if it.refused else truth[test.id].reason,
                events=step.events if step else 0,
                alerts=len(step.alerts) if step else 0,
                rules=step.rules if step else (),
                verdict=step.verdict if step else "",
                seconds=it.seconds,
                left=it.left,
                elevated=it.elevated,
            )
        )
    header = found.run.header()
    minutes = ((header.ended or header.started) - header.started) / SECOND / 60
    return Outcomes(run=found.run, tests=tuple(tests), minutes=minutes)
