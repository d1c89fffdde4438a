"""Reasons: why steps were missed, what a rule matched or nearly did, what a filter would cost; and grades."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from lab.errors import LabError
from lab.runs.triage import answered
from lab.score.values import Score
from lab.telemetry.event import Event
from lab.telemetry.lookup import Clause
from lab.web.apart import asked_of_lab
from lab.web.charts import lines
from lab.web.hunting import hunt_of, said
from lab.web.opened import Opened
from lab.web.pages import opened, page, shelf_of
from lab.web.told import Graded, Reasons

_EARLIER: Final = 11
"""Runs before one whose grades are shown beside its own: each takes a process to grade."""

_MOST: Final = 2000
"""Alerts of a rule that a filter is tried on."""


def why(request: Request) -> Response:
    """Show from each missed step the way to its reason."""
    run = opened(request)
    return page(request, "why.html.j2", opened=run, score=run.score(), hidden=run.hidden())


def reasons(request: Request) -> Response:
    """Ask today's rules why: a part of the page, since it takes seconds."""
    run = opened(request)
    found, wrong = None, ""
    if run.hidden():
        wrong = "this is a blind run: hand in your answers first"
    else:
        try:
            found = _reasons(request, run)
        except LabError as error:
            wrong = str(error)
    only = request.query_params.get("rule", "")
    if found is not None and only:
        found = Reasons(
            false_alarms=tuple(it for it in found.false_alarms if it.rule == only),
            near_misses=tuple(it for it in found.near_misses if it.rule == only),
        )
    return page(request, "reasons.html.j2", opened=run, found=found, wrong=wrong, only=only)


def _reasons(request: Request, run: Opened) -> Reasons:
    words = ("why", run.name, "--near")
    return asked_of_lab(words, shelf_of(request).workplace.folder, Reasons)


# -- one rule --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Tuned:
    """What a filter would do to the alerts of a rule."""

    gone: tuple[str, ...]
    """Alerts of which every event has what is filtered; they would not be raised."""

    true_gone: tuple[str, ...]
    """Of those: alerts on an attack."""

    left: int
    """How many would still be raised."""


def rule(request: Request) -> Response:
    """Show one rule: its alerts, what of them was an attack, and what a filter would cost."""
    run = opened(request)
    identity = request.query_params.get("id", "")
    rows = [it for it in run.alerts.rows() if it.rule == identity]
    score = run.score()
    asked = hunt_of(it for it in request.query_params.multi_items() if it[0] in {"f", "x"})
    tuned = _tuned(run, [it.id for it in rows[:_MOST]], asked.clauses, score) if asked.clauses else None
    return page(
        request,
        "rule.html.j2",
        opened=run,
        identity=identity,
        title=rows[0].title if rows else identity,
        rows=rows[-200:],
        count=len(rows),
        standings=run.standings(),
        score=score,
        clauses=[said(it) for it in asked.clauses],
        tuned=tuned,
        values=_values(run, [it.id for it in rows[:200]]),
    )


def _evidence(run: Opened, alerts: Sequence[str], fields: Sequence[str]) -> Mapping[str, list[Event]]:
    """Return of each alert the events that it names."""
    whole = [it for it in map(run.alerts.whole, alerts) if it is not None]
    wanted = list(dict.fromkeys(one for it in whole for one in it.event_ids))[:5000]
    found = {str(it["event.id"]): it for it in run.events.events(wanted, fields)} if wanted else {}
    return {it.id: [found[one] for one in it.event_ids if one in found] for it in whole}


_TELLING: Final = (
    *("user.name", "host.name", "source.ip", "process.executable", "process.parent.executable"),
    *("process.working_directory", "url.path", "user_agent.original", "event.action", "destination.port"),
)
"""Fields that a filter is likely to name."""


def _values(run: Opened, alerts: Sequence[str]) -> list[tuple[str, str, int]]:
    """Return the most frequent values of the evidence: what a filter could name."""
    events = [it for them in _evidence(run, alerts, _TELLING).values() for it in them]
    counted = Counter((name, str(it[name])) for it in events for name in _TELLING if name in it)
    return [(name, value, count) for (name, value), count in counted.most_common(24)]


def _tuned(run: Opened, alerts: Sequence[str], clauses: Sequence[Clause], score: Score | None) -> Tuned:
    evidence = _evidence(run, alerts, [it.field for it in clauses])
    gone = tuple(
        alert
        for alert, events in evidence.items()
        if events and all(all(_holds(it, clause) for clause in clauses) for it in events)
    )
    false = {*score.false_alerts, *score.ignored_alerts} if score else set()
    return Tuned(
        gone=gone,
        true_gone=tuple(it for it in gone if score and it not in false),
        left=len(evidence) - len(gone),
    )


def _holds(event: Event, clause: Clause) -> bool:
    value = event.get(clause.field)
    values = value if isinstance(value, tuple) else (str(value),)
    held = value is not None if clause.value is None else value is not None and clause.value in values
    return held == clause.wanted


# -- answers ---------------------------------------------------------------------------------------


def answers(request: Request) -> Response:
    """Show the answer sheet: what is left to answer, or how it was graded."""
    run = opened(request)
    acts = run.triage.entries()
    rows, standings = run.alerts.rows(), run.standings()
    return page(
        request,
        "answers.html.j2",
        opened=run,
        header=run.header(),
        handed_in=answered(acts) is not None,
        total=len(rows),
        decided=sum(it.id in standings and standings[it.id].disposition is not None for it in rows),
        here=request.url.path,
    )


def graded(request: Request) -> Response:
    """Grade what was handed in: a part of the page, since it takes seconds; with all runs before it."""
    run = opened(request)
    found, wrong = None, ""
    earlier: list[Graded] = []
    if answered(run.triage.entries()) is None:
        wrong = "nothing was handed in yet"
    else:
        try:
            earlier = [_graded(request, it) for it in (*_handed_in_before(request, run), run.name)]
            found = earlier[-1]
        except LabError as error:
            wrong = str(error)
    series = {
        "dispositions": [it.verdicts.value for it in earlier],
        "reasons": [it.reasons.value for it in earlier],
    }
    return page(
        request, "graded.html.j2", opened=run, found=found, wrong=wrong,
        lines=lines(series, [it.run for it in earlier]), runs=len(earlier),
    )  # fmt: skip


def _handed_in_before(request: Request, run: Opened) -> list[str]:
    """Return the last runs before one that have a score and answers handed in, the oldest first."""
    shelf = shelf_of(request)
    looked = [shelf.look(name) for name, it in reversed(shelf.every()) if it.judged and name < run.name]
    known = [it for it in looked if it.run.score.exists() and answered(it.triage.entries()) is not None]
    return [it.name for it in known[-_EARLIER:]]


def _graded(request: Request, run: str) -> Graded:
    return asked_of_lab(("grade", run), shelf_of(request).workplace.folder, Graded)
