"""Which run it is that somebody answers to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.errors import NotFound, WrongInput
from lab.flow.context import Context
from lab.flow.labs import find_lab

if TYPE_CHECKING:
    from lab.engine.nodes import RunningLab, SeenNode
    from lab.runs.folder import RunFolder


def defended(run: RunFolder, node: str, context: Context) -> tuple[RunningLab, SeenNode]:
    """Return a node that a defender may act on, and the lab as it is now: the only way to one.

    Raises:
        NotFound: there is none of that name.
        WrongInput: the attack comes from it, so it is a stranger's.
    """
    from lab.exercise.scenario import strangers_of

    running = context.engine.observe(run.header().lab)
    seen = running.node(node)
    if seen is None:
        known = tuple(it.name for it in running.nodes if not it.passing)
        raise NotFound("node", name=node, known=known, remedy="" if known else "lab up  makes the lab")
    if run.happened.scenario.exists() and node in strangers_of(run.happened.scenario):
        raise WrongInput(f"{node} is the attacker's own machine: a defender does not reach it")
    return running, seen


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
