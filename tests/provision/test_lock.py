"""One command at a time changes a lab."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from lab.errors import Busy
from lab.provision.lock import locked

NAME = f"turn-{os.getpid()}"
HOLDER = """\
import sys, time
from lab.provision.lock import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def hold() -> subprocess.Popen[str]:
    found = subprocess.Popen(
        [sys.executable, "-c", HOLDER, NAME], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert found.stdout is not None
    assert found.stdout.readline() == "held\n"
    return found


@pytest.fixture(autouse=True)
def _linux() -> None:
    if sys.platform != "linux":
        pytest.skip("locks are held on Linux only")


def test_a_lock_that_is_held_is_refused_with_who_holds_it() -> None:
    with hold() as holder:
        with pytest.raises(Busy, match=f"process {holder.pid}"), locked(NAME):
            pass
        holder.kill()


def test_a_lock_that_is_given_back_can_be_taken() -> None:
    for _ in range(3):
        with locked(NAME):
            pass


def test_a_holder_that_is_killed_gives_it_back() -> None:
    with hold() as holder:
        holder.kill()
        holder.wait()
        with locked(NAME):
            pass


def test_ending_stops_the_holder_and_takes_over() -> None:
    with hold() as holder, locked(NAME, ending=True):
        assert holder.wait(10) == -signal.SIGTERM


def test_turns_of_other_labs_do_not_meet() -> None:
    with hold() as holder:
        with locked(f"{NAME}-other"):
            pass
        holder.kill()
