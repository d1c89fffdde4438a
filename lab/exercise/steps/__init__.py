"""The kinds of step there are. To add one: a module here, and its class in this list."""

from __future__ import annotations

from typing import Final

from lab.exercise.steps.base import Step
from lab.exercise.steps.command import Command
from lab.exercise.steps.nmap import Nmap
from lab.exercise.steps.ssh import Ssh
from lab.exercise.steps.wait import Wait


def _by_name(*kinds: type[Step]) -> dict[str, type[Step]]:
    found = {kind.kind: kind for kind in kinds}
    if len(found) != len(kinds):
        raise ValueError("two kinds of step have the same name")
    return found


STEP_KINDS: Final = _by_name(Command, Nmap, Ssh, Wait)
"""Name in a scenario to the class that does it."""
