"""Scenario YAML -> Scenario: a benign phase and steps, or every problem at once.

What a file may say is declared by `ScenarioFile` and `StepEntry`; here it is held against the lab, the
ATT&CK table and what templates can know.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from lab import attack
from lab.errors import BadFile, NotFound
from lab.exercise.atomic.library import Library
from lab.exercise.checks import CHECK_KINDS
from lab.exercise.checks.base import Check
from lab.exercise.steps import NO_ATTACK, STEP_KINDS
from lab.exercise.steps.atomic import Atomic
from lab.exercise.steps.base import Step
from lab.exercise.template import BadTemplate, expression, texts_of, undeclared
from lab.exercise.truth import DEFAULT_LIMIT
from lab.files import loader
from lab.files.declared import Fault, Key, read
from lab.files.loader import Item, Plain, Reading, suggestion
from lab.inventory.definition import Lab
from lab.inventory.kind import Kind
from lab.moment import SECOND

_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
_LONGEST: Final = 3600
"""Seconds: no phase and no step is longer, whatever a file says."""

_STEP_TIMEOUT: Final = 120 * SECOND
"""How long a step may take when its author says nothing, in nanoseconds."""

_BENIGN: Final = 30 * SECOND
"""How long people are at work before the attack when the author says nothing, in nanoseconds."""


def duration(text: str) -> int:
    """Read a length of time, `30s` or `2m`, in nanoseconds.

    Raises:
        ValueError: says what it must be.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?", text.strip())
    seconds = float(match[1]) * _UNITS[match[2] or "s"] if match else -1
    if not 0 <= seconds <= _LONGEST:
        raise ValueError(f"a duration up to {_LONGEST} s")
    return int(seconds * SECOND)


MOST_RETRIES: Final = 10
"""Tries beyond the first, whatever a file says."""

MOST_LOOPS: Final = 100
"""Items of a loop, whatever a file says."""

_MOST_STEPS: Final = 500
"""Steps of a scenario."""

_RUN_TIMEOUT: Final = 1800 * SECOND
"""How long all of a run may take when its author says nothing, in nanoseconds."""

_SHORTEST_DAY: Final = 60 * SECOND
"""A day in which its kinds of action cannot fit is a mistake, in nanoseconds."""

_DURATION: Final = Key(convert=duration, remedy="write  30s  or  2m")


@dataclass(frozen=True, kw_only=True, slots=True)
class Revert:
    """How an effect is undone: a command on a node."""

    remedy: ClassVar[str] = "write  {node: bastion, argv: [rm, -f, /tmp/x], user: maria}"

    node: str
    """Where."""

    argv: tuple[str, ...]
    """What."""

    user: str = "root"
    """Who runs it: root on a node may not touch what others own, it has few capabilities."""

    unsure: bool = field(default=False, metadata={"written": False})
    """Whether its exit code does not tell that all is undone."""

    def faults(self) -> Iterator[Fault]:
        """Find that nothing is run."""
        if not self.argv:
            yield Fault(key="argv", what="names no program", remedy=self.remedy)


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What the node must have before a step can run there; else the step is skipped, with the reason."""

    programs: tuple[str, ...] = ()
    """Programs on its path."""

    files: tuple[str, ...] = ()
    """Paths that must be there."""

    capabilities: tuple[str, ...] = ()
    """Linux capabilities that its kind keeps, `NET_RAW`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class People:
    """How the day of those who work in the lab is."""

    remedy: ClassVar[str] = "write  people: {day: 10m, intensity: 2, cast: {desk: administrator}}"

    day: Annotated[int, _DURATION] = 600 * SECOND
    """How long a day and its night take; each kind of action is done once in it."""

    intensity: Annotated[float, Key(least=0, most=10)] = 1.0
    """How busy it is; 1 is something each 12 seconds."""

    pace: Annotated[float, Key(least=0.1, most=10)] = 1.0
    """How long people look and think, as a factor."""

    cast: Mapping[str, str] = field(default_factory=dict)
    """Node to character, for those who are to be another than their node was made for."""

    def faults(self) -> Iterator[Fault]:
        """Find a day that is over at once."""
        if self.day < _SHORTEST_DAY:
            said = f"a day of {self.day / SECOND:g} s is too short"
            yield Fault(key="day", what=said, remedy=f"{_SHORTEST_DAY // SECOND} s at least")


@dataclass(frozen=True, kw_only=True, slots=True)
class StepKeys:
    """What is said of a step, whatever its kind."""

    source: Annotated[str, Key(name="from", remedy="name the node it runs on")]
    """The node it runs on."""

    name: str = ""
    """For people."""

    technique: str = ""
    """ATT&CK technique id, `T1046`; only a pause has none."""

    needs: Needs = field(default_factory=Needs)
    """What the node must have."""

    check: Annotated[Check | None, Key(kinds=CHECK_KINDS)] = None
    """How to see that it had an effect."""

    reverts: Annotated[tuple[Revert, ...], Key(name="revert", single=True)] = ()
    """How to undo it; `none` when there is nothing to undo."""

    repeatable: bool = True
    """Whether doing it once more does no harm; one that is not is never tried again, by `resume` neither."""

    register: str = ""
    """The name under which later steps read its results."""

    when: str = ""
    """A condition, as in Ansible: an expression without braces. The step is skipped when it does not hold."""

    loop: Annotated[Plain, Key(remedy="write a list, or  loop: scan.hosts")] = None
    """What it is done for, one after the other, each as `item`: a list, or an expression that gives one."""

    retries: Annotated[int, Key(least=0, most=MOST_RETRIES)] = 0
    """How often it is tried again while its check finds no effect."""

    delay: Annotated[int, _DURATION] = 0
    """How long to wait before each try."""

    jitter: Annotated[float, Key(least=0, most=1)] = 0.0
    """By which part of it the delay varies, drawn from the scenario's seed."""

    note: str = ""
    """What it is modelled on, or why it is done, for the report."""

    any_order: bool = False
    """Whether it and its neighbours that say so too are done in an order drawn from the seed."""

    chance: Annotated[float, Key(least=0, most=1)] = 1.0
    """How likely it is done at all, drawn from the seed; a decoy that differs from run to run."""

    parallel: bool = False
    """Whether it begins together with the step before it."""

    limit: Annotated[int, _DURATION] = DEFAULT_LIMIT
    """Time to detect above which detection is late."""

    timeout: Annotated[int, _DURATION] = _STEP_TIMEOUT
    """How long it may take."""

    expected_rules: Annotated[tuple[str, ...], Key(name="expect")] = ()
    """Rules its author expects to fire; shown, never scored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepEntry(StepKeys):
    """One step, as written."""

    where: Annotated[Item, Key(here=True)]
    """The entry itself."""

    action: Annotated[Step | None, Key(kinds=STEP_KINDS, inline=True)]
    """What it does: one of the kinds of step."""

    tactic: str = ""
    """ATT&CK short name of the one tactic it serves here; else all those of its technique."""

    def faults(self) -> Iterator[Fault]:
        """Find a name for results that templates could not say, and tries that must not be."""
        if self.register and not self.register.isidentifier():
            said = f"{self.register!r} cannot be a name"
            yield Fault(key="register", what=said, remedy="use letters, digits and _")
        if self.retries and not (self.repeatable and self.check):
            said = "only a step that is repeatable and has a check can be tried again"
            yield Fault(key="retries", what=said, remedy="give it a check, or leave  retries  out")
        if isinstance(self.loop, list) and len(self.loop) > MOST_LOOPS:
            said = f"a loop of {len(self.loop)} is too long"
            yield Fault(key="loop", what=said, remedy=f"{MOST_LOOPS} at most")

    def at(self, key: str) -> Item:
        """Return where a key was written; the step itself when it was not."""
        entries = self.where.value
        return entries.get(key, self.where) if isinstance(entries, dict) else self.where


@dataclass(frozen=True, kw_only=True, slots=True)
class ScenarioFile:
    """A scenario, as written."""

    remedy: ClassVar[str] = "see scenarios/ssh-brute-force.yml"

    name: str
    """Its name."""

    steps: Annotated[tuple[StepEntry, ...], Key(entry="step")]
    """In order; none for a day on which nobody attacks."""

    summary: str = ""
    """One line for people."""

    story: str = ""
    """What happens, for people: who does what, and why."""

    look_for: Mapping[str, str] = field(default_factory=dict)
    """Where to look, and for what: a log's name to a sentence."""

    level: Literal["beginner", "intermediate", "advanced"] = "beginner"
    """How much it asks of who watches it."""

    length: Annotated[int, _DURATION] = 0
    """How long a run is expected to take, in nanoseconds; 0 when its author does not say."""

    lab: str = "starter"
    """The inventory it was written for; it may be played in any lab that has its nodes."""

    benign: Annotated[int, _DURATION] = _BENIGN
    """Length of the phase before the first step, in which people are at work and nobody attacks."""

    after: Annotated[int, _DURATION] = 0
    """How long people go on after the last step, before anything is undone."""

    timeout: Annotated[int, _DURATION] = _RUN_TIMEOUT
    """How long all steps together may take; what is left then is not run."""

    seed: int = 0
    """What chance is drawn from; the same seed gives the same pauses, order, decoys, and day of people."""

    people: People = field(default_factory=People)
    """How the day of those who work in the lab is."""

    vars: Mapping[str, Plain] = field(default_factory=dict)
    """Values for templates; a text may be a template itself."""

    def faults(self) -> Iterator[Fault]:
        """Find that nothing is done, or far too much."""
        if not self.steps and not self.benign:
            yield Fault(key="steps", what="a scenario without steps needs a benign phase")
        if len(self.steps) > _MOST_STEPS:
            said = f"{len(self.steps)} steps are too many"
            yield Fault(key="steps", what=said, remedy=f"{_MOST_STEPS} at most")


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
    steps = _Steps(reading, lab, written.vars, library).read(root, written.steps)
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
        self._texts(entry, tuple(texts_of((*before, *_loop_texts(entry.loop)))), looped)

    def _texts(self, entry: StepEntry, texts: tuple[str, ...], looped: set[str]) -> None:
        for text in dict.fromkeys(texts):
            try:
                missing = self._missing(text, frozenset()) - looped
            except BadTemplate as error:
                self._reading.problem(entry.where, error.message(), "see Jinja2's template syntax")
                continue
            for name in sorted(missing):
                said = f"undefined name {name!r} in {text!r}"
                remedy = suggestion(name, self._known | self._variables.keys(), "names")
                if name in self._variables:
                    said, remedy = f"variable {name!r} in {text!r} needs itself", "give one of them a value"
                self._reading.problem(entry.where, said, remedy)

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
