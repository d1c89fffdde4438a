"""Inventories and scenarios that are wrong in ways nobody thought of: a message, no traceback.

`HOMERANGE_MALFORMED=10000 pytest tests/files/test_malformed.py` tries as many.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from lab.errors import BadFile, Problem
from lab.exercise.scenario import read_scenario
from lab.files.workplace import SHIPPED
from lab.inventory.definition import Lab, read_inventory
from tests.support import KINDS

COUNT: Final = int(os.environ.get("HOMERANGE_MALFORMED", "400"))

INVENTORY: Final = SHIPPED.find("inventories", "starter").read_text(encoding="utf-8")
SCENARIO: Final = SHIPPED.find("scenarios", "ssh-brute-force").read_text(encoding="utf-8")

STRANGE: Final = [
    *(
        "",
        "~",
        "null",
        "true",
        "0",
        "-1",
        "1e309",
        ".nan",
        "2026-99-99",
        "0x1F",
        "[]",
        "{}",
        "[[[]]]",
        "{a: {b: c}}",
    ),
    *(
        "!!python/object:os.system x",
        "!vault x",
        "&a [*a]",
        "*nothing",
        "<<: [1]",
        "? [a]: b",
        "|",
        ">",
        "%YAML 9.9",
    ),
    *(
        "{{",
        "{{ 1/0 }}",
        "{% for %}",
        "'",
        '"',
        "\t",
        "\0",
        "\u202e",
        "é" * 300,
        "x" * 5000,
        "10.0.0.1",
        "::1",
    ),
    *(
        "[node[1:99999]]",
        "node[9:1]",
        "lab_attach",
        "hosts",
        "children",
        "---",
        "...",
        "- - - -",
        "a: b: c",
        "@x",
        "`x`",
    ),
]


def _drop_line(lines: list[str], chance: random.Random) -> None:
    del lines[chance.randrange(len(lines))]


def _repeat_line(lines: list[str], chance: random.Random) -> None:
    at = chance.randrange(len(lines))
    lines.insert(at, lines[at])


def _shift_line(lines: list[str], chance: random.Random) -> None:
    at = chance.randrange(len(lines))
    lines[at] = " " * chance.randrange(1, 7) + lines[at]


def _new_value(lines: list[str], chance: random.Random) -> None:
    at = chance.randrange(len(lines))
    lines[at] = lines[at].partition(":")[0] + ": " + chance.choice(STRANGE)


def _new_key(lines: list[str], chance: random.Random) -> None:
    at = chance.randrange(len(lines))
    indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
    lines[at] = f"{indent}{chance.choice(STRANGE)}:{lines[at].partition(':')[2]}"


def _swap_text(lines: list[str], chance: random.Random) -> None:
    at = chance.randrange(len(lines))
    words = lines[at].split(" ")
    words[chance.randrange(len(words))] = chance.choice(STRANGE)
    lines[at] = " ".join(words)


def _cut_short(lines: list[str], chance: random.Random) -> None:
    at = chance.randrange(len(lines))
    lines[at:] = [lines[at][: chance.randrange(len(lines[at]) + 1)]]


def _insert(lines: list[str], chance: random.Random) -> None:
    lines.insert(chance.randrange(len(lines) + 1), chance.choice(STRANGE))


MUTATIONS: Final[list[Callable[[list[str], random.Random], None]]] = [
    *(_drop_line, _repeat_line, _shift_line, _new_value, _new_key, _swap_text, _cut_short, _insert)
]


def mutated(text: str, seed: int) -> str:
    chance = random.Random(seed)
    lines = text.split("\n")
    for _ in range(chance.randrange(1, 4)):
        chance.choice(MUTATIONS)(lines, chance)
        lines = lines or [""]
    return "\n".join(lines)


@pytest.mark.parametrize("what", ["inventory", "scenario"])
def test_whatever_is_wrong_has_a_message_with_file_and_line(what: str, tmp_path: Path) -> None:
    lab = read_inventory(SHIPPED.find("inventories", "starter"), KINDS)
    refused = 0
    for seed in range(COUNT // 2):
        path = tmp_path / f"{what}.yml"
        text = mutated(INVENTORY if what == "inventory" else SCENARIO, seed)
        path.write_text(text, encoding="utf-8")
        for problem in problems(path, None if what == "inventory" else lab):
            refused += 1
            assert problem.path == str(path), text
            assert 0 <= problem.line <= text.count("\n") + 2, text
            assert problem.what, text
    assert refused > COUNT // 5, "the mutations hardly break anything"


def problems(path: Path, lab: Lab | None) -> tuple[Problem, ...]:
    try:
        if lab is None:
            read_inventory(path, KINDS)
        else:
            read_scenario(path, lab)
    except BadFile as error:
        return error.problems
    return ()
