"""One command at a time changes a lab."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from lab.errors import Busy, NoRights
from lab.provision.lock import REMOVAL, locked, taken_over

NAME = f"turn-{os.getpid()}"
HOLDER = """\
import signal, sys, time
from lab.provision.lock import locked
signal.signal(signal.SIGINT, signal.SIG_DFL)
exec(sys.argv[2])
with locked(sys.argv[1], doing=sys.argv[3]):
    print("held", flush=True)
    time.sleep(60)
"""


def hold(before: str = "", *, doing: str = "lab up here") -> subprocess.Popen[str]:
    found = subprocess.Popen(
        [sys.executable, "-c", HOLDER, NAME, before, doing],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert found.stdout is not None
    assert found.stdout.readline() == "held\n"
    return found


def held(name: str = NAME) -> AbstractContextManager[None]:
    return locked(name, doing="lab up there")


def test_a_lock_that_is_held_is_refused_with_who_holds_it() -> None:
    with hold() as holder:
        with pytest.raises(Busy, match=f"process {holder.pid}, lab up here"), held():
            pass
        holder.kill()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("lab.provision.lock.locks", lambda: tmp_path / "locks")
    return tmp_path / "locks"


def test_a_lock_that_is_given_back_can_be_taken_and_leaves_no_file(folder: Path) -> None:
    for _ in range(3):
        with held():
            assert len(list(folder.iterdir())) == 1
    assert list(folder.iterdir()) == []


def test_a_holder_that_is_killed_gives_it_back() -> None:
    with hold() as holder:
        holder.kill()
        holder.wait()
        with held():
            pass


@pytest.mark.parametrize("before", [None, signal.SIGSTOP])
def test_taking_over_stops_the_holder_even_one_that_sleeps(before: signal.Signals | None) -> None:
    told: list[str] = []
    with hold() as holder:
        if before:
            holder.send_signal(before)
        with taken_over(NAME, tell=told.append):
            assert holder.wait(10) == -signal.SIGTERM
    assert told == [f"waiting for process {holder.pid}, lab up here, to stop"]


def test_a_holder_that_does_not_stop_is_named_when_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.provision.lock._PATIENCE", 0.5)
    with hold("signal.signal(signal.SIGTERM, signal.SIG_IGN)") as holder:
        with (
            pytest.raises(Busy, match=f"process {holder.pid}, lab up here, which did not stop within"),
            taken_over(NAME, tell=lambda _line: None),
        ):
            pass
        holder.kill()


def test_a_removal_waits_for_another_and_does_not_end_it() -> None:
    with hold(doing=REMOVAL) as holder:
        threading.Timer(0.5, holder.send_signal, (signal.SIGINT,)).start()
        with taken_over(NAME, tell=lambda _line: None):
            assert holder.wait(10) == -signal.SIGINT


def test_a_folder_that_others_may_write_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = tmp_path / "homerange"
    theirs.mkdir()
    theirs.chmod(0o777)
    monkeypatch.setattr("lab.provision.lock.locks", lambda: theirs)
    with pytest.raises(NoRights, match="not a folder of yours alone"), held():
        pass


def test_a_link_in_the_place_of_a_lock_is_not_followed(folder: Path, tmp_path: Path) -> None:
    with held():
        (lock,) = folder.iterdir()
    lock.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"), held():
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_turns_of_other_labs_do_not_meet() -> None:
    with hold() as holder:
        with held(f"{NAME}-other"):
            pass
        holder.kill()
