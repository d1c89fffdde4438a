"""A server over the shipped recording for all tests that only read it, and one for each that does not."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.serving import Server, serving, shipped_run


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one run; nobody changes it."""
    folder = tmp_path_factory.mktemp("recorded")
    shipped_run(folder)
    return folder


@pytest.fixture(scope="module")
def screen(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve the recording, to tests that only read."""
    folder = tmp_path_factory.mktemp("screen") / "lab"
    shutil.copytree(recorded, folder)
    with serving(folder) as server:
        yield server


@pytest.fixture
def own_screen(recorded: Path, tmp_path: Path) -> Iterator[Server]:
    """Serve the recording, to one test."""
    folder = tmp_path / "lab"
    shutil.copytree(recorded, folder)
    with serving(folder) as server:
        yield server
