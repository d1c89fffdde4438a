"""Carries responses out and takes them back: each is written down before it is done, and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Protocol

from lab.engine.engine import Engine
from lab.engine.nodes import RunningLab, SeenNode
from lab.errors import LabError, NotFound
from lab.exercise.respond import ACTIONS
from lab.exercise.respond.base import Action, Hand
from lab.exercise.respond.words import option_value
from lab.moment import Moment
from lab.runs.response import Acted, Response, State, acts, new_response


class Written(Protocol):
    """Where responses are written down."""

    def entries(self) -> tuple[Response, ...]:
        """Return all lines, the oldest first."""
        ...

    def add(self, record: Response) -> None:
        """Write a line; when this returns, it is on disk."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Carrying:
    """Responses in one lab."""

    engine: Engine
    """Where it is."""

    find: Callable[[str], tuple[RunningLab, SeenNode]]
    """Finds a node that may be acted on, and the lab as it is now; raises why it may not."""

    written: Written
    """Where they are written down."""

    renew: Callable[[SeenNode], None]
    """Makes a node of this name from its baked image."""

    settle: Callable[[], None]
    """Waits until every node of the lab is ready."""

    def carry_out(self, action: Action) -> Response:
        """Do it; return its last line.

        Raises:
            WrongInput: it cannot be done as it was asked for; nothing was changed.
            NotDone: it was done, and did not help.
        """
        begun = new_response(
            action.kind, node=action.node, arguments=arguments_of(action), react=action.react
        )
        hand = self._hand(action.node, lambda kept: self.written.add(replace(begun, kept=kept)))
        self.written.add(begun)
        try:
            done = action.act(hand)
        except LabError as error:
            self._end(begun, "failed", str(error))
            raise
        except KeyboardInterrupt:
            self._end(begun, "failed", "stopped by the user")
            raise
        return self._end(begun, "done", done.said, done.kept)

    def take_back(self, name: str = "") -> Response:
        """Take an act back, by how its id begins; without a name the last one that stands.

        Raises:
            NotFound: there is none that could be taken back.
        """
        found = self._found(name)
        action = action_of(found.begun)
        hand = self._hand(action.node, lambda _kept: None)
        begun = replace(found.begun, kept="")
        self._end(begun, "undoing")
        said = action.undo(hand, found.kept)
        return self._end(begun, "undone", said)

    def _found(self, name: str) -> Acted:
        possible = [it for it in acts(self.written.entries()) if it.kept and it.last.state != "undone"]
        matching = [it for it in possible if it.begun.id.startswith(name)]
        if not matching:
            known = tuple(f"{it.begun.id} ({it.begun.action} {it.begun.node})" for it in possible)
            raise NotFound("response that can be taken back", name=name, known=known)
        return matching[-1]

    def _hand(self, node: str, keep: Callable[[str], None]) -> Hand:
        running, seen = self.find(node)
        return Hand(self.engine, running, seen, renew=self.renew, settle=self.settle, keep=keep)

    def _end(self, begun: Response, state: State, said: str = "", kept: str = "") -> Response:
        line = replace(begun, at=Moment.now(), state=state, said=said, kept=kept)
        self.written.add(line)
        return line


def arguments_of(action: Action) -> dict[str, tuple[str, ...]]:
    """Return the options of a response beside its node, as texts; those that were not given are left out."""
    return dict(_given(action))


def _given(action: Action) -> Iterator[tuple[str, tuple[str, ...]]]:
    for it in fields(action):  # type: ignore[arg-type]  # every action is a dataclass
        value = getattr(action, it.name)
        if it.name != "node" and value:
            yield it.name, tuple(map(str, value)) if isinstance(value, tuple) else (str(value),)


def action_of(response: Response) -> Action:
    """Return what was done, of the line that says so."""
    kind = ACTIONS[response.action]
    given: dict[str, object] = {"node": response.node}
    for it in fields(kind):  # type: ignore[arg-type]  # every action is a dataclass
        if it.name in response.arguments:
            said = response.arguments[it.name]
            given[it.name] = option_value(str(it.type), said)
    return kind(**given)
