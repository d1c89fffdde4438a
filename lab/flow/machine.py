"""Stages that look at this machine and prepare it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lab.errors import NotReady
from lab.flow.context import Context
from lab.flow.labs import read_lab
from lab.inventory.definition import Lab
from lab.provision import doctor
from lab.provision.doctor import Requirement

Agree = Callable[[Sequence[str]], bool]
"""Shows a person what will change on this machine, and returns whether it may."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """What to look at, and whether to mend it."""

    inventory: str = ""
    """The inventory that is to run."""

    fix: bool = False
    """Whether to install and start what is missing."""

    agree: Agree
    """Asked before anything is changed."""


def examine_machine(examination: Examination, context: Context) -> tuple[Requirement, ...]:
    """What to look at -> every precondition, as it is once what can be mended was mended."""
    lab = read_lab(examination.inventory, context)
    found = _examine(lab, context)
    if examination.fix and any(not it.ready and it.name in doctor.MENDED for it in found):
        _prepare(examination.agree, context)
        found = _examine(lab, context)
    return found


def _examine(lab: Lab, context: Context) -> tuple[Requirement, ...]:
    return doctor.examine(context.connect, context.workplace.folder, lab)


def _prepare(agree: Agree, context: Context) -> None:
    """Say what will change, ask, then do it."""
    doctor.refuse_unless_root()
    if not agree(doctor.changes(context.workplace)):
        raise NotReady("nothing was changed", remedy="lab demo --replay  works without an engine")
    doctor.prepare(context.workplace, context.tell, context.stop)


@dataclass(frozen=True, kw_only=True, slots=True)
class Engagement:
    """Whether an engine is wanted at all."""

    replay: bool
    """Whether a recorded run will do."""

    agree: Agree
    """Asked before anything is changed."""


def engine_for_demo(engagement: Engagement, context: Context) -> bool:
    """Whether one is wanted -> whether an engine answers, installed and started where it was missing."""
    if engagement.replay:
        return False
    try:
        found = doctor.examine(context.connect, context.workplace.folder, unbaked=0)
        if not found[0].ready:  # `up` asks for the rest
            _prepare(engagement.agree, context)
    except NotReady as error:
        context.tell(error.message().replace("\n", " "))
        context.tell("no engine can be had here, so a recorded run is replayed instead")
        return False
    return True
