"""Sends a run to a SIEM while it goes on, from the same folder that a later push would read.

The run never waits for the SIEM, and no fault of the SIEM's ends it: what did not arrive by the end is sent
once more, and then named with the command that catches up.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from lab.errors import LabError
from lab.siem.push import Pusher

_EVERY: Final = 1.0
"""Seconds between two looks for what is new."""

_AWAY: Final = 10.0
"""Seconds until a SIEM that was away is tried again."""

_LAST: Final = 20.0
"""Seconds that are usual for that."""


@contextmanager
def following(pusher: Pusher, *, last: float = _LAST) -> Iterator[None]:
    """Send a run's events and alerts as they are stored, while the body runs, and the rest at its end.

    Args:
        pusher: Sends them.
        last: Seconds in which the rest must be taken when the run is over.
    """
    over = threading.Event()
    thread = threading.Thread(
        target=_follow, args=(replace(pusher, patience=0, stop=over), over), daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        _finish(replace(pusher, patience=last))


def _follow(pusher: Pusher, over: threading.Event) -> None:
    away = False
    while not over.wait(_AWAY if away else _EVERY):
        try:
            pusher.advance()
        except LabError as error:
            if not away:
                pusher.tell(f"{error.message()}\n    the run goes on, and is sent when it is back")
            away = True
        else:
            away = False


def _finish(pusher: Pusher) -> None:
    try:
        found = pusher.push()
    except LabError as error:
        pusher.tell(f"{error.message()}\n    lab siem push {pusher.run}  sends the rest")
        return
    sent = " and ".join(f"{count} {stream}" for stream, count in found.sent.items())
    pusher.tell(f"{pusher.sink.name} has {sent or 'nothing'} of this run")
