"""Several things at once: one bounded pool, everybody finishes, then all errors together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
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
