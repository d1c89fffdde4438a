"""A scenario is read whole, or every problem is named with its line."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lab.errors import BadFile, WrongInput
from lab.exercise.scenario import drawn, inventory_of, read_scenario
from lab.files.workplace import SHIPPED
from lab.inventory.definition import Lab, read_inventory
from lab.moment import SECOND
from tests.support import KINDS, Case, by_name, cases

BRUTE_FORCE = SHIPPED.find("scenarios", "ssh-brute-force")


@cache
def starter() -> Lab:
    return read_inventory(SHIPPED.find("inventories", "starter"), KINDS)


@pytest.mark.parametrize("case", cases("scenario"), ids=by_name)
def test_every_problem_is_named_with_its_line(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "bad.yml"
    path.write_text(case.raw["scenario"], encoding="utf-8")
    with pytest.raises(BadFile) as caught:
        read_scenario(path, starter())
    assert [f"{it.line}: {it.what}" for it in caught.value.problems] == case.raw["problems"]


@pytest.mark.parametrize(
    "path", sorted(SHIPPED.shelves("scenarios")[0].glob("*.yml")), ids=lambda it: it.stem
)
def test_every_shipped_scenario_can_be_read_without_a_lab(path: Path) -> None:
    inventory = SHIPPED.find("inventories", inventory_of(path))
    scenario = read_scenario(path, read_inventory(inventory, KINDS))
    assert scenario.steps or scenario.benign
    assert scenario.story
    assert scenario.look_for
    assert scenario.length
    assert all(it.check for it in scenario.steps if it.technique)


def test_the_shipped_scenario_is_complete() -> None:
    scenario = read_scenario(BRUTE_FORCE, starter())
    assert scenario.benign == 30 * SECOND
    assert [step.technique for step in scenario.steps] == [
        "T1018",
        "T1046",
        "T1110.001",
        "T1078.003",
        "T1033",
        "T1082",
        "T1087.001",
        "T1057",
    ]
    assert [step.name for step in scenario.steps if step.check is None] == []
    assert [step.tactics for step in scenario.steps if not step.tactics] == []


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw=st.binary(max_size=300))
def test_no_bytes_bring_it_down(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "fuzz.yml"
    path.write_bytes(raw)
    with pytest.raises(WrongInput):
        read_scenario(path, starter())


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    where=st.integers(0, BRUTE_FORCE.stat().st_size),
    cut=st.integers(0, 40),
    put=st.sampled_from(
        ["", "{", "}", "[", ":", "\n", "  ", "&a ", "*a", "- ", "null", "1e999", "'", "{{", "{% if", "\x00"]
    ),
)
def test_no_mutation_of_a_real_one_brings_it_down(where: int, cut: int, put: str, tmp_path: Path) -> None:
    text = BRUTE_FORCE.read_text(encoding="utf-8")
    path = tmp_path / "mutated.yml"
    path.write_text(text[:where] + put + text[where + cut :], encoding="utf-8")
    assert _complained_of(path) <= {str(path)}


def _complained_of(path: Path) -> set[str]:
    """Return the files that problems were found in."""
    try:
        read_scenario(path, starter())
    except BadFile as error:
        return {problem.path for problem in error.problems}
    return set()


FREE = """
name: free
benign: 0s
seed: SEED
steps:
  - {name: first, technique: T1082, from: attacker, command: {argv: [id]}}
  - {name: a, technique: T1082, from: attacker, any_order: true, command: {argv: [id]}}
  - {name: b, technique: T1082, from: attacker, any_order: true, command: {argv: [id]}}
  - {name: c, technique: T1082, from: attacker, any_order: true, chance: 0.5, command: {argv: [id]}}
  - {name: last, technique: T1082, from: attacker, command: {argv: [id]}}
"""


def test_the_seed_decides_order_and_decoys(tmp_path: Path) -> None:
    def names(seed: int) -> tuple[str, ...]:
        path = tmp_path / "free.yml"
        path.write_text(FREE.replace("SEED", str(seed)), encoding="utf-8")
        return tuple(it.name for it in drawn(read_scenario(path, starter())).steps)

    assert names(3) == names(3)
    ways = {names(seed) for seed in range(20)}
    assert len(ways) > 4
    assert {len(it) for it in ways} == {4, 5}
    assert {(it[0], it[-1]) for it in ways} == {("first", "last")}
