"""Scenario YAML -> Scenario: a benign phase and steps, or every problem at once.

What a file may say is declared by `ScenarioFile` and `StepEntry`; here it is held against the lab, the
ATT&CK table and what templates can know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Final

from lab import attack
from lab.exercise.checks import CHECK_KINDS
from lab.exercise.checks.base import Check
from lab.exercise.steps import STEP_KINDS
from lab.exercise.steps.base import Step
from lab.exercise.template import BadTemplate, texts_of, undeclared
from lab.exercise.truth import DEFAULT_LIMIT
from lab.files import loader
from lab.files.declared import Fault, Key, read
from lab.files.loader import Item, Plain, Reading, suggestion
from lab.inventory.definition import Lab
from lab.moment import SECOND

_UNITS: Final = {"s": 1, "m": 60, "h": 3600}
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
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|h)?", text.strip())
    seconds = float(match[1]) * _UNITS[match[2] or "s"] if match else -1
    if not 0 <= seconds <= _LONGEST:
        raise ValueError(f"a duration up to {_LONGEST} s")
    return int(seconds * SECOND)


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

    def faults(self) -> Iterator[Fault]:
        """Find that nothing is run."""
        if not self.argv:
            yield Fault(key="argv", what="names no program", remedy=self.remedy)


@dataclass(frozen=True, kw_only=True, slots=True)
class StepEntry:
    """One step, as written."""

    where: Annotated[Item, Key(here=True)]
    """The entry itself."""

    action: Annotated[Step | None, Key(kinds=STEP_KINDS, inline=True)]
    """What it does: one of the kinds of step."""

    source: Annotated[str, Key(name="from", remedy="name the node it runs on")]
    """The node it runs on."""

    name: str = ""
    """For people."""

    technique: str = ""
    """ATT&CK technique id, `T1046`; only a pause has none."""

    tactic: str = ""
    """ATT&CK short name of the one tactic it serves here; else all those of its technique."""

    check: Annotated[Check | None, Key(kinds=CHECK_KINDS)] = None
    """How to see that it had an effect."""

    reverts: Annotated[tuple[Revert, ...], Key(name="revert", single=True)] = ()
    """How to undo it; `none` when there is nothing to undo."""

    register: str = ""
    """The name under which later steps read its results."""

    limit: Annotated[int, _DURATION] = DEFAULT_LIMIT
    """Time to detect above which detection is late."""

    timeout: Annotated[int, _DURATION] = _STEP_TIMEOUT
    """How long it may take."""

    expected_rules: Annotated[tuple[str, ...], Key(name="expect")] = ()
    """Rules its author expects to fire; shown, never scored."""

    def faults(self) -> Iterator[Fault]:
        """Find a name for results that templates could not say."""
        if self.register and not self.register.isidentifier():
            said = f"{self.register!r} cannot be a name"
            yield Fault(key="register", what=said, remedy="use letters, digits and _")

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
    """In order."""

    summary: str = ""
    """One line for people."""

    benign: Annotated[int, _DURATION] = _BENIGN
    """Length of the phase before the first step, in which people are at work and nobody attacks."""

    vars: Mapping[str, Plain] = field(default_factory=dict)
    """Values for templates; a text may be a template itself."""

    def faults(self) -> Iterator[Fault]:
        """Find that nothing is done."""
        if not self.steps:
            yield Fault(key="steps", what="a scenario needs at least one step")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScenarioStep:
    """One step, held against the lab and the ATT&CK table."""

    id: str
    """Its place and name, `3-guess-the-password`."""

    name: str
    """For people."""

    technique: str
    """ATT&CK technique id; empty for a step that is no attack."""

    tactics: tuple[str, ...]
    """Short names of the tactics it serves."""

    source: str
    """The node it runs on."""

    action: Step
    """What it does."""

    check: Check | None
    """How to see that it had an effect."""

    reverts: tuple[Revert, ...]
    """How to undo it."""

    register: str
    """The name under which later steps read its results; empty for none."""

    limit: int
    """Time to detect above which detection is late, in nanoseconds."""

    timeout: float
    """Seconds it may take."""

    expected_rules: tuple[str, ...]
    """Rules its author expects to fire; shown, never scored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """One exercise."""

    name: str
    """Its name."""

    summary: str
    """One line for people."""

    benign: int
    """Length of the phase before the first step, in nanoseconds."""

    variables: Mapping[str, Plain]
    """Values for templates."""

    steps: tuple[ScenarioStep, ...]
    """In order."""

    text: str
    """The file as it was read; a run keeps it."""


def read_scenario(path: Path, lab: Lab) -> Scenario:
    """Read an exercise for a lab.

    Raises:
        NotFound: the file does not exist.
        BadFile: it is not a scenario, or not one for this lab; every problem is named with its line.
    """
    root, reading = loader.load(path)
    written = read(reading, root, ScenarioFile, "a scenario")
    steps = _Steps(reading, lab, written.vars).read(root, written.steps)
    reading.finish()
    return Scenario(
        name=written.name,
        summary=written.summary,
        benign=written.benign,
        variables=written.vars,
        steps=steps,
        text=path.read_text(encoding="utf-8", errors="replace"),
    )


class _Steps:
    """The steps of one scenario being held against what there is."""

    def __init__(self, reading: Reading, lab: Lab, variables: Mapping[str, Plain]) -> None:
        self._reading = reading
        self._nodes = tuple(node.name for node in lab.nodes)
        self._known = {"nodes", "networks"}
        self._variables = variables

    def read(self, root: Item, entries: tuple[StepEntry, ...]) -> tuple[ScenarioStep, ...]:
        """Return the steps; what is wrong with them is in the reading."""
        given = self._reading.mapping(root, "a scenario").get("vars", root).value
        for name, value in self._variables.items():
            self._syntax(value, given[name] if isinstance(given, dict) and name in given else root)
        steps = [self._step(number, entry) for number, entry in enumerate(entries, 1)]
        return tuple(step for step in steps if step)

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
        if entry.action is None:
            return None
        return ScenarioStep(
            id=f"{number}-{_slug(name)}",
            name=name,
            technique=entry.technique,
            tactics=tactics,
            source=entry.source,
            action=entry.action,
            check=entry.check,
            reverts=entry.reverts,
            register=entry.register,
            limit=entry.limit,
            timeout=entry.timeout / SECOND,
            expected_rules=entry.expected_rules,
        )

    def _node(self, name: str, where: Item) -> None:
        if name and name not in self._nodes:
            self._reading.problem(where, f"unknown node {name!r}", suggestion(name, self._nodes, "nodes"))

    def _tactics(self, entry: StepEntry) -> tuple[str, ...]:
        """Return the tactics that a step serves."""
        if not entry.technique:
            if entry.action is not None and entry.action.kind != "wait":
                self._reading.problem(entry.where, "a step needs a technique", "write  technique: T1046")
            return ()
        known = attack.techniques().get(entry.technique)
        if known is None:
            remedy = suggestion(entry.technique, attack.techniques(), "").partition("  ")[0]
            said = f"unknown technique {entry.technique!r} in ATT&CK {attack.version()}"
            self._reading.problem(entry.at("technique"), said, remedy)
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
        for text in dict.fromkeys(texts_of((entry.action, entry.check, entry.reverts))):
            try:
                missing = self._missing(text, frozenset())
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


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or "step"
