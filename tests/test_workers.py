"""Several things at once: all finish, results keep their order, all errors are told."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from lab.errors import EngineFault
from lab.workers import together


def test_results_keep_the_order_of_the_tasks() -> None:
    assert together([partial(lambda number: number * 2, number) for number in range(50)]) == list(
        range(0, 100, 2)
    )


def test_no_tasks_have_no_results() -> None:
    assert together([]) == []


def test_no_more_than_the_workers_run_at_once() -> None:
    running, most, guard = [0], [0], threading.Lock()

    def work() -> None:
        with guard:
            running[0] += 1
            most[0] = max(most[0], running[0])
        threading.Event().wait(0.01)
        with guard:
            running[0] -= 1

    together([work] * 12, workers=3)
    assert most[0] == 3


def _fail(name: str) -> None:
    raise EngineFault(doing=name, said="broken")


def test_one_error_comes_as_it_is_and_the_others_finish() -> None:
    done: list[int] = []
    with pytest.raises(EngineFault, match="one"):
        together([partial(_fail, "one"), *(partial(done.append, number) for number in range(5))])
    assert sorted(done) == list(range(5))


def test_several_errors_come_together() -> None:
    with pytest.raises(ExceptionGroup) as caught:
        together([partial(_fail, "one"), partial(_fail, "two")])
    assert sorted(str(error) for error in caught.value.exceptions) == ["one: broken", "two: broken"]
