"""What tests share: the engine where there is one, and nothing of the user's own."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path

import pytest

from lab.engine.docker import DockerEngine
from lab.errors import NotReady

_REQUIRED = os.environ.get("HOMERANGE_ENGINE") == "required"
"""Set where a missing engine has to fail the run: in CI."""


@cache
def _missing() -> str:
    """Say why no engine can be had; nothing when one answers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # docker forgets the socket it could not connect
        try:
            DockerEngine().close()
        except NotReady as error:
            return error.message()
        finally:
            gc.collect()
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what needs an engine where there is none, unless that has to fail."""
    wanting = [item for item in items if item.get_closest_marker("docker")]
    if wanting and not _REQUIRED and _missing():
        for item in wanting:
            item.add_marker(pytest.mark.skip(reason="no Docker engine answers"))


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep converted rules where tests keep their files; all workers share them."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.getbasetemp().parent / "cache")


_left_out: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Count the tests that were left out for want of an engine."""
    if report.skipped and "no Docker engine" in str(report.longrepr):
        _left_out.append(report.nodeid)


def pytest_unconfigure() -> None:
    """Say in the very last line that tests were left out, and why."""
    if _left_out:
        why = _missing().replace("\n", " ")
        sys.stdout.write(f"\n{len(_left_out)} tests with a real engine were SKIPPED: {why}\n")


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerEngine]:
    """The real engine; without one this fails, which only happens where one is required."""
    with closing(DockerEngine()) as engine:
        yield engine


@pytest.fixture(autouse=True)
def _no_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep tests that do not ask for the engine away from it, and all they start."""
    if not request.node.get_closest_marker("docker"):
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine-here.sock")


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with state files of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path
