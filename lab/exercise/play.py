"""Plays a scenario: its steps in order, each guarded, checked, recorded and undone.

Truth is written from what was observed. A run that was killed is played on from what its files say.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from lab.engine.engine import Engine
from lab.engine.nodes import RunningLab, SeenNode
from lab.errors import LabError
from lab.exercise.attempt import Attempt, Surroundings, known_names
from lab.exercise.evidence import Evidence
from lab.exercise.journal import Journal
from lab.exercise.people import Household
from lab.exercise.place import Held, Place
from lab.exercise.recorder import Recorder
from lab.exercise.recover import Past
from lab.exercise.rendering import Renderer
from lab.exercise.respond.probing import Probing
from lab.exercise.respond.standoff import Answering, Standoff
from lab.exercise.scenario import Scenario, ScenarioStep, drawn
from lab.exercise.template import BadTemplate
from lab.exercise.truth import Clock, Predicate, Truth
from lab.exercise.undoing import Undoing
from lab.exercise.written import MOST_LOOPS
from lab.inventory.definition import Lab
from lab.moment import SECOND, Moment
from lab.runs.happened import Happened
from lab.workers import Stop

Tell = Callable[[str], None]
"""Takes one line about what is going on."""

_KEPT: Final = "kept on "
"""How results are named that no step asked for: what steps on a node keep for one another."""

_PEOPLE_TIMEOUT: Final = 20.0
"""Seconds in which somebody can be told, or asked, something."""

_BESIDE: Final = 8
"""Steps that run beside each other, whatever a file says."""


@dataclass(kw_only=True)
class Play:
    """One execution of a scenario, or what is left of one."""

    lab: Lab
    scenario: Scenario
    engine: Engine
    run: str
    happened: Happened
    tell: Tell
    pause: Callable[[float], None]
    """Waits for some seconds; given, so that tests need not wait."""
    check: Callable[[], None] = lambda: None
    """Called before each step: raises when the run must not go on, as when nobody watches it."""
    before_step: Callable[[ScenarioStep], None] = lambda _step: None
    """Called before each step; may wait for the user, which no time limit counts."""
    stop: Stop = field(default_factory=Stop)
    """Set when the user wants it to end: what is under way is ended, undone and recorded."""
    past: Past = field(default_factory=Past)
    """What was done before it was killed."""
    answering: Answering | None = None
    """Somebody who responds while the attack goes on; None when nobody does."""

    def __post_init__(self) -> None:
        """Take over what the past left."""
        self.scenario = drawn(self.scenario)
        self._recorder = Recorder(self.run, self.happened)
        self._journal = Journal(self.happened.journal)
        self._renderer = Renderer()
        self._undoing = Undoing(
            engine=self.engine,
            lab=self.lab.name,
            recorder=self._recorder,
            journal=self._journal,
            tell=self.tell,
            pause=self.pause,
        )
        self._undoing.take_over(self.past.owed)
        self._registered: dict[str, object] = dict(self.past.results)
        self._kept: dict[str, dict[str, Any]] = {
            name.removeprefix(_KEPT): dict(value)
            for name, value in self.past.results.items()
            if name.startswith(_KEPT) and isinstance(value, Mapping)
        }
        self._written: dict[str, dict[str, Any]] = {}
        self._held: list[Held] = []
        self._looked: list[Place] = []
        self._effective = set(self.past.effective)
        self._lock = threading.Lock()
        self._deadline = float("inf")

    def play(self) -> Mapping[str, str]:
        """Let the benign phase pass, run the steps, undo them all, whatever happens in between.

        Returns:
            Nodes on which something could not be undone, each with what and why.
        """
        begun = Moment.now()
        self._measure_clocks()
        with contextlib.ExitStack() as ends:
            ends.enter_context(self._renderer)
            ends.push(_unless_interrupted(partial(self._finish, begun)))
            ends.push(_unless_interrupted(self._undoing.undo_all))
            ends.callback(self._end_sessions)
            self._record_killed()
            self._benign_phase(begun)
            if self.answering:
                standoff = self._standoff(self.answering)
                with standoff.going_on() as intruder:
                    self._play_steps()
                    standoff.wait(intruder, self.pause)
                self._undoing.dirty.update(dict.fromkeys(standoff.touched(), "somebody responded there"))
                return self._undoing.dirty
            self._play_steps()
            if self.scenario.after and not self.stop.is_set():
                self.pause(self.scenario.after / SECOND)
        return self._undoing.dirty

    def _play_steps(self) -> None:
        self._deadline = time.monotonic() + self.scenario.timeout / SECOND
        for group in _groups(self.scenario.steps):
            self.check()
            self._together(group)

    def _standoff(self, answering: Answering) -> Standoff:
        self.tell("the attack goes on while you respond; say that it is over with  lab case close")
        probing = Probing(
            engine=self.engine,
            lab=self.lab.name,
            access=self.scenario.access,
            service=self.scenario.service,
            variables=self.scenario.variables,
            known=lambda: dict(self._registered),
            effective=lambda: frozenset(self._effective),
            recorder=self._recorder,
            journal=self._journal,
            renderer=self._renderer,
            pause=self.pause,
        )
        return Standoff(
            scenario=self.scenario,
            answering=answering,
            probing=probing,
            door=self._open_door,
            once_more=self._once_more,
            end_sessions=self._end_sessions,
            stop=self.stop,
        )

    def _once_more(self, scenario: Scenario, happened: Happened) -> None:
        """Play steps once more and undo them, without people and without measuring clocks."""
        self.tell("the response is over: the attack is played once more")
        past = Past(results=dict(self._registered))
        play = replace(
            self, scenario=scenario, happened=happened, tell=lambda _line: None, past=past, answering=None
        )
        play.play_bare()

    def play_bare(self) -> None:
        """Run the steps and undo them, and nothing else."""
        with contextlib.ExitStack() as ends:
            ends.enter_context(self._renderer)
            ends.callback(self._undoing.undo_all)
            ends.callback(self._end_sessions)
            self._play_steps()

    def clean(self) -> Mapping[str, str]:
        """Undo what a run that was killed still owes, and no more; returns what `play` does."""
        begun = Moment.now()
        self._record_killed()
        self._undoing.undo_all()
        self._recorder.phase("setup", begun, "0-cleaning", "Cleaning up after a run that was killed")
        return self._undoing.dirty

    def _benign_phase(self, begun: Moment) -> None:
        if self.past.benign_phase:
            return
        self._household().begin(self.scenario.people, self.scenario.seed)
        self.tell(f"benign traffic alone for {self.scenario.benign / SECOND:.0f} s")
        self.pause(self.scenario.benign / SECOND)
        self._recorder.phase("benign", begun, "0-benign-phase", "Benign traffic alone")

    def _finish(self, begun: Moment) -> None:
        """Write what went on all the time: people at work, and this program reading the nodes."""
        self._measure_clocks()
        self._household().write_down()
        self._recorder.phase("benign", begun, "0-benign-throughout", "Benign traffic beside the attack")
        canaries = Predicate(where={"event.module": ("suricata",), "source.ip": ("127.0.0.1",)})
        looked = sum((place.evidence() for place in self._looked), Evidence(predicates=(canaries,)))
        self._recorder.phase("setup", begun, "0-collection", "Checks and collection", looked)

    def _household(self) -> Household:
        """Return the people of the lab as it is now."""
        running = self.engine.observe(self.lab.name)
        return Household(self.lab, running, partial(self._open_door, running), self._recorder)

    def _open_door(self, running: RunningLab, node: SeenNode) -> Place:
        place = Place(
            shell=self.engine,
            running=running,
            node=node,
            journal=self._journal,
            step="0-people",
            act="check",
            timeout=_PEOPLE_TIMEOUT,
            pause=self.pause,
        )
        self._looked.append(place)
        return place

    def _end_sessions(self) -> None:
        for it in self._held:
            it.close()

    def _record_killed(self) -> None:
        """Write of the steps that were under way when the run was killed: nobody could look what they did."""
        for step in self.scenario.steps:
            if step.id in self.past.begun:
                start, end = self.past.begun[step.id]
                base = self._recorder.base(step, self.past.attempts.get(step.id, 0) + 1, start, end)
                self._recorder.write(replace(base, reason="the run was killed while it was under way"))

    def _left(self, step: ScenarioStep) -> bool:
        return step.id not in self.past.done

    def _measure_clocks(self) -> None:
        """Ask each node with logs for its time; the true offset lies within half the round trip."""
        running = self.engine.observe(self.lab.name)
        monitored = {node.name for node in self.lab.nodes if node.kind.logs}
        found = [self._clock(node) for node in running.nodes if node.name in monitored]
        self._recorder.clocks(clock for clock in found if clock)

    def _clock(self, node: SeenNode) -> Clock | None:
        try:
            ran = self.engine.execute(node, ("date", "+%s%N"), timeout=10)
            told = int(ran.stdout)
        except (LabError, ValueError):
            return None
        middle = (ran.start + ran.end) // 2
        return Clock(
            node=node.name, measured=Moment(middle), offset=told - middle, bound=(ran.end - ran.start) // 2
        )

    # -- steps -------------------------------------------------------------------------------------

    def _together(self, group: Sequence[ScenarioStep]) -> None:
        """Run steps beside each other; all come to their end."""
        left = [step for step in group if self._left(step)]
        if len(left) < 2:  # noqa: PLR2004  # nothing beside it
            for step in left:
                self._step(step)
            return
        with ThreadPoolExecutor(max_workers=min(_BESIDE, len(left))) as pool:
            futures = [pool.submit(self._step, step) for step in left]
        for future in futures:
            future.result()

    def _step(self, step: ScenarioStep) -> None:
        """Do a step as often as it is wanted, and say in the journal that it is over."""
        if step.id in self.past.begun and not step.repeatable:
            return
        self._await_user(step)
        with self._journal.entry(step.id, "step", step.source):
            behind = self.past.attempts.get(step.id, 0) + (step.id in self.past.begun)
            numbers = itertools.count(behind + 1)
            for item in self._items(step, numbers):
                self._tried(step, item, numbers)

    def _await_user(self, step: ScenarioStep) -> None:
        if self._over():
            return
        begun = time.monotonic()
        self.before_step(step)
        self._deadline += time.monotonic() - begun

    def _items(self, step: ScenarioStep, numbers: Iterator[int]) -> Sequence[Mapping[str, object]]:
        """Return what the step is done for: values for its templates; one without any when it has no loop."""
        try:
            if step.when and not self._evaluate(step, step.when):
                self._skip(step, next(numbers), f"its condition does not hold: {step.when}")
                return ()
            if step.loop is None:
                return ({},)
            return [{"item": it} for it in self._looped(step)]
        except BadTemplate as error:
            self._skip(step, next(numbers), str(error))
            return ()

    def _looped(self, step: ScenarioStep) -> list[object]:
        found = self._evaluate(step, step.loop) if isinstance(step.loop, str) else step.loop
        if not isinstance(found, list):
            raise BadTemplate(str(step.loop), why="is no list")
        if len(found) > MOST_LOOPS:
            self.tell(f"{step.name}: a loop of {len(found)}; only the first {MOST_LOOPS} are done")
        return found[:MOST_LOOPS]

    def _evaluate(self, step: ScenarioStep, text: str) -> object:
        running = self.engine.observe(self.lab.name)
        source = running.node(step.source)
        known = known_names(running, source) if source else {}
        return self._renderer.evaluate(text, self.scenario.variables, {**self._registered, **known})

    def _tried(self, step: ScenarioStep, item: Mapping[str, object], numbers: Iterator[int]) -> None:
        """Try a step until it has its effect, or was tried often enough."""
        for _ in range(step.retries + 1):
            number = next(numbers)
            if why := self._over():
                self._skip(step, number, why)
                return
            self._delay(step, number)
            if self._once(step, item, number).occurred is not False:
                return

    def _over(self) -> str:
        """Say why no further step begins; nothing while they do."""
        if self.stop.is_set():
            return "the run was stopped by the user"
        if time.monotonic() > self._deadline:
            return f"the run was over: it may take {self.scenario.timeout / SECOND:g} s"
        return ""

    def _delay(self, step: ScenarioStep, number: int) -> None:
        """Wait as long as the step wants, more or less; chance is its own, whatever runs beside it."""
        if step.delay:
            chance = random.Random(f"{self.scenario.seed} {step.id} {number}")  # noqa: S311  # pauses, repeatable
            self.pause(step.delay / SECOND * (1 + step.jitter * chance.uniform(-1, 1)))

    def _once(self, step: ScenarioStep, item: Mapping[str, object], number: int) -> Truth:
        self.tell(f"{step.technique or 'no attack'}  {step.name}{_shown(item)}")
        around = Surroundings(
            lab=self.lab,
            engine=self.engine,
            journal=self._journal,
            recorder=self._recorder,
            undoing=self._undoing,
            renderer=self._renderer,
            pause=self.pause,
            stop=self.stop,
            kept=self._kept,
            held=self._held,
        )
        left = max(0.1, min(step.timeout / SECOND, self._deadline - time.monotonic()))
        attempt = Attempt(around, step, number, left)
        truth = attempt.run(self.scenario.variables, {**self._registered, **item})
        self._recorder.write(truth)
        with self._lock:
            self._looked += attempt.looked
            kept = self._kept.get(step.source)
            if kept and kept != self._written.get(step.source):
                self._written[step.source] = dict(kept)
                self._recorder.result(step.id, f"{_KEPT}{step.source}", kept)
            if truth.occurred:
                self._effective.add(step.id)
            if step.register and truth.status == "ran":
                self._registered[step.register] = attempt.registered
                self._recorder.result(step.id, step.register, attempt.registered)
        return truth

    def _skip(self, step: ScenarioStep, number: int, why: str) -> None:
        self._recorder.write(self._recorder.not_run(step, number, "skipped", why))


def _unless_interrupted(end: Callable[[], None]) -> Callable[..., None]:
    """Do something at the end, unless it is because the user would not wait: the journal has what is left."""

    def exiting(kind: type[BaseException] | None, *_: object) -> None:
        """End."""
        if kind is None or not issubclass(kind, KeyboardInterrupt):
            end()

    return exiting


def _shown(item: Mapping[str, object]) -> str:
    return f"  ({str(item['item'])[:60]})" if item else ""


def _groups(steps: Sequence[ScenarioStep]) -> list[list[ScenarioStep]]:
    """Gather steps that run beside each other."""
    groups: list[list[ScenarioStep]] = []
    for step in steps:
        if step.parallel and groups:
            groups[-1].append(step)
        else:
            groups.append([step])
    return groups
