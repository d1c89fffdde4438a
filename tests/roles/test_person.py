"""The day of a person: drawn from a seed, with each kind of action that fits."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from types import ModuleType
from typing import Any

import pytest

from lab.files.workplace import SHIPPED

HERE = SHIPPED.roles()["workstation"] / "files" / "person"


def load(name: str) -> ModuleType:
    """Import a module of the program that runs on workstations; its modules find each other by name."""
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made
    spec.loader.exec_module(made)
    return made


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Any:  # noqa: ANN401  # a module of a node's program
    names = ("browser", "terminal", "person", "ordinary", "suspicious", "plan")
    for name in names:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    for name in names:
        found = load(name)
    return found


def desk(plan: Any, **given: str) -> Any:  # noqa: ANN401  # likewise
    fields = plan.Desk.__dataclass_fields__
    return plan.Desk(**{name: given.get(name, "x") for name in fields})


def day(plan: Any, seed: str, character: str, length: float = 600, **given: str) -> list[tuple[float, str]]:  # noqa: ANN401
    made = plan.day_of(seed, character, desk(plan, **given), length, 1.5)
    return [(it.at, it.kind.name) for it in made]


def test_the_same_seed_is_the_same_day_and_another_is_not(plan: Any) -> None:  # noqa: ANN401
    assert day(plan, "1", "clerk") == day(plan, "1", "clerk")
    assert day(plan, "1", "clerk") != day(plan, "2", "clerk")


def test_an_office_does_every_kind_in_a_day(plan: Any) -> None:  # noqa: ANN401
    done = Counter(
        it.kind
        for character in ("clerk", "administrator", "developer")
        for it in plan.day_of(f"1-{character}", character, desk(plan), 600, 1.0)
    )
    assert sum(not it.suspicious for it in done) >= 15
    assert sum(it.suspicious for it in done) >= 17
    assert set(done) == {*plan.ORDINARY, *plan.SUSPICIOUS}


def test_a_day_is_compressed_and_not_cut(plan: Any) -> None:  # noqa: ANN401
    long, short = (day(plan, "1", "administrator", length) for length in (6000, 120))
    assert {it for _, it in short} == {it for _, it in long}
    assert max(at for at, _ in short) <= 120


def test_what_a_lab_has_not_is_left_out(plan: Any) -> None:  # noqa: ANN401
    done = {it for _, it in day(plan, "1", "everybody", names="", mail="")}
    assert not done & {"look-up-names", "send-mail", "ask-for-random-names"}


def test_nights_are_nights(plan: Any) -> None:  # noqa: ANN401
    at = {kind: at for at, kind in day(plan, "1", "administrator", 2400)}
    assert at["move-much-data"] > (19.0 - plan.BEGINS) / 24 * 2400
    assert at["look-around-as-root"] < (17.5 - plan.BEGINS) / 24 * 2400


def test_readme_lists_every_kind(plan: Any) -> None:  # noqa: ANN401
    text = (HERE.parent.parent / "README.md").read_text(encoding="utf-8")
    assert [it.name for it in (*plan.ORDINARY, *plan.SUSPICIOUS) if it.name not in text] == []
