"""The case of a run: pinned events and entries of one's own by time, notes, indicators, responses."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from lab.errors import NotFound, WrongInput
from lab.moment import Moment
from lab.runs.case import (
    SORTS,
    CaseEntry,
    Sort,
    closing,
    faults,
    frozen,
    new_entry,
    new_finding,
    opened_with,
    present,
)
from lab.runs.response import acts
from lab.runs.triage import DISPOSITIONS
from lab.web.alerts import Row
from lab.web.opened import Opened
from lab.web.pages import Form, back_to, one, opened, page

_LONGEST: Final = 4000
_ACTS: Final = frozenset({"opened", "finding", "closed"})
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
    whole = run.case.entries()
    return page(
        request,
        "case.html.j2",
        opened=run,
        is_open=any(it.sort == "opened" for it in whole),
        closed=frozen(whole).closed,
        acts=acts(run.run.response.entries()),
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
    if frozen(run.case.entries()).closed is not None:
        raise WrongInput("the case is closed: what it has is frozen")
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
    if sort in _ACTS:
        run.case.add(_act(sort, run, form, when, text))
        return back_to(form, f"/run/{run.name}/case")
    if sort == "pin":
        found = run.events.event(event)
        if found is None:
            raise NotFound("event", name=event)
        when = Moment(int(str(found["@timestamp"])))
    elif not text:
        raise WrongInput("write something first")
    run.case.add(new_entry(sort, text=text, when=when, event=event if sort == "pin" else ""))
    return back_to(form, f"/run/{run.name}/case")


def _act(sort: Sort, run: Opened, form: Form, when: Moment | None, text: str) -> CaseEntry:
    """Make the entry of a finding, or of opening or closing the case."""
    if sort == "opened":
        return opened_with(())
    if sort == "closed":
        return closing(run.case.entries(), text)
    found = new_finding(
        text=text,
        when=when,
        host=one(form, "host").strip(),
        account=one(form, "account").strip(),
        address=one(form, "address").strip(),
        technique=one(form, "technique").strip().upper(),
        events=tuple(one(form, "events").split()),
    )
    lab = run.lab()
    there = {str(it["event.id"]) for it in run.events.events(found.events, ("event.id",))}
    if wrong := [*faults(found, {it.name for it in lab.nodes} if lab else (), there)]:
        raise WrongInput("; ".join(wrong))
    return found


def _when(text: str) -> Moment | None:
    if not text.strip():
        return None
    try:
        return Moment.parse(text.strip())
    except ValueError as error:
        raise WrongInput(f"{text!r} is no time; write  2026-11-27T14:05:00  (UTC)") from error
