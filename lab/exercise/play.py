"""Plays a scenario: one step after the other, each guarded, checked, recorded and undone.

Truth is written from what was observed. Steps, checks and reverts act through `lab.exercise.place` alone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from lab import attack
from lab.engine.engine import Engine
from lab.engine.nodes import RunningLab, SeenNode
from lab.errors import LabError, OutOfScope
from lab.exercise.checks.base import Check, Finding
from lab.exercise.journal import Act, Journal
from lab.exercise.place import Place
from lab.exercise.rendering import Renderer
from lab.exercise.scenario import Revert, Scenario, ScenarioStep
from lab.exercise.scope import Target
from lab.exercise.steps.base import Outcome
from lab.exercise.truth import Clock, Label, Party, Predicate, Truth
from lab.files import records
from lab.inventory.definition import Lab
from lab.moment import Moment
from lab.runs.happened import Happened

Tell = Callable[[str], None]
"""Takes one line about what is going on."""

_REVERT_TRIES: Final = 2

_CHECK_TIMEOUT: Final = 60.0
_REVERT_TIMEOUT: Final = 30.0
"""Seconds that one command of a check or a revert may take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Undo:
    """What has to be undone, its templates filled in when its step was done."""

    step: ScenarioStep
    reverts: tuple[Revert, ...]


@dataclass(slots=True)
class Play:
    """One execution of a scenario."""

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
    _registered: dict[str, object] = field(default_factory=dict)
    _undo: list[_Undo] = field(default_factory=list)
    _renderer: Renderer = field(default_factory=Renderer)
    _looked: list[Place] = field(default_factory=list)

    def play(self) -> None:
        """Let the benign phase pass, run the steps, undo them all, whatever happens in between."""
        begun = Moment.now()
        self._measure_clocks()
        with contextlib.ExitStack() as ends:
            ends.enter_context(self._renderer)
            ends.callback(self._finish, begun)
            self.tell(f"benign traffic alone for {self.scenario.benign / 1e9:.0f} s")
            self.pause(self.scenario.benign / 1e9)
            self._write(self._phase("benign", begun, "0-benign-phase", "Benign traffic alone"))
            ends.callback(self._revert_all)
            for step in self.scenario.steps:
                self.check()
                self._step(step)

    def _finish(self, begun: Moment) -> None:
        """Write what went on all the time: people at work, and this program reading the nodes."""
        self._measure_clocks()
        self._write(self._phase("benign", begun, "0-benign-throughout", "Benign traffic beside the attack"))
        checks = [predicate for place in self._looked for predicate in place.evidence()]
        canaries = Predicate(where={"event.module": ("suricata",), "source.ip": ("127.0.0.1",)})
        self._write(self._phase("setup", begun, "0-collection", "Checks and collection", *checks, canaries))

    def _phase(
        self, label: Literal["benign", "setup"], begun: Moment, step: str, name: str, *evidence: Predicate
    ) -> Truth:
        return Truth(
            run=self.run, step=step, name=name, label=label, start=begun, end=Moment.now(), evidence=evidence
        )

    def _write(self, truth: Truth) -> None:
        records.append(self.happened.truth, (truth,))

    def _measure_clocks(self) -> None:
        """Ask each node with logs for its time; the true offset lies within half the round trip."""
        running = self.engine.observe(self.lab.name)
        monitored = {node.name for node in self.lab.nodes if node.kind.logs}
        found = [self._clock(node) for node in running.nodes if node.name in monitored]
        records.append(self.happened.clock, tuple(clock for clock in found if clock))

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

    # -- one step ----------------------------------------------------------------------------------

    def _step(self, step: ScenarioStep) -> None:
        running = self.engine.observe(self.lab.name)
        source = running.node(step.source)
        self.tell(f"{step.technique or 'no attack'}  {step.name}")
        if source is None or source.state != "running":
            self._write(self._not_run(step, "skipped", f"{step.source} does not run"))
            return
        start = Moment.now()
        try:
            self._act(step, running, source)
        except OutOfScope as error:
            self._write(self._not_run(step, "refused", str(error)))
        except LabError as error:
            self._write(self._broken_off(step, source, start, str(error)))
        except KeyboardInterrupt:
            self._write(self._broken_off(step, source, start, "stopped by the user"))
            raise

    def _act(self, step: ScenarioStep, running: RunningLab, source: SeenNode) -> None:
        """Look, act, look again, and write what happened; whatever was begun will be undone."""
        values = self._values(running, source)
        action, check, reverts = self._renderer.fill_in(
            (step.action, step.check, step.reverts), self.scenario.variables, values
        )
        before = self._look_before(step, check, running)
        place = self._place(step, running, source, "run", step.timeout)
        try:
            outcome = action.act(place)
        finally:
            if place.acted and reverts:
                self._undo.append(_Undo(step=step, reverts=reverts))
        finding = self._look_after(step, check, running, before) if check else None
        self._write(self._took_place(step, source, outcome, finding))
        if step.register:
            self._registered[step.register] = outcome.registered

    def _values(self, running: RunningLab, source: SeenNode) -> dict[str, object]:
        """Return what templates may use now."""
        return {**self._registered, "nodes": _nodes(running, source), "networks": _networks(running)}

    def _place(
        self, step: ScenarioStep, running: RunningLab, node: SeenNode, act: Act, timeout: float
    ) -> Place:
        place = Place(
            shell=self.engine,
            running=running,
            node=node,
            journal=Journal(self.happened.journal),
            step=step.id,
            act=act,
            timeout=timeout,
            pause=self.pause,
        )
        if act == "check":
            self._looked.append(place)
        return place

    def _look_before(self, step: ScenarioStep, check: Check | None, running: RunningLab) -> int | None:
        """Look before the step; None when the node cannot be asked."""
        node = running.node(check.node) if check else None
        if check is None or node is None:
            return None
        try:
            return check.before(self._place(step, running, node, "check", _CHECK_TIMEOUT))
        except (LabError, ValueError):
            return None

    def _look_after(
        self, step: ScenarioStep, check: Check, running: RunningLab, before: int | None
    ) -> Finding:
        """Look after the step; where nobody can look, the finding says so."""
        node = running.node(check.node)
        if node is None or before is None:
            return Finding(occurred=None, said=f"{check.node} could not be asked before the step")
        try:
            return check.after(self._place(step, running, node, "check", _CHECK_TIMEOUT), before)
        except (LabError, ValueError) as error:
            return Finding(occurred=None, said=f"{check.node} could not be asked: {error}")

    # -- truth -------------------------------------------------------------------------------------

    def _base(self, step: ScenarioStep, start: Moment, end: Moment) -> Truth:
        """Fill in what every record of a step has."""
        label: Label = "attack" if step.technique else "setup"
        return Truth(
            run=self.run,
            step=step.id,
            name=step.name,
            label=label,
            technique=step.technique,
            tactics=step.tactics,
            attack_version=attack.version(),
            start=start,
            end=end,
            expected_rules=step.expected_rules,
            limit=step.limit,
        )

    def _not_run(self, step: ScenarioStep, status: Literal["refused", "skipped"], why: str) -> Truth:
        now = Moment.now()
        return replace(self._base(step, now, now), status=status, reason=why)

    def _broken_off(self, step: ScenarioStep, source: SeenNode, start: Moment, why: str) -> Truth:
        """Write of a step that nobody could look at any more; what it did up to then nobody knows."""
        base = self._base(step, start, Moment.now())
        return replace(base, occurred=None, reason=why, sources=(_party(source),))

    def _took_place(
        self, step: ScenarioStep, source: SeenNode, outcome: Outcome, finding: Finding | None
    ) -> Truth:
        completed = outcome.completed
        return replace(
            self._base(step, completed.start, completed.end),
            occurred=finding.occurred if finding else None,
            reason=finding.said if finding else "the step has no check",
            timed_out=completed.timed_out,
            exit_code=None if completed.timed_out else completed.code,
            sources=(_party(source),),
            targets=_parties(outcome.targets),
            users=outcome.users,
            processes=(outcome.command_line,),
            evidence=outcome.evidence,
        )

    # -- undoing -----------------------------------------------------------------------------------

    def _revert_all(self) -> None:
        """Undo in reverse order; what cannot be undone is said and the rest goes on."""
        for undo in reversed(self._undo):
            for revert in undo.reverts:
                self._revert(undo.step, revert)
        self._undo.clear()

    def _revert(self, step: ScenarioStep, revert: Revert) -> None:
        start = Moment.now()
        said = ""
        evidence: list[Predicate] = []
        for _ in range(_REVERT_TRIES):
            said = self._undo_once(step, revert, evidence)
            if not said:
                break
        if said:
            self.tell(f"could not undo {step.name}: {said}")
        self._write(
            Truth(
                run=self.run,
                step=f"{step.id}-revert",
                name=f"Undo: {step.name}",
                label="cleanup",
                start=start,
                end=Moment.now(),
                reason=said,
                processes=(" ".join(revert.argv),),
                evidence=tuple(evidence),
            )
        )

    def _undo_once(self, step: ScenarioStep, revert: Revert, evidence: list[Predicate]) -> str:
        """Try to undo, and note which events that leaves; return why it failed, or nothing."""
        running = self.engine.observe(self.lab.name)
        node = running.node(revert.node)
        if node is None:
            return ""
        try:
            place = self._place(step, running, node, "revert", _REVERT_TIMEOUT)
            ran = place.run(revert.argv, user=revert.user).completed
            evidence += place.evidence()
        except LabError as error:
            return str(error)
        words = ran.stderr.decode("utf-8", "backslashreplace").strip()
        return "" if ran.code == 0 else words or f"exit {ran.code}"


def _party(node: SeenNode) -> Party:
    return Party(node=node.name, addresses=tuple(sorted(it for it in node.addresses.values() if it)))


def _parties(targets: tuple[Target, ...]) -> tuple[Party, ...]:
    nodes = {node.name: node for target in targets for node in target.nodes}
    return tuple(_party(nodes[name]) for name in sorted(nodes))


def _nodes(running: RunningLab, source: SeenNode) -> Mapping[str, object]:
    """Give templates each node's address, the one the source can reach where there is one."""
    found: dict[str, object] = {}
    for node in running.nodes:
        shared = [address for network, address in node.addresses.items() if network in source.addresses]
        address = next(iter((*shared, *node.addresses.values())), "")
        found[node.name] = {"address": address, "addresses": dict(node.addresses)}
    return found


def _networks(running: RunningLab) -> Mapping[str, object]:
    return {network.name: {"subnet": network.subnet} for network in running.networks}
