"""Scenario YAML -> Scenario: a benign phase and steps, or every problem at once.

What a file may say is declared by `ScenarioFile` and `StepEntry`; here it is held against the lab, the
ATT&CK table and what templates can know.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

from lab import attack
from lab.errors import BadFile, NotFound
from lab.exercise.atomic.library import Library
from lab.exercise.steps import NO_ATTACK
from lab.exercise.steps.atomic import Atomic
from lab.exercise.steps.base import Step
from lab.exercise.template import BadTemplate, expression, texts_of, undeclared
from lab.exercise.written import People, ScenarioFile, StepEntry, StepKeys, WayEntry
from lab.files import loader
from lab.files.declared import read
from lab.files.loader import Item, Plain, Reading, suggestion
from lab.inventory.definition import Lab
from lab.inventory.kind import Kind


@dataclass(frozen=True, kw_only=True, slots=True)
class ScenarioStep(StepKeys):
    """One step, held against the lab and the ATT&CK table."""

    id: str
    """Its place and name, `3-guess-the-password`."""

    tactics: tuple[str, ...]
    """Short names of the tactics it serves."""

    action: Step
    """What it does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """A way that is tried while somebody responds, held against the lab."""

    name: str
    """For people."""

    source: str
    """The node it starts on."""

    action: Step
    """How it is tried."""

    shows: str
    """A text that is in the answer when the way is open."""

    planted: bool
    """Whether it rests on something that goes with a node when that is made anew."""

    once: str
    """Id of the step by which an intruder gets it; empty for one that is there from the beginning."""

    then: Step | None
    """What the intruder does with it, once another way was lost."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """One exercise."""

    name: str
    """Its name."""

    summary: str
    """One line for people."""

    story: str
    """What happens, for people."""

    look_for: Mapping[str, str]
    """Where to look, and for what."""

    level: Literal["beginner", "intermediate", "advanced"]
    """How much it asks of who watches it."""

    length: int
    """How long a run is expected to take, in nanoseconds; 0 when its author does not say."""

    lab: str
    """The inventory it was written for."""

    benign: int
    """Length of the phase before the first step, in nanoseconds."""

    after: int
    """How long people go on after the last step, in nanoseconds."""

    timeout: int
    """How long all steps together may take, in nanoseconds."""

    seed: int
    """What chance is drawn from."""

    people: People
    """How the day of those who work in the lab is."""

    variables: Mapping[str, Plain]
    """Values for templates."""

    steps: tuple[ScenarioStep, ...]
    """In order."""

    access: tuple[Way, ...]
    """The ways in that the attacker has, the dearest first."""

    service: tuple[Way, ...]
    """What people need."""

    text: str
    """The file as it was read; a run keeps it."""


def drawn(scenario: Scenario) -> Scenario:
    """Return a scenario with what its seed decides: which steps are done, and in which order."""
    chance = random.Random(f"{scenario.seed} {scenario.name}")  # noqa: S311  # an order, repeatable
    taken = [it for it in scenario.steps if chance.random() < it.chance]
    found: list[ScenarioStep] = []
    for free, group in itertools.groupby(taken, key=lambda it: it.any_order):
        steps = list(group)
        if free:
            chance.shuffle(steps)
        found += steps
    return replace(scenario, steps=tuple(found))


def inventory_of(path: Path) -> str:
    """Return the inventory that an exercise says it is for, whatever else is wrong with it."""
    root, _ = loader.load(path)
    entries = root.value if isinstance(root.value, dict) else {}
    named = entries["lab"].value if "lab" in entries else ""
    return named if isinstance(named, str) and named else "starter"


def strangers_of(path: Path) -> frozenset[str]:
    """Return the nodes that the ways in of an exercise start on, whatever else is wrong with it."""
    root, _ = loader.load(path)
    ways = _entries(root).get("access", Item(None, 1)).value
    found = (_entries(it).get("from") for it in ways) if isinstance(ways, list) else ()
    return frozenset(str(it.value) for it in found if it)


def read_scenario(path: Path, lab: Lab, library: Library | None = None) -> Scenario:
    """Read an exercise for a lab.

    Args:
        path: The file.
        lab: What it is played in.
        library: Where its atomic tests are from; None when no checkout was named.

    Raises:
        NotFound: the file does not exist.
        BadFile: it is not a scenario, or not one for this lab; every problem is named with its line.
    """
    root, reading = loader.load(path)
    written = read(reading, root, ScenarioFile, "a scenario")
    held = _Steps(reading, lab, written.vars, library)
    steps = held.read(root, written.steps)
    access, service = held.ways(written.access, steps), held.ways(written.service, steps)
    reading.finish()
    return Scenario(
        name=written.name,
        summary=written.summary,
        story=written.story,
        look_for=written.look_for,
        level=written.level,
        length=written.length,
        lab=written.lab,
        benign=written.benign,
        after=written.after,
        timeout=written.timeout,
        seed=written.seed,
        people=written.people,
        variables=written.vars,
        steps=steps,
        access=access,
        service=service,
        text=path.read_text(encoding="utf-8", errors="replace"),
    )


class _Steps:
    """The steps of one scenario being held against what there is."""

    def __init__(
        self, reading: Reading, lab: Lab, variables: Mapping[str, Plain], library: Library | None
    ) -> None:
        self._reading = reading
        self._library = library
        self._lab = lab
        self._nodes = tuple(node.name for node in lab.nodes)
        self._known = {"nodes", "networks"}
        self._variables = variables

    def read(self, root: Item, entries: tuple[StepEntry, ...]) -> tuple[ScenarioStep, ...]:
        """Return the steps; what is wrong with them is in the reading."""
        given = self._reading.mapping(root, "a scenario").get("vars", root).value
        for name, value in self._variables.items():
            self._syntax(value, given[name] if isinstance(given, dict) and name in given else root)
        self._cast(root)
        steps = [self._step(number, entry) for number, entry in enumerate(entries, 1)]
        return tuple(step for step in steps if step)

    def ways(self, entries: tuple[WayEntry, ...], steps: tuple[ScenarioStep, ...]) -> tuple[Way, ...]:
        """Return the ways, once the steps are read; what is wrong with them is in the reading."""
        found = [self._way(it, {step.name: step.id for step in steps}) for it in entries]
        return tuple(it for it in found if it)

    def _way(self, entry: WayEntry, steps: Mapping[str, str]) -> Way | None:
        where = _entries(entry.where)
        self._node(entry.source, where.get("from", entry.where))
        if entry.once and entry.once not in steps:
            remedy = suggestion(entry.once, steps, "steps")
            self._reading.problem(where.get("once", entry.where), f"unknown step {entry.once!r}", remedy)
        then = entry.then.action if entry.then else None
        self._texts(entry.where, tuple(texts_of((entry.action, then, entry.shows))), set())
        if entry.action is None:
            return None
        return Way(
            name=entry.name,
            source=entry.source,
            action=entry.action,
            shows=entry.shows,
            planted=entry.planted,
            once=steps.get(entry.once, ""),
            then=then,
        )

    def _cast(self, root: Item) -> None:
        """Find people who are not there, and characters that nobody can be."""
        people = _entries(_entries(root).get("people", Item(None, 1))).get("cast", Item(None, 1))
        homes = {node.name: _characters(node.kind) for node in self._lab.nodes if node.kind.people}
        for name, given in _entries(people).items():
            if name not in homes:
                self._reading.problem(given, f"nobody works at {name!r}", suggestion(name, homes, "people"))
            elif given.value not in homes[name]:
                remedy = suggestion(str(given.value), homes[name], "characters")
                self._reading.problem(given, f"unknown character {given.value!r}", remedy)

    def _step(self, number: int, entry: StepEntry) -> ScenarioStep | None:
        name = entry.name or f"step {number}"
        tactics = self._tactics(entry)
        self._node(entry.source, entry.at("from"))
        for revert in entry.reverts:
            self._node(revert.node, entry.at("revert"))
        if entry.check:
            self._node(entry.check.node, entry.at("check"))
        self._templates(entry)
        if entry.register:
            self._known.add(entry.register)
        action = self._bound(entry)
        if action is None:
            return None
        own = {"id": f"{number}-{_slug(name)}", "name": name, "tactics": tactics, "action": action}
        said = {it.name: getattr(entry, it.name) for it in fields(StepKeys)}
        if isinstance(action, Atomic) and not entry.technique:
            said["technique"] = action.technique
        return ScenarioStep(**{**said, **own})

    def _bound(self, entry: StepEntry) -> Step | None:
        """Return what a step does; a test of Atomic Red Team is looked up."""
        if not isinstance(entry.action, Atomic):
            return entry.action
        if self._library is None:
            said = "an atomic step needs a checkout of Atomic Red Team, and none was named"
            self._reading.problem(entry.at("atomic"), said, "lab atomic list --from PATH  names one, once")
            return None
        try:
            return entry.action.found_in(self._library)
        except (NotFound, BadFile) as error:
            self._reading.problem(entry.at("atomic"), error.message())
            return None

    def _node(self, name: str, where: Item) -> None:
        if name and name not in self._nodes:
            self._reading.problem(where, f"unknown node {name!r}", suggestion(name, self._nodes, "nodes"))

    def _tactics(self, entry: StepEntry) -> tuple[str, ...]:
        """Return the tactics that a step serves."""
        if not entry.technique and isinstance(entry.action, Atomic):
            known_here = attack.techniques().get(entry.action.technique)
            return known_here.tactics if known_here else ()
        if not entry.technique:
            if entry.action is not None and entry.action.kind not in NO_ATTACK:
                self._reading.problem(entry.where, "a step needs a technique", "write  technique: T1046")
            return ()
        known = attack.techniques().get(entry.technique)
        if known is None:
            self._reading.problem(entry.at("technique"), *_no_technique(entry.technique))
            return ()
        if entry.tactic:
            return (self._reading.choice(entry.at("tactic"), "tactic", known.tactics),)
        return known.tactics

    def _syntax(self, value: Plain, where: Item) -> None:
        try:
            undeclared(str(value))
        except BadTemplate as error:
            self._reading.problem(where, error.message(), "see Jinja2's template syntax")

    def _templates(self, entry: StepEntry) -> None:
        """Find templates that ask for what nothing before this step provides."""
        looped = {"item"} if entry.loop is not None else set()
        before = (entry.action, entry.check, entry.reverts, entry.needs, expression(entry.when))
        self._texts(entry.where, tuple(texts_of((*before, *_loop_texts(entry.loop)))), looped)

    def _texts(self, where: Item, texts: tuple[str, ...], looped: set[str]) -> None:
        for text in dict.fromkeys(texts):
            try:
                missing = self._missing(text, frozenset()) - looped
            except BadTemplate as error:
                self._reading.problem(where, error.message(), "see Jinja2's template syntax")
                continue
            for name in sorted(missing):
                said = f"undefined name {name!r} in {text!r}"
                remedy = suggestion(name, self._known | self._variables.keys(), "names")
                if name in self._variables:
                    said, remedy = f"variable {name!r} in {text!r} needs itself", "give one of them a value"
                self._reading.problem(where, said, remedy)

    def _missing(self, text: str, inside: frozenset[str]) -> set[str]:
        """Name what a template needs that is not there, also through variables that are templates."""
        missing: set[str] = set()
        for name in undeclared(text) - self._known:
            value = self._variables.get(name)
            if name not in self._variables or name in inside:
                missing.add(name)
            elif isinstance(value, str):
                missing |= self._missing(value, inside | {name})
        return missing


def _entries(item: Item) -> Mapping[str, Item]:
    return item.value if isinstance(item.value, dict) else {}


def _characters(kind: Kind) -> tuple[str, ...]:
    """Return what a person of a kind can be: the choices of its variable `.._character`."""
    found = [it for name, it in kind.arguments.items() if name.endswith("_character")]
    return tuple(str(it) for argument in found for it in argument.choices)


def _no_technique(technique: str) -> tuple[str, str]:
    """Say that an id is none, or none any more, and which one is meant."""
    if technique in attack.withdrawn():
        now = attack.withdrawn()[technique]
        said = f"technique {technique!r} was withdrawn from ATT&CK"
        return said, f"write  {now}" if now else "nothing took its place"
    said = f"unknown technique {technique!r} in ATT&CK {attack.version()}"
    return said, suggestion(technique, attack.techniques(), "").partition("  ")[0]


def _loop_texts(loop: Plain) -> tuple[str, ...]:
    """Return the templates of a loop."""
    if isinstance(loop, str):
        return (expression(loop),)
    return tuple(it for it in loop if isinstance(it, str)) if isinstance(loop, list) else ()


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "step"
