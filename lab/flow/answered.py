"""Which run it is that somebody answers to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.errors import NotFound, WrongInput
from lab.flow.context import Context
from lab.flow.labs import find_lab

if TYPE_CHECKING:
    from lab.runs.folder import RunFolder


def ours_alone(run: RunFolder, node: str) -> None:
    """Refuse to touch what is not the defender's: the machine that an attack comes from is a stranger's.

    Raises:
        WrongInput: it is.
    """
    from lab.exercise.scenario import strangers_of

    if run.happened.scenario.exists() and node in strangers_of(run.happened.scenario):
        raise WrongInput(f"{node} is the attacker's own machine: a defender does not reach it")


def run_answered(name: str, context: Context) -> RunFolder:
    """Return the run that a response or a case is about: the one that is named, else the last in the lab.

    Raises:
        NotFound: there is none.
    """
    from lab.runs import folder

    if name:
        return folder.find(context.workplace, name)
    lab_now = find_lab(context)
    here = [it for it in folder.list_runs(context.workplace) if it.header().lab == lab_now]
    if not here:
        remedy = "lab run mock-breach --respond  plays one;  lab watch  keeps one of what is done by hand"
        raise NotFound(f"run in the lab {lab_now}", name="", remedy=remedy)
    return here[-1]
