"""A run as it happens: steps, events by source, alerts as they are raised, and the lab with its traffic."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from lab.errors import LabError
from lab.exercise.journal import Entry
from lab.exercise.truth import read_truth
from lab.files import records
from lab.moment import SECOND, Moment
from lab.telemetry.lookup import Asked
from lab.text import visible
from lab.watch.collection import read_collection
from lab.web.alerts import Row
from lab.web.apart import asked_of_lab
from lab.web.charts import Picture, picture
from lab.web.opened import Opened
from lab.web.pages import Ending, opened, page, shelf_of

_TICK: Final = 0.1
"""Seconds between two looks for alerts."""

_EVERY: Final = 1.0
"""Seconds between two looks at everything else."""

_HEALTH: Final = 8.0
"""Seconds between two looks at the nodes, which takes a process of its own."""

_SILENCE: Final = 0.25
"""Seconds without news after which it is looked whether anybody listens, and whether the server ends."""

_WAITING: Final = 100
"""Messages that wait for a slow listener; then those who write them wait."""

_LATELY: Final = 60 * SECOND
"""How far back traffic is shown, in nanoseconds."""

_SHOWN: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A step, as far as it has come."""

    name: str
    """Its name."""

    state: str
    """`under way`, `took effect`, `no effect`, `refused`, `skipped`, `done`."""

    at: Moment
    """When it began."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AlertNow:
    """An alert, as it is raised."""

    id: str
    """Its id."""

    title: str
    """Its rule."""

    level: str
    """How urgent."""

    source: str
    """Who."""

    target: str
    """To whom."""

    at: str
    """Time of day at which it was raised."""

    delay: float
    """Seconds from its first event."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flowing:
    """Traffic between two nodes."""

    first: str
    """From."""

    second: str
    """To."""

    count: int
    """Events that tell of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Now:
    """What is sent to the page."""

    state: str
    """The run's state."""

    ended: bool
    """Whether it is over."""

    alerts: tuple[AlertNow, ...] = ()
    """Alerts that are new."""

    raised: int = 0
    """Alerts so far."""

    delay: float | None = None
    """Median delay of all alerts, in seconds."""

    rates: Mapping[str, float] | None = None
    """Events a second by source, over the last second; None when nobody looked."""

    totals: Mapping[str, int] | None = None
    """Events by source."""

    silent: Mapping[str, float] | None = None
    """Seconds since the last event of each source."""

    steps: tuple[Step, ...] | None = None
    """Steps; None when nobody looked, or they are not to be seen."""

    traffic: tuple[Flowing, ...] | None = None
    """Traffic of the last minute."""

    health: Mapping[str, str] | None = None
    """Node to how it is; None when nobody looked."""

    blind: tuple[str, ...] | None = None
    """When which source was silent; known once the run is over."""


def live(request: Request) -> Response:
    """Show the run as it is now; a script then follows it."""
    run = opened(request)
    header = run.header()
    rows = run.alerts.rows()
    return page(
        request,
        "live.html.j2",
        opened=run,
        header=header,
        hidden=run.hidden(),
        steps=() if run.hidden() else _steps(run),
        totals=dict(run.events.top(Asked(), "event.module")),
        alerts=[_alert(it) for it in reversed(rows[-_SHOWN:])],
        picture=_picture(run),
        blind=[str(it) for it in read_collection(run.run.noticed).blind] if header.ended else [],
    )


def _picture(run: Opened) -> Picture:
    return picture(run.lab(), _traffic(run))


def _traffic(run: Opened) -> list[tuple[str, str, int]]:
    """Return who spoke to whom: lately, or in all of a run that is over."""
    header, span = run.header(), run.events.span()
    start = None if header.ended or span is None else span[1] - _LATELY
    return run.events.between(Asked(start=start), "source.ip", "destination.ip")


def stream(request: Request) -> Response:
    """Send what is new, until the run is over or nobody listens any more."""
    known = request.query_params.get("known", "0")
    follower = _Follower(opened(request), int(known) if known.isdecimal() else 0, request.app.state.slow)
    told = follower.told(request, shelf_of(request).workplace.folder)
    return StreamingResponse(told, media_type="text/event-stream")


class _Follower:
    """Follows one run for one page. Alerts do not wait for what takes longer to find out."""

    def __init__(self, run: Opened, known: int, slow: CapacityLimiter) -> None:
        self._run = run
        self._known = known
        self._slow = slow
        self._news: asyncio.Queue[Now] = asyncio.Queue(_WAITING)

    async def told(self, request: Request, folder: Path) -> AsyncIterator[str]:
        """Give messages as server-sent events have them."""
        tasks = [
            asyncio.create_task(it)
            for it in (self._follow_alerts(), self._follow_all(), self._follow_health(folder))
        ]
        try:
            ending: Ending = request.app.state.ending
            while not ending.begun and not await request.is_disconnected():
                try:
                    now = await asyncio.wait_for(self._news.get(), _SILENCE)
                except TimeoutError:
                    continue
                yield f"data: {records.to_json(now)}\n\n"
                if now.ended:
                    return
        finally:
            for it in tasks:
                it.cancel()

    async def _follow_alerts(self) -> None:
        while True:
            rows = await run_in_threadpool(self._run.alerts.rows)
            if len(rows) > self._known:
                alerts = tuple(map(_alert, rows[self._known :][-_SHOWN:]))
                self._known = len(rows)
                await self._news.put(Now(state="running", ended=False, alerts=alerts, raised=len(rows)))
            await asyncio.sleep(_TICK)

    async def _follow_all(self) -> None:
        since = int(Moment.now())
        while True:
            now = await run_in_threadpool(_everything, self._run, since)
            since = int(Moment.now())
            if now.ended:  # whatever was raised at the very end comes first
                await asyncio.sleep(2 * _TICK)
            await self._news.put(now)
            await asyncio.sleep(_EVERY)

    async def _follow_health(self, folder: Path) -> None:
        while True:
            health = await run_sync(_health, self._run, folder, limiter=self._slow)
            rows = await run_in_threadpool(self._run.alerts.rows)
            await self._news.put(Now(state="running", ended=False, raised=len(rows), health=health))
            await asyncio.sleep(_HEALTH)


def _everything(run: Opened, since: int) -> Now:
    """Gather all but alerts and health.

    Args:
        run: The run.
        since: When that was done last, in nanoseconds.
    """
    header, now, rows = run.header(), int(Moment.now()), run.alerts.rows()
    length = max(0.5, (now - since) / SECOND)
    delays = sorted((it.raised - it.first) / SECOND for it in rows)
    ended = header.ended is not None
    return Now(
        state=header.state,
        ended=ended,
        raised=len(rows),
        delay=round(delays[len(delays) // 2], 2) if delays else None,
        rates={name: round(count / length, 1) for name, count in run.events.fresh(since).items()},
        totals={name or "?": count for name, count in run.events.top(Asked(), "event.module")},
        silent={
            name: round((now - moment) / SECOND, 1)
            for name, moment in run.events.last_by("event.module").items()
        },
        steps=None if run.hidden() else _steps(run),
        traffic=tuple(
            Flowing(first=it.first.name, second=it.second.name, count=it.count) for it in _picture(run).links
        ),
        blind=tuple(str(it) for it in read_collection(run.run.noticed).blind) if ended else None,
    )


def _alert(row: Row) -> AlertNow:
    return AlertNow(
        id=row.id,
        title=visible(row.title),
        level=row.level,
        source=visible(row.source),
        target=visible(row.target),
        at=Moment(row.raised).iso()[11:21],
        delay=round((row.raised - row.first) / SECOND, 2),
    )


def _steps(run: Opened) -> tuple[Step, ...]:
    """Say how far the steps have come; what prepares or tidies up is left out."""
    begun: dict[str, Step] = {}
    for it in records.read_lines(run.run.happened.journal, Entry):
        if it.act == "step" and it.state == "begun":
            begun.setdefault(it.step, Step(name=it.step, state="under way", at=it.at))
    for record in read_truth(run.run.happened):
        if record.label == "attack":
            state = record.status if record.status != "ran" else _EFFECTS[record.occurred]
            begun[record.step] = Step(name=record.name, state=state, at=record.start)
    return tuple(sorted(begun.values(), key=lambda it: it.at))


_EFFECTS: Final = {True: "took effect", False: "no effect", None: "done"}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Node:
    name: str
    health: str


def _health(run: Opened, folder: Path) -> Mapping[str, str]:
    """Ask how the nodes are; nothing where no engine answers."""
    try:
        found = asked_of_lab(("status", run.header().lab), folder, tuple[_Node, ...])
    except LabError:
        return {}
    return {it.name: it.health for it in found}
