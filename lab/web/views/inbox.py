"""The queue of alerts, one alert, and what is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from lab.detect.alert import LEVELS
from lab.errors import NotFound, WrongInput
from lab.runs.triage import ACTS, DISPOSITIONS, UNTOUCHED, new_act
from lab.web.inbox import BYS, STATES, Lines, View, lines
from lab.web.opened import Opened
from lab.web.pages import Form, back_to, one, opened, page

_PAGE: Final = 100
"""Lines of the queue on a page."""

_LONGEST: Final = 4000
"""Characters of a reason or note."""

_SHOWN_EVENTS: Final = 50
"""Events of an alert that are shown; the hunt has all."""

_FIELDS: Final = ("event.module", "host.name", "event.action", "source.ip", "user.name", "event.original")


def view_of(query: Mapping[str, str]) -> View:
    """Read from an address which alerts are shown; what is no such word is left out."""
    view = View(text=query.get("q", "")[:_LONGEST], rule=query.get("rule", ""))
    for by in BYS:
        view = replace(view, by=by) if query.get("by") == by else view
    for state in STATES:
        view = replace(view, state=state) if query.get("state") == state else view
    for level in LEVELS:
        view = replace(view, level=level) if query.get("level") == level else view
    return view


def _lines(run: Opened, view: View) -> Lines:
    stories = run.stories() if view.by == "incident" else {}
    return lines(run.alerts.rows(), run.standings(), view, stories)


def inbox(request: Request) -> Response:
    """Show the queue."""
    run, query = opened(request), request.query_params
    view = view_of(query)
    found = _lines(run, view)
    start = _PAGE * (int(query["page"]) if query.get("page", "").isdecimal() else 0)
    kept = {name: value for name, value in query.items() if name not in {"page", "done"}}
    return page(
        request,
        "inbox.html.j2",
        opened=run,
        view=view,
        groups=found.page(start, _PAGE),
        total=found.total,
        lines=len(found),
        start=start,
        query=kept,
        here=f"{request.url.path}?{urlencode(kept)}",
        done=query.get("done", ""),
        bys=BYS,
        states=STATES,
        levels=LEVELS,
        dispositions=DISPOSITIONS,
        page_number=start // _PAGE,
        more=start + _PAGE < len(found),
    )


def group(request: Request) -> Response:
    """Show the alerts of one line."""
    run = opened(request)
    view = view_of(request.query_params)
    found = _lines(run, view).find(request.query_params.get("key", ""))
    if found is None:
        raise NotFound("line of the queue", name=request.query_params.get("key", ""), remedy="it may be done")
    wanted = set(found.alerts)
    rows = [it for it in run.alerts.rows() if it.id in wanted]
    return page(
        request, "group.html.j2", opened=run, group=found, rows=rows[-500:], standings=run.standings(),
        untouched=UNTOUCHED,
    )  # fmt: skip


def alert(request: Request) -> Response:
    """Show one alert: who and where, on which events it rests, and what was made of it."""
    run = opened(request)
    found = run.alerts.whole(request.path_params["alert"])
    if found is None:
        raise NotFound("alert", name=request.path_params["alert"])
    events = run.events.events(found.event_ids[:_SHOWN_EVENTS], _FIELDS)
    return page(
        request,
        "alert.html.j2",
        opened=run,
        alert=found,
        events=events,
        standing=run.standings().get(found.id, UNTOUCHED),
        dispositions=DISPOSITIONS,
        here=request.url.path,
        done=request.query_params.get("done", ""),
    )


def triage(request: Request, form: Form) -> Response:
    """Do something to alerts: to one, to lines of the queue, or to all that a view shows."""
    run = opened(request)
    act = next((it for it in ACTS if it == one(form, "act")), None)
    if act is None:
        raise WrongInput(f"{one(form, 'act')!r} is nothing that can be done to alerts: {', '.join(ACTS)}")
    disposition = next((it for it in DISPOSITIONS if it == one(form, "disposition")), None)
    if act == "dispose" and disposition is None:
        raise WrongInput(f"say what it turned out to be: {', '.join(DISPOSITIONS)}")
    made = new_act(act, _meant(run, form) if act not in {"undo", "answer"} else ())
    made = replace(
        made,
        disposition=disposition,
        reason=one(form, "reason")[:_LONGEST],
        note=one(form, "note")[:_LONGEST],
        undoes=one(form, "undoes"),
    )
    if act == "undo" and made.undoes not in {it.id for it in run.triage.entries()}:
        raise NotFound("act to take back", name=made.undoes)
    if act not in {"undo", "answer"} and not made.alerts:
        raise WrongInput("nothing is chosen; choose lines first")
    asked = _to_confirm(request, run, form, made.alerts)
    if asked is not None:
        return asked
    run.triage.add(made)
    return back_to(form, f"/run/{run.name}/inbox", done=made.id)


def _meant(run: Opened, form: Form) -> tuple[str, ...]:
    """Return the alerts that a form means: those it names, or those of its lines, or all of its view."""
    if "alert" in form:
        known = {it.id for it in run.alerts.rows()}
        return tuple(it for it in form["alert"] if it in known)
    query = dict(parse_qsl(urlsplit(one(form, "back")).query, keep_blank_values=True))
    return _lines(run, view_of(query)).alerts(None if one(form, "all") else frozenset(form.get("key", ())))


def _to_confirm(request: Request, run: Opened, form: Form, alerts: tuple[str, ...]) -> Response | None:
    """Ask whether as many alerts are meant as there are now; one line, or one alert, needs no question."""
    if not one(form, "all") and len(form.get("key", ())) < 2:  # noqa: PLR2004  # several
        return None
    if one(form, "count") == str(len(alerts)):
        return None
    again = [(name, value) for name, values in form.items() if name != "count" for value in values]
    return page(
        request, "confirm.html.j2", status=409, opened=run, count=len(alerts), fields=again,
        act=one(form, "act"), action=request.url.path, back=one(form, "back", f"/run/{run.name}/inbox"),
    )  # fmt: skip
