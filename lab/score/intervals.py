"""Intervals and medians for small numbers of cases, from their sources. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

_Z: Final = 1.959963984540054
"""97.5 % quantile of the normal distribution, for two-sided 95 % intervals."""

_TAIL: Final = 0.025
_HALVINGS: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A proportion with its 95 % interval (Wilson 1927)."""

    hits: int
    """How many counted."""

    total: int
    """Out of how many; with 0 there is no value."""

    value: float | None
    """hits / total."""

    low: float | None
    """Lower end of the interval."""

    high: float | None
    """Upper end of the interval."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """Events per hour with the exact 95 % Poisson interval (Garwood 1936)."""

    count: int
    """How many were seen."""

    hours: float
    """Over how long."""

    value: float | None
    """Per hour; None when nothing was observed."""

    low: float | None
    """Lower end of the interval."""

    high: float | None
    """Upper end of the interval."""


def wilson(hits: int, total: int) -> tuple[float, float]:
    """Return the 95 % score interval of a proportion (Wilson 1927, JASA 22:209-212).

    Raises:
        ValueError: there is no case, or more hits than cases.
    """
    if not 0 <= hits <= total or total == 0:
        raise ValueError(f"{hits} of {total} is no proportion")
    share, spread = hits / total, _Z * _Z / total
    middle = (share + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return (0.0 if hits == 0 else max(0.0, middle - half), 1.0 if hits == total else min(1.0, middle + half))


def poisson(count: int) -> tuple[float, float]:
    """Return the exact 95 % interval of a Poisson mean (Garwood 1936, Biometrika 28:437-442)."""
    low = 0.0 if count == 0 else _solve(lambda mean: 1 - _at_most(count - 1, mean), _TAIL, count)
    high = _solve(lambda mean: -_at_most(count, mean), -_TAIL, count)
    return low, high


def upper_bound(count: int) -> float:
    """Return the mean that so few events leave one chance in twenty: the one-sided 95 % bound.

    For none at all it is 3.0, the rule of three (Hanley and Lippman-Hand 1983, JAMA 249:1743-1745).
    """
    return _solve(lambda mean: -_at_most(count, mean), -2 * _TAIL, count)


def _at_most(count: int, mean: float) -> float:
    """Return the probability of at most `count` events."""
    if mean <= 0:
        return 1.0
    return math.fsum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1))


def _solve(rising: Callable[[float], float], level: float, count: int) -> float:
    """Find where a rising function of the mean reaches a level, by halving."""
    low, high = 0.0, 10.0 + count + 10 * math.sqrt(count + 1)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < level else (low, middle)
    return (low + high) / 2


def share(hits: int, total: int) -> Share:
    """Return a proportion; of nothing it has no value."""
    if not total:
        return Share(hits=hits, total=0, value=None, low=None, high=None)
    low, high = wilson(hits, total)
    return Share(hits=hits, total=total, value=hits / total, low=low, high=high)


def rate(count: int, hours: float) -> Rate:
    """Return how often something happens; without a time of watching it has no value."""
    if not hours:
        return Rate(count=count, hours=0, value=None, low=None, high=None)
    low, high = poisson(count)
    return Rate(count=count, hours=hours, value=count / hours, low=low / hours, high=high / hours)


def survival_time(times: Sequence[tuple[float, bool]], part: float) -> float | None:
    """Return the time by which a part of the cases has happened (Kaplan and Meier 1958).

    Args:
        times: For each case how long it was watched, and whether it happened then; when it did not, it
            may have happened later.
        part: 0.5 for the median.

    Returns:
        The first time at which the estimate reaches the part; None when it never does.
    """
    staying = 1.0
    ordered = sorted(times, key=lambda case: (case[0], not case[1]))
    for number, (time, happened) in enumerate(ordered):
        at_risk = len(ordered) - number
        staying *= (at_risk - 1) / at_risk if happened else 1
        if happened and staying <= 1 - part + 1e-12:
            return time
    return None
