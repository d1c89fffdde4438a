"""Plays a scenario: one step after the other, each guarded, checked, recorded and undone.

The intent of every act is journalled and synced before the act, so that a run that was killed can
be cleaned up by whoever reads the journal. Truth is written from what was observed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from lab import attack
from lab.engine.engine import Engine
from lab.engine.nodes import RunningLab, SeenNode
from lab.engine.shell import Completed
from lab.errors import LabError, OutOfScope
from lab.exercise.checks import Finding, look_after, look_before
from lab.exercise.scenario import Revert, Scenario, ScenarioStep
from lab.exercise.scope import Scope, Target
from lab.exercise.steps.base import Outcome, Place
from lab.exercise.template import render_lazily
from lab.exercise.truth import Clock, Party, Predicate, Truth
from lab.files import records
from lab.inventory.definition import Lab
from lab.moment import Moment
from lab.runs.folder import RunFolder

Tell = Callable[[str], None]
"""Takes one line about what is going on."""

_REVERT_TRIES: Final = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """A line of the journal: what is about to be done, or how it ended."""

    at: Moment
    """When."""

    step: str
    """Step id."""

    act: Literal["run", "revert"]
    """What."""

    state: Literal["begun", "done", "failed"]
    """Before the act, or after it."""

    said: str = ""
    """Why it failed."""


@dataclass(slots=True)
class Exercise:
    """One execution of a scenario."""

    lab: Lab
    scenario: Scenario
    engine: Engine
    run: RunFolder
    tell: Tell
    _registered: dict[str, object] = field(default_factory=dict)
    _undo: list[ScenarioStep] = field(default_factory=list)

    def play(self, pause: Callable[[float], None]) -> None:
        """Let the benign phase pass, run the steps, undo them all, whatever happens in between.

        Args:
            pause: Waits for some seconds; an argument so that tests need not.
        """
        begun = Moment.now()
        self._measure_clocks()
        with contextlib.ExitStack() as ends:
            ends.callback(self._finish, begun)
            self.tell(f"benign traffic alone for {self.scenario.benign / 1e9:.0f} s")
            pause(self.scenario.benign / 1e9)
            self._write(self._phase("benign", begun, "0-benign-phase", "Benign traffic alone"))
            ends.callback(self._revert_all)
            for step in self.scenario.steps:
                self._step(step)

    def _finish(self, begun: Moment) -> None:
        """Write what went on all the time: people at work, and this program reading the nodes."""
        self._measure_clocks()
        self._write(self._phase("benign", begun, "0-benign-throughout", "Benign traffic beside the attack"))
        monitored = tuple(sorted(node.name for node in self.lab.nodes if node.kind.logs))
        ours = Predicate(where={"host.name": monitored, "process.parent.pid": (0,)})
        self._write(self._phase("setup", begun, "0-collection", "Checks and collection", ours))

    def _phase(
        self, label: Literal["benign", "setup"], begun: Moment, step: str, name: str, *evidence: Predicate
    ) -> Truth:
        return Truth(
            run=self.run.path.name,
            step=step,
            name=name,
            label=label,
            start=begun,
            end=Moment.now(),
            evidence=evidence,
        )

    def _write(self, truth: Truth) -> None:
        records.append(self.run.truth_file, (truth,))

    def _journal(
        self,
        step: str,
        act: Literal["run", "revert"],
        state: Literal["begun", "done", "failed"],
        said: str = "",
    ) -> None:
        line = Intent(at=Moment.now(), step=step, act=act, state=state, said=said)
        records.append(self.run.path / "journal.jsonl", (line,))

    def _measure_clocks(self) -> None:
        """Ask each node with logs for its time; the true offset lies within half the round trip."""
        running = self.engine.observe(self.lab.name)
        monitored = {node.name for node in self.lab.nodes if node.kind.logs}
        found = [self._clock(node) for node in running.nodes if node.name in monitored]
        records.append(self.run.path / "clock.jsonl", tuple(clock for clock in found if clock))

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

    def _step(self, step: ScenarioStep) -> None:
        running = self.engine.observe(self.lab.name)
        source = running.node(step.source)
        self.tell(f"{step.technique or 'no attack'}  {step.name}")
        if source is None or source.state != "running":
            self._write(self._not_run(step, "skipped", f"{step.source} does not run"))
            return
        before = look_before(step.check, self.engine, running) if step.check else None
        self._journal(step.id, "run", "begun")
        if step.reverts:
            self._undo.append(step)
        start = Moment.now()
        try:
            outcome = step.action.act(self._place(step, running, source))
        except OutOfScope as error:
            self._journal(step.id, "run", "failed", str(error))
            self._write(self._not_run(step, "refused", str(error)))
            return
        except LabError as error:
            self._journal(step.id, "run", "failed", str(error))
            self._write(self._failed(step, source, start, str(error)))
            return
        except KeyboardInterrupt:
            self._journal(step.id, "run", "failed", "stopped by the user")
            self._write(self._failed(step, source, start, "stopped by the user"))
            raise
        self._journal(step.id, "run", "done")
        finding = look_after(step.check, self.engine, running, before) if step.check else None
        self._write(self._happened(step, source, outcome, finding))
        if step.register:
            self._registered[step.register] = outcome.registered

    def _place(self, step: ScenarioStep, running: RunningLab, source: SeenNode) -> Place:
        return Place(
            engine=self.engine,
            running=running,
            source=source,
            scope=Scope(running, source),
            values=render_lazily(
                self.scenario.variables,
                {**self._registered, "nodes": _nodes(running, source), "networks": _networks(running)},
            ),
            timeout=step.timeout,
        )

    def _base(self, step: ScenarioStep, start: Moment, end: Moment) -> Truth:
        """Fill in what every record of a step has."""
        return Truth(
            run=self.run.path.name,
            step=step.id,
            name=step.name,
            label="attack" if step.technique else "setup",
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
        return _with(self._base(step, now, now), status=status, reason=why)

    def _failed(self, step: ScenarioStep, source: SeenNode, start: Moment, why: str) -> Truth:
        base = self._base(step, start, Moment.now())
        return _with(base, occurred=False, reason=why, sources=(_party(source),))

    def _happened(
        self, step: ScenarioStep, source: SeenNode, outcome: Outcome, finding: Finding | None
    ) -> Truth:
        completed: Completed = outcome.completed
        return _with(
            self._base(step, completed.start, completed.end),
            occurred=finding.occurred if finding else None,
            reason=finding.said if finding else "the step has no check",
            exit_code=completed.code,
            sources=(_party(source),),
            targets=_parties(outcome.targets),
            users=outcome.users,
            processes=(outcome.command_line,),
            evidence=outcome.evidence,
        )

    def _revert_all(self) -> None:
        """Undo in reverse order; what cannot be undone is said and the rest goes on."""
        for step in reversed(self._undo):
            for revert in step.reverts:
                self._revert(step, revert)
        self._undo.clear()

    def _revert(self, step: ScenarioStep, revert: Revert) -> None:
        start = Moment.now()
        self._journal(step.id, "revert", "begun")
        said = ""
        for _ in range(_REVERT_TRIES):
            said = self._undo_once(revert)
            if not said:
                break
        self._journal(step.id, "revert", "failed" if said else "done", said)
        if said:
            self.tell(f"could not undo {step.name}: {said}")
        evidence = Predicate(where={"host.name": (revert.node,), "process.parent.pid": (0,)})
        self._write(
            Truth(
                run=self.run.path.name,
                step=f"{step.id}-revert",
                name=f"Undo: {step.name}",
                label="cleanup",
                start=start,
                end=Moment.now(),
                reason=said,
                processes=(" ".join(revert.argv),),
                evidence=(evidence,),
            )
        )

    def _undo_once(self, revert: Revert) -> str:
        """Try to undo; return why it failed, or nothing."""
        node = self.engine.observe(self.lab.name).node(revert.node)
        if node is None:
            return ""
        try:
            ran = self.engine.execute(node, revert.argv, user=revert.user, timeout=30)
        except LabError as error:
            return str(error)
        return (
            ""
            if ran.code == 0
            else ran.stderr.decode("utf-8", "backslashreplace").strip() or f"exit {ran.code}"
        )


def _with(truth: Truth, **changes: object) -> Truth:
    return replace(truth, **changes)  # type: ignore[arg-type]


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
