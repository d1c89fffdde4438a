"""What Docker's daemon tells of one lab as it happens. Knows the form of its events, not its client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from lab.engine import translation
from lab.engine.facts import Happening


class Told:
    """The daemon's events, those that are about one lab."""

    def __init__(self, events: Any, lab: str) -> None:  # noqa: ANN401  # docker's stubs do not know what it is
        self._events = events
        self._lab = lab

    def __iter__(self) -> Iterator[Happening]:
        """Yield each change, until we or the daemon hang up."""
        with suppress(OSError, ValueError, AttributeError):  # hung up in the middle of a word
            for event in self._events:
                if found := translation.happening(event, self._lab):
                    yield found

    def close(self) -> None:
        """Hang up."""
        with suppress(OSError, AttributeError):  # it has hung up already
            self._events.close()
