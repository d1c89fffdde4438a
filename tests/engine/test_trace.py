"""What a tracer tells is read as it stands, and nothing that a command writes passes for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.engine.conversation import Heard
from lab.engine.trace import Connection, read_trailer

LINES = (
    b"P 7 1 1795592014041718035 0 sh -c ls; id\n"
    b"P 9 7 1795592014043681705 - sleep 9\n"
    b"C tcp 10.1.0.5 40312 10.1.0.3 22\n"
    b"! more than 4096 processes\n"
    b"E 1795592015000000000\n"
)
TRAILER = LINES + b"\0%010d" % len(LINES)


def test_a_trailer_is_parted_from_what_the_command_wrote() -> None:
    before, trace = read_trailer(b"its own words\n" + TRAILER)
    assert before == b"its own words\n"
    assert trace is not None
    assert [(it.pid, it.parent, it.code, it.command_line) for it in trace.processes] == [
        (7, 1, 0, "sh -c ls; id"), (9, 7, None, "sleep 9"),
    ]  # fmt: skip
    assert trace.connections == (
        Connection(
            transport="tcp", source="10.1.0.5", source_port=40312,
            destination="10.1.0.3", destination_port=22,
        ),
    )  # fmt: skip
    assert (trace.missed, int(trace.end)) == (("more than 4096 processes",), 1795592015000000000)


@pytest.mark.parametrize(
    "said", [b"", b"words", b"\0", b"x\0000000000x", b"\0" + b"9" * 10, b"\x000000000000", TRAILER + b"!"]
)
def test_what_is_no_trailer_is_the_commands_own(said: bytes) -> None:
    assert read_trailer(said)[1] is None


def test_a_line_that_cannot_be_read_is_said() -> None:
    lines = b"P 7 1 1 0 sh\nP x\nC tcp\n"
    _, trace = read_trailer(lines + b"\0%010d" % len(lines))
    assert trace is not None
    assert len(trace.missed) == 2


@given(st.binary(max_size=300))
def test_no_bytes_bring_the_reader_down(said: bytes) -> None:
    before, _ = read_trailer(said)
    assert said.startswith(before)


def test_a_trailer_comes_through_whatever_a_command_wrote_before_it() -> None:
    heard = Heard()
    for _ in range(60):
        heard.hear(2, b"x" * 200_000)
    heard.hear(2, TRAILER[:50])
    heard.hear(2, TRAILER[50:])
    own, trace = heard.stderr(traced=True)
    assert trace is not None
    assert set(own) == {ord("x")}


def test_an_untraced_command_may_end_like_a_trailer() -> None:
    heard = Heard()
    heard.hear(2, TRAILER)
    assert heard.stderr(traced=False) == (TRAILER, None)
