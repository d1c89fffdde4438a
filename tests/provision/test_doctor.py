"""Every precondition is looked at, with its cause and its remedy."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from lab.engine.engine import Engine
from lab.engine.facts import About
from lab.engine.memory import MemoryEngine
from lab.errors import EngineFault, EngineUnreachable, NotReady
from lab.files.workplace import SHIPPED
from lab.moment import Moment
from lab.provision import doctor
from lab.provision.doctor import Requirement
from tests.world import World, starter

TOLD = MemoryEngine().about()


class Said(MemoryEngine):
    """An engine that says of itself what it is told to say."""

    def __init__(self, told: About) -> None:
        super().__init__()
        self.told = told

    def about(self) -> About:
        """Say it."""
        return self.told


def unready(engine: Engine, folder: Path) -> dict[str, str]:
    """Return what is not ready, and what was found."""
    found = doctor.examine(lambda: engine, folder, starter())
    return {it.name: f"{it.found} | {it.remedy}" for it in found if not it.ready}


def by_name(found: tuple[Requirement, ...]) -> dict[str, Requirement]:
    return {it.name: it for it in found}


def test_an_engine_that_is_not_there_is_said_first(tmp_path: Path) -> None:
    def connect() -> Engine:
        raise EngineUnreachable("nothing answers", remedy="start it")

    first = doctor.examine(connect, tmp_path)[0]
    assert (first.name, first.ready, first.found, first.remedy) == (
        "engine",
        False,
        "nothing answers",
        "start it",
    )


def test_an_engine_that_fails_is_said_too(tmp_path: Path) -> None:
    def connect() -> Engine:
        raise EngineFault(doing="asking", said="broken")

    assert "asking: broken" in doctor.examine(connect, tmp_path)[0].found


@pytest.mark.parametrize(
    ("told", "name", "words"),
    [
        (replace(TOLD, name="Podman"), "engine", "Podman keeps an address"),
        (replace(TOLD, api="1.40"), "engine", "Docker 20.10 or later"),
        (replace(TOLD, cannot=("limit a node's memory",)), "limits", "cannot limit a node's memory"),
        (replace(TOLD, clock=Moment(0)), "clock", "the engine's differs by"),
        (replace(TOLD, memory=2**20), "memory", "1 MB free"),
    ],
)
def test_what_the_engine_lacks_has_a_remedy(told: About, name: str, words: str, tmp_path: Path) -> None:
    assert words in unready(Said(told), tmp_path)[name]


def test_a_rootless_engine_is_ready_with_a_warning(tmp_path: Path) -> None:
    found = by_name(doctor.examine(lambda: Said(replace(TOLD, rootless=True)), tmp_path))
    assert found["rootless engine"].ready
    assert "cannot be sealed" in found["rootless engine"].found


def test_what_is_left_of_a_lab_is_named(tmp_path: Path) -> None:
    world = World()
    with world.engine.open_baking("scratch:latest", lab="half", role="sshd"):
        found = by_name(doctor.examine(lambda: world.engine, tmp_path))
    assert "bake-sshd" in found["lab half"].found


def test_all_that_is_missing_is_said_at_once() -> None:
    missing = (
        Requirement(name="a", ready=False, found="no a", remedy="get a"),
        Requirement(name="b", ready=False, found="no b", remedy="get b"),
        Requirement(name="lab c", ready=False, found="in part", remedy="lab up c"),
        Requirement(name="d", ready=True, found="d"),
    )
    with pytest.raises(NotReady) as caught:
        doctor.require(missing)
    assert caught.value.message() == "a: no a\nb: no b\n    get a\n    get b"


def test_what_will_change_is_listed() -> None:
    assert any("engine" in it for it in doctor.changes(SHIPPED))


def test_only_root_may_prepare_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(NotReady, match="may not install"):
        doctor.prepare(SHIPPED, lambda _line: None, threading.Event())
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    with pytest.raises(NotReady, match="on Darwin"):
        doctor.refuse_unless_root()
