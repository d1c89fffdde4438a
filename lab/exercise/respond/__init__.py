"""The kinds of response there are. To add one: a module here, and its class in this list."""

from __future__ import annotations

from typing import Final

from lab.exercise.listed import by_kind
from lab.exercise.respond.base import Action
from lab.exercise.respond.block import Block
from lab.exercise.respond.isolate import Isolate
from lab.exercise.respond.kill import Kill
from lab.exercise.respond.lock import Lock
from lab.exercise.respond.remove import Remove
from lab.exercise.respond.restore import Restore

ACTIONS: Final[dict[str, type[Action]]] = by_kind(Block, Isolate, Kill, Lock, Remove, Restore)
"""Word of the command line to the class that does it."""
