"""What a person gathered about a run: pinned events, entries of their own, notes, indicators, responses."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from lab.moment import Moment

Sort = Literal["pin", "entry", "note", "indicator", "response", "removed"]
"""A pinned event; something that happened and is in no log; a note; an indicator; a step of response; that an
earlier one is removed."""

SORTS: Final[tuple[Sort, ...]] = get_args(Sort)


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseEntry:
    """One entry: a line of `case.jsonl`."""

    id: str
    """Names it."""

    at: Moment
    """When it was written."""

    sort: Sort
    """What it is."""

    when: Moment | None = None
    """When what it tells of happened; None for what has no place in the timeline."""

    text: str = ""
    """What it says."""

    event: str = ""
    """The event, for `pin`."""

    removes: str = ""
    """The entry, for `removed`."""


def new_entry(
    sort: Sort, *, text: str = "", when: Moment | None = None, event: str = "", removes: str = ""
) -> CaseEntry:
    """Make an entry of now, with an id of its own."""
    return CaseEntry(
        id=secrets.token_hex(6),
        at=Moment.now(),
        sort=sort,
        when=when,
        text=text,
        event=event,
        removes=removes,
    )


def present(entries: Iterable[CaseEntry]) -> tuple[CaseEntry, ...]:
    """Return what was not removed, in the order of what happened; what has no time comes last."""
    every = tuple(entries)
    removed = {it.removes for it in every if it.sort == "removed"}
    kept = [it for it in every if it.id not in removed and it.sort != "removed"]
    return tuple(sorted(kept, key=lambda it: (it.when is None, it.when or it.at, it.at)))
