"""Stages that act against an attack: responses, and taking them back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from lab.errors import LabError
from lab.flow.answered import defended, run_answered
from lab.flow.context import Context
from lab.flow.labs import (
    Standing,
    apply_plan,
    await_ready,
    bake_images,
    hand_secrets,
    lab_at_hand,
    plan_nodes,
)
from lab.provision.lock import locked
from lab.runs.response import Response, new_response

if TYPE_CHECKING:
    from lab.engine.nodes import SeenNode
    from lab.exercise.respond.base import Action
    from lab.exercise.respond.cacao import Playbook
    from lab.exercise.respond.carrying import Carrying
    from lab.runs.folder import RunFolder


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Following:
    """A playbook."""

    playbook: str
    """Its name or path."""

    values: Mapping[str, str] = field(default_factory=dict)
    """Values of its variables, by name."""

    run: str = ""
    """The run's id, or how it begins; the last one in the lab when empty."""

    on_step: Callable[[str], None] = lambda _said: None
    """Hears what was done, and what a person is to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Followed:
    """A playbook, and what came of it."""

    playbook: Playbook
    """The playbook."""

    failed: tuple[str, ...] = ()
    """What could not be carried out, and why."""


def read_plan(name: str, values: Mapping[str, str], context: Context) -> Playbook:
    """Read a playbook: the user's own, one that ships, or a file.

    Raises:
        NotFound: there is none.
        BadFile: it is none, or not one that can be carried out; every problem is named.
    """
    from lab.exercise.respond.cacao import read_playbook

    return read_playbook(context.workplace.find("responses", name), values)


def hand_in(playbook: Playbook, run: RunFolder) -> Response:
    """Write down which playbook somebody means to go by, by its hash."""
    said = f"playbook {playbook.name!r} was handed in"
    line = new_response("plan", "done", said=said, digest=playbook.digest)
    run.response.add(line)
    return line


def hand_in_plan(following: Following, context: Context) -> Response:
    """A playbook -> the line in the run that says which it is."""
    playbook = read_plan(following.playbook, following.values, context)
    return hand_in(playbook, run_answered(following.run, context))


def follow(following: Following, context: Context) -> Followed:
    """A playbook -> what came of carrying it out, in its order; what fails does not stop the rest."""
    from lab.flow.evidence import Securing, secure

    playbook = read_plan(following.playbook, following.values, context)
    run = run_answered(following.run, context)
    hand_in(playbook, run)
    failed: list[str] = []
    carrying = _carrying(following.run, context)
    for it in playbook.planned:
        if it.action is None and not it.evidence:
            following.on_step(f"for you: {it.line}")
            continue
        try:
            if it.action is None:
                secure(Securing(node=it.evidence, run=following.run), context)
                following.on_step(f"evidence of {it.evidence} is taken")
            else:
                following.on_step(carrying.carry_out(it.action).said)
        except LabError as error:
            failed.append(f"{it.line}: {error}")
    return Followed(playbook=playbook, failed=tuple(failed))


def _carrying(name: str, context: Context) -> Carrying:
    """Prepare to act; whoever else wants to is refused, since two would read each other's half-done work."""
    from lab.exercise.respond.carrying import Carrying

    run = run_answered(name, context)
    context.lab_name = run.header().lab
    context.held.enter_context(locked(f"{context.lab_name} response", doing=context.command))
    return Carrying(
        engine=context.engine,
        find=lambda node: defended(run, node, context),
        written=run.response,
        renew=partial(_renew, context),
        settle=partial(_settle, context),
    )


def _renew(context: Context, node: SeenNode) -> None:
    planned = bake_images(plan_nodes(lab_at_hand(context), frozenset({node.name}), context), context)
    await_ready(hand_secrets(apply_plan(planned, context), context), context)


def _settle(context: Context) -> None:
    lab = lab_at_hand(context)
    await_ready(Standing(lab=lab, running=context.engine.observe(lab.name), changed=True), context)
