"""A real log is followed through rotation, truncation and restart: no line is lost, none is twice."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import Final

import docker
import pytest

from lab.engine.nodes import SeenNode
from lab.runs.noticed import Noticed
from lab.telemetry.lines import plain
from lab.watch.collector import Collector
from lab.watch.desk import FollowedLog, LineQueue
from tests.e2e.conftest import Place

pytestmark = pytest.mark.docker

LOG: Final = "/var/tmp/numbers.log"

SOON: Final = 20.0
"""Seconds for what was written to arrive."""


class Numbers:
    """Lines with numbers, written on a node, and those that arrived."""

    def __init__(self, place: Place, node: SeenNode, lines: LineQueue) -> None:
        self._place = place
        self._node = node
        self._lines = lines
        self.written = 0
        self.arrived: list[str] = []

    def run(self, command: str) -> None:
        """Run a shell command on the node."""
        ran = self._place.engine.execute(self._node, ("sh", "-c", command))
        assert ran.code == 0, ran.stderr

    def write(self) -> None:
        """Write three more."""
        first, self.written = self.written, self.written + 3
        self.run(f"seq {first} {self.written - 1} >>{LOG}")

    def wait(self) -> None:
        """Wait until as many have arrived as were written."""
        until = time.monotonic() + SOON
        while len(self.arrived) < self.written and time.monotonic() < until:
            time.sleep(0.05)
            self.arrived += [text for it in self._lines.drain() for text in plain(it.lines.texts)]


def test_a_log_is_followed_through_rotation_truncation_and_restart(standing: Place, tmp_path: Path) -> None:
    node, lines = standing.node("one"), LineQueue()
    numbers = Numbers(standing, node, lines)
    numbers.run(f"echo before >{LOG}")
    collector = Collector(standing.engine, Noticed(tmp_path), lines, lambda _text, _key: False)
    collector.start((FollowedLog(node=node, source="syslog", path=LOG),), ())
    for meanwhile in ("true", f"mv {LOG} {LOG}.1", "true", f": >{LOG}"):
        numbers.run(meanwhile)
        numbers.write()
        numbers.wait()
    with closing(docker.APIClient()) as client:
        client.restart(node.id, timeout=1)
    numbers.write()
    numbers.wait()
    numbers.write()
    numbers.wait()
    collector.stop()
    assert numbers.arrived == [str(it) for it in range(numbers.written)]
    assert [note.rpartition(": ")[2] for note in collector.notes] == [
        "ended before the run did; nothing of it is seen from here on",
        "was followed again from here on",
    ]
