"""What responses are tried with: ways in, what people need, and an act for each."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from lab.engine.docker import DockerEngine
from lab.exercise.respond.base import Action
from lab.exercise.respond.block import Block
from lab.exercise.respond.carrying import Carrying
from lab.exercise.respond.isolate import Isolate
from lab.exercise.respond.kill import Kill
from lab.exercise.respond.lock import Lock
from lab.exercise.respond.remove import Remove
from lab.exercise.respond.restore import Restore
from lab.files.workplace import Workplace
from lab.flow.context import Context
from lab.flow.respond import _renew, _settle
from lab.runs.diary import Diary
from lab.runs.response import Response
from tests.e2e.conftest import Place
from tests.support import until


def ran(lab: Place, node: str, *argv: str, user: str = "root") -> subprocess.CompletedProcess[bytes]:
    done = lab.engine.execute(lab.node(node), argv, user=user, timeout=20)
    return subprocess.CompletedProcess(argv, done.code, done.stdout, done.stderr)


_SSH: Final = (
    *("ssh", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
    *("-o", "ConnectTimeout=2", "-o", "LogLevel=ERROR"),
)


def comes_in(lab: Place, *, key: str = "") -> bool:
    """Try a way in, as an attacker does."""
    bastion = lab.node("bastion").addresses.get("outside", "192.0.2.1")
    if not bastion or bastion == "192.0.2.1":
        return False
    way = ("-i", key, "-o", "BatchMode=yes") if key else ("-o", "PubkeyAuthentication=no")
    login = ("maria", "summer2026") if not key else ("maria", "")
    before = () if key else ("sshpass", "-p", login[1])
    return (
        ran(lab, "attacker", "timeout", "5", *before, *_SSH, *way, f"maria@{bastion}", "true").returncode == 0
    )


def is_served(lab: Place) -> bool:
    """Try what people need: the server, from inside."""
    address = lab.node("bastion").addresses.get("inside", "")
    return ran(lab, "desk", "timeout", "5", "bash", "-c", f"exec 3<>/dev/tcp/{address}/22").returncode == 0


def has_planted(lab: Place) -> bool:
    return ran(lab, "bastion", "test", "-e", "/root/.planted").returncode == 0


def session_lives(lab: Place) -> bool:
    return ran(lab, "bastion", "pgrep", "-f", "[s]leep 4321").returncode == 0


def plant(lab: Place) -> None:
    assert ran(lab, "bastion", "sh", "-c", "echo x >/root/.planted").returncode == 0


def open_session(lab: Place) -> None:
    """Let a session of maria's go on, as an intruder who stays."""
    bastion = lab.node("bastion").addresses["outside"]
    login = ("sshpass", "-p", "summer2026", *_SSH, f"maria@{bastion}")
    ran(lab, "attacker", *login, "setsid sleep 4321 >/dev/null 2>&1 </dev/null &")
    until(lambda: session_lives(lab))


def nothing(_lab: Place) -> None:
    """Prepare nothing."""


CASES: Final[dict[str, tuple[Action, Callable[[Place], None], Callable[[Place], bool], bool]]] = {
    "isolate": (Isolate(node="bastion", network=("outside",)), nothing, comes_in, True),
    "block": (Block(node="bastion", address="attacker"), nothing, comes_in, True),
    "lock": (Lock(node="bastion", user="maria"), nothing, comes_in, True),
    "kill": (Kill(node="bastion", user="maria"), open_session, session_lives, False),
    "remove": (Remove(node="bastion", path=("/root/.planted",)), plant, has_planted, True),
    "restore": (Restore(node="bastion"), plant, has_planted, True),
}
"""An action, what has to be there before, what tells whether it is, and whether undoing brings it back."""


@contextmanager
def carrying_in(lab: Place, folder: Path) -> Iterator[Carrying]:
    """Have what carries out acts in a lab, and writes them into a folder."""
    with Context(workplace=Workplace(lab.folder), connect=DockerEngine, lab_name=lab.name) as context:
        yield Carrying(
            engine=lab.engine,
            find=lambda name: (lab.observe(), lab.node(name)),
            written=Diary(folder / "response.jsonl", Response),
            renew=partial(_renew, context),
            settle=partial(_settle, context),
        )
