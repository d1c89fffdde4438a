"""What was done against an attack: `response.jsonl`, a line before each act and a line after it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from lab.moment import SECOND, Moment

State = Literal["begun", "done", "failed", "undoing", "undone"]
"""Before the act; how it ended; before it is taken back, and after that."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """One act, at one moment: a line of `response.jsonl`."""

    id: str
    """Names the act."""

    at: Moment
    """When."""

    state: State
    """How far it was then."""

    action: str
    """What it does: `isolate`, `block`, `lock`, `kill`, `remove`, `restore`; `evidence`; `plan` for a
    playbook that was handed in."""

    node: str = ""
    """To which node."""

    arguments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """With what, by the names of its options."""

    react: str = ""
    """Which response action of RE&CT it is."""

    said: str = ""
    """What came of it, for people; why it failed."""

    kept: str = ""
    """What is needed to take it back, as JSON."""

    digest: str = ""
    """SHA-256 of a playbook that was handed in, or of an evidence manifest."""


def new_response(action: str, state: State = "begun", **said: object) -> Response:
    """Make the first line of an act of now, with an id of its own that can be typed."""
    made = Response(id=secrets.token_hex(_ID), at=Moment.now(), state=state, action=action)
    return replace(made, **said)  # type: ignore[arg-type]  # its own fields, by name


_ID: Final = 3
"""Bytes of an act's id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Acted:
    """One act with all that its lines say."""

    begun: Response
    """Its first line."""

    last: Response
    """Its last line."""

    kept: str = ""
    """What is needed to take it back, as JSON."""

    done: Moment | None = None
    """When it was done; None when it never was."""


_SETTLES: Final = 3 * SECOND
"""How long after an act its changes are told of, in nanoseconds."""


def is_of_response(subject: str, at: Moment, lines: Iterable[Response]) -> bool:
    """Tell whether what became of a node or a network at some moment is what a response did.

    Args:
        subject: The node, or the network.
        at: When it was noticed.
        lines: All that was done.
    """
    return any(subject == it.node or it.at <= at <= it.at + _SETTLES for it in lines)


def acts(lines: Iterable[Response]) -> tuple[Acted, ...]:
    """Gather the lines of each act, in the order in which they began."""
    found: dict[str, list[Response]] = {}
    for it in lines:
        found.setdefault(it.id, []).append(it)
    return tuple(_acted(it) for it in found.values())


def _acted(lines: list[Response]) -> Acted:
    done = next((it for it in lines if it.state == "done"), None)
    kept = next((it.kept for it in reversed(lines) if it.kept), "")
    return Acted(begun=lines[0], last=lines[-1], kept=kept, done=done.at if done else None)
