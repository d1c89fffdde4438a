"""What import-linter cannot say: the house stays easy to read."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

import lab
from lab.engine.facts import Facts
from lab.engine.images import Images
from lab.engine.nodes import Nodes
from lab.engine.shell import Shell
from lab.exercise.place import Place

ROOT: Final = Path(lab.__file__).parent
MODULES: Final = sorted(ROOT.rglob("*.py"))


def test_every_module_is_short_enough_to_read() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in MODULES}
    assert {name: length for name, length in lengths.items() if length > 600} == {}


def test_every_function_is_short_enough_to_read() -> None:
    found = {
        f"{path.relative_to(ROOT)}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    assert {name: length for name, length in found.items() if length > 80} == {}


def test_at_the_root_stand_rooms_and_few_files() -> None:
    assert sorted(path.name for path in ROOT.iterdir() if path.is_file()) == [
        "__init__.py", "errors.py", "moment.py", "pipeline.py", "rulework.py", "text.py",
        "workers.py",
    ]  # fmt: skip


@pytest.mark.parametrize("joint", [Shell, Nodes, Images, Facts])
def test_a_joint_has_ten_methods_at_most(joint: type[object]) -> None:
    methods = [name for name in vars(joint) if not name.startswith("_")]
    assert 0 < len(methods) <= 10


def test_a_place_gives_nothing_away_that_could_act_but_its_door() -> None:
    public = {name for name in vars(Place) if not name.startswith("_")}
    assert public == {"evidence", "hold", "leaves", "ran", "resolve", "run"}


def test_nothing_asks_the_process_for_its_folder_but_where_the_command_begins() -> None:
    asking = {
        str(path.relative_to(ROOT)) for path in MODULES if re.search(r"\.cwd\b", path.read_text("utf-8"))
    }
    assert asking == {"cli/session.py"}
