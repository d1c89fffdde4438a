"""What is done behind is done in order, and what goes wrong there is raised to whoever gave it."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from lab.errors import EngineFault
from lab.watch.behind import Behind


def test_all_is_done_in_order_and_not_by_us() -> None:
    done: list[int] = []
    threads: set[int] = set()

    def work(number: int) -> None:
        threads.add(threading.get_ident())
        done.append(number)

    behind = Behind(work)
    for number in range(100):
        behind.put(number)
    behind.close()
    assert done == list(range(100))
    assert len(threads - {threading.get_ident()}) == 1


def test_what_goes_wrong_is_raised_and_nothing_waits_for_ever() -> None:
    def work(number: int) -> None:
        if number == 3:
            raise EngineFault(doing="working", said="no")

    behind = Behind(work)

    def give() -> None:
        for number in range(100):
            behind.put(number)

    with pytest.raises(EngineFault):
        give()
    with pytest.raises(EngineFault):
        behind.check()
    behind.close()


def test_what_goes_wrong_with_the_last_is_raised_at_the_end() -> None:
    def work(number: int) -> None:
        raise EngineFault(doing=f"working on {number}", said="no")

    behind = Behind(work)
    behind.put(0)
    with pytest.raises(EngineFault):
        behind.close()


def test_a_program_that_forgets_to_close_it_ends() -> None:
    program = "from lab.watch.behind import Behind; Behind(print).put('done'); import time; time.sleep(0.3)"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True
    )
    assert (ran.stdout, ran.stderr) == ("done\n", "")
