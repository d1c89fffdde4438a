"""Stages that measure how seldom rules cry wolf: on days without an attack, and on data of others."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from lab.errors import BadFile, NotReady, Problem
from lab.flow.context import Context
from lab.flow.rules import rule_paths
from lab.moment import SECOND
from lab.workers import told_to_stop

if TYPE_CHECKING:
    from lab.detect.again import Again
    from lab.detect.sigma.rule import RuleSet
    from lab.exercise.truth import Truth
    from lab.runs.folder import RunFolder
    from lab.runs.header import Header
    from lab.why.quiet import Quiet, Sighting, Watched

SCENARIO: Final = "quiet-day"
"""The exercise in which nobody attacks."""

OWN_SEEDS: Final = frozenset({1, 2})
"""The seeds that the rules which ship were written on; days of these never count."""

_LOOKS: Final = 0.2
"""Seconds between two looks whether a run has ended."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Silence:
    """What is to be measured."""

    hours: float = 0
    """Host-hours that people are to have lived through in all; days are played until then. 0 plays none."""

    labs: tuple[str, ...] = ()
    """Labs to play in, at the same time; the scenario's own when empty."""

    first_seed: int = 101
    """The seed of the first run that is played; each further one has the next that was not used."""

    written_on: tuple[int, ...] = ()
    """Seeds that the user's rules were written on; runs of these are left out as well."""

    dataset: Path | None = None
    """A folder of labelled data of others; measured instead."""


def play_quiet_days(order: Silence, context: Context) -> Silence:
    """What is to be measured -> the same, once enough quiet days are there; what was played before counts."""
    if order.dataset is not None or not order.hours:
        return order
    found = _Days(order, context)
    said = partial(context.tell, "stopping; days that were played stay, and the same command goes on")
    with told_to_stop(context.stop, said):
        _play(found, order, context)
    return order


def _play(found: _Days, order: Silence, context: Context) -> None:
    while (left := order.hours - found.lived()) > 0 and not context.stop.is_set():
        context.tell(f"host-hours so far: {order.hours - left:.0f} of {order.hours:.0f}")
        if not found.play() and not context.stop.is_set():
            raise NotReady(
                "no quiet day could be played to its end",
                remedy=f"lab run {SCENARIO}  says why; what was played is kept, and the same command goes on",
            )


class _Days:
    """Quiet days that were played, and those that still are to be."""

    def __init__(self, order: Silence, context: Context) -> None:
        self._order = order
        self._context = context
        self._labs = order.labs or ("office",)

    def lived(self) -> float:
        """Return how many host-hours people lived through in the days that count."""
        counted = (it for it in _days(self._context) if not _unfit(it, self._order))
        return sum(_hosts(it) * _lived(it) for it in counted)

    def play(self) -> bool:
        """Play a day in each lab at the same time; tell whether any came to its end."""
        used = {it.header().seed for it in _days(self._context)}
        fresh = (it for it in range(self._order.first_seed, 2**31) if it not in used)
        ended: SimpleQueue[bool] = SimpleQueue()
        threads = [
            threading.Thread(target=self._one, args=(lab, next(fresh), ended), daemon=True)
            for lab in self._labs
        ]
        for it in threads:
            it.start()
        for it in threads:
            while it.is_alive():
                it.join(_LOOKS)
        return any(_drained(ended))

    def _one(self, lab: str, seed: int, ended: SimpleQueue[bool]) -> None:
        program = (sys.executable, "-c", "from lab.cli.entry import entry; entry()")
        self._command((*program, "up", lab))
        self._context.tell(f"a quiet day in {lab}, seed {seed}")
        argv = (*program, "run", SCENARIO, "--lab", lab, "--seed", str(seed), "--format", "json")
        ended.put(self._command(argv) == 0)

    def _command(self, argv: Sequence[str]) -> int:
        """Run one of our own commands; when the user stops this one, that is stopped as well."""
        folder = self._context.workplace.folder
        with subprocess.Popen(
            (*_with_us(), *argv),
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C is ours alone, and told on once
        ) as process:
            while process.poll() is None:
                if self._context.stop.wait(_LOOKS):
                    process.terminate()
                    break
        return process.returncode


def _with_us() -> tuple[str, ...]:
    """Return what has a command end in order when this one is killed."""
    program = shutil.which("setpriv")
    return (program, "--pdeathsig", "TERM") if program else ()


def _drained(queue: SimpleQueue[bool]) -> Iterator[bool]:
    while True:
        try:
            yield queue.get_nowait()
        except Empty:
            return


def measure_quiet(order: Silence, context: Context) -> Quiet:
    """What is to be measured -> false alarms by today's rules, with their exposure.

    Raises:
        BadFile: the data of others are not of a layout that is known.
        NotFound: there is no quiet day so far.
    """
    from lab.detect.sigma.compiled import rules_of
    from lab.detect.sigma.explain import take_all_apart
    from lab.why.quiet import Sighting, quiet

    paths = rule_paths(context)
    rules, taken = rules_of(paths), take_all_apart(paths)
    sighting = Sighting(rules, taken)
    watched: list[Watched] = []
    left_out: list[tuple[str, str]] = []
    if order.dataset is not None:
        watched += _of_others(context.path(order.dataset), rules, sighting, context)
    else:
        for run in _days(context):
            if reason := _unfit(run, order):
                left_out.append((run.path.name, reason))
            else:
                watched.append(_day(run, rules, paths, sighting))
    return quiet(watched, left_out, sighting.close())


def _days(context: Context) -> list[RunFolder]:
    from lab.runs import folder

    return [it for it in folder.list_runs(context.workplace) if _is_day(it.header())]


def _is_day(header: Header) -> bool:
    return header.scenario == SCENARIO and not header.replay_of


def _unfit(run: RunFolder, order: Silence) -> str:
    """Say why a day does not count; nothing when it does."""
    header = run.header()
    if header.state != "done":
        return f"it is {header.state}"
    if header.seed in {*order.written_on, *OWN_SEEDS}:
        return f"rules were written on its seed, {header.seed}"
    return ""


def _day(run: RunFolder, rules: RuleSet, paths: tuple[Path, ...], sighting: Sighting) -> Watched:
    from lab.detect.again import Again
    from lab.exercise.truth import read_truth
    from lab.score.files import score_alerts
    from lab.score.measures import repeats
    from lab.why.inquiry import Inquiry
    from lab.why.quiet import Watched

    again = Again.of(run.noticed)
    alerts = again.alerts(rules)
    score = score_alerts(run, alerts, again.hashes(rules))
    sighting.feed(again.events)
    truth, header = read_truth(run.happened), run.header()
    with Inquiry(run, paths) as inquiry:
        near = inquiry.near_misses()
    false = set(score.false_alerts)
    return Watched(
        name=header.id,
        hosts=_hosts(run),
        hours=_hours(truth),
        lived=_lived(run),
        seed=header.seed,
        cast=_cast(run),
        ordinary=_kinds(truth, suspicious=False),
        suspicious=_kinds(truth, suspicious=True),
        false_alarms=dict(repeats(it for it in alerts if it.id in false)),
        near_misses=near,
    )


def _kinds(truth: Sequence[Truth], *, suspicious: bool) -> dict[str, int]:
    acts = (it for it in truth if it.label == "benign" and it.action and it.suspicious == suspicious)
    return dict(sorted(Counter(it.action for it in acts).items()))


def _hosts(run: RunFolder) -> int:
    """Count the hosts whose logs were collected."""
    from lab.watch.collection import read_collection

    return len({it.host for it in read_collection(run.noticed).logs if it.read})


def _hours(truth: Sequence[Truth]) -> float:
    """Return how long people worked, by the clock."""
    spans = [(it.start, it.end) for it in truth if it.label == "benign"]
    if not spans:
        return 0
    return (max(end for _, end in spans) - min(start for start, _ in spans)) / SECOND / 3600


def _lived(run: RunFolder) -> float:
    """Return how many hours of their days people lived through; the scenario says how long a day takes."""
    from lab.exercise.truth import read_truth
    from lab.why.quiet import DAY

    found = re.search(r"day: (\d+)(s|m|h)\b", run.happened.scenario.read_text(encoding="utf-8"))
    day = int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]] / 3600 if found else 1 / 6
    return DAY * _hours(read_truth(run.happened)) / day


def _cast(run: RunFolder) -> tuple[str, ...]:
    from lab.exercise.truth import read_truth

    return tuple(sorted({it.sources[0].node for it in read_truth(run.happened) if it.action and it.sources}))


# -- data of others --------------------------------------------------------------------------------


def _of_others(folder: Path, rules: RuleSet, sighting: Sighting, context: Context) -> Iterator[Watched]:
    """Read data with labels per line, a folder for each host: the layout of the AIT log data set, version 2.

    `gather/HOST/logs/FILE` are the logs; `labels/HOST/logs/FILE` has a JSON line for each line of an attack,
    `{"line": 7, "labels": [...]}`.
    """
    hosts = sorted(it for it in (folder / "gather").glob("*") if (it / "logs").is_dir())
    if not hosts:
        what = "has no  gather/HOST/logs:  the layout of the AIT log data set, version 2, is read"
        raise BadFile(Problem(path=str(folder), line=0, what=what))
    for host in hosts:
        if found := _host(host, folder / "labels" / host.name / "logs", rules, sighting, context):
            yield found


def _host(host: Path, labels: Path, rules: RuleSet, sighting: Sighting, context: Context) -> Watched | None:
    from lab.detect.again import Again
    from lab.flow.imports import Import, bring_in, look_at_files
    from lab.why.quiet import Watched

    bringing = look_at_files(Import(paths=(host / "logs",), host=host.name), context)
    run = bring_in(bringing, context).run
    again = Again.of(run.noticed)
    span = again.events.span()
    if span is None:
        return None
    sighting.feed(again.events)
    hours = (span[1] - span[0]) / SECOND / 3600
    return Watched(
        name=host.name,
        hosts=1,
        hours=hours,
        lived=hours,
        false_alarms=_false_there(again, rules, labels, host / "logs"),
    )


def _false_there(again: Again, rules: RuleSet, labels: Path, logs: Path) -> dict[str, int]:
    """Count the alerts none of whose evidence is labelled, those of one rule and entity in 5 minutes once."""
    from lab.score.measures import repeats

    at = {
        str(it["event.id"]): (str(it.get("log.file.path", "")), int(str(it.get("homerange.line", 0))))
        for it in again.events
    }
    of_attack = _labelled(labels, logs)
    false = [
        it
        for it in again.alerts(rules)
        if not any(_is_labelled(at.get(event), of_attack) for event in it.event_ids)
    ]
    return dict(repeats(false))


def _labelled(labels: Path, logs: Path) -> dict[str, frozenset[int]]:
    """Read which lines are of an attack: by the end of the path of the log."""
    from lab.files import records

    found: dict[str, frozenset[int]] = {}
    problems: list[Problem] = []
    for file in sorted(it for it in labels.rglob("*") if it.is_file()):
        try:
            lines = records.read_lines(file, _Marked)
        except BadFile as error:
            problems += error.problems
            continue
        found[file.relative_to(labels).as_posix()] = frozenset(it.line for it in lines if it.labels)
    for name in found:
        if not (logs / name).exists():
            problems.append(Problem(path=str(labels / name), line=0, what="labels a log that is not there"))
    if problems:
        raise BadFile(*problems)
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class _Marked:
    """One line of a file of labels."""

    line: int
    labels: tuple[str, ...] = ()


def _is_labelled(at: tuple[str, int] | None, of_attack: Mapping[str, frozenset[int]]) -> bool:
    if at is None:
        return False
    path, line = at
    return any(path.endswith(name) and line in lines for name, lines in of_attack.items())
