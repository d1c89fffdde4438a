"""What a person made of alerts: acts, one after another, and the standing that follows from them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

from lab.moment import Moment

Act = Literal["acknowledge", "reopen", "escalate", "calm", "dispose", "note", "undo", "answer"]
"""What one can do. `reopen` takes back `acknowledge`, `calm` takes back `escalate`; `answer` ends what is
graded: what comes later is not."""

ACTS: Final[tuple[Act, ...]] = get_args(Act)

Disposition = Literal["TruePositive", "BenignPositive", "FalsePositive", "Undetermined"]
"""What an alert turned out to be: an attack; what the rule is for, by somebody who may; not what the rule is
for; nobody can say."""

DISPOSITIONS: Final[tuple[Disposition, ...]] = get_args(Disposition)


@dataclass(frozen=True, kw_only=True, slots=True)
class Triage:
    """One act: a line of `triage.jsonl`."""

    id: str
    """Names it, to be undone."""

    at: Moment
    """When."""

    act: Act
    """What was done."""

    alerts: tuple[str, ...] = ()
    """Ids of the alerts it was done to."""

    disposition: Disposition | None = None
    """What they turned out to be, for `dispose`."""

    reason: str = ""
    """Why, for `dispose`: a technique, or who did what."""

    note: str = ""
    """What else is to be said."""

    undoes: str = ""
    """The act that it takes back, for `undo`."""


def new_act(act: Act, alerts: Iterable[str] = (), **said: str) -> Triage:
    """Make an act of now, with an id of its own."""
    made = Triage(id=secrets.token_hex(6), at=Moment.now(), act=act, alerts=tuple(alerts))
    return replace(made, **said)  # type: ignore[arg-type]  # its own fields, by name


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What was made of one alert so far."""

    acknowledged: bool = False
    """Whether somebody is done with it."""

    escalated: bool = False
    """Whether somebody else is to look at it."""

    disposition: Disposition | None = None
    """What it turned out to be."""

    reason: str = ""
    """Why."""

    notes: tuple[str, ...] = ()
    """What was said of it, in order."""


UNTOUCHED: Final = Standing()
"""Of an alert that nobody did anything to."""


def standings(acts: Iterable[Triage]) -> Mapping[str, Standing]:
    """Say what was made of each alert, by its id; those that nobody touched are left out."""
    every = tuple(acts)
    taken_back = {it.undoes for it in every if it.act == "undo"}
    found: dict[str, Standing] = {}
    for act in every:
        if act.id not in taken_back:
            for alert in act.alerts:
                found[alert] = _after(found.get(alert, UNTOUCHED), act)
    return found


def _after(standing: Standing, act: Triage) -> Standing:
    notes = (*standing.notes, act.note) if act.note else standing.notes
    match act.act:
        case "acknowledge" | "reopen":
            return replace(standing, acknowledged=act.act == "acknowledge", notes=notes)
        case "escalate" | "calm":
            return replace(standing, escalated=act.act == "escalate", notes=notes)
        case "dispose":
            decided = act.disposition is not None
            return replace(
                standing, disposition=act.disposition, reason=act.reason, acknowledged=decided, notes=notes
            )
        case _:
            return replace(standing, notes=notes)


def answered(acts: Iterable[Triage]) -> tuple[Triage, ...] | None:
    """Return the acts up to the end of the answers; None when nobody said that they are done."""
    every = tuple(acts)
    ends = [place for place, it in enumerate(every) if it.act == "answer"]
    return every[: ends[0]] if ends else None
