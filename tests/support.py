"""Cases as data: YAML files with what goes in and what has to come out."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from lab.files.loader import load
from lab.files.workplace import SHIPPED
from lab.inventory.kind import Kinds

KINDS: Final = Kinds(SHIPPED.roles())
"""The kinds of node that ship."""

CASES: Final = Path(__file__).parent / "cases"
"""Where the cases are, a folder for each subject."""

SAMPLES: Final = Path(__file__).parent / "samples"
"""Logs of others, each folder with their licence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One file of cases."""

    name: str
    """The file's name without its ending."""

    raw: dict[str, Any]
    """What it holds."""


def cases(folder: str) -> list[Case]:
    """Read every case of a folder below `tests/cases`, sorted by name.

    Raises:
        AssertionError: there are none, which would let a test pass that checks nothing.
    """
    paths = sorted((CASES / folder).glob("*.yml"))
    assert paths, f"no cases in {CASES / folder}"
    return [Case(name=path.stem, raw=_mapping(path)) for path in paths]


def by_name(case: Case) -> str:
    """Name a case in pytest's output."""
    return case.name


def _mapping(path: Path) -> dict[str, Any]:
    raw = load(path)[0].plain()
    assert isinstance(raw, dict), f"{path} is not a mapping"
    return raw


def until(holds: Callable[[], bool], *, seconds: float = 5) -> None:
    """Wait until something holds.

    Raises:
        AssertionError: it did not in that time.
    """
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds:g} s"
        time.sleep(0.05)


@contextmanager
def forgetful_client() -> Iterator[None]:
    """Overlook the sockets that Docker's client does not close when its daemon goes away."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        warnings.simplefilter("ignore", pytest.PytestUnraisableExceptionWarning)
        yield
        gc.collect()
