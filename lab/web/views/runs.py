"""All runs: their scores, two of them side by side, techniques as a matrix, how one gets on; the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from lab import attack
from lab.errors import NotFound, WrongInput
from lab.files import careful
from lab.runs.header import Header
from lab.score.series import Taken, contrast, taken
from lab.score.values import Score
from lab.score.vocabulary import DETECTED, MISSED, QUALITY, Verdict
from lab.web.charts import lines
from lab.web.opened import Opened
from lab.web.pages import opened, page, shelf_of

_SHOWN: Final = 200
_COLUMNS: Final = 12
"""Runs that are columns of the matrix."""

_REPORT: Final = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; frame-ancestors 'none'; "
    "sandbox allow-scripts allow-popups"
)
"""Policy of a report, which itself names its script by its hash; it reaches no cookie and no page of ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A run in the list."""

    name: str
    """Its id."""

    header: Header
    """What it is."""

    score: Score | None
    """Its score; None where there is none, or it is not to be seen yet."""

    alerts: int
    """How many alerts it has."""


def runs(request: Request) -> Response:
    """List the runs."""
    shelf = shelf_of(request)
    every = shelf.every()
    listed = [_listed(shelf.look(name), header) for name, header in every[:_SHOWN]]
    return page(request, "runs.html.j2", runs=listed, more=max(0, len(every) - _SHOWN))


def _listed(run: Opened, header: Header) -> Listed:
    path = run.run.noticed.alerts
    count = careful.read_bytes(path).count(b"\n") if path.exists() else 0
    return Listed(name=run.name, header=header, score=run.score(), alerts=count)


def _scored(request: Request) -> list[tuple[Header, Score]]:
    """Return the exercises that came to their end and have a score, the oldest first; no replays."""
    shelf = shelf_of(request)
    found = []
    for name, header in reversed(shelf.every()):
        score = shelf.look(name).score() if header.judged and not header.replay_of else None
        if score is not None and header.state in {"done", "degraded"}:
            found.append((header, score))
    return found


def compare(request: Request) -> Response:
    """Show two runs of one exercise side by side."""
    query, shelf = request.query_params, shelf_of(request)
    names = (query.get("a", ""), query.get("b", ""))
    found, wrong = None, ""
    if all(names):
        pair = [_with_score(shelf.look(name)) for name in names]
        try:
            found = contrast(pair[0], pair[1])
        except WrongInput as error:
            wrong = str(error)
    return page(
        request, "compare.html.j2", runs=[it[0] for it in _scored(request)], names=names, found=found,
        wrong=wrong, detected=DETECTED,
    )  # fmt: skip


def _with_score(run: Opened) -> tuple[Header, Score]:
    score = run.score()
    if score is None:
        raise NotFound("score of", name=run.name, remedy=f"lab score {run.name}  makes it")
    return run.header(), score


def coverage(request: Request) -> Response:
    """Show which techniques were detected in which run."""
    chosen = _scored(request)[-_COLUMNS:]
    cells: dict[str, dict[str, Verdict]] = {}
    for header, score in chosen:
        for step in score.steps:
            if step.verdict in DETECTED | MISSED:
                known = cells.setdefault(step.technique, {}).get(header.id)
                if known is None or QUALITY.get(step.verdict, 0) > QUALITY.get(known, 0):
                    cells[step.technique][header.id] = step.verdict
    table = attack.techniques()
    rows = sorted(cells, key=lambda it: (_first_tactic(it), it))
    return page(
        request, "coverage.html.j2", runs=[it[0] for it in chosen], cells=cells,
        rows=[(it, table[it].name if it in table else "", _first_tactic(it)) for it in rows],
    )  # fmt: skip


def _first_tactic(technique: str) -> str:
    known = attack.techniques().get(technique)
    return known.tactics[0] if known and known.tactics else ""


def history(request: Request) -> Response:
    """Show how one gets on."""
    figures: list[Taken] = [taken(*it) for it in _scored(request)]
    labels = [it.run for it in figures]
    series = {
        "recall": [it.recall.value for it in figures],
        "right technique": [it.technique.value for it in figures],
        "precision": [it.precision.value for it in figures],
    }
    return page(request, "history.html.j2", runs=figures, lines=lines(series, labels))


def report(request: Request) -> Response:
    """Send the report of a run as it is: one file, with a policy of its own."""
    run = opened(request)
    if run.hidden():
        raise NotFound(
            "report to be seen", name=run.name, remedy="it is a blind run: hand in your answers first"
        )
    if not run.run.report.exists():
        raise NotFound("report of", name=run.name, remedy=f"lab report {run.name}  writes it")
    text = careful.read_bytes(run.run.report)
    return HTMLResponse(text, headers={"content-security-policy": _REPORT})
