"""A command goes where a node's programs are."""

from __future__ import annotations

import pytest

from lab.engine.machines import monitor, started
from lab.engine.nodes import SeenNode
from lab.moment import Moment

CONTAINER = SeenNode(
    lab="x", name="n", kind="sshd", id="1", state="running", image="i", definition="", created=Moment(0)
)
MACHINE = SeenNode(
    lab="x", name="n", kind="sshd", id="1", state="running", image="i", definition="", created=Moment(0),
    machine=256 * 2**20,
)  # fmt: skip
BESIDE = SeenNode(
    lab="x", name="n", kind="sshd", id="1", state="running", image="i", definition="", created=Moment(0),
    machine=256 * 2**20, pristine=True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("node", "tty", "command", "user"),
    [
        (CONTAINER, False, ["id"], "maria"),
        (CONTAINER, True, ["id"], "maria"),
        (MACHINE, False, ["/usr/local/sbin/reach", "maria", "/tmp", "id"], "root"),
        (MACHINE, True, ["/usr/local/sbin/reach", "--tty", "maria", "/tmp", "id"], "root"),
        (BESIDE, False, ["/usr/local/sbin/reach", "--pristine", "maria", "/tmp", "id"], "root"),
        (monitor(BESIDE), False, ["id"], "maria"),
    ],
)
def test_it_is_carried_into_a_machine_and_started_in_a_container(
    node: SeenNode, tty: object, command: list[str], user: str
) -> None:
    found = started(node, ["id"], "maria", {"A": "b"}, "/tmp", tty=bool(tty))
    assert (found.command, found.user) == (command, user)
    assert found.environment == {"A": "b"}
    assert found.folder == (None if node.machine else "/tmp")
