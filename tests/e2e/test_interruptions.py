"""A kill at any moment leaves nothing that `lab down` does not find, and keeps what was written."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from lab.engine.docker import DockerEngine
from lab.exercise.journal import Entry
from lab.exercise.truth import read_truth
from lab.files import records
from lab.files.workplace import SHIPPED
from lab.provision import apply
from lab.runs.folder import RunFolder
from tests.e2e.conftest import Place
from tests.support import until

pytestmark = pytest.mark.docker

BAKING: Final = 600
"""Seconds for an `up` that may have to bake every image of the starter lab."""


@pytest.fixture
def place(tmp_path: Path, docker_engine: DockerEngine) -> Iterator[Place]:
    """The starter lab in a folder of its own, under a name of its own."""
    found = Place(folder=tmp_path, name=f"kill-{os.getpid()}", engine=docker_engine, environment={})
    found.write(SHIPPED.find("inventories", "starter").read_text(encoding="utf-8"))
    yield found
    apply.remove(found.name, docker_engine)


@pytest.mark.parametrize("after", [0.5, 0.9, 1.3])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_up_that_is_killed_is_removed_by_down(place: Place, how: signal.Signals, after: float) -> None:
    up = place.begin("up", place.name)
    time.sleep(after)
    up.send_signal(how)
    _, said = up.communicate(timeout=60)
    assert "Traceback" not in said
    place.lab("down", place.name)
    assert place.observe().empty


def test_up_after_a_kill_carries_on(place: Place) -> None:
    up = place.begin("up", place.name)
    time.sleep(0.8)
    up.kill()
    up.communicate()
    place.lab("up", place.name, timeout=BAKING)
    assert len(place.observe().nodes) == 5


def attacks(place: Place) -> bool:
    """Whether the run has written an attack into its truth."""
    happened = [RunFolder(it).happened for it in (place.folder / "runs").glob("*") if it.is_dir()]
    return any(it.label == "attack" for half in happened for it in read_truth(half))


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped_keeps_what_was_written(place: Place, how: signal.Signals) -> None:
    place.lab("up", place.name, timeout=BAKING)
    quick = (
        SHIPPED.find("scenarios", "ssh-brute-force")
        .read_text(encoding="utf-8")
        .replace("benign: 30s", "benign: 2s")
    )
    (place.folder / "quick.yml").write_text(quick, encoding="utf-8")
    run = place.begin("run", "quick.yml", "--lab", place.name)
    until(lambda: attacks(place), seconds=60)
    run.send_signal(how)
    _, said = run.communicate(timeout=60)
    assert "Traceback" not in said
    folder = RunFolder(next((place.folder / "runs").iterdir()))
    assert folder.header().state == ("stopped" if how == signal.SIGINT else "running")
    assert attacks(place)
    assert records.read_lines(folder.happened.journal, Entry)
    place.lab("down", place.name)
    assert place.observe().empty
