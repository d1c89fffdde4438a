"""What a learner is told before a step: what will happen, and which log to watch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lab import attack
from lab.exercise.scenario import ScenarioStep
from lab.inventory.definition import Lab


@dataclass(frozen=True, kw_only=True, slots=True)
class Briefing:
    """A step that is about to begin."""

    name: str
    """The step's name."""

    technique: str
    """Its technique with its name, `T1046 Network Service Discovery`; empty when it has none."""

    source: str
    """The node it runs on."""

    what: str
    """What kind of step it is, and what it is aimed at."""

    note: str
    """What it is modelled on, or why it is done."""

    watch: tuple[str, ...]
    """Logs in which it may show, each with what to look for where the author says so."""


def briefing(step: ScenarioStep, lab: Lab, look_for: Mapping[str, str]) -> Briefing:
    """Say what a step will do."""
    known = attack.techniques().get(step.technique)
    aims = tuple(_aims(step))
    return Briefing(
        name=step.name,
        technique=f"{step.technique} {known.name}" if known else "",
        source=step.source,
        what=f"{step.action.kind} at {', '.join(aims)}" if aims else step.action.kind,
        note=step.note,
        watch=tuple(_logs({step.source, *aims}, lab, look_for)),
    )


def _aims(step: ScenarioStep) -> Iterator[str]:
    """Name what a step is aimed at, as far as its file says so without a template."""
    named = (getattr(step.action, "target", ""), *getattr(step.action, "targets", ()))
    yield from dict.fromkeys(it for it in named if it and "{{" not in it)


def _logs(nodes: set[str], lab: Lab, look_for: Mapping[str, str]) -> Iterator[str]:
    for node in lab.nodes:
        told = [f"{where}: {what}" for where, what in look_for.items() if where.split()[0] == node.name]
        if node.name in nodes or node.watch:
            yield from told or (f"{node.name} {log.path}" for log in node.kind.logs)
