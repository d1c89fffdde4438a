"""Intervals and survival times against the figures their sources print."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.score.intervals import poisson, rate, share, survival_time, wilson

# Freireich and others, Blood 21 (1963) 699-716: weeks of remission; False is still in remission.
TREATED = [(6, True)] * 3 + [
    (6, False), (7, True), (9, False), (10, True), (10, False), (11, False), (13, True), (16, True),
    (17, False), (19, False), (20, False), (22, True), (23, True), (25, False), (32, False), (32, False),
    (34, False), (35, False),
]  # fmt: skip
PLACEBO = [(weeks, True) for weeks in (1, 1, 2, 2, 3, 4, 4, 5, 5, 8, 8, 8, 8, 11, 11, 12, 12, 15, 17, 22, 23)]


@pytest.mark.parametrize(
    ("hits", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_newcombes_table(hits: int, total: int, low: float, high: float) -> None:
    """Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3."""
    assert wilson(hits, total) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [
        (0, 0, 3.69),
        (1, 0.0253, 5.57),
        (2, 0.242, 7.22),
        (3, 0.619, 8.77),
        (5, 1.62, 11.67),
        (10, 4.80, 18.39),
        (20, 12.22, 30.89),
        (50, 37.11, 65.92),
    ],
)
def test_poisson_gives_the_printed_limits(count: int, low: float, high: float) -> None:
    """Pearson and Hartley, Biometrika Tables for Statisticians I, table 40, which prints these digits."""
    assert poisson(count) == pytest.approx((low, high), abs=0.0051)


@given(total=st.integers(1, 1000), part=st.floats(0, 1))
def test_wilson_holds_its_share_and_mirrors(total: int, part: float) -> None:
    hits = round(part * total)
    low, high = wilson(hits, total)
    assert 0 <= low <= hits / total <= high <= 1
    assert wilson(total - hits, total) == pytest.approx((1 - high, 1 - low))


@settings(max_examples=30)
@given(count=st.integers(0, 300))
def test_poisson_leaves_one_fortieth_on_each_side(count: int) -> None:
    low, high = poisson(count)
    assert low <= count <= high
    assert _at_most(count, high) == pytest.approx(0.025, rel=1e-6)
    if count:
        assert 1 - _at_most(count - 1, low) == pytest.approx(0.025, rel=1e-6)


def _at_most(count: int, mean: float) -> float:
    """Sum the terms one from the other, another way than the module does."""
    term = total = math.exp(-mean)
    for number in range(1, count + 1):
        term *= mean / number
        total += term
    return total


def test_a_share_of_nothing_has_no_value() -> None:
    nothing = share(0, 0)
    assert (nothing.value, nothing.low, nothing.high) == (None, None, None)


def test_a_share_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="3 of 2"):
        wilson(3, 2)


def test_a_rate_is_per_hour() -> None:
    found = rate(2, 0.5)
    assert found.value == 4
    assert (found.low, found.high) == pytest.approx((0.4844, 14.4494), abs=1e-4)


def test_a_rate_over_no_time_has_no_value() -> None:
    assert rate(2, 0).value is None


@pytest.mark.parametrize(
    ("times", "part", "expected"),
    [
        (TREATED, 0.5, 23),
        (TREATED, 0.25, 13),
        (TREATED, 0.9, None),
        (PLACEBO, 0.5, 8),
        (PLACEBO, 0.9, 17),
    ],
)
def test_survival_times_of_the_leukemia_trial(
    times: list[tuple[float, bool]], part: float, expected: float | None
) -> None:
    assert survival_time(times, part) == expected


def test_no_case_has_no_survival_time() -> None:
    assert survival_time([], 0.5) is None


def test_an_event_counts_before_one_who_left_at_the_same_time() -> None:
    assert survival_time([(1, False), (1, True)], 0.5) == 1


@given(st.lists(st.floats(0, 100), min_size=1, max_size=30))
def test_without_censoring_the_median_is_the_middle_one(times: list[float]) -> None:
    assert survival_time([(time, True) for time in times], 0.5) == sorted(times)[(len(times) - 1) // 2]
