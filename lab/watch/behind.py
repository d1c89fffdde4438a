"""Those who may take their time: batches are handed to a thread, so that nobody who reads waits for them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from queue import Full, Queue
from typing import Final, Generic, TypeVar

Thing = TypeVar("Thing")

_LOOK_EVERY: Final = 0.1
"""Seconds after which whoever waits for room looks whether anybody still takes."""


class Behind(Generic[Thing]):
    """Does something with each thing it is given, in the order they came; one waits while another is done."""

    def __init__(self, work: Callable[[Thing], None]) -> None:
        """Begin."""
        self._work = work
        self._told = False
        self._waiting: Queue[Thing | None] = Queue(maxsize=1)
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="behind")
        self._done: Future[None] = self._pool.submit(self._run)

    def _run(self) -> None:
        while (thing := self._waiting.get()) is not None:
            self._work(thing)

    def check(self) -> None:
        """Raise what went wrong with a thing that was given before."""
        if self._done.done():
            self._told = True
            self._done.result()

    def put(self, thing: Thing) -> None:
        """Give one more; wait while there is no room. What went wrong with one before is raised."""
        self._hand(thing)
        self.check()

    def _hand(self, thing: Thing | None) -> None:
        while not self._done.done():
            try:
                self._waiting.put(thing, timeout=_LOOK_EVERY)
            except Full:
                continue
            return

    def close(self) -> None:
        """Wait until all that was given is done. What went wrong is raised, unless it was before."""
        self._hand(None)
        self._pool.shutdown()
        if not self._told:
            self.check()
