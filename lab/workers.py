"""Several things at once: one bounded pool, everybody finishes, then all errors together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

Result = TypeVar("Result")

_WORKERS: Final = 8
"""The engine serves eight callers as quickly as it ever will on two processors (PLATFORM figures)."""


def together(tasks: Sequence[Callable[[], Result]], *, workers: int = _WORKERS) -> list[Result]:
    """Run all tasks, at most `workers` at a time, and return their results in order.

    Raises:
        LabError: one task failed.
        ExceptionGroup: several failed; all of them are in it.
    """
    if not tasks:
        return []
    with ThreadPoolExecutor(max_workers=min(workers, len(tasks))) as pool:
        futures = [pool.submit(task) for task in tasks]
    errors = [error for future in futures if isinstance(error := future.exception(), Exception)]
    if len(errors) > 1:
        raise ExceptionGroup("several tasks failed", errors)
    if errors:
        raise errors[0]
    return [future.result() for future in futures]
