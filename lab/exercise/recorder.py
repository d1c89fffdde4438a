"""Writes what a run really did: truth, clocks, and what steps gave to later ones."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from lab import attack
from lab.engine.nodes import SeenNode
from lab.engine.shell import Completed
from lab.exercise.evidence import Evidence
from lab.exercise.scenario import ScenarioStep
from lab.exercise.scope import Target
from lab.exercise.truth import Clock, Label, Party, Truth
from lab.files import records
from lab.moment import Moment
from lab.runs.happened import Happened


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What a step gave under a name: a line of `results.jsonl`."""

    step: str
    """Step id."""

    name: str
    """The name that later steps use."""

    value: Mapping[str, Any]
    """What they may read: texts, numbers and lists of them."""


class Recorder:
    """Truth of one run. May be written from several threads."""

    def __init__(self, run: str, happened: Happened) -> None:
        self.run = run
        self.happened = happened
        self._lock = threading.Lock()
        self._ahead: dict[str, int] = {}

    def write(self, truth: Truth) -> None:
        """Write one record; when this returns, it is on disk."""
        with self._lock:
            records.append(self.happened.truth, (truth,))

    def clocks(self, measured: Iterable[Clock]) -> None:
        """Write how far the nodes' clocks were off, and reckon with it from now on."""
        found = tuple(measured)
        self._ahead |= {it.node: it.offset for it in found}
        with self._lock:
            records.append(self.happened.clock, found)

    def result(self, step: str, name: str, value: Mapping[str, Any]) -> None:
        """Write what a step gave to later ones."""
        with self._lock:
            records.append(self.happened.results, (Result(step=step, name=name, value=value),))

    def phase(
        self,
        label: Literal["benign", "setup"],
        begun: Moment,
        step: str,
        name: str,
        evidence: Evidence | None = None,
    ) -> None:
        """Write of something that went on beside the steps."""
        self.write(
            Truth(
                run=self.run,
                step=step,
                name=name,
                label=label,
                start=begun,
                end=Moment.now(),
                evidence=evidence.predicates if evidence else (),
            )
        )

    def base(self, step: ScenarioStep, attempt: int, start: Moment, end: Moment) -> Truth:
        """Fill in what every record of a step has."""
        label: Label = "attack" if step.technique else "setup"
        return Truth(
            run=self.run,
            step=step.id,
            attempt=attempt,
            name=step.name,
            note=step.note,
            label=label,
            technique=step.technique,
            tactics=step.tactics,
            attack_version=attack.version(),
            start=start,
            end=end,
            expected_rules=step.expected_rules,
            limit=step.limit,
        )

    def not_run(
        self, step: ScenarioStep, attempt: int, status: Literal["refused", "skipped"], why: str
    ) -> Truth:
        """Make the record of a step that was not run."""
        now = Moment.now()
        return replace(self.base(step, attempt, now, now), status=status, reason=why)

    def span(self, node: SeenNode, ran: Iterable[Completed]) -> tuple[Moment, Moment] | None:
        """Return when commands began and ended on a node, by this machine's clock; None when none ran.

        The engine needs some 50 ms until a command begins; its own first process tells the moment.
        """
        ahead = self._ahead.get(node.name, 0)
        spans = [_span(it, ahead) for it in ran]
        if not spans:
            return None
        return min(start for start, _ in spans), max(end for _, end in spans)


def _span(ran: Completed, ahead: int) -> tuple[Moment, Moment]:
    if ran.trace is None:
        return ran.start, ran.end
    return Moment(ran.trace.processes[0].started - ahead), Moment(ran.trace.end - ahead)


def party(node: SeenNode) -> Party:
    """Describe a node that takes part, as it is now."""
    return Party(node=node.name, addresses=tuple(sorted(it for it in node.addresses.values() if it)))


def parties(targets: Iterable[Target]) -> tuple[Party, ...]:
    """Describe the nodes behind targets, each once."""
    nodes = {node.name: node for target in targets for node in target.nodes}
    return tuple(party(nodes[name]) for name in sorted(nodes))
