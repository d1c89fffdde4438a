"""Events: a page of them, one of them, how many when, and the answers to questions in SQL."""

from __future__ import annotations

import csv
import io
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from lab.ask.asked import Asked as Question
from lab.ask.bounded import Answer, ask_runs, shown
from lab.ask.questions import saved_questions
from lab.errors import BadQuery, NotFound
from lab.telemetry.event import FIELDS
from lab.text import for_spreadsheet
from lab.web.charts import HEIGHT, WIDTH, bars_drawn
from lab.web.hunting import DEEPEST, PAGE, Hunt, hunt_of
from lab.web.opened import Opened
from lab.web.pages import opened, page

COLUMNS: Final = (
    *("event.module", "host.name", "event.action", "event.outcome"),
    *("source.ip", "destination.ip", "user.name", "event.original"),
)
"""What the table shows of an event."""

GROUPS: Final = (
    *("event.module", "event.action", "event.category", "event.outcome", "host.name", "source.ip"),
    *("destination.ip", "destination.port", "user.name", "process.executable", "process.parent.executable"),
    *("url.path", "http.response.status_code", "user_agent.original", "dns.question.name", "rule.name"),
)
"""Fields that are offered to group by."""

_CSV: Final = 10_000
"""Rows of a table that is downloaded."""

_CELL: Final = 32_000
"""Characters of a cell: spreadsheets take 32,767, and break what is longer into rows."""

_SHOWN_ROWS: Final = 1000
"""Rows of an answer in SQL that are shown."""


def hunt(request: Request) -> Response:
    """Show a page of events, the newest first."""
    run = opened(request)
    asked = hunt_of(request.query_params.multi_items())
    events = run.events.page(asked.asked, COLUMNS, skip=PAGE * asked.page, size=PAGE)
    return page(
        request,
        "hunt.html.j2",
        opened=run,
        hunt=asked,
        events=events,
        columns=COLUMNS[:-1],
        groups=GROUPS,
        fields=tuple(FIELDS),
        more=len(events) == PAGE and asked.page < DEEPEST,
        bars=_bars(run, asked) if "bars" in request.query_params else None,
        values=_values(run, asked) if "bars" in request.query_params else None,
    )


def _values(run: Opened, asked: Hunt) -> list[tuple[str | None, int]] | None:
    """Count the values of the field that a hunt groups by; None when it does not."""
    return run.events.top(asked.asked, asked.group) if asked.group else None


def values(request: Request) -> Response:
    """Show how many events there are of each value: a part of the page."""
    run = opened(request)
    asked = hunt_of(request.query_params.multi_items())
    return page(request, "values.html.j2", opened=run, hunt=asked, values=_values(run, asked) or [])


def _bars(run: Opened, asked: Hunt) -> dict[str, object]:
    """Draw when the events of a hunt were; the time shown is that of the hunt, or else all."""
    whole = run.events.span() or (0, 0)
    span = (asked.start or whole[0], (asked.end or whole[1] + 1) - 1)
    found = run.events.bars(asked.asked, (span[0], max(span)))
    return {
        "bars": bars_drawn(found),
        "total": sum(found.counts),
        "span": (found.start, found.start + found.width * len(found.counts)),
        "width": found.width,
        "size": (WIDTH, HEIGHT),
    }


def bars(request: Request) -> Response:
    """Show how many events there were when: a part of the page."""
    run = opened(request)
    asked = hunt_of(request.query_params.multi_items())
    return page(request, "bars.html.j2", opened=run, hunt=asked, bars=_bars(run, asked))


def download(request: Request) -> Response:
    """Send the newest events of a hunt as CSV."""
    run = opened(request)
    asked = hunt_of(request.query_params.multi_items())
    names = ("@timestamp", "event.id", *COLUMNS)
    events = run.events.page(asked.asked, names, size=_CSV)
    rows = [[str(it.get(name, "")) for name in names] for it in events]
    return _csv(f"{run.name}-events.csv", [list(names), *rows])


def _csv(name: str, rows: list[list[str]]) -> Response:
    out = io.StringIO()
    guarded = ([for_spreadsheet(it[:_CELL]) for it in row] for row in rows)
    csv.writer(out, lineterminator="\n").writerows(guarded)
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return Response(out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)


def event(request: Request) -> Response:
    """Show one event: its fields, the line as it was, and where that stands."""
    run = opened(request)
    at = request.query_params.get("at", "")
    near = int(at) if at.isdecimal() else None
    found = run.events.event(request.path_params["event"], near=near)
    if found is None:
        raise NotFound("event", name=request.path_params["event"])
    template = "event_part.html.j2" if "part" in request.query_params else "event.html.j2"
    return page(
        request, template, opened=run, event=found, names=[it for it in FIELDS if it in found],
        pinned=_pinned(run, str(found["event.id"])), hunt=Hunt(),
    )  # fmt: skip


def _pinned(run: Opened, identity: str) -> bool:
    return any(it.event == identity for it in run.case.entries() if it.sort == "pin")


def sql(request: Request) -> Response:
    """Answer a question in SQL, within the limits of `lab query`."""
    run = opened(request)
    text = request.query_params.get("sql", "")[:20_000]
    found, wrong = None, ""
    if text.strip():
        try:
            found = _answer(run, text)
        except BadQuery as error:
            wrong = str(error)
    if found is not None and "csv" in request.query_params:
        rows = [[shown(it) for it in row] for row in found.rows]
        return _csv(f"{run.name}-answer.csv", [list(found.columns), *rows])
    return page(
        request, "sql.html.j2", opened=run, sql=text, answer=found, wrong=wrong, shown=shown,
        questions=saved_questions(), most=_SHOWN_ROWS, status=400 if wrong else 200,
    )  # fmt: skip


def _answer(run: Opened, text: str) -> Answer:
    return ask_runs(Question(runs={run.name: str(run.run.path)}, sql=text, noticed_only=run.hidden()))
