"""A playbook in CACAO 2.0: JSON -> the responses that it plans, in their order, or every problem at once.

The properties and their rules are those of the OASIS specification, Security Playbooks Version 2.0 (CS01,
chapters 3 to 10). What is asked beyond it is that each action can be carried out: a `bash` command is a
`lab respond` or `lab evidence` line, a `manual` one is for a person.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from lab.errors import LabError, WrongInput
from lab.exercise.respond.base import Action
from lab.exercise.respond.words import evidence_of, read_action
from lab.files import careful, loader
from lab.files.loader import Item, Reading, suggestion
from lab.moment import Moment

_UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
_TIMESTAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
_VARIABLE: Final = re.compile(r"__[a-zA-Z][a-zA-Z0-9_-]*__")
_USED: Final = re.compile(r"(__[a-zA-Z][a-zA-Z0-9_-]*?__):value")

_TYPES: Final = (
    *("notification", "detection", "investigation", "prevention"),
    *("mitigation", "remediation", "engagement", "attack"),
)
"""The enumeration of `playbook_types`."""

_PLAYBOOK: Final = (
    *("type", "spec_version", "id", "name", "description", "playbook_types", "playbook_activities"),
    *("playbook_processing_summary", "created_by", "created", "modified", "revoked", "valid_from"),
    *("valid_until", "derived_from", "related_to", "priority", "severity", "impact", "industry_sectors"),
    *("labels", "external_references", "markings", "playbook_variables", "workflow_start"),
    *("workflow_exception", "workflow", "playbook_extensions", "authentication_info_definitions"),
    *("agent_definitions", "target_definitions", "extension_definitions", "data_marking_definitions"),
    "signatures",
)
_NEEDED: Final = (
    *(
        "type",
        "spec_version",
        "id",
        "name",
        "created_by",
        "created",
        "modified",
        "workflow_start",
        "workflow",
    ),
)

_STEP: Final = (
    *("type", "name", "description", "external_references", "delay", "timeout", "step_variables", "owner"),
    *("on_completion", "on_success", "on_failure", "step_extensions"),
)
"""What every step may have."""

_STEPS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "start": ((), ()),
    "end": ((), ()),
    "action": (("commands", "agent"), ("targets", "in_args", "out_args")),
    "playbook-action": (("playbook_id",), ("playbook_version", "in_args", "out_args")),
    "parallel": (("next_steps",), ()),
    "if-condition": (("condition", "on_true"), ("on_false",)),
    "while-condition": (("condition", "on_true"), ()),
    "switch-condition": (("switch", "cases"), ()),
}
"""Sort of step to what it needs beside the type, and what else it may have."""

_COMMANDS: Final = (
    *("bash", "caldera-cmd", "elastic", "http-api", "jupyter", "kestrel", "manual", "openc2-http"),
    *("powershell", "sigma", "ssh", "yara"),
)
_COMMAND: Final = (
    *("type", "description", "version", "playbook_activity", "external_references", "command", "command_b64"),
    *("headers", "content", "content_b64", "authentication_info"),
)
_AGENTS: Final = (
    *("group", "individual", "location", "organization", "sector", "http-api", "linux", "net-address"),
    *("security-category", "ssh"),
)
_ONWARD: Final = ("on_completion", "on_success", "on_failure", "on_true", "on_false")
_MOST: Final = 200
"""Steps of a playbook."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """One thing that a playbook says to do."""

    step: str
    """The id of its step."""

    name: str
    """The step's name, for people."""

    line: str
    """The command, its variables filled in; for `manual`, what a person is to do."""

    action: Action | None
    """What is carried out; None for what a person does, and for evidence."""

    evidence: str = ""
    """The node of which evidence is taken; empty for anything else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Playbook:
    """A plan that can be carried out."""

    id: str
    """Its id."""

    name: str
    """Its name."""

    digest: str
    """SHA-256 of the file."""

    planned: tuple[Planned, ...]
    """What it says to do, in order."""


def read_playbook(path: Path, values: Mapping[str, str] | None = None) -> Playbook:
    """Read a playbook.

    Args:
        path: The file.
        values: Values of its variables, by name without the underscores, instead of those that it has.

    Raises:
        NotFound: it is not there.
        BadFile: it is none; every problem is named with its line.
        WrongInput: a value is for a variable that it has not.
    """
    reading = Reading(path)
    raw = _json(path, reading)
    root = loader.parse(raw.replace(b"\t", b" "), reading)
    found = _Reader(reading, dict(values or {})).read(root)
    reading.finish()
    return Playbook(id=found[0], name=found[1], digest=sha256(raw).hexdigest(), planned=found[2])


def _json(path: Path, reading: Reading) -> bytes:
    """Return the file, once it is JSON: YAML would be read as well."""
    if not path.exists():
        loader.load(path)  # says that it is not there
    raw = careful.read_bytes(path, most=loader.MAX_BYTES)
    try:
        json.loads(raw)
    except json.JSONDecodeError as error:
        reading.problem(error.lineno, f"is not JSON: {error.msg}")
    except (UnicodeDecodeError, RecursionError) as error:
        reading.problem(0, f"is not JSON: {error}")
    reading.finish()
    return raw


class _Reader:
    """One playbook being read."""

    def __init__(self, reading: Reading, values: Mapping[str, str]) -> None:
        self._reading = reading
        self._values = {f"__{name.strip('_')}__": value for name, value in values.items()}
        self._steps: Mapping[str, Item] = {}
        self._agents: frozenset[str] = frozenset()

    def read(self, root: Item) -> tuple[str, str, tuple[Planned, ...]]:
        """Return id, name and what is planned; what is wrong is in the reading."""
        entries = self._object(root, "a playbook", _NEEDED, _PLAYBOOK)
        self._only(entries, "type", "playbook")
        self._only(entries, "spec_version", "cacao-2.0")
        self._identity(entries, "id", "playbook")
        self._identity(entries, "created_by", "identity")
        for key in ("name", "description"):
            if key in entries:
                self._reading.text(entries[key], key)
        for key in ("created", "modified", "valid_from", "valid_until"):
            self._moment(entries, key)
        self._in_order(entries, "created", "modified")
        self._in_order(entries, "valid_from", "valid_until")
        for key in ("priority", "severity", "impact"):
            if key in entries:
                self._reading.number(entries[key], key, least=0, most=100, whole=True)
        if "playbook_types" in entries:
            for it in self._filled(entries["playbook_types"], "playbook_types"):
                self._reading.choice(it, "playbook type", _TYPES)
        known = self._variables(entries)
        self._agents = self._definitions(entries, "agent_definitions")
        self._definitions(entries, "target_definitions")
        self._steps = self._workflow(entries)
        for name, step in self._steps.items():
            self._step(name, step)
        if self._reading.problems:
            return "", "", ()
        planned = tuple(self._planned(entries, known))
        return str(entries["id"].value), str(entries["name"].value), planned

    # -- objects -----------------------------------------------------------------------------------

    def _object(
        self, item: Item, what: str, needed: tuple[str, ...], known: tuple[str, ...]
    ) -> Mapping[str, Item]:
        entries = self._reading.mapping(item, what, known)
        for key in needed:
            if key not in entries:
                self._reading.problem(item, f"{what} needs {key!r}")
        return entries

    def _only(self, entries: Mapping[str, Item], key: str, value: str) -> None:
        if key in entries and entries[key].value != value:
            self._reading.problem(entries[key], f"{key} must be {value!r}")

    def _identity(self, entries: Mapping[str, Item], key: str, sort: str) -> None:
        if key in entries and not re.fullmatch(f"{sort}--{_UUID}", str(entries[key].value)):
            self._reading.problem(entries[key], f"{key} must be {sort}-- and a UUID")

    def _moment(self, entries: Mapping[str, Item], key: str) -> None:
        if key in entries and not _is_moment(str(entries[key].value)):
            self._reading.problem(entries[key], f"{key} must be a time", "write  2026-11-28T12:00:00.000Z")

    def _in_order(self, entries: Mapping[str, Item], first: str, second: str) -> None:
        if {first, second} <= entries.keys():
            one, two = str(entries[first].value), str(entries[second].value)
            if _is_moment(one) and _is_moment(two) and Moment.parse(one) > Moment.parse(two):
                self._reading.problem(entries[second], f"{second} is before {first}")

    def _filled(self, item: Item, what: str) -> list[Item]:
        found = self._reading.sequence(item, what)
        if not found:
            self._reading.problem(item, f"{what} must not be empty", "leave it out, or fill it")
        return found

    def _variables(self, entries: Mapping[str, Item]) -> Mapping[str, str]:
        """Return the values of the variables."""
        if "playbook_variables" not in entries:
            given: Mapping[str, Item] = {}
        else:
            given = self._reading.mapping(entries["playbook_variables"], "playbook_variables")
        found: dict[str, str] = {}
        for name, item in given.items():
            if not _VARIABLE.fullmatch(name):
                self._reading.problem(item, f"{name!r} is no name of a variable", "write  __node__")
            known = ("type", "description", "value", "constant", "external")
            entry = self._object(item, "a variable", ("type",), known)
            if "value" in entry:
                found[name] = self._reading.text(entry["value"], "value")
        if unknown := sorted(self._values.keys() - given.keys()):
            names = ", ".join(it.strip("_") for it in given) or "none"
            said = (
                f"the playbook has no variable {', '.join(it.strip('_') for it in unknown)}; it has: {names}"
            )
            raise WrongInput(said)
        return {**found, **self._values}

    def _definitions(self, entries: Mapping[str, Item], key: str) -> frozenset[str]:
        """Return the ids of agents or targets."""
        if key not in entries:
            return frozenset()
        given = self._reading.mapping(entries[key], key)
        for name, item in given.items():
            sort = self._reading.mapping(item, "an agent or target")
            if not {"type", "name"} <= sort.keys():
                self._reading.problem(item, f"{name} needs 'type' and 'name'")
            elif self._reading.choice(sort["type"], "agent or target type", _AGENTS):
                self._named(name, item, str(sort["type"].value))
        return frozenset(given)

    def _named(self, name: str, item: Item, sort: str) -> None:
        if not re.fullmatch(f"{re.escape(sort)}--{_UUID}", name):
            self._reading.problem(item, f"the id {name!r} must be {sort}-- and a UUID")

    # -- workflow ----------------------------------------------------------------------------------

    def _workflow(self, entries: Mapping[str, Item]) -> Mapping[str, Item]:
        if "workflow" not in entries:
            return {}
        steps = self._reading.mapping(entries["workflow"], "workflow")
        if len(steps) > _MOST:
            self._reading.problem(entries["workflow"], f"{len(steps)} steps are too many", f"{_MOST} at most")
        for key in ("workflow_start", "workflow_exception"):
            if key in entries:
                self._leads(entries[key], steps)
        sorts = [_sort(it) for it in steps.values()]
        if sorts.count("start") != 1:
            self._reading.problem(entries["workflow"], "a workflow has one start step")
        if "end" not in sorts:
            self._reading.problem(entries["workflow"], "a workflow needs an end step")
        if not {"action", "playbook-action"} & set(sorts):
            self._reading.problem(entries["workflow"], "a workflow needs an action step")
        return steps

    def _leads(self, item: Item, steps: Mapping[str, Item]) -> None:
        if str(item.value) not in steps:
            self._reading.problem(
                item, f"no step has the id {item.value!r}", suggestion(str(item.value), steps, "steps")
            )

    def _step(self, name: str, item: Item) -> None:
        entries = self._reading.mapping(item, "a step")
        if "type" not in entries:
            self._reading.problem(item, "a step needs 'type'")
            return
        sort = self._reading.choice(entries["type"], "step type", _STEPS)
        if not sort:
            return
        self._named(name, item, sort)
        needed, more = _STEPS[sort]
        self._object(item, f"a step of type {sort}", needed, (*_STEP, *needed, *more))
        for key in _ONWARD:
            if key in entries:
                self._leads(entries[key], self._steps)
        if "next_steps" in entries:
            for it in self._filled(entries["next_steps"], "next_steps"):
                self._leads(it, self._steps)
        if "on_completion" in entries and {"on_success", "on_failure"} & entries.keys():
            self._reading.problem(
                entries["on_completion"], "a step goes on by on_completion or by the others"
            )
        if sort == "start" and "on_completion" not in entries:
            self._reading.problem(item, "a start step needs 'on_completion'")
        if sort == "action":
            self._action(entries)

    def _action(self, entries: Mapping[str, Item]) -> None:
        if "agent" in entries and str(entries["agent"].value) not in self._agents:
            known = suggestion(str(entries["agent"].value), self._agents, "agents")
            self._reading.problem(entries["agent"], "the agent is not among agent_definitions", known)
        for it in self._filled(entries["commands"], "commands") if "commands" in entries else ():
            command = self._object(it, "a command", ("type",), _COMMAND)
            sort = (
                self._reading.choice(command["type"], "command type", _COMMANDS) if "type" in command else ""
            )
            if sort and sort not in {"bash", "manual"}:
                self._reading.problem(it, f"a command of type {sort} cannot be carried out here", _CAN)
            if not {"command", "command_b64"} & command.keys():
                self._reading.problem(it, "a command needs 'command' or 'command_b64'")

    # -- what it comes to --------------------------------------------------------------------------

    def _planned(self, entries: Mapping[str, Item], known: Mapping[str, str]) -> Iterator[Planned]:
        """Walk from the start; each step once, what runs beside each other one after the other."""
        seen: set[str] = set()
        waiting = [str(entries["workflow_start"].value)]
        while waiting:
            name = waiting.pop(0)
            if name in seen:
                continue
            seen.add(name)
            step = self._reading.mapping(self._steps[name], "a step")
            if _sort(self._steps[name]) == "action":
                yield from self._commands(name, step, known)
            elif _sort(self._steps[name]) not in {"start", "end", "parallel"}:
                said = "conditions and other playbooks are not carried out here"
                self._reading.problem(self._steps[name], said, "use start, action, parallel and end")
            beside = (
                [str(it.value) for it in self._reading.sequence(step["next_steps"], "next_steps")]
                if "next_steps" in step
                else []
            )
            onward = [str(step[key].value) for key in ("on_completion", "on_success") if key in step]
            waiting = [*beside, *onward, *waiting]

    def _commands(self, name: str, step: Mapping[str, Item], known: Mapping[str, str]) -> Iterator[Planned]:
        for it in self._reading.sequence(step["commands"], "commands"):
            command = self._reading.mapping(it, "a command")
            line = self._filled_in(self._written(command), known, it)
            told = str(step["name"].value) if "name" in step else name
            action, evidence = None, ""
            if command["type"].value == "bash":
                evidence = evidence_of(line)
                try:
                    action = None if evidence else read_action(line)
                except LabError as error:
                    self._reading.problem(it, error.message(), _CAN)
            yield Planned(step=name, name=told, line=line, action=action, evidence=evidence)

    def _written(self, command: Mapping[str, Item]) -> str:
        if "command" in command:
            return self._reading.text(command["command"], "command")
        try:
            return base64.b64decode(str(command["command_b64"].value), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            self._reading.problem(command["command_b64"], "command_b64 is not base64 of text")
            return ""

    def _filled_in(self, line: str, known: Mapping[str, str], where: Item) -> str:
        for name in _USED.findall(line):
            if name not in known:
                self._reading.problem(where, f"variable {name} has no value", f"--set {name.strip('_')}=...")
        return _USED.sub(lambda it: known.get(it[1], ""), line)


_CAN: Final = (
    "write a bash command that is a  lab respond  or  lab evidence  line, or a manual one for a person"
)


def _sort(step: Item) -> str:
    entries = step.value if isinstance(step.value, dict) else {}
    return str(entries["type"].value) if "type" in entries else ""


def _is_moment(text: str) -> bool:
    if not _TIMESTAMP.fullmatch(text):
        return False
    try:
        Moment.parse(text)
    except ValueError:
        return False
    return True
