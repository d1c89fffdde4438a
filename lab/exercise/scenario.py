"""Scenario YAML -> Scenario: a benign phase and steps, or every problem at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab import attack
from lab.exercise.checks import Check, read_check
from lab.exercise.steps import STEP_KINDS
from lab.exercise.steps.base import Step
from lab.exercise.template import BadTemplate, undeclared
from lab.exercise.truth import DEFAULT_LIMIT
from lab.files import loader
from lab.files.loader import Item, Plain, Reading, suggestion
from lab.inventory.definition import Lab
from lab.moment import SECOND

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h)?")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}
_LONGEST: Final = 3600
"""Seconds: no phase and no step is longer, whatever a file says."""

_STEP_TIMEOUT: Final = 120.0
"""Seconds a step may take when its author says nothing."""

_KEYS: Final = (
    "name", "technique", "tactic", "from", "check", "revert", "register", "limit", "timeout", "expect",
)  # fmt: skip
_TOP: Final = ("name", "summary", "benign", "vars", "steps")


@dataclass(frozen=True, kw_only=True, slots=True)
class Revert:
    """How an effect is undone: a command on a node."""

    node: str
    """Where."""

    argv: tuple[str, ...]
    """What."""

    user: str = "root"
    """Who runs it: root on a node may not touch what others own, it has few capabilities."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScenarioStep:
    """One step, as written."""

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
    scenario = _Scenario(reading, lab).read(root, path)
    reading.finish()
    return scenario


class _Scenario:
    """One scenario being read."""

    def __init__(self, reading: Reading, lab: Lab) -> None:
        self._reading = reading
        self._nodes = tuple(node.name for node in lab.nodes)
        self._known = {"nodes", "networks"}
        self._variables: dict[str, Plain] = {}

    def read(self, root: Item, path: Path) -> Scenario:
        """Return the scenario; what is wrong with it is in the reading."""
        reading = self._reading
        top = reading.mapping(root, "a scenario", _TOP)
        for key in ("name", "steps"):
            if key not in top:
                reading.problem(root, f"a scenario needs {key}", "see scenarios/ssh-brute-force.yml")
        variables = reading.mapping(top.get("vars", Item(None, 1)), "vars")
        self._variables = {name: item.plain() for name, item in variables.items()}
        for item in variables.values():
            self._syntax(item)
        steps = reading.sequence(top.get("steps", Item(None, 1)), "steps")
        if "steps" in top and not steps:
            reading.problem(top["steps"], "a scenario needs at least one step")
        return Scenario(
            name=reading.text(top["name"], "name") if "name" in top else path.stem,
            summary=reading.text(top["summary"], "summary") if "summary" in top else "",
            benign=self._duration(top.get("benign", Item("30s", 1)), "benign"),
            variables=self._variables,
            steps=tuple(step for number, item in enumerate(steps, 1) if (step := self._step(number, item))),
            text=path.read_text(encoding="utf-8", errors="replace"),
        )

    def _duration(self, item: Item, what: str) -> int:
        match = _DURATION.fullmatch(self._reading.text(item, what).strip())
        seconds = float(match[1]) * _UNITS[match[2] or "s"] if match else -1
        if not 0 <= seconds <= _LONGEST:
            self._reading.problem(item, f"{what} must be a duration up to {_LONGEST} s", "write  30s  or  2m")
        return int(seconds * SECOND)

    def _step(self, number: int, item: Item) -> ScenarioStep | None:
        entries = self._reading.mapping(item, f"step {number}", (*_KEYS, *STEP_KINDS))
        action = self._action(number, item, entries)
        name = self._text(entries, "name") or f"step {number}"
        technique, tactics = self._technique(entries, item)
        if action:
            self._templates(action, item)
        source = self._source(entries, item, number)
        step = action and ScenarioStep(
            id=f"{number}-{_slug(name)}",
            name=name,
            technique=technique,
            tactics=tactics,
            source=source,
            action=action,
            check=self._check(entries),
            reverts=self._reverts(entries),
            register=self._register(entries),
            limit=self._duration(entries["limit"], "limit") if "limit" in entries else DEFAULT_LIMIT,
            timeout=self._timeout(entries),
            expected_rules=self._reading.texts(entries["expect"], "expect") if "expect" in entries else (),
        )
        return step or None

    def _text(self, entries: Mapping[str, Item], key: str) -> str:
        return self._reading.text(entries[key], key) if key in entries else ""

    def _timeout(self, entries: Mapping[str, Item]) -> float:
        return (
            self._duration(entries["timeout"], "timeout") / SECOND if "timeout" in entries else _STEP_TIMEOUT
        )

    def _action(self, number: int, item: Item, entries: Mapping[str, Item]) -> Step | None:
        kinds = [key for key in entries if key in STEP_KINDS]
        if len(kinds) == 1:
            return STEP_KINDS[kinds[0]].from_item(self._reading, entries[kinds[0]])
        names = ", ".join(sorted(STEP_KINDS))
        what = f"is of two kinds: {' and '.join(kinds)}" if kinds else "has no kind"
        self._reading.problem(item, f"step {number} {what}", f"give it one of: {names}")
        return None

    def _source(self, entries: Mapping[str, Item], item: Item, number: int) -> str:
        if "from" not in entries:
            self._reading.problem(
                item, f"step {number} needs from", f"name the node it runs on: {', '.join(self._nodes)}"
            )
            return ""
        return self._node(entries["from"])

    def _node(self, item: Item) -> str:
        return self._reading.choice(item, "node", self._nodes)

    def _technique(self, entries: Mapping[str, Item], item: Item) -> tuple[str, tuple[str, ...]]:
        if "technique" not in entries:
            if "wait" not in entries:
                self._reading.problem(item, "a step needs a technique", "write  technique: T1046")
            return "", ()
        technique = self._text(entries, "technique")
        known = attack.techniques().get(technique)
        if known is None:
            remedy = suggestion(technique, attack.techniques(), "").partition("  ")[0] if technique else ""
            self._reading.problem(
                entries["technique"], f"unknown technique {technique!r} in ATT&CK {attack.version()}", remedy
            )
            return technique, ()
        if "tactic" in entries:
            return technique, (self._reading.choice(entries["tactic"], "tactic", known.tactics),)
        return technique, known.tactics

    def _check(self, entries: Mapping[str, Item]) -> Check | None:
        if "check" not in entries:
            return None
        check = read_check(self._reading, entries["check"])
        if check and check.node not in self._nodes:
            self._reading.problem(
                entries["check"], f"unknown node {check.node!r}", suggestion(check.node, self._nodes, "nodes")
            )
        return check

    def _reverts(self, entries: Mapping[str, Item]) -> tuple[Revert, ...]:
        if "revert" not in entries or entries["revert"].value == "none":
            return ()
        listed = entries["revert"].value
        items = listed if isinstance(listed, list) else [entries["revert"]]
        return tuple(self._revert(item) for item in items)

    def _revert(self, item: Item) -> Revert:
        entries = self._reading.mapping(item, "revert", ("node", "argv", "user"))
        if "node" not in entries or "argv" not in entries:
            remedy = "write  {node: bastion, argv: [rm, -f, /tmp/x], user: maria}"
            self._reading.problem(item, "a revert needs node and argv", remedy)
            return Revert(node="", argv=())
        return Revert(
            node=self._node(entries["node"]),
            argv=self._reading.texts(entries["argv"], "argv"),
            user=self._text(entries, "user") or "root",
        )

    def _register(self, entries: Mapping[str, Item]) -> str:
        name = self._text(entries, "register")
        if name and not name.isidentifier():
            self._reading.problem(
                entries["register"], f"{name!r} cannot be a name", "use letters, digits and _"
            )
        if name:
            self._known.add(name)
        return name

    def _syntax(self, item: Item) -> None:
        try:
            undeclared(str(item.value))
        except BadTemplate as error:
            self._reading.problem(item, error.message(), "see Jinja2's template syntax")

    def _templates(self, action: Step, item: Item) -> None:
        """Find templates that ask for what nothing before this step provides."""
        for text in action.texts():
            try:
                missing = self._missing(text, frozenset())
            except BadTemplate as error:
                self._reading.problem(item, error.message(), "see Jinja2's template syntax")
                continue
            for name in sorted(missing):
                remedy = suggestion(name, self._known | self._variables.keys(), "names")
                self._reading.problem(item, f"undefined name {name!r} in {text!r}", remedy)

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
