"""What the command line promises: exit codes, where output goes, and that no traceback is seen."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from lab.detect.alert import read_alerts
from lab.files import records
from lab.files.workplace import CARRIED
from lab.runs.folder import RunFolder
from lab.score.values import Score


def lab(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder, with an engine that does not answer."""
    command = [sys.executable, "-c", "from lab.cli.entry import entry; entry()", *arguments]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "DOCKER_HOST": f"unix://{cwd}/none.sock", **environment}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("replayed")
    ran = lab("replay", cwd=place)
    assert ran.returncode == 0, ran.stderr
    return place


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nonsense"], 2, "No such command"),
        (["up", "--nonsense"], 2, "No such option"),
        (["run"], 2, "Missing argument"),
        (["up", "nothing"], 2, "no inventory 'nothing'"),
        (["up", "nothing.yml"], 2, "no file 'nothing.yml'"),
        (["score"], 2, "no run"),
        (["query", "SELECT 1"], 2, "no run"),
        (["report", "nothing"], 2, "no run 'nothing'"),
        (["replay", "nothing"], 2, "no run 'nothing'"),
        (["up"], 3, "Docker does not answer"),
        (["status"], 3, "Docker does not answer"),
        (["down"], 3, "Docker does not answer"),
        (["run", "ssh-brute-force"], 3, "Docker does not answer"),
        (["exec", "bastion", "--", "id"], 3, "Docker does not answer"),
        (["doctor"], 3, "Docker does not answer"),
    ],
    ids=lambda it: " ".join(it) if isinstance(it, list) else "",
)
def test_what_is_wrong_is_said_with_its_exit_code(
    arguments: list[str], code: int, said: str, tmp_path: Path
) -> None:
    ran = lab(*arguments, cwd=tmp_path)
    assert (ran.returncode, said in ran.stderr, "Traceback" in ran.stderr) == (code, True, False)


def test_a_terminal_is_asked_before_the_machine_is_changed(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from lab.cli.main import main; main()", "doctor", "--fix"]
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DOCKER_HOST": f"unix://{tmp_path}/none.sock"}
    with subprocess.Popen(
        command, cwd=tmp_path, env=env, stdin=theirs, stderr=subprocess.PIPE, text=True
    ) as asked:
        os.write(ours, b"n\n")
        _, said = asked.communicate(timeout=60)
    os.close(ours)
    os.close(theirs)
    assert asked.returncode == 3
    if os.geteuid() == 0:
        assert "Install a container engine" in said
        assert "Go on?" in said
        assert "nothing was changed" in said
    else:
        assert "this user may not install" in said


COMMANDS = (
    *("up", "status", "run", "score", "report", "query", "exec"),
    *("shell", "doctor", "down", "demo", "replay", "record"),
    *("plan", "verify", "reset", "ls", "top", "logs", "prune", "bench"),
)


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_every_command_has_help_with_an_example(command: str, tmp_path: Path) -> None:
    ran = lab(*command.split(), "-h", cwd=tmp_path)
    assert ran.returncode == 0
    assert "lab " in ran.stdout.splitlines()[-1] + ran.stdout.splitlines()[-2]


def test_bad_files_are_named_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "inventories").mkdir()
    (tmp_path / "inventories" / "mine.yml").write_text(
        "all:\n  children:\n    sshdd: {hosts: {bastion: {}}}\n"
    )
    ran = lab("up", "mine", cwd=tmp_path)
    assert ran.returncode == 2
    assert "mine.yml:3: unknown kind 'sshdd' for host bastion\n    did you mean 'sshd'?" in ran.stderr


def test_a_replay_is_labelled_and_scored_by_the_same_code(replayed: Path) -> None:
    (run,) = (replayed / "runs").iterdir()
    assert RunFolder(run).header().replay_of
    assert records.read(run / "score.json", Score).recall.value == 1
    assert "eplay" in (run / "report.html").read_text(encoding="utf-8")


def test_a_replay_gives_the_same_alerts_again(replayed: Path, tmp_path: Path) -> None:
    (first,) = (replayed / "runs").iterdir()
    assert lab("replay", str(first), cwd=tmp_path).returncode == 0
    (second,) = (tmp_path / "runs").iterdir()
    assert read_alerts(RunFolder(second).noticed) == read_alerts(RunFolder(first).noticed)


def test_data_goes_to_standard_output_alone(replayed: Path) -> None:
    ran = lab("query", "SELECT count(*) AS n FROM events", "--format", "json", cwd=replayed)
    assert json.loads(ran.stdout)[0]["n"] > 1000
    scored = lab("score", "--format", "json", cwd=replayed)
    assert json.loads(scored.stdout)["recall"]["value"] == 1


def test_scoring_again_gives_the_same_bytes(replayed: Path) -> None:
    (run,) = (replayed / "runs").iterdir()
    before = (run / "score.json").read_bytes()
    lab("score", cwd=replayed)
    assert (run / "score.json").read_bytes() == before


@pytest.mark.parametrize("name", ["run.json", "truth.jsonl", "alerts.jsonl"])
def test_a_damaged_run_is_said_to_be_one(name: str, replayed: Path, tmp_path: Path) -> None:
    (run,) = (replayed / "runs").iterdir()
    copy = tmp_path / "runs" / run.name
    copy.mkdir(parents=True)
    for path in run.glob("*.json*"):
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / name).write_text('{"damaged": \n')
    ran = lab("score", cwd=tmp_path)
    assert (ran.returncode, name in ran.stderr, "Traceback" in ran.stderr) == (2, True, False)


def test_the_shipped_recording_is_small() -> None:
    recording = CARRIED / "recordings"
    assert 0 < sum(path.stat().st_size for path in recording.rglob("*") if path.is_file()) < 2_000_000
