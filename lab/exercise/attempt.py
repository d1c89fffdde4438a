"""One attempt of one step: look, act, look again, and write what happened.

Whatever was begun is owed before it begins. Steps, checks and reverts act through `lab.exercise.place` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, Literal

from lab.engine.engine import Engine
from lab.engine.nodes import RunningLab, SeenNode
from lab.engine.present import ask_present
from lab.errors import LabError, OutOfScope
from lab.exercise.checks.base import Check
from lab.exercise.finding import Finding
from lab.exercise.journal import Act, Journal
from lab.exercise.place import Held, Place
from lab.exercise.recorder import Recorder, parties, party
from lab.exercise.rendering import Renderer
from lab.exercise.scenario import ScenarioStep
from lab.exercise.scope import NotRunning
from lab.exercise.steps.base import Careful, Lacking, Outcome, Ready, Step
from lab.exercise.template import BadTemplate
from lab.exercise.truth import Truth
from lab.exercise.undoing import Owed, Undoing
from lab.exercise.written import Revert
from lab.inventory.definition import Lab
from lab.moment import Moment
from lab.workers import Stop

_CHECK_TIMEOUT: Final = 60.0
"""Seconds that one command of a check may take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What attempts of one run share."""

    lab: Lab
    """The lab as defined."""

    engine: Engine
    """Where it is."""

    journal: Journal
    """Where intents are written."""

    recorder: Recorder
    """Takes what happened."""

    undoing: Undoing
    """Takes what has to be undone."""

    renderer: Renderer
    """Fills in templates."""

    pause: Callable[[float], None]
    """Waits for some seconds."""

    stop: Stop
    """Ends what is under way."""

    kept: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What steps on a node keep for those that follow there, by node."""

    held: list[Held] = field(default_factory=list)
    """What goes on while other steps run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Filled:
    """A step with its templates filled in."""

    action: Step
    """What it does."""

    check: Check | None
    """How to see that it had an effect."""

    owed: tuple[Owed, ...]
    """How to undo it."""

    ready: Ready | None = None
    """The action made ready; None for one that needs nothing."""


class Attempt:
    """One attempt."""

    def __init__(self, around: Surroundings, step: ScenarioStep, number: int, timeout: float) -> None:
        """Prepare; nothing is done yet.

        Args:
            around: What it shares with others.
            step: What to do.
            number: Which attempt of the step it is.
            timeout: Seconds that each of its commands may take.
        """
        self._around = around
        self._step = step
        self._number = number
        self._timeout = timeout
        self._running: RunningLab = around.engine.observe(around.lab.name)
        self._looked: list[Place] = []
        self.registered: Mapping[str, object] = {}
        """What later steps may read of it."""

    @property
    def looked(self) -> tuple[Place, ...]:
        """The doors through which was looked and not done."""
        return tuple(self._looked)

    def run(self, variables: Mapping[str, object], values: Mapping[str, object]) -> Truth:
        """Do it; what goes wrong is in the record that is returned.

        Args:
            variables: The scenario's own, which may be templates.
            values: What else templates may use.
        """
        source = self._running.node(self._step.source)
        if source is None or source.state != "running":
            return self._not_run("skipped", f"{self._step.source} does not run")
        try:
            filled = self._fill_in(source, variables, values)
            if lacking := self._lacking(source):
                return self._not_run("skipped", lacking)
            filled = self._prepared(filled, source)
        except (Lacking, OutOfScope) as error:
            return self._not_run("refused", str(error))
        except LabError as error:
            return self._not_run("skipped", str(error))
        return self._acted(filled, source)

    def _not_run(self, status: Literal["refused", "skipped"], why: str) -> Truth:
        return self._around.recorder.not_run(self._step, self._number, status, why)

    def _fill_in(
        self, source: SeenNode, variables: Mapping[str, object], values: Mapping[str, object]
    ) -> Filled:
        step = self._step
        known = {**values, **known_names(self._running, source)}
        action, check, reverts = self._around.renderer.fill_in(
            (step.action, step.check, step.reverts), variables, known
        )
        owed = tuple(Owed(step=step.id, name=step.name, revert=it) for it in reverts)
        return Filled(action=action, check=check, owed=owed)

    def _lacking(self, source: SeenNode) -> str:
        """Say what the node lacks for the step; nothing when it has all."""
        needs = self._step.needs
        if missing := sorted(set(needs.capabilities) - self._capabilities(source)):
            return f"{source.name} does not have {', '.join(missing)}"
        wanted = (*needs.programs, *needs.files)
        if not wanted:
            return ""
        ran = self._place(source, "check", _CHECK_TIMEOUT).run(ask_present(*wanted)).completed
        found = ran.stdout.decode("utf-8", "backslashreplace").split("\n")
        missing = sorted(set(wanted) - set(found))
        return f"{source.name} lacks {', '.join(missing)}" if missing else ""

    def _capabilities(self, node: SeenNode) -> frozenset[str]:
        kinds = {it.kind.name: it.kind for it in self._around.lab.nodes}
        return frozenset(kinds[node.kind].capabilities) if node.kind in kinds else frozenset()

    def _prepared(self, filled: Filled, source: SeenNode) -> Filled:
        """Make a step ready that has to be; how to undo it is then known as well."""
        if not isinstance(filled.action, Careful):
            return filled
        place = self._place(source, "check", self._timeout)
        ready = filled.action.prepare(place, self._capabilities(source))
        user, argv = ready.undo or ("root", ())
        revert = Revert(node=source.name, argv=argv, user=user, unsure=True)
        undo = Owed(step=self._step.id, name=self._step.name, revert=revert, left=ready.left)
        return replace(filled, ready=ready, owed=(*filled.owed, undo))

    def _place(self, node: SeenNode, act: Act, timeout: float) -> Place:
        place = Place(
            shell=self._around.engine,
            running=self._running,
            node=node,
            journal=self._around.journal,
            step=self._step.id,
            attempt=self._number,
            act=act,
            timeout=timeout,
            pause=self._around.pause,
            stop=self._around.stop if act == "run" else None,
            kept=self._around.kept.setdefault(node.name, {}),
            held=self._around.held,
            owe=partial(self._owe, node),
        )
        if act == "check":
            self._looked.append(place)
        return place

    def _owe(self, node: SeenNode, argv: tuple[str, ...]) -> None:
        revert = Revert(node=node.name, argv=argv)
        self._around.undoing.owe((Owed(step=self._step.id, name=self._step.name, revert=revert),))

    def _acted(self, filled: Filled, source: SeenNode) -> Truth:
        place = self._place(source, "run", self._timeout)
        start = Moment.now()
        before = self._look_before(filled.check)
        owed = self._around.undoing.owe(filled.owed)
        try:
            outcome = (filled.ready or filled.action).act(place)
        except (OutOfScope, NotRunning, BadTemplate) as error:
            if not place.acted:
                return self._not_run("refused" if isinstance(error, OutOfScope) else "skipped", str(error))
            return self._broken_off(place, start, str(error))
        except LabError as error:
            return self._broken_off(place, start, str(error))
        except KeyboardInterrupt:
            self._around.recorder.write(self._broken_off(place, start, "stopped by the user"))
            raise
        finally:
            if not place.acted:
                self._around.undoing.forget(owed)
        self.registered = outcome.registered
        return self._took_place(place, outcome, self._finding(filled, before, outcome))

    def _finding(self, filled: Filled, before: int | None, outcome: Outcome) -> Finding:
        if self._around.stop.is_set():
            return Finding(occurred=None, said="stopped by the user")
        if filled.check:
            return self._look_after(filled.check, before)
        source = self._running.node(self._step.source)
        if filled.ready is None or source is None:
            return Finding(occurred=None, said="the step has no check")
        try:
            return filled.ready.finding(self._place(source, "check", _CHECK_TIMEOUT), outcome)
        except (LabError, ValueError) as error:
            return Finding(occurred=None, said=f"{source.name} could not be asked: {error}")

    def _look_before(self, check: Check | None) -> int | None:
        """Look before the step; None when the node cannot be asked."""
        node = self._running.node(check.node) if check else None
        if check is None or node is None:
            return None
        try:
            return check.before(self._place(node, "check", _CHECK_TIMEOUT))
        except (LabError, ValueError):
            return None

    def _look_after(self, check: Check, before: int | None) -> Finding:
        """Look after the step; where nobody can look, the finding says so."""
        node = self._running.node(check.node)
        if node is None or before is None:
            return Finding(occurred=None, said=f"{check.node} could not be asked before the step")
        try:
            return check.after(self._place(node, "check", _CHECK_TIMEOUT), before)
        except (LabError, ValueError) as error:
            return Finding(occurred=None, said=f"{check.node} could not be asked: {error}")

    # -- truth -------------------------------------------------------------------------------------

    def _broken_off(self, place: Place, start: Moment, why: str) -> Truth:
        """Write of a step that nobody could look at any more; what it did up to then nobody knows."""
        base = self._around.recorder.base(self._step, self._number, start, Moment.now())
        evidence = place.evidence()
        return replace(
            base,
            reason=why,
            sources=(party(place.node),),
            evidence=evidence.predicates,
            wide=evidence.wide,
        )

    def _took_place(self, place: Place, outcome: Outcome, finding: Finding) -> Truth:
        completed = outcome.completed
        recorder = self._around.recorder
        start, end = recorder.span(place.node, place.ran) or (completed.start, completed.end)
        evidence = place.evidence() + outcome.evidence
        return replace(
            recorder.base(self._step, self._number, start, end),
            occurred=finding.occurred,
            reason=finding.said,
            timed_out=completed.timed_out,
            exit_code=None if completed.timed_out else completed.code,
            sources=(party(place.node),),
            targets=parties(outcome.targets),
            users=outcome.users,
            processes=(outcome.command_line,),
            started=tuple(it for ran in place.ran if ran.trace for it in ran.trace.processes),
            evidence=evidence.predicates,
            wide=evidence.wide,
        )


def known_names(running: RunningLab, source: SeenNode) -> dict[str, object]:
    """Return what templates of any step may use: the nodes and networks as they are now."""
    return {"nodes": _nodes(running, source), "networks": _networks(running)}


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
