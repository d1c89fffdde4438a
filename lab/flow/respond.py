"""Stages that act against an attack: responses, and taking them back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lab.errors import NotFound
from lab.flow.context import Context
from lab.flow.labs import (
    apply_plan,
    await_ready,
    bake_images,
    find_lab,
    hand_secrets,
    lab_at_hand,
    plan_nodes,
)
from lab.provision.lock import locked

if TYPE_CHECKING:
    from lab.engine.nodes import SeenNode
    from lab.exercise.respond.base import Action
    from lab.exercise.respond.carrying import Carrying
    from lab.runs.folder import RunFolder
    from lab.runs.response import Response


@dataclass(frozen=True, kw_only=True, slots=True)
class Answering:
    """A response, and the run that it is an answer to."""

    action: Action
    """What is done."""

    run: str = ""
    """The run's id, or how it begins; the last one in the lab when empty."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TakingBack:
    """Which response is to be undone."""

    id: str = ""
    """Its id, or how it begins; the last one that stands when empty."""

    run: str = ""
    """The run's id, or how it begins; the last one in the lab when empty."""


def respond(answering: Answering, context: Context) -> Response:
    """A response -> what came of it, once it is known that it is so."""
    return _carrying(answering.run, context).carry_out(answering.action)


def take_back(taking: TakingBack, context: Context) -> Response:
    """Which response -> what came of taking it back."""
    return _carrying(taking.run, context).take_back(taking.id)


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


def _carrying(name: str, context: Context) -> Carrying:
    """Prepare to act; whoever else wants to waits, since two would read each other's half-done work."""
    from lab.exercise.respond.carrying import Carrying

    run = run_answered(name, context)
    context.lab_name = run.header().lab
    context.held.enter_context(locked(f"{context.lab_name} response", doing=context.command))
    return Carrying(
        engine=context.engine,
        lab=context.lab_name,
        written=run.response,
        renew=partial(_renew, context),
    )


def _renew(context: Context, node: SeenNode) -> None:
    planned = bake_images(plan_nodes(lab_at_hand(context), frozenset({node.name}), context), context)
    await_ready(hand_secrets(apply_plan(planned, context), context), context)
