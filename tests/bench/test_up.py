"""A contest runs everybody in turn, counts who fails, and is drawn; nobody is really started here."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab.bench import up
from lab.bench.floor import down
from lab.bench.floor import up as floor_up
from lab.engine.memory import MemoryEngine
from lab.errors import NotReady
from tests.engine.daemon import scripted_daemon


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """Have commands end at once; those of Compose fail. Return what was run."""
    found: list[tuple[str, ...]] = []

    def run(argv: Sequence[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        found.append(tuple(argv))
        failing = "compose" in argv and "up" in argv
        return subprocess.CompletedProcess(argv, 1 if failing else 0)

    monkeypatch.setattr("subprocess.run", run)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    return found


def contest(folder: Path, rounds: int = 3) -> up.Contest:
    return up.measure([2], rounds, image="image", folder=folder, machine="a machine", tell=lambda _line: None)


def test_everybody_runs_in_each_round_and_who_begins_moves_on(
    ran: list[tuple[str, ...]], tmp_path: Path
) -> None:
    found = contest(tmp_path)
    assert {it.contender for it in found.figures} == {
        "homerange",
        "bare engine",
        "Docker Compose",
        "containerlab",
    }
    assert {(it.doing, len(it.seconds)) for it in found.figures} == {("up", 3), ("down", 3)}
    ups = [argv for argv in ran if "version" not in argv and {"up", "deploy"} & set(argv)]
    first = [ups[place] for place in (0, 4, 8)]
    assert ["lab.cli.entry" in argv[2] if len(argv) > 2 else False for argv in first] == [True, False, False]


def test_who_fails_is_counted_and_the_contest_goes_on(ran: list[tuple[str, ...]], tmp_path: Path) -> None:
    del ran
    failed = {(it.contender, it.doing): it.failed for it in contest(tmp_path).figures}
    assert failed["Docker Compose", "up"] == 3
    assert sum(failed.values()) == 3


def test_ratios_are_to_the_bare_engine(ran: list[tuple[str, ...]], tmp_path: Path) -> None:
    del ran
    ratios = {it.contender: it.ratio for it in contest(tmp_path).figures}
    assert ratios["bare engine"] == 1


def test_a_contest_is_drawn(ran: list[tuple[str, ...]], tmp_path: Path) -> None:
    del ran
    up.require_plotly()
    up.picture(contest(tmp_path, 1), tmp_path / "up.html")
    assert "a machine" in (tmp_path / "up.html").read_text("utf-8")


def test_without_plotly_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.bench.up.find_spec", lambda _name: None)
    with pytest.raises(NotReady, match=r"homerange\[bench\]"):
        up.require_plotly()


def test_the_machine_is_described() -> None:
    assert up.describe(MemoryEngine().about()).startswith("2 processors, ")


def test_the_bare_engine_makes_what_we_make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted_daemon(tmp_path / "d.sock") as daemon:
        monkeypatch.setenv("DOCKER_HOST", f"unix://{daemon.path}")
        daemon.images["plain:0"] = {"Id": "0", "RepoTags": ["plain:0"], "Size": 1, "Config": {"Labels": {}}}
        floor_up("floor", 3, "plain:0")
        assert len(daemon.containers) == 3
        down("floor")
        assert (daemon.containers, daemon.networks) == ({}, {})
