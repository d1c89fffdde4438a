"""Points in time: integer nanoseconds since 1970 in UTC inside, ISO 8601 at the edges."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final, Self

SECOND: Final = 1_000_000_000
"""One second in nanoseconds."""


_STEADY: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that nobody can set; on Linux it goes on while a laptop sleeps."""

_BEGUN: Final = time.time_ns() - time.clock_gettime_ns(_STEADY)


def clock_jump() -> int:
    """Return by how much this machine's clock was set since the program began, in nanoseconds."""
    return time.time_ns() - Moment.now()


class Moment(int):
    """Nanoseconds since 1970-01-01 in UTC. Differences of two are plain nanoseconds."""

    __slots__ = ()

    @classmethod
    def now(cls) -> Self:
        """Return the time: this machine's clock as it was when the program began, and what has passed since.

        So the length between two moments is right also when somebody sets the clock meanwhile.
        """
        return cls(_BEGUN + time.clock_gettime_ns(_STEADY))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ISO 8601.

        Args:
            text: A time with a zone; one without is taken as UTC. At most nine decimals count.

        Raises:
            ValueError: the text is not a time in ISO 8601.
        """
        whole, _, rest = text.partition(".")
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        read = datetime.fromisoformat(whole + rest[len(digits) :])
        aware = read if read.tzinfo else read.replace(tzinfo=UTC)
        return cls(int(aware.timestamp()) * SECOND + int(digits[:9].ljust(9, "0")))

    def iso(self) -> str:
        """Write ISO 8601 in UTC with all nine decimals, so that it reads back exactly."""
        seconds, rest = divmod(int(self), SECOND)
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"

    def clock(self) -> str:
        """Write the time of day in UTC with tenths of a second, for a terminal."""
        return self.iso()[11:21]
