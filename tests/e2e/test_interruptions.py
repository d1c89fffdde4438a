"""A kill at any moment leaves nothing that `lab down` does not find, and keeps what was written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from lab import content, records, steward
from lab.engine.docker import DockerEngine
from lab.exercise import Intent
from lab.folder import RunFolder

pytestmark = pytest.mark.docker

LAB: Final = f"kill-{os.getpid()}"


@pytest.fixture
def place(tmp_path: Path, docker_engine: DockerEngine) -> Iterator[Path]:
    (tmp_path / "inventories").mkdir()
    starter = content.find("inventories", "starter").read_text(encoding="utf-8")
    (tmp_path / "inventories" / f"{LAB}.yml").write_text(starter, encoding="utf-8")
    yield tmp_path
    steward.remove(LAB, docker_engine)


def begin(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    heeding = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    command = [sys.executable, "-c", f"{heeding}; from lab.cli import main; main()", *arguments]
    return subprocess.Popen(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from lab.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=600)


@pytest.mark.parametrize("after", [0.5, 0.9, 1.3])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_up_that_is_killed_is_removed_by_down(
    place: Path, docker_engine: DockerEngine, how: signal.Signals, after: float
) -> None:
    up = begin("up", LAB, cwd=place)
    time.sleep(after)
    up.send_signal(how)
    _, said = up.communicate(timeout=60)
    assert "Traceback" not in said
    down = finish("down", LAB, cwd=place)
    assert down.returncode == 0, down.stderr
    assert docker_engine.observe(LAB).empty


def test_up_after_a_kill_carries_on(place: Path, docker_engine: DockerEngine) -> None:
    up = begin("up", LAB, cwd=place)
    time.sleep(0.8)
    up.kill()
    up.communicate()
    again = finish("up", LAB, cwd=place)
    assert again.returncode == 0, again.stderr
    assert len(docker_engine.observe(LAB).nodes) == 5


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_stopped_keeps_what_was_written(
    place: Path, docker_engine: DockerEngine, how: signal.Signals
) -> None:
    assert finish("up", LAB, cwd=place).returncode == 0
    quick = (
        content.find("scenarios", "ssh-brute-force")
        .read_text(encoding="utf-8")
        .replace("benign: 30s", "benign: 2s")
    )
    (place / "quick.yml").write_text(quick, encoding="utf-8")
    run = begin("run", "quick.yml", "--lab", LAB, cwd=place)
    time.sleep(7)
    run.send_signal(how)
    _, said = run.communicate(timeout=60)
    assert "Traceback" not in said
    folder = RunFolder(next((place / "runs").iterdir()))
    assert folder.header().state == ("stopped" if how == signal.SIGINT else "running")
    assert [it for it in folder.truth() if it.label == "attack"]
    assert records.read_lines(folder.path / "journal.jsonl", Intent)
    down = finish("down", LAB, cwd=place)
    assert down.returncode == 0, down.stderr
    assert docker_engine.observe(LAB).empty
