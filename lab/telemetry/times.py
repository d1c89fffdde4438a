"""Times as logs write them.

The clock part of a time repeats from line to line, so whole seconds are remembered and only the
fraction is read anew. Every function here takes text that an attacker may have chosen.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from lab.moment import SECOND, Moment
from lab.telemetry.event import Unparsed, Value

MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}
"""English month names, as syslog and Apache write them whatever the locale."""

YEARS: Final = range(1970, 2262)
"""The years that fit into 64 bits of nanoseconds."""

DAY: Final = 86_400 * SECOND
"""One day in nanoseconds."""


@lru_cache(maxsize=1024)
def iso_second(clock: str, zone: str) -> int:
    """Read `2026-11-23T22:00:00` and a zone such as `Z`, `+01:00` or `+0000`.

    Returns:
        Nanoseconds since 1970 in UTC.

    Raises:
        Unparsed: there is no such time, or it is out of range.
    """
    try:
        read = datetime.fromisoformat(f"{clock}{zone or 'Z'}")
    except ValueError:
        raise Unparsed(f"no such time: {clock}{zone}") from None
    return _nanoseconds(read)


@lru_cache(maxsize=1024)
def clf_second(clock: str, zone: str) -> int:
    """Read `23/Nov/2026:22:00:00` and a zone such as `+0000`, as Apache and nginx write them.

    Returns:
        Nanoseconds since 1970 in UTC.

    Raises:
        Unparsed: there is no such time, or it is out of range.
    """
    month = MONTHS.get(clock[3:6], 0)
    return iso_second(f"{clock[7:11]}-{month:02d}-{clock[:2]}T{clock[12:20]}", zone)


@lru_cache(maxsize=1024)
def _year_second(year: int, month: str, day: str, clock: str) -> int:
    return iso_second(f"{year}-{MONTHS.get(month, 0):02d}-{int(day):02d}T{clock}", "Z")


def yearless_second(month: str, day: str, clock: str, *, collected: int) -> int:
    """Read `Dec 10 06:55:46`, which lacks year and zone.

    The zone is taken as UTC, and the year as that of collection; when that lies more than a day in
    the future, the line is of the year before. 29 February goes to the last year that had one in reach.

    Args:
        month: English month name of three letters.
        day: Day of the month.
        clock: Time of day.
        collected: When the line was read, in nanoseconds since 1970.

    Raises:
        Unparsed: there is no such time in either year.
    """
    year = datetime.fromtimestamp(collected // SECOND, UTC).year
    try:
        found = _year_second(year, month, day, clock)
    except Unparsed:
        return _year_second(year - 1, month, day, clock)
    return found if found <= collected + DAY else _year_second(year - 1, month, day, clock)


def _nanoseconds(read: datetime) -> int:
    if read.year not in YEARS or (seconds := int(read.timestamp())) < 0:
        raise Unparsed(f"the year {read.year} is out of range")
    return seconds * SECOND


def instant(second: int, fraction: str | None) -> Moment:
    """Add decimals of a second, of which at most nine count."""
    return Moment(second + int(fraction[:9].ljust(9, "0"))) if fraction else Moment(second)


_MOMENT: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,18}))?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)


def moment_of(text: str) -> Moment:
    """Read a time in ISO 8601; one without a zone is taken as UTC.

    Raises:
        Unparsed: it is none.
    """
    match = _MOMENT.fullmatch(text.strip())
    if match is None:
        raise Unparsed(f"no such time: {text[:40]}")
    day, clock, fraction, zone = match.groups()
    return instant(iso_second(f"{day}T{clock}", zone or "Z"), fraction)


def epoch_moment(value: float | str) -> Moment:
    """Read seconds since 1970, with decimals.

    Raises:
        Unparsed: it is no number, or out of range.
    """
    text = str(value)
    whole, _, fraction = text.partition(".")
    if not (whole.isascii() and whole.isdigit() and (fraction.isdigit() or not fraction)):
        raise Unparsed(f"no such time: {text[:40]}")
    if int(whole) >= (YEARS.stop - 1970) * 365 * 86_400:
        raise Unparsed("the time is out of range")
    return instant(int(whole) * SECOND, fraction)


_NAMES: Final = (
    *("@timestamp", "UtcTime", "TimeCreated.SystemTime", "TimeCreated.#attributes.SystemTime", "SystemTime"),
    *("TimeCreated", "EventTime", "eventTime", "TimeGenerated", "timestamp", "Timestamp", "time", "_time"),
    *("ts", "date", "datetime", "createdDateTime", "published"),
)
"""Fields that say it, the surest first."""

_MILLISECONDS: Final = 10**11
"""From here on a number counts milliseconds: as seconds it would be the year 5138."""


def moment_in(said: Mapping[str, Value]) -> Moment | None:
    """Return when an event happened; None where it does not say.

    Args:
        said: Its fields.
    """
    for name in _NAMES:
        if name in said and (found := _moment(said[name])) is not None:
            return found
    return None


def _moment(value: Value) -> Moment | None:
    try:
        if isinstance(value, str):
            return moment_of(value.removesuffix(" UTC"))
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return epoch_moment(value / 1000 if value >= _MILLISECONDS else value)
    except Unparsed:
        return None
