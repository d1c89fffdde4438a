"""Tests of what a receipt looks for, and of what it ends."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.engine.memory import MemoryEngine
from lab.provision import receipt

OURS, THEIRS = "a" * 64, "b" * 64


@pytest.fixture
def helpers(tmp_path: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Two processes that look like what serves containers."""
    program = tmp_path / "containerd-shim-runc-v2"
    program.write_text("#!/bin/sh\nread line\n", encoding="utf-8")
    program.chmod(0o755)
    begun = {
        it: subprocess.Popen([program, "-namespace", "moby", "-id", it], stdin=subprocess.PIPE)
        for it in (OURS, THEIRS)
    }
    yield begun
    for it in begun.values():
        it.communicate(timeout=10)


def test_the_helper_of_a_node_that_is_gone_is_ended_and_no_other(
    helpers: dict[str, subprocess.Popen[bytes]],
) -> None:
    receipt.end_helpers(frozenset({OURS}))
    assert helpers[OURS].wait(timeout=10) == -9
    assert helpers[THEIRS].poll() is None


def test_a_snapshot_names_what_serves_containers(helpers: dict[str, subprocess.Popen[bytes]]) -> None:
    assert len(helpers) == len(
        [it for it in receipt.snapshot(MemoryEngine()).processes if OURS in it or THEIRS in it]
    )
