"""Playbooks in CACAO 2.0: what the specification asks, and that each action can be carried out."""

from __future__ import annotations

import base64
import contextlib
import json
import random
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import pytest

from lab.errors import BadFile, NotFound, WrongInput
from lab.exercise.respond.block import Block
from lab.exercise.respond.cacao import read_playbook
from lab.exercise.respond.isolate import Isolate
from lab.files.workplace import SHIPPED

Raw = dict[str, Any]
START: Final = "start--5b0d9c4e-4f6a-4d3e-8c55-0a1b2c3d4e5f"
FIRST: Final = "action--5b0d9c4e-4f6a-4d3e-8c55-0a1b2c3d4e01"
SECOND: Final = "action--5b0d9c4e-4f6a-4d3e-8c55-0a1b2c3d4e02"
END: Final = "end--5b0d9c4e-4f6a-4d3e-8c55-0a1b2c3d4e99"
AGENT: Final = "group--5b0d9c4e-4f6a-4d3e-8c55-0a1b2c3d4eaa"


def plain() -> Raw:
    """Make a playbook with all that one needs, and no more."""
    return {
        "type": "playbook",
        "spec_version": "cacao-2.0",
        "id": "playbook--5b0d9c4e-4f6a-4d3e-8c55-0a1b2c3d4ebb",
        "name": "Keep an address out",
        "created_by": "identity--5b0d9c4e-4f6a-4d3e-8c55-0a1b2c3d4ecc",
        "created": "2026-11-28T08:00:00.000Z",
        "modified": "2026-11-28T09:00:00.000Z",
        "playbook_variables": {"__node__": {"type": "string", "value": "shop"}},
        "workflow_start": START,
        "workflow": {
            START: {"type": "start", "on_completion": FIRST},
            FIRST: {
                "type": "action",
                "name": "Block",
                "agent": AGENT,
                "on_completion": SECOND,
                "commands": [
                    {"type": "bash", "command": "lab respond block __node__:value --address attacker"}
                ],
            },
            SECOND: {
                "type": "action",
                "agent": AGENT,
                "on_completion": END,
                "commands": [{"type": "manual", "command": "tell the owner"}],
            },
            END: {"type": "end"},
        },
        "agent_definitions": {AGENT: {"type": "group", "name": "SOC"}},
    }


def written(folder: Path, raw: object) -> Path:
    path = folder / "plan.json"
    path.write_text(raw if isinstance(raw, str) else json.dumps(raw, indent=1), encoding="utf-8")
    return path


def test_a_playbook_is_what_it_plans_in_order(tmp_path: Path) -> None:
    path = written(tmp_path, plain())
    found = read_playbook(path)
    assert (found.name, found.digest) == ("Keep an address out", sha256(path.read_bytes()).hexdigest())
    assert [(it.name, it.action) for it in found.planned] == [
        ("Block", Block(node="shop", address="attacker")), (SECOND, None),
    ]  # fmt: skip
    assert found.planned[1].line == "tell the owner"


def test_a_variable_takes_the_value_that_is_given(tmp_path: Path) -> None:
    (first, _) = read_playbook(written(tmp_path, plain()), {"node": "gateway"}).planned
    assert first.action == Block(node="gateway", address="attacker")
    with pytest.raises(WrongInput, match="no variable moon; it has: node"):
        read_playbook(written(tmp_path, plain()), {"moon": "x"})


def test_steps_beside_each_other_are_all_carried_out_and_each_once(tmp_path: Path) -> None:
    raw = plain()
    both = "parallel--5b0d9c4e-4f6a-4d3e-8c55-0a1b2c3d4e77"
    raw["workflow"][START]["on_completion"] = both
    raw["workflow"][both] = {"type": "parallel", "next_steps": [SECOND, FIRST], "on_completion": END}
    assert [it.step for it in read_playbook(written(tmp_path, raw)).planned] == [SECOND, FIRST]


def test_a_command_may_be_base64(tmp_path: Path) -> None:
    raw = plain()
    line = base64.b64encode(b"lab respond isolate shop").decode()
    raw["workflow"][FIRST]["commands"] = [{"type": "bash", "command_b64": line}]
    assert read_playbook(written(tmp_path, raw)).planned[0].action == Isolate(node="shop")


def test_evidence_is_an_action(tmp_path: Path) -> None:
    raw = plain()
    raw["workflow"][FIRST]["commands"] = [{"type": "bash", "command": "lab evidence __node__:value"}]
    assert read_playbook(written(tmp_path, raw)).planned[0].evidence == "shop"


def test_tabs_are_as_good_as_blanks(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps(plain(), indent="\t"))
    assert len(read_playbook(path).planned) == 2


@pytest.mark.parametrize("name", ["ssh", "web-shell", "exfiltration"])
def test_what_ships_can_be_carried_out(name: str) -> None:
    found = read_playbook(SHIPPED.find("responses", name))
    assert any(it.action for it in found.planned)
    assert any(it.evidence for it in found.planned)
    assert any(not it.action and not it.evidence for it in found.planned), "nothing is for a person"


def _set(*keys: str, value: object) -> Callable[[Raw], None]:
    def change(raw: Raw) -> None:
        at: Any = raw
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] = value

    return change


def _drop(*keys: str) -> Callable[[Raw], None]:
    def change(raw: Raw) -> None:
        at: Any = raw
        for key in keys[:-1]:
            at = at[key]
        del at[keys[-1]]

    return change


WRONG: Final[dict[str, tuple[Callable[[Raw], None], str]]] = {
    "another type": (_set("type", value="course-of-action"), "type must be 'playbook'"),
    "an older version": (_set("spec_version", value="1.1"), "spec_version must be 'cacao-2.0'"),
    "an id that is none": (_set("id", value="playbook--1"), "id must be playbook-- and a UUID"),
    "no author": (_drop("created_by"), "a playbook needs 'created_by'"),
    "an unknown key": (_set("colour", value="red"), "unknown key 'colour' in a playbook"),
    "a time that is none": (_set("created", value="yesterday"), "created must be a time"),
    "times in the wrong order": (_set("modified", value="2026-11-28T07:00:00.000Z"), "modified is before"),
    "a priority too high": (_set("priority", value=101), "priority must be 100 or less"),
    "a type of playbook": (_set("playbook_types", value=["defence"]), "unknown playbook type 'defence'"),
    "an empty list": (_set("playbook_types", value=[]), "playbook_types must not be empty"),
    "a start nowhere": (_set("workflow_start", value="start--1"), "no step has the id 'start--1'"),
    "a step that leads nowhere": (
        _set("workflow", FIRST, "on_completion", value="end--1"), "no step has the id 'end--1'",
    ),
    "no end": (_drop("workflow", END), "a workflow needs an end step"),
    "no action": (_set("workflow", value={}), "a workflow needs an action step"),
    "an unknown step": (_set("workflow", FIRST, "type", value="do"), "unknown step type 'do'"),
    "a step without type": (_drop("workflow", FIRST, "type"), "a step needs 'type'"),
    "an action without commands": (_drop("workflow", FIRST, "commands"), "needs 'commands'"),
    "no commands": (_set("workflow", FIRST, "commands", value=[]), "commands must not be empty"),
    "an action without agent": (_drop("workflow", FIRST, "agent"), "needs 'agent'"),
    "an agent nobody is": (_set("workflow", FIRST, "agent", value="group--1"), "not among agent_definitions"),
    "two ways on": (_set("workflow", FIRST, "on_success", value=END), "on_completion or by the others"),
    "a start that ends": (_drop("workflow", START, "on_completion"), "a start step needs 'on_completion'"),
    "a command for another program": (
        _set("workflow", FIRST, "commands", value=[{"type": "powershell", "command": "x"}]),
        "a command of type powershell cannot be carried out here",
    ),
    "a command that says nothing": (
        _set("workflow", FIRST, "commands", value=[{"type": "bash"}]), "needs 'command' or 'command_b64'",
    ),
    "a command that is no response": (
        _set("workflow", FIRST, "commands", value=[{"type": "bash", "command": "rm -rf /"}]),
        "is no response",
    ),
    "a response that is wrong": (
        _set("workflow", FIRST, "commands", value=[{"type": "bash", "command": "lab respond block shop"}]),
        "block needs --address",
    ),
    "what is not base64": (
        _set("workflow", FIRST, "commands", value=[{"type": "bash", "command_b64": "%%"}]), "is not base64",
    ),
    "a variable without value": (
        _set("playbook_variables", value={"__node__": {"type": "string"}}), "variable __node__ has no value",
    ),
    "a name of a variable": (
        _set("playbook_variables", "node", value={"type": "string"}), "'node' is no name of a variable",
    ),
    "a condition": (
        _set("workflow", FIRST, value={"type": "if-condition", "condition": "x", "on_true": SECOND}),
        "must be if-condition-- and a UUID",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, name: str) -> None:
    change, said = WRONG[name]
    raw = plain()
    change(raw)
    with pytest.raises(BadFile) as wrong:
        read_playbook(written(tmp_path, raw))
    fitting = [it for it in wrong.value.problems if said in it.what]
    assert fitting, wrong.value.message()
    assert all(it.line > 0 and it.path.endswith("plan.json") for it in fitting)


def test_conditions_are_said_not_to_be_carried_out(tmp_path: Path) -> None:
    raw = plain()
    asks = "if-condition--5b0d9c4e-4f6a-4d3e-8c55-0a1b2c3d4e33"
    raw["workflow"][START]["on_completion"] = asks
    raw["workflow"][asks] = {"type": "if-condition", "condition": "x", "on_true": FIRST}
    with pytest.raises(BadFile, match="conditions and other playbooks are not carried out here"):
        read_playbook(written(tmp_path, raw))


def test_all_problems_are_named_at_once(tmp_path: Path) -> None:
    raw = plain()
    for name in ("another type", "no author", "a time that is none", "an unknown step"):
        WRONG[name][0](raw)
    with pytest.raises(BadFile) as wrong:
        read_playbook(written(tmp_path, raw))
    assert len(wrong.value.problems) >= 4


@pytest.mark.parametrize("text", ["", "{", "type: playbook", "[]", "3", '{"type": "playbook",}', "[" * 5000])
def test_what_is_no_json_is_said(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadFile):
        read_playbook(written(tmp_path, text))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_playbook(tmp_path / "none.json")


@pytest.mark.parametrize("seed", range(300))
def test_whatever_is_in_it_there_is_a_message_and_no_fault_of_ours(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    raw = plain()
    for _ in range(3):
        _damage(raw, chance)
    path = written(tmp_path, raw)
    with contextlib.suppress(WrongInput):
        assert read_playbook(path).name


def _damage(value: Any, chance: random.Random) -> None:  # noqa: ANN401  # JSON
    if isinstance(value, dict) and value:
        key = chance.choice(list(value))
        if chance.random() < 0.4 or not isinstance(value[key], dict | list):
            value[key] = chance.choice([None, 7, [], {}, "x", [[]], {"type": 3}, True])
        else:
            _damage(value[key], chance)
    elif isinstance(value, list) and value:
        _damage(value[0], chance)
