"""A node that writes more than it may is stopped while somebody is at work in it, and that is said."""

from __future__ import annotations

import time

import pytest

from lab.provision import disk
from tests.world import World


def test_a_node_that_writes_too_much_is_stopped_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_LOOK_EVERY", 0.02)
    world, told = World(), list[str]()
    world.stand_up()
    with disk.watched("starter", world.engine, {"bastion": 2**30, "desk": 2**30}, told.append):
        world.engine.disks = {"bastion": 3 * 2**30, "desk": 2**30, "shop": 2**40}
        time.sleep(0.3)
    states = {node.name: node.state for node in world.engine.observe("starter").nodes}
    assert [name for name, state in states.items() if state != "running"] == ["bastion"]
    (said,) = told
    assert said.startswith("bastion wrote 3072 MB, more than the 1024 MB it may, and was stopped;")
