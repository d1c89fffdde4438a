"""Moments keep every nanosecond, in and out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.moment import SECOND, Moment

moments = st.integers(min_value=0, max_value=253_402_300_799 * SECOND).map(Moment)


@given(moment=moments)
def test_what_is_written_reads_back_exactly(moment: Moment) -> None:
    assert Moment.parse(moment.iso()) == moment


@given(one=moments, other=moments)
def test_texts_sort_as_moments_do(one: Moment, other: Moment) -> None:
    assert (one < other) == (one.iso() < other.iso())


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2026-11-23T21:53:58Z", "2026-11-23T21:53:58.000000000Z"),
        ("2026-11-23T22:53:58+01:00", "2026-11-23T21:53:58.000000000Z"),
        ("2026-11-23T21:53:58", "2026-11-23T21:53:58.000000000Z"),
        ("2026-11-23T21:53:58.5Z", "2026-11-23T21:53:58.500000000Z"),
        ("2026-11-23T21:53:58.1234567891Z", "2026-11-23T21:53:58.123456789Z"),
        ("2026-11-23 21:53:58.25+0000", "2026-11-23T21:53:58.250000000Z"),
    ],
)
def test_the_ways_logs_write_a_time(text: str, same: str) -> None:
    assert Moment.parse(text).iso() == same


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "12:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Moment.parse(text)
