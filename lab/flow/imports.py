"""Stages that bring logs of others into a run, and say what is in them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final

import lab
from lab.errors import NotFound
from lab.flow.context import Context
from lab.flow.models import models_in_use
from lab.flow.rules import rule_paths
from lab.moment import Moment
from lab.runs.header import Header
from lab.workers import told_to_stop

if TYPE_CHECKING:  # imported by the stages that need them, so that `lab up` is quick
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lab.detect.alert import Alert
    from lab.runs.folder import RunFolder
    from lab.watch.importing import Imported, Wanted

SCENARIO: Final = "import"
"""What a run of imported logs is called."""

_EVERY: Final = 0.05
"""How much of a file has to be read, from 0 to 1, until it is said again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """What to import."""

    paths: tuple[Path, ...]
    """Files and folders."""

    source: str = ""
    """Which parser reads them; found by content when empty."""

    host: str = "imported"
    """What a host is called where a log does not say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suspect:
    """An address, and why it is suspicious."""

    address: str
    """The address."""

    alerts: int
    """How many alerts name it as source."""

    evidence: int
    """How many events these rest on."""

    reasons: tuple[tuple[str, int], ...]
    """Titles of the rules, and how many events each rests on; the most urgent first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bringing:
    """Files on their way into a run."""

    run: RunFolder
    """The run."""

    files: tuple[Wanted, ...]
    """The files."""

    order: Import
    """What was asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Brought:
    """A run with imported logs."""

    run: RunFolder
    """The run."""

    files: tuple[Imported, ...]
    """What came of each file."""

    suspects: tuple[Suspect, ...]
    """Suspicious addresses, the most suspicious first."""

    again: bool
    """Whether all of it had been imported before."""


def look_at_files(order: Import, context: Context) -> Bringing:
    """What to import -> the files, and a run for them: a new one, or the one that has them already.

    Raises:
        BadFile: nothing could be read; every problem is named.
        NotFound: no parser has that name.
    """
    from lab.runs import folder
    from lab.telemetry.inputs import Inputs
    from lab.telemetry.sources import SOURCES
    from lab.watch.importing import read_imports, wanted

    if order.source and order.source not in SOURCES:
        raise NotFound("log source", name=order.source, known=tuple(sorted(SOURCES)))
    found = Inputs()
    context.held.callback(found.close)
    files = wanted(found, [context.path(it) for it in order.paths], order.source)
    for it in found.refused:
        context.tell(f"left out: {it.path} {it.what.splitlines()[0]}")
    digests = {it.content.digest for it in files}
    known = (it for it in reversed(folder.list_runs(context.workplace)) if it.header().scenario == SCENARIO)
    same = next((it for it in known if {one.digest for one in read_imports(it.noticed)} & digests), None)
    return Bringing(run=same or _opened(order, context), files=files, order=order)


def _opened(order: Import, context: Context) -> RunFolder:
    from lab.runs import folder

    run = folder.create(context.workplace, f"import-{order.paths[0].stem}", Moment.now())
    run.write_header(_header(run, order, ()))
    return run


def _header(run: RunFolder, order: Import, files: Sequence[Imported]) -> Header:
    firsts = [it.first for it in files if it.first is not None]
    lasts = [it.last for it in files if it.last is not None]
    now = Moment.now()
    return Header(
        id=run.path.name,
        lab="",
        scenario=SCENARIO,
        summary=f"Logs of others: {', '.join(it.name for it in order.paths)}",
        version=lab.__version__,
        started=min(firsts, default=now),
        ended=max(lasts, default=now) if files else None,
        state="done" if files else "running",
    )


def bring_in(bringing: Bringing, context: Context) -> Brought:
    """Files -> the run with their events and alerts."""
    from lab.detect.alert import read_alerts
    from lab.detect.detector import all_rules, detectors
    from lab.files import records
    from lab.flow.packets import packet_lines
    from lab.watch.collection import Collection, LogCount
    from lab.watch.importing import Importer, look_at, read_imports

    run, order = bringing.run, bringing.order
    before = {it.digest for it in read_imports(run.noticed) if it.whole}
    importer = Importer(
        noticed=run.noticed,
        host=order.host,
        packets=partial(packet_lines, context),
        progress=_Progress(context),
        stop=context.stop,
    )
    said = partial(context.tell, "stopping; what is in stays, and the same command goes on")
    with told_to_stop(context.stop, said):
        files = importer.run(bringing.files)
    again = all(it.content.digest in before for it in bringing.files)
    if not again:
        loaded = detectors("", rule_paths(context), models_in_use(context))
        look_at(run.noticed, loaded, lambda _alert: None)
        logs = tuple(
            LogCount(
                source=it.source,
                host=order.host,
                path=it.name,
                read=it.lines,
                parsed=it.parsed,
                unparsed=it.unparsed,
            )
            for it in files
        )
        notes = tuple(f"{it.name}: {it.fault}" for it in files if it.fault)
        records.write(run.noticed.collection, Collection(logs=logs, notes=notes))
        header = replace(_header(run, order, files), rules=all_rules(loaded))
        run.write_header(replace(header, state="stopped") if context.stop.is_set() else header)
    return Brought(run=run, files=files, suspects=suspects(read_alerts(run.noticed)), again=again)


def judge_import(brought: Brought, context: Context) -> Brought:
    """The run -> the same, with a report."""
    from lab.flow.runs import score_run, write_report

    if not brought.again:
        write_report(score_run(brought.run, context), context)
    return brought


def suspects(alerts: Iterable[Alert]) -> tuple[Suspect, ...]:
    """Say which addresses are suspicious, and by which rules."""
    from lab.detect.alert import LEVELS

    counts: dict[str, Counter[str]] = {}
    raised: Counter[str] = Counter()
    levels: dict[str, int] = {}
    for it in alerts:
        levels[it.title] = LEVELS.index(it.level)
        for address in it.entities.get("source.ip", ()):
            counts.setdefault(address, Counter())[it.title] += it.evidence_count
            raised[address] += 1
    found = [
        Suspect(
            address=address,
            alerts=raised[address],
            evidence=sum(titles.values()),
            reasons=tuple(sorted(titles.items(), key=lambda it: (-levels[it[0]], -it[1], it[0]))),
        )
        for address, titles in counts.items()
    ]
    return tuple(
        sorted(found, key=lambda it: (-max(levels[t] for t, _ in it.reasons), -it.evidence, it.address))
    )


class _Progress:
    """Says how far a file is, now and then."""

    def __init__(self, context: Context) -> None:
        self._tell = context.tell
        self._said = ("", 0.0)

    def __call__(self, name: str, share: float) -> None:
        """Say it, when it is worth it."""
        known, last = self._said
        if name != known or share - last >= _EVERY:
            self._said = (name, share)
            self._tell(f"{name}: {share:.0%}")
