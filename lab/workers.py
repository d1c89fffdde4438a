"""Several things at once: one bounded pool, everybody finishes, then all errors together."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Final, TypeVar

Result = TypeVar("Result")

_WORKERS: Final = 8
"""The engine serves eight callers as quickly as it ever will on two processors (PLATFORM figures)."""


def together(
    tasks: Sequence[Callable[[], Result]], *, workers: int = _WORKERS, stop: threading.Event | None = None
) -> list[Result]:
    """Run all tasks, at most `workers` at a time, and return their results in order.

    Args:
        tasks: What to run.
        workers: How many at once.
        stop: Set when the user stops the program; a task that takes long looks at it.

    Raises:
        LabError: one task failed.
        ExceptionGroup: several failed; all of them are in it.
    """
    if not tasks:
        return []
    with ThreadPoolExecutor(max_workers=min(workers, len(tasks))) as pool:
        futures = [pool.submit(task) for task in tasks]
        try:
            wait(futures)
        except KeyboardInterrupt:
            if stop is not None:
                stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    errors = [error for future in futures if isinstance(error := future.exception(), Exception)]
    if len(errors) > 1:
        raise ExceptionGroup("several tasks failed", errors)
    if errors:
        raise errors[0]
    return [future.result() for future in futures]


class Stop(threading.Event):
    """An event that also calls whoever asked to be called when it is set."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[Callable[[], None]] = []

    def set(self) -> None:
        """Stop all that listens; a second time nothing more happens."""
        if not self.is_set():
            super().set()
            for call in tuple(self._calls):
                call()

    @contextmanager
    def calling(self, call: Callable[[], None]) -> Iterator[None]:
        """Call something when this is set while the body runs, or at once when it is set already."""
        self._calls.append(call)
        try:
            if self.is_set():
                call()
            yield
        finally:
            self._calls.remove(call)


@contextmanager
def told_to_stop(stop: Stop, tell: Callable[[], None]) -> Iterator[None]:
    """Let the first Ctrl-C set a stop while the body runs, and the second one interrupt it.

    Args:
        stop: What is set.
        tell: Says so to the user.
    """
    numbers = [it for it in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(it) != signal.SIG_IGN]

    def told(_number: int, _frame: object) -> None:
        """Stop, in a thread of its own: the one that is interrupted may hold what setting needs."""
        if stop.is_set():
            raise KeyboardInterrupt
        threading.Thread(target=stop.set, daemon=True).start()
        tell()

    before = {number: signal.signal(number, told) for number in numbers if _is_main()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()
