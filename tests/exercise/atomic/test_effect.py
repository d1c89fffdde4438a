"""Whether a test had an effect is told by its node and the kernel, never by its exit code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lab.engine.shell import Completed
from lab.engine.trace import Process, Trace
from lab.exercise.atomic.state import Entry, State, changes
from lab.exercise.steps.atomic import effect, left_over
from lab.moment import Moment
from tests.exercise.atomic.test_refusal import PLAIN

FILE = Entry(mode=0o100644, owner="0:0", size=3, content="abc")
BEFORE = State(paths={"/etc/x": FILE, "/var/log/auth.log": FILE}, processes={"1": "init"})


def after(paths: dict[str, Entry | None] | None = None, processes: dict[str, str] | None = None) -> State:
    whole = {**BEFORE.paths, **(paths or {})}
    return State(
        paths={name: it for name, it in whole.items() if it is not None},
        processes={**BEFORE.processes, **(processes or {})},
    )


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (after(), ()),
        (after({"/tmp/a": FILE}), ("+ /tmp/a",)),
        (after({"/tmp/a": replace(FILE, size=0)}), ("+ /tmp/a (empty)",)),
        (after({"/etc/x": None}), ("- /etc/x",)),
        (after({"/etc/x": replace(FILE, content="abd")}), ("~ /etc/x",)),
        (after({"/etc/x": replace(FILE, mode=0o104755)}), ("~ /etc/x",)),
        (after({"/etc/x": replace(FILE, owner="5:0")}), ("~ /etc/x",)),
        (after({"/var/log/auth.log": replace(FILE, size=9, content="new")}), ()),
        (after({"/var/log/auth.log": replace(FILE, size=1)}), ("~ /var/log/auth.log",)),
        (after(processes={"17": "sleep 9"}), ("process 17 sleep 9",)),
    ],
)
def test_what_changed_is_named(now: State, said: tuple[str, ...]) -> None:
    assert changes(BEFORE, now) == said
    assert bool(left_over(BEFORE, now)) is bool(said)


def ran(*programs: tuple[str, int | None], stderr: str = "") -> Completed:
    lines = (("sh -c x", 0), *programs)
    started = tuple(
        Process(pid=10 + n, parent=9, started=Moment(n), code=code, command_line=line)
        for n, (line, code) in enumerate(lines)
    )
    return Completed(
        argv=("sh", "-c", "x"), code=0, stdout=b"", stderr=stderr.encode(), start=Moment(0), end=Moment(9),
        trace=Trace(processes=started, end=Moment(9)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("command", "programs", "occurred"),
    [
        ("cat /a > /b; cat /b", [("cat /a", 1), ("cat /b", 0)], False),
        ("cat /a", [("cat /a", 0)], True),
        ("ps | grep x", [("ps", 0), ("grep x", 1)], True),
        ("grep x /a", [("grep x /a", 1)], True),
        ("grep x /a", [("grep x /a", 2)], False),
        ("sleep 99", [("sleep 99", None)], True),
        ("if a; then b; fi; true", [("a", 1), ("b", 0)], True),
        ("if a; then b; fi", [("a", 1)], False),
        ("echo x", [], None),
    ],
)
def test_the_first_program_that_is_certain_decides(
    command: str, programs: list[tuple[str, int | None]], *, occurred: bool | None
) -> None:
    assert effect(replace(PLAIN, command=command), (), ran(*programs)).occurred is occurred


def test_a_change_is_an_effect_and_an_empty_file_is_none() -> None:
    assert effect(PLAIN, ("+ /tmp/a",), ran(("touch", 1))).occurred is True
    found = effect(
        replace(PLAIN, command="cat /a > /b"), ("+ /b (empty)",), ran(("cat /a", 1), stderr="no\n")
    )
    assert (found.occurred, found.said) == (False, "cat /a ended with 1: no")


def test_what_nobody_could_follow_is_not_known() -> None:
    assert effect(PLAIN, (), replace(ran(("id", 0)), trace=None)).occurred is None
