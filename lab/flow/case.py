"""Stages of a case: it is opened, told, closed and reported."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing as shut
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lab.errors import NotFound, WrongInput
from lab.files import records
from lab.flow.context import Context
from lab.moment import Moment
from lab.runs import case as cases
from lab.runs import names
from lab.runs.case import CaseEntry, frozen, new_entry, new_finding, opened_with
from lab.runs.header import LabRecord

if TYPE_CHECKING:
    from lab.runs.folder import RunFolder

_SHOWN: Final = 5
"""Names of what there is that a refusal shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """A case that is to be opened."""

    run: str
    """The run's id, or how it begins; the last one when empty."""

    alerts: tuple[str, ...] = ()
    """Ids of the alerts that it begins with, or how they begin."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Telling:
    """Something that is to be written into a case."""

    run: str = ""
    """The run's id, or how it begins; the last one with an open case when empty."""

    text: str = ""
    """What it says."""

    when: str = ""
    """When it was: `+63` seconds since the run began, `12:01:03`, or a whole moment; empty for no time."""

    finding: bool = False
    """Whether it is a finding; else a note."""

    host: str = ""
    """The node."""

    account: str = ""
    """The account."""

    address: str = ""
    """The address."""

    technique: str = ""
    """The technique of ATT&CK."""

    events: tuple[str, ...] = ()
    """Ids of the events that show it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A case, and what was written into it."""

    run: RunFolder
    """The run it is of."""

    entry: CaseEntry
    """What was written."""


def open_case(opening: Opening, context: Context) -> Told:
    """A run and alerts -> its case, opened.

    Raises:
        WrongInput: it has a case already.
        NotFound: there is no such run, or no such alert in it.
    """
    from lab.detect.alert import read_alerts
    from lab.runs import folder

    run = folder.find(context.workplace, opening.run)
    if frozen(run.case.entries()).opened is not None:
        raise WrongInput(f"the case of {run.path.name} is open already:  lab case report  shows it")
    known = [it.id for it in read_alerts(run.noticed)]
    chosen = tuple(_one(it, known, f"alert in {run.path.name}") for it in opening.alerts)
    return _written(run, opened_with(chosen))


def tell_case(telling: Telling, context: Context) -> Told:
    """A note or a finding -> the case, with it.

    Raises:
        WrongInput: something of it is wrong; all of it is named.
        NotFound: no case is open.
    """
    run = _open_case(telling.run, context)
    if not telling.finding:
        if not telling.text.strip():
            raise WrongInput("a note needs words")
        return _written(run, new_entry("note", text=telling.text.strip(), when=_when(telling.when, run)))
    found = new_finding(
        text=telling.text.strip(),
        when=_when(telling.when, run),
        host=telling.host,
        account=telling.account,
        address=telling.address,
        technique=telling.technique.upper(),
        events=telling.events,
    )
    nodes = {it.name for it in records.read(run.path / names.LAB, LabRecord).nodes}
    if wrong := [*cases.faults(found, nodes, _present(found.events, run))]:
        raise WrongInput("\n".join(wrong))
    return _written(run, found)


def close_case(telling: Telling, context: Context) -> Told:
    """Last words -> the case, closed: what it has is frozen, and what comes later is not graded."""
    run = _open_case(telling.run, context)
    return _written(run, cases.closing(run.case.entries(), telling.text.strip()))


def report_case(name: str, context: Context) -> str:
    """A run -> its case as Markdown.

    Raises:
        NotFound: it has none.
    """
    from lab.report.case import case_text
    from lab.runs import folder

    run = folder.find(context.workplace, name)
    if frozen(run.case.entries()).opened is None:
        raise NotFound("case of", name=run.path.name, remedy=f"lab case open {run.path.name}  opens one")
    return case_text(run)


def _written(run: RunFolder, entry: CaseEntry) -> Told:
    run.case.add(entry)
    return Told(run=run, entry=entry)


def _open_case(name: str, context: Context) -> RunFolder:
    """Return the run that is named, else the last one with an open case."""
    from lab.runs import folder

    if name:
        run = folder.find(context.workplace, name)
        found = frozen(run.case.entries())
        if found.opened is None or found.closed is not None:
            what = "is closed" if found.closed else "was never opened"
            raise WrongInput(f"the case of {run.path.name} {what}")
        return run
    for run in reversed(folder.list_runs(context.workplace)):
        found = frozen(run.case.entries())
        if found.opened is not None and found.closed is None:
            return run
    raise NotFound("open case", name="", remedy="lab case open RUN --alert ID  opens one")


def _when(text: str, run: RunFolder) -> Moment | None:
    from lab.learn.timeline import moment_of

    try:
        return moment_of(text, run.header().started) if text else None
    except ValueError as error:
        remedy = "write  +63  (seconds since the run began),  12:01:03  (UTC), or  2026-11-28T12:01:03Z"
        raise WrongInput(f"{text!r} is no time\n    {remedy}") from error


def _present(events: Sequence[str], run: RunFolder) -> frozenset[str]:
    """Return those ids that events of the run have."""
    from lab.telemetry.lookup import Lookup

    if not events:
        return frozenset()
    with shut(Lookup(run.noticed.events)) as there:
        return frozenset(str(it["event.id"]) for it in there.events(events, ("event.id",)))


def _one(start: str, known: Sequence[str], what: str) -> str:
    """Return the one id that begins so."""
    found = [it for it in known if it.startswith(start)]
    if len(set(found)) != 1:
        raise NotFound(what, name=start, known=tuple(known[-_SHOWN:]))
    return found[0]
