"""The kinds of check there are. To add one: a module here, and its class in this list."""

from __future__ import annotations

from typing import Final

from lab.exercise.checks.base import Check
from lab.exercise.checks.counter import Counter
from lab.exercise.checks.file import File
from lab.exercise.checks.logged import Logged
from lab.exercise.checks.open_port import OpenPort
from lab.exercise.listed import by_kind

CHECK_KINDS: Final[dict[str, type[Check]]] = by_kind(Counter, File, Logged, OpenPort)
"""Name in a scenario to the class that looks."""
