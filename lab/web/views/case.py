"""The case of a run: pinned events and entries of one's own by time, notes, indicators, responses."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from lab.errors import NotFound, WrongInput
from lab.moment import Moment
from lab.runs.case import SORTS, CaseEntry, new_entry, present
from lab.runs.triage import DISPOSITIONS
from lab.web.alerts import Row
from lab.web.pages import Form, back_to, one, opened, page

_LONGEST: Final = 4000
_FIELDS: Final = ("event.module", "host.name", "event.action", "source.ip", "user.name", "event.original")

STEPS: Final = ("preparation", "identification", "containment", "eradication", "recovery", "lessons learned")
"""The order of a response (SANS, PICERL)."""


def case(request: Request) -> Response:
    """Show the case."""
    run = opened(request)
    entries = present(run.case.entries())
    pinned = [it.event for it in entries if it.sort == "pin"]
    events = {str(it["event.id"]): it for it in run.events.events(pinned, _FIELDS)} if pinned else {}
    standings = run.standings()
    rows = run.alerts.rows()
    attacks = [it for it in rows if it.id in standings and standings[it.id].disposition == DISPOSITIONS[0]]
    line: list[tuple[int, CaseEntry | None, Row | None]] = []
    line += [(int(it.when), it, None) for it in entries if it.when is not None]
    line += [(it.first, None, it) for it in attacks]
    return page(
        request,
        "case.html.j2",
        opened=run,
        line=sorted(line, key=lambda it: it[0]),
        rest=[it for it in entries if it.when is None],
        events=events,
        standings=standings,
        steps=STEPS,
        here=request.url.path,
    )


def add(request: Request, form: Form) -> Response:
    """Add to the case, or take out of it."""
    run = opened(request)
    sort = next((it for it in SORTS if it == one(form, "sort")), None)
    if sort is None:
        raise WrongInput(f"{one(form, 'sort')!r} is nothing that a case has: {', '.join(SORTS)}")
    text, event = one(form, "text").strip()[:_LONGEST], one(form, "event")
    if sort == "removed":
        removes = one(form, "removes")
        if removes not in {it.id for it in run.case.entries()}:
            raise NotFound("entry of the case", name=removes)
        run.case.add(new_entry(sort, removes=removes))
        return back_to(form, f"/run/{run.name}/case")
    when = _when(one(form, "when"))
    if sort == "pin":
        found = run.events.event(event)
        if found is None:
            raise NotFound("event", name=event)
        when = Moment(int(str(found["@timestamp"])))
    elif not text:
        raise WrongInput("write something first")
    run.case.add(new_entry(sort, text=text, when=when, event=event if sort == "pin" else ""))
    return back_to(form, f"/run/{run.name}/case")


def _when(text: str) -> Moment | None:
    if not text.strip():
        return None
    try:
        return Moment.parse(text.strip())
    except ValueError as error:
        raise WrongInput(f"{text!r} is no time; write  2026-11-27T14:05:00  (UTC)") from error
