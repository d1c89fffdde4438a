r"""SQL that sources use to read many lines at once (`lab.telemetry.event.Quick`).

DuckDB's regular expressions are RE2's, which are quick as long as a pattern can be read in one way only
and has at most four groups; a pattern with more is ten times slower. So lines are proved by one pattern
without groups, and taken apart by several with few.
"""

from __future__ import annotations

from typing import Final

IPV4: Final = r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
"""An IPv4 address in its short form."""

CLOCK: Final = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d"
"""A time of day."""

PORT: Final = r"\d{1,5}"
"""What may be a port."""


def quoted(text: str) -> str:
    """Write a text in SQL."""
    return "'" + text.replace("'", "''") + "'"


def full_match(subject: str, pattern: str) -> str:
    """Tell whether a text is all of a pattern."""
    return f"regexp_full_match({subject}, {quoted(pattern)}, 's')"


def groups(subject: str, pattern: str, *names: str) -> str:
    """Take a text apart; a group that takes no part is empty, as all are where the pattern does not fit."""
    listed = ", ".join(map(quoted, names))
    return f"regexp_extract({subject}, {quoted(pattern)}, [{listed}], 's')"


def whole(subject: str, pattern: str) -> str:
    """Return the one group of a pattern; empty where it does not fit."""
    return f"regexp_extract({subject}, {quoted(pattern)}, 1, 's')"


def nanoseconds(clock: str, rest: str, form: str) -> str:
    """Read a time whose seconds may have decimals, at most nine; NULL where there is no such time.

    Args:
        clock: SQL of the time up to its whole seconds.
        rest: SQL of what follows: ` +0000`, or `.25 +0000`.
        form: How a time without decimals is written, for DuckDB's `strptime`.
    """
    plain, exact = (
        f"epoch_ns(try_strptime({clock} || {zone}, {quoted(form)}))" for zone in (rest, f"right({rest}, 6)")
    )
    decimals = f"rpad(substr({rest}, 2, strlen({rest}) - 7), 9, '0')::BIGINT"
    return f"CASE WHEN strlen({rest}) = 6 THEN {plain} ELSE {exact} + {decimals} END"
