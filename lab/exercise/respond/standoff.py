"""An attack that goes on while somebody responds, and what is found when that is over.

The ways in are tried from the first step on. When it is said that the response is over, they are tried a last
time, the nodes are looked at, and the steps are played once more by which the attacker came in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from lab.engine.nodes import RunningLab, SeenNode
from lab.engine.outside import Difference
from lab.errors import LabError
from lab.exercise.attempt import known_names
from lab.exercise.checks.file import File
from lab.exercise.evidence import Evidence
from lab.exercise.place import Place
from lab.exercise.respond.aftermath import Aftermath, Again, Artefact
from lab.exercise.respond.probing import Intruder, Probing
from lab.exercise.scenario import Scenario, ScenarioStep
from lab.exercise.truth import read_truth
from lab.files import records
from lab.moment import SECOND, Moment
from lab.runs import names
from lab.runs.happened import Happened
from lab.workers import Stop

_LOOK: Final = 0.5
"""Seconds between two looks whether the response is over."""

_STEP: Final = 8 * SECOND
"""How long a step may take when it is played once more, in nanoseconds: behind a wall most just wait."""

_AGAIN: Final = 60 * SECOND
"""How long all of them together may take, in nanoseconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answering:
    """Somebody who responds."""

    acted: Callable[[], int]
    """Counts what they did so far."""

    over: Callable[[], bool]
    """Tells whether they say that it is over."""

    most: float
    """Seconds that they have after the last step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standoff:
    """One attack, and who responds to it."""

    scenario: Scenario
    """What is played."""

    answering: Answering
    """Who responds."""

    probing: Probing
    """Tries the ways."""

    door: Callable[[RunningLab, SeenNode], Place]
    """Opens the door to a node, to look."""

    once_more: Callable[[Scenario, Happened], None]
    """Plays steps once more, and undoes them."""

    end_sessions: Callable[[], None]
    """Ends what the attack keeps open."""

    stop: Stop
    """Set when the user wants it to end."""

    @contextmanager
    def going_on(self) -> Iterator[Intruder]:
        """Let the attacker use what ways there are while the body plays; look afterwards what is left."""
        before = self._differences()
        intruder = Intruder(self.probing, self.answering.acted)
        intruder.start()
        try:
            yield intruder
            after = self._differences()  # at once: what people change from here on, nobody could explain
        finally:
            intruder.finish()
        self.end_sessions()
        artefacts = tuple(self._artefacts())
        again = () if self.stop.is_set() else self._again()
        records.write(
            self._happened.aftermath,
            Aftermath(at=Moment.now(), artefacts=artefacts, before=before, after=after, again=again),
        )

    @property
    def _happened(self) -> Happened:
        return self.probing.recorder.happened

    def wait(self, intruder: Intruder, pause: Callable[[float], None]) -> None:
        """Wait until it is said that the response is over, or it has had all its time."""
        end = time.monotonic() + self.answering.most
        while not (self.stop.is_set() or self.answering.over() or time.monotonic() > end):
            intruder.check()
            pause(_LOOK)

    def touched(self) -> frozenset[str]:
        """Name the nodes that are not as they were: those of the victims, whoever did something there."""
        nodes = self.probing.engine.observe(self.probing.lab).nodes
        victims = {it.name for it in nodes if not it.passing} - self._attackers
        aimed = {getattr(it.action, "target", "") for it in self.scenario.access}
        aimed |= {name for it in self.scenario.access for name in getattr(it.action, "targets", ())}
        return frozenset(victims & aimed)

    @property
    def _attackers(self) -> frozenset[str]:
        return frozenset(it.source for it in self.scenario.access)

    def _differences(self) -> Mapping[str, tuple[Difference, ...]]:
        engine = self.probing.engine
        nodes = [it for it in engine.observe(self.probing.lab).nodes if not it.passing]
        return {it.name: engine.differences(it) for it in nodes if it.name not in self._attackers}

    def _artefacts(self) -> Iterator[Artefact]:
        """Look for each file that a step with an effect has put on a victim."""
        effective = self.probing.effective()
        for step in self.scenario.steps:
            check = step.check
            if not isinstance(check, File) or check.gone or check.node in self._attackers:
                continue
            if step.technique and step.id in effective:
                yield self._looked_for(step, check)

    def _looked_for(self, step: ScenarioStep, check: File) -> Artefact:
        running = self.probing.engine.observe(self.probing.lab)
        node = running.node(check.node)
        found = Artefact(step=step.id, node=check.node, path=check.path, contains=check.contains)
        if node is None or node.state != "running":
            return found
        try:
            known = {**self.probing.known(), **known_names(running, node)}
            filled = self.probing.renderer.fill_in(check, self.probing.variables, known)
            gone = not filled.after(self.door(running, node), 0).occurred
        except (LabError, ValueError):
            return found
        return replace(found, path=filled.path, contains=filled.contains, gone=gone)

    def _again(self) -> tuple[Again, ...]:
        """Play the steps once more by which the attacker came in.

        What runs on a victim without the attacker being there says nothing; who is out cannot do the rest.
        """
        folder = self._happened.folder / names.AGAIN
        folder.mkdir(exist_ok=True)
        entries = {it.once for it in self.scenario.access}
        steps = tuple(
            replace(it, delay=0, timeout=_STEP, retries=0, chance=1.0, any_order=False)
            for it in self.scenario.steps
            if it.id in entries and it.source in self._attackers
        )
        begun = Moment.now()
        self.once_more(replace(self.scenario, steps=steps, timeout=_AGAIN), Happened(folder))
        done = read_truth(Happened(folder))
        evidence = sum((Evidence(predicates=it.evidence) for it in done), Evidence())
        self.probing.recorder.phase("setup", begun, "0-again", "The attack, played once more", evidence)
        had = {it.step for it in done if it.occurred}
        return tuple(Again(step=it.id, name=it.name, occurred=it.id in had) for it in steps)
