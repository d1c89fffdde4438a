"""What the exercises cover."""

from __future__ import annotations

from pathlib import Path

from lab.exercise.scenario import inventory_of, read_scenario
from lab.files.workplace import SHIPPED
from lab.inventory.definition import read_inventory
from lab.learn.coverage import Coverage, cover
from lab.report.navigator import library_layer
from tests.support import KINDS

NAMED_MOST = (
    *("T1190", "T1059.004", "T1505.003", "T1105", "T1078", "T1021.004", "T1071.001", "T1082", "T1496.001"),
    *("T1083", "T1140", "T1070.004", "T1027.013", "T1095", "T1053.003", "T1543.002", "T1133", "T1574.006"),
    *("T1552.004", "T1098.004"),
)
"""What reports of intrusions on Linux name most; T1110 is there through its sub-techniques."""


def shipped() -> Coverage:
    pairs = []
    for path in sorted(SHIPPED.find("scenarios", "recon").parent.glob("*.yml")):
        pairs += [(it, path.stem) for it in techniques(path)]
    return cover(pairs)


def techniques(path: Path) -> tuple[str, ...]:
    lab = read_inventory(SHIPPED.find("inventories", inventory_of(path)), KINDS)
    return tuple(it.technique for it in read_scenario(path, lab).steps if it.technique)


def test_the_library_has_forty_techniques_and_those_that_matter() -> None:
    found = {it.technique for it in shipped().covered}
    assert len(found) >= 40
    assert set(NAMED_MOST) - found == set()
    assert any(it.startswith("T1110") for it in found)


def test_a_technique_names_its_exercises() -> None:
    found = cover([("T1046", "b"), ("T1046", "a"), ("T1046", "b")])
    (one,) = found.covered
    assert (one.scenarios, one.name) == (("a", "b"), "Network Service Discovery")
    have, there = found.of_tactic["discovery"]
    assert (have, there > 20) == (1, True)


def test_the_layer_scores_how_many_exercises_have_a_technique() -> None:
    layer = library_layer({"T1046": ("a", "b")})
    assert layer["techniques"] == [{"techniqueID": "T1046", "enabled": True, "score": 2, "comment": "a, b"}]
