"""Those who may take their time: batches are handed to a thread, so that nobody who reads waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from queue import Full, Queue
from typing import Final, Generic, TypeVar

Thing = TypeVar("Thing")

_LOOK_EVERY: Final = 0.1
"""Seconds after which whoever waits for room looks whether anybody still takes."""


class Behind(Generic[Thing]):
    """Does something with each thing it is given, in the order they came; one waits while another is done.

    What goes wrong is raised to whoever gives the next thing, asks, or closes. A program that forgets to
    close it ends all the same.
    """

    def __init__(self, work: Callable[[Thing], None]) -> None:
        """Begin."""
        self._work = work
        self._fault: BaseException | None = None
        self._told = False
        self._waiting: Queue[Thing | None] = Queue(maxsize=1)
        self._thread = threading.Thread(target=self._run, name="behind", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with ExitStack() as ends:
            ends.push(self._failed)
            while (thing := self._waiting.get()) is not None:
                self._work(thing)

    def _failed(self, _kind: object, fault: BaseException | None, _trace: object) -> bool:
        """Keep what went wrong for whoever asks."""
        self._fault = fault
        return True

    def check(self) -> None:
        """Raise what went wrong with a thing that was given before."""
        if self._fault:
            self._told = True
            raise self._fault

    def put(self, thing: Thing) -> None:
        """Give one more; wait while there is no room. What went wrong with one before is raised."""
        self._hand(thing)
        self.check()

    def _hand(self, thing: Thing | None) -> None:
        while self._thread.is_alive():
            try:
                self._waiting.put(thing, timeout=_LOOK_EVERY)
            except Full:
                continue
            return

    def close(self) -> None:
        """Wait until all that was given is done. What went wrong is raised, unless it was before."""
        self._hand(None)
        self._thread.join()
        if not self._told:
            self.check()
