"""Stages that replay, record, score and report runs, and question them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypedDict

import lab
from lab.flow.context import Context
from lab.flow.models import models_in_use
from lab.flow.rules import rule_paths
from lab.moment import SECOND, Moment

if TYPE_CHECKING:  # imported by the stages that need them, so that `lab up` is quick
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from lab.ask.bounded import Answer
    from lab.ask.questions import SavedQuestion
    from lab.detect.alert import Alert
    from lab.runs.folder import RunFolder
    from lab.score.eyes import Eye
    from lab.score.files import Material
    from lab.score.values import Score
    from lab.why.benign import FalseAlarm
    from lab.why.steps import Why

DEFAULT_SCENARIO: Final = "ssh-brute-force"
"""What `lab demo` plays."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """A run and its score."""

    run: RunFolder
    """Where it is kept."""

    score: Score
    """What was detected."""

    eyes: tuple[Eye, ...] = ()
    """What ships and other SIEMs noticed of it; empty when no other was asked."""

    degraded: tuple[str, ...] = ()
    """What disturbed the run, and when which source was silent; empty for a run that went as it should."""


# -- replay, record ------------------------------------------------------------------------------


def find_recording(name: str, context: Context) -> RunFolder:
    """Name -> a recording that ships, the user's own, or a run."""
    from lab.runs import folder

    found = folder.find_recording(context.workplace, name)
    recorded = found.header().started.iso()[:10]
    context.tell(f"REPLAY of a run recorded {recorded}: no traffic is made now")
    return found


def replay_run(recording: RunFolder, context: Context) -> RunFolder:
    """A recorded run -> a new run: the same events and truth, alerts by today's rules."""
    from lab.detect.detector import all_rules, detectors
    from lab.files import careful
    from lab.runs import folder
    from lab.watch.replay import replay

    header = recording.header()
    run = folder.create(context.workplace, header.scenario, Moment.now(), prefix="replay-")
    recording.copy_to(run.path)
    rules = run.noticed.sensor_rules
    sensor = careful.read_bytes(rules).decode("utf-8", "replace") if os.path.lexists(rules) else ""
    loaded = detectors(sensor, rule_paths(context), models_in_use(context))
    hashes = all_rules(loaded)
    replay(run.noticed, loaded, context.on_alert)
    run.write_header(
        replace(
            header,
            id=run.path.name,
            version=lab.__version__,
            replay_of=header.id,
            rules=hashes,
            state=header.state,
        )
    )
    return run


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """Which run to keep, and where."""

    run: str
    """A run's id, or how it begins; else the last run."""

    to: Path
    """The folder to make."""


def record_run(recording: Recording, context: Context) -> RunFolder:
    """Which run -> the folder that keeps what a replay of it needs."""
    from lab.runs import folder

    return folder.record(folder.find(context.workplace, recording.run), context.path(recording.to))


# -- score, report -------------------------------------------------------------------------------


def find_run(name: str, context: Context) -> RunFolder:
    """Name, or how it begins -> a run; the last one when nothing is named."""
    from lab.runs import folder

    return folder.find(context.workplace, name)


def score_run(run: RunFolder, _: Context) -> Scored:
    """A run -> its score, from its files alone."""
    from lab.detect.alert import read_alerts
    from lab.files import records
    from lab.score import eyes
    from lab.score.files import material_of, score_alerts
    from lab.watch.collection import read_collection

    header, watched = run.header(), read_collection(run.noticed)
    noticed = read_alerts(run.noticed)
    products = {it: eyes.alerts_of(run.noticed, it) for it in eyes.products(run.noticed)}
    material = material_of(run, (noticed, *products.values()))
    found = score_alerts(run, noticed, header.rules, material)
    records.write(run.score, found)
    others = tuple(
        eyes.seen_by(
            it,
            noticed=run.noticed,
            header=header,
            truth=material.truth,
            events=material.events,
            clocks=material.clocks,
            total=material.total,
        )
        for it in products
    )
    if any(it.engine == "model" for it in noticed):
        others = (*others, *_by_engine(run, noticed, header.rules, material))
    return Scored(
        run=run,
        score=found,
        eyes=(eyes.embedded(found), *others) if others else (),
        degraded=tuple(map(str, (*watched.disturbances, *watched.blind))),
    )


def _by_engine(
    run: RunFolder, alerts: tuple[Alert, ...], rules: Mapping[str, str], material: Material
) -> Iterator[Eye]:
    """Say what rules and models noticed, each alone."""
    from lab.score import eyes
    from lab.score.files import score_alerts

    for name, models in (("rules", False), ("models", True)):
        theirs = tuple(it for it in alerts if (it.engine == "model") == models)
        yield eyes.named(name, score_alerts(run, theirs, rules, material))


def choose_eyes(scored: Scored, names: tuple[str, ...]) -> tuple[Eye, ...]:
    """Return what some SIEMs noticed, in the order in which they are named.

    Raises:
        NotFound: the rules of one were never run on this run.
    """
    from lab.score import eyes

    both = eyes.embedded(scored.score)
    known = {it.name: it for it in (*scored.eyes, both, replace(both, name="both"))}
    for name in names:
        if name not in known:
            raise eyes.never_asked(name, scored.run.path.name, tuple(known))
    return tuple(known[name] for name in names)


def write_report(scored: Scored, context: Context) -> Scored:
    """The score -> the same, with a report beside it."""
    from lab.detect.alert import read_alerts
    from lab.exercise.recorder import Result
    from lab.exercise.truth import read_truth
    from lab.files import records
    from lab.report import story as told
    from lab.report.answer import read_answer
    from lab.report.page import write_report as write_pages
    from lab.runs.marks import read_marks
    from lab.telemetry.store import Store
    from lab.watch.collection import read_collection

    run, store = scored.run, Store(scored.run.noticed.events)
    header, alerts = run.header(), read_alerts(run.noticed)
    tally = store.tally(header.started, told.bar_width(header) * SECOND)
    story = told.make_story(
        header=header,
        truth=read_truth(run.happened),
        alerts=alerts,
        score=scored.score,
        tally=tally,
        evidence=store.some(told.SHOWN_FIELDS, span=None, ids=told.shown_evidence(alerts)),
        collection=read_collection(run.noticed),
        results=records.read_lines(run.happened.results, Result),
        eyes=scored.eyes,
        marks=read_marks(run.happened),
        answer=read_answer(run),
        **_reasons(scored, context),
    )
    write_pages(run, story)
    return scored


class _Reasons(TypedDict, total=False):
    whys: tuple[Why, ...]
    causes: tuple[FalseAlarm, ...]


def _reasons(scored: Scored, context: Context) -> _Reasons:
    """Say why steps were missed and what caused false alarms, where today's rules judge as was judged."""
    score, header = scored.score, scored.run.header()
    missed = {it.step: it.verdict for it in score.steps if it.verdict not in {"technique", "not_run"}}
    if not header.judged or not (missed or score.false_alerts):
        return {}
    from lab.why.inquiry import Inquiry

    with Inquiry(scored.run, rule_paths(context)) as inquiry:
        found = [inquiry.why(it) for it in inquiry.find("")]
        same = inquiry.false_alerts == score.false_alerts
        return {
            "whys": tuple(it for it in found if missed.get(it.step) == it.verdict),
            "causes": inquiry.false_alarms() if same else (),
        }


# -- questions -----------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question about runs."""

    text: str
    """One SELECT, or the name of a question that ships."""

    runs: tuple[str, ...] = ()
    """Ids of runs, or how they begin, or `all`; else the last run."""

    since: float = 0
    """Only what happened in so many seconds before the last event; all when 0."""

    parquet: bool = False
    """Whether the answer is wanted as a Parquet file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """A question and its answer."""

    answer: Answer
    """The answer."""

    saved: SavedQuestion | None
    """The question, where it is one that ships."""


def ask_run(question: Question, context: Context) -> Answered:
    """A question -> its answer."""
    from lab.ask import questions
    from lab.ask.asked import Asked
    from lab.ask.bounded import ask_runs

    saved = questions.find(question.text) if questions.is_name(question.text) else None
    asked = Asked(
        runs={run.path.name: str(run.path) for run in _asked_about(question, context)},
        sql=saved.sql if saved else question.text,
        since=question.since,
        parquet=question.parquet,
    )
    if saved:
        context.tell(f"{saved.asks} {saved.learn}")
        for line in saved.sql.splitlines():
            context.tell(f"    {line}")
    return Answered(answer=ask_runs(asked), saved=saved)


def _asked_about(question: Question, context: Context) -> tuple[RunFolder, ...]:
    from lab.runs import folder

    if "all" in question.runs:
        return folder.list_runs(context.workplace) or (folder.find(context.workplace),)
    return tuple(folder.find(context.workplace, name) for name in question.runs or ("",))


def list_questions(_: None, __: Context) -> tuple[SavedQuestion, ...]:
    """Nothing -> the questions that ship."""
    from lab.ask.questions import saved_questions

    return saved_questions()
