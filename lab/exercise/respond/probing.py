"""Tries the ways in of an attacker, and what people need, over and over while somebody responds.

An intruder who loses one way in takes the next that is open, and does with it what the scenario says.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, Literal

from lab.engine.engine import Engine
from lab.errors import LabError
from lab.exercise.attempt import known_names
from lab.exercise.journal import Journal
from lab.exercise.place import Place
from lab.exercise.recorder import Recorder
from lab.exercise.rendering import Renderer
from lab.exercise.scenario import Way
from lab.exercise.steps.base import Outcome, Step
from lab.exercise.template import BadTemplate
from lab.files import records
from lab.moment import Moment
from lab.runs.happened import Happened

Side = Literal["attacker", "people"]
"""Whose way it is."""

STEP: Final = "0-probes"
"""The id under which tries are journalled."""

_PATIENCE: Final = 4.0
"""Seconds in which a way that is open answers."""

_EVERY: Final = 3.0
"""Seconds between two rounds, unless something was done meanwhile."""

_LOOK: Final = 0.2
"""Seconds between two looks whether something was done."""

_BESIDE: Final = 4
"""Ways that are tried beside each other."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """One try of one way: a line of `probes.jsonl`."""

    way: str
    """Its name."""

    side: Side
    """Whose it is."""

    start: Moment
    """When it was begun."""

    end: Moment
    """When it was known."""

    open: bool
    """Whether it led where it is to lead."""

    said: str = ""
    """What came instead."""

    then: bool = False
    """Whether it is no try but what an intruder did with the way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Probing:
    """What tries need."""

    engine: Engine
    """Where the lab is."""

    lab: str
    """Its name."""

    access: Sequence[Way]
    """The attacker's ways."""

    service: Sequence[Way]
    """What people need."""

    variables: Mapping[str, Any]
    """The scenario's."""

    known: Callable[[], Mapping[str, object]]
    """Gives what steps have registered so far."""

    effective: Callable[[], frozenset[str]]
    """Gives the ids of the steps that had their effect so far."""

    recorder: Recorder
    """Takes which events are of tries, so that they count neither as found nor as false."""

    journal: Journal
    """Where intents are written."""

    renderer: Renderer
    """Fills in templates."""

    pause: Callable[[float], None]
    """Waits."""

    def round(self) -> tuple[Probe, ...]:
        """Try every way that there is by now, and write down what came of it."""
        had = self.effective()
        ways: list[tuple[Side, Way]] = [
            ("attacker", it) for it in self.access if not it.once or it.once in had
        ]
        ways += [("people", it) for it in self.service]
        with ThreadPoolExecutor(_BESIDE) as pool:
            found = tuple(pool.map(lambda it: self._tried(*it), ways))
        records.append(self.recorder.happened.probes, found)
        return found

    def _tried(self, side: Side, way: Way) -> Probe:
        start = Moment.now()
        try:
            said = _judged(self._done(way.name, way.source, way.action), way.shows)
        except (LabError, ValueError) as error:
            said = str(error)
        return Probe(way=way.name, side=side, start=start, end=Moment.now(), open=not said, said=said)

    def go_on(self, way: Way) -> None:
        """Do what the intruder does with a way, once another was lost."""
        if way.then is None:
            return
        start, said = Moment.now(), ""
        try:
            self._done(way.name, way.source, way.then)
        except (LabError, ValueError) as error:
            said = str(error)
        done = Probe(
            way=way.name, side="attacker", start=start, end=Moment.now(), open=not said, said=said, then=True
        )
        records.append(self.recorder.happened.probes, (done,))

    def _done(self, name: str, source: str, action: Step) -> Outcome:
        start = Moment.now()
        running = self.engine.observe(self.lab)
        node = running.node(source)
        if node is None or node.state != "running":
            raise BadTemplate(source, why="the node does not run")
        known = {**self.known(), **known_names(running, node)}
        place = Place(
            shell=self.engine,
            running=running,
            node=node,
            journal=self.journal,
            step=STEP,
            act="check",
            timeout=_PATIENCE,
            pause=self.pause,
            kept={},
        )
        try:
            return self.renderer.fill_in(action, self.variables, known).act(place)
        finally:
            self.recorder.phase("setup", start, STEP, f"Tried: {name}", place.evidence())


def _judged(outcome: Outcome, shows: str) -> str:
    """Say why a way is not open; nothing when it is: it ended well, and shows what it is to show."""
    ran = outcome.completed
    told = ran.stdout.decode("utf-8", "backslashreplace")
    if ran.code:
        return ran.stderr.decode("utf-8", "backslashreplace").strip() or f"exit {ran.code}"
    return "" if shows in told else f"{shows!r} is not in the answer"


class Intruder:
    """Tries the ways from `start` to `finish`, in a thread of its own, and goes from one to the next."""

    def __init__(self, probing: Probing, acted: Callable[[], int]) -> None:
        """Prepare.

        Args:
            probing: What tries need.
            acted: Counts what was done against it so far; a change is followed by a round at once.
        """
        self._probing = probing
        self._acted = acted
        self._ending = threading.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="intruder")
        self._work: Future[None] | None = None
        self._foothold = ""

    def start(self) -> None:
        """Begin."""
        self._work = self._pool.submit(self._run)

    def check(self) -> None:
        """Make sure that the ways are still tried: raises what ended it before its time."""
        if self._work and self._work.done():
            self._work.result()

    def finish(self) -> tuple[Probe, ...]:
        """End, and try every way a last time; raises what ended it before."""
        self._ending.set()
        self._pool.shutdown()
        self.check()
        return self._probing.round()

    def _run(self) -> None:
        while not self._ending.is_set():
            before = self._acted()
            self._react(self._probing.round())
            for _ in range(round(_EVERY / _LOOK)):
                if self._ending.wait(_LOOK) or self._acted() != before:
                    break

    def _react(self, tried: Sequence[Probe]) -> None:
        """Go on by the dearest way that is open, when the one that was used is not."""
        still = {it.way for it in tried if it.side == "attacker" and it.open}
        if self._foothold in still:
            return
        ways = [it for it in self._probing.access if it.name in still]
        if ways and self._foothold:
            self._probing.go_on(ways[0])
        self._foothold = ways[0].name if ways else self._foothold


def read_probes(happened: Happened) -> tuple[Probe, ...]:
    """Read which ways were open, in the order in which they were tried."""
    return records.read_lines(happened.probes, Probe)
