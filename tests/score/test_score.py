"""The score: cases by hand, and every sentence of SCORING.md's "What must always hold"."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st

from lab.exercise.truth import Clock, Label, Status, Truth
from lab.files import records
from lab.score.measures import score_run
from lab.score.values import Score
from lab.score.vocabulary import Verdict
from lab.telemetry.event import Event
from tests.score.scorebook import SHOWN, Run, at, read_run
from tests.support import Case, by_name, cases

# -- cases -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", cases("score"), ids=by_name)
def test_score(case: Case) -> None:
    found = read_run(case.raw).score()
    expected = dict(case.raw["expected"])
    reasons = expected.pop("reasons", {})
    assert {name: SHOWN[name](found) for name in expected} == expected
    said = {step.step: step.reason for step in found.steps}
    assert {step: words for step, words in reasons.items() if words not in said[step]} == {}, said


# -- runs made up by chance ------------------------------------------------------------------------

_NODES = ("left", "right", "sensor")
_NAMES = ("ann", "bob")
_TAGS = ("T1110.001", "T1110", "T1003", "T1046")
_AMONG_NAMES = st.sampled_from((["ann"], ["bob"], ["ann", "bob"]))
_PREDICATES = st.one_of(
    st.fixed_dictionaries({"user.name": _AMONG_NAMES}),
    st.fixed_dictionaries({"event.category": _AMONG_NAMES}),
    st.fixed_dictionaries({"user.name": _AMONG_NAMES, "event.category": _AMONG_NAMES}),
)


@st.composite
def _records(draw: st.DrawFn, label: Label, step: str) -> dict[str, Any]:
    start = draw(st.integers(0, 4))
    record = {"step": step, "label": label, "start": start, "end": start + draw(st.integers(0, 6))}
    if label != "benign":
        record["where"] = draw(st.lists(_PREDICATES, min_size=1, max_size=2))
    if label == "attack":
        status: Status = draw(st.sampled_from(("ran",) * 7 + ("refused",)))
        record |= {"technique": draw(st.sampled_from(_TAGS)), "status": status}
        record["occurred"] = draw(st.sampled_from((True,) * 6 + (False, None)))
        record["attempt"] = draw(st.integers(1, 3))
    return record


def _events() -> st.SearchStrategy[list[dict[str, Any]]]:
    event = st.fixed_dictionaries(
        {"at": st.integers(0, 9), "user.name": st.sampled_from((*_NAMES, *_NAMES, "nobody"))},
        optional={
            "host.name": st.sampled_from(_NODES),
            "event.category": st.sampled_from((["ann", "nothing"], ["bob"], ["nothing"])),
        },
    )
    named = st.lists(event, min_size=2, max_size=6)
    return named.map(lambda found: [{**it, "id": f"e{number}"} for number, it in enumerate(found)])


@st.composite
def _alerts(draw: st.DrawFn, events: Sequence[str], alert: str) -> dict[str, Any]:
    evidence = st.lists(st.sampled_from(events), min_size=1, max_size=4, unique=True)
    return {
        "id": alert,
        "rule": draw(st.sampled_from(("r1", "r2"))),
        "title": draw(st.sampled_from(("One", "Two"))),
        "techniques": draw(st.lists(st.sampled_from(_TAGS), max_size=2, unique=True)),
        "events": [*draw(evidence), *draw(st.sampled_from(((), (), (), ("lost",))))],
        "raised": draw(st.sampled_from((11, 12, 400, 900))),
        "entities": {"user.name": draw(_AMONG_NAMES)},
    }


_CLOCKS = st.lists(
    st.fixed_dictionaries(
        {
            "node": st.sampled_from(_NODES),
            "offset": st.integers(-2, 2),
            "bound": st.sampled_from((0, 0.5, 1, 2)),
        }
    ),
    max_size=4,
)


@st.composite
def runs(draw: st.DrawFn, labels: Sequence[Label] = ("attack", "setup", "cleanup", "benign")) -> Run:
    """Make runs with overlaps, ties, repeated attempts, misses and false alarms."""
    steps = draw(st.lists(st.sampled_from(("1", "2", "3", "4")), min_size=1, max_size=5))
    others = draw(st.lists(st.sampled_from(labels[1:]), min_size=1, max_size=3))
    truth = [
        *(draw(_records(labels[0], step)) for step in steps),
        *(draw(_records(label, label)) for label in others),
    ]
    events = draw(_events())
    known = [event["id"] for event in events]
    alerts = [draw(_alerts(known, f"a{number}")) for number in range(draw(st.integers(1, 4)))]
    return read_run(
        {"truth": truth, "events": events, "alerts": alerts, "clocks": draw(_CLOCKS), "until": 950}
    )


def _overlap(run: Run) -> bool:
    return any(len(steps) > 1 for steps in _evidence_of_occurred_steps(run).values())


def _contested(run: Run) -> bool:
    """Tell whether fewer steps can be credited than alerts have evidence for."""
    fits = [steps for steps in _evidence_of_occurred_steps(run).values() if steps]
    return _most_steps(fits) < len(set[str]().union(*fits))


def _credits_several(score: Score) -> bool:
    credited = Counter(alert for step in score.steps for alert in step.alerts)
    return max(credited.values(), default=0) > 1


def _attempts(run: Run) -> int:
    return sum(record.label == "attack" for record in run.truth)


_SITUATIONS: dict[str, Callable[[Run, Score], bool]] = {
    "an event that fits several steps": lambda run, _: _overlap(run),
    "more steps than evidence for them": lambda run, _: _contested(run),
    "an alert that credits two steps": lambda _, score: _credits_several(score),
    "an alert on setup alone": lambda _, score: bool(score.ignored_alerts),
    "a false alert beside a true one": lambda _, score: 0 < score.precision.hits < score.precision.total,
    "a repeated alert": lambda _, score: score.precision.total < score.raw_precision.total,
    "an alert too late": lambda _, score: any("late" in it.modifiers for it in score.steps),
    "two attempts of a step": lambda run, score: len(score.steps) < _attempts(run),
}


def _situations(run: Run) -> set[str]:
    score = run.score()
    met = {name for name, holds in _SITUATIONS.items() if holds(run, score)}
    return met | {step.verdict for step in score.steps}


def test_runs_made_up_by_chance_come_to_every_situation() -> None:
    met: Counter[str] = Counter()

    @seed(1)
    @settings(max_examples=200, database=None, phases=[Phase.generate], deadline=None)
    @given(run=runs())
    def look(run: Run) -> None:
        met.update(_situations(run))

    look()
    met_rarely = {name: met[name] for name in (*_SITUATIONS, *get_args(Verdict)) if met[name] < 3}
    assert met_rarely == {}


_thorough = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _bytes(score: Score) -> str:
    return records.to_json(score)


# -- what must always hold -------------------------------------------------------------------------


@_thorough
@given(run=runs(), data=st.data())
def test_the_order_of_records_changes_nothing(run: Run, data: st.DataObject) -> None:
    shuffled = Run(
        truth=tuple(data.draw(st.permutations(run.truth))),
        alerts=tuple(data.draw(st.permutations(run.alerts))),
        events=tuple(data.draw(st.permutations(run.events))),
        clocks=tuple(data.draw(st.permutations(run.clocks))),
        until=run.until,
    )
    assert _bytes(shuffled.score()) == _bytes(run.score())


@_thorough
@given(run=runs(), by=st.integers(-(10**18), 10**18))
def test_the_time_of_day_changes_nothing(run: Run, by: int) -> None:
    assert _bytes(run.shifted(by).score()) == _bytes(run.score())


@_thorough
@given(run=runs(), ahead=st.integers(-(10**12), 10**12))
def test_a_node_clock_that_is_measured_may_be_wrong(run: Run, ahead: int) -> None:
    measured = replace(run, clocks=(*run.clocks, Clock(node="left", measured=at(0), offset=1, bound=5)))
    assert _bytes(measured.with_clock("left", ahead).score()) == _bytes(measured.score())


@_thorough
@given(run=runs(), seconds=st.integers(0, 900), evidence=st.sampled_from((("noise",), ("gone",), ())))
def test_a_false_positive_never_raises_precision_nor_changes_recall(
    run: Run, seconds: int, evidence: tuple[str, ...]
) -> None:
    raw = {"id": "false", "rule": "r1", "techniques": list(_TAGS), "events": evidence, "raised": seconds}
    noise = read_run(
        {
            "events": [{"id": "noise", "at": seconds, "host.name": "left", "user.name": "nobody"}],
            "alerts": [raw],
        }
    )
    with_event = replace(run, events=(*run.events, *noise.events))
    before = with_event.score()
    after = replace(with_event, alerts=(*run.alerts, *noise.alerts)).score()
    assert "false" in after.false_alerts
    assert (after.precision.value or 0) <= (before.precision.value or 0)
    assert after.recall == before.recall
    assert after.steps == before.steps


@_thorough
@given(run=runs(), data=st.data())
def test_a_true_positive_never_lowers_recall(run: Run, data: st.DataObject) -> None:
    ran = [it for it in run.truth if it.label == "attack" and it.status == "ran"]
    assume(ran)
    record = data.draw(st.sampled_from(ran))
    held = {name: values[0] for name, values in record.evidence[0].where.items()}
    new: Event = {"event.id": "new", "@timestamp": record.start, **held}
    known = [str(event["event.id"]) for event in run.events]
    raw = data.draw(_alerts(known, "more"))
    (alert,) = read_run({"alerts": [raw | {"events": ["new", *raw["events"]]}]}).alerts
    with_event = replace(run, events=(*run.events, new))
    before, after = with_event.score(), replace(with_event, alerts=(*run.alerts, alert)).score()
    assert "more" not in {*after.false_alerts, *after.ignored_alerts}
    assert after.recall.hits >= before.recall.hits
    assert after.recall.total == before.recall.total


@_thorough
@given(run=runs(), data=st.data())
def test_a_duplicated_alert_changes_only_the_noise_figure(run: Run, data: st.DataObject) -> None:
    again = data.draw(st.sampled_from(run.alerts))
    before, after = run.score(), replace(run, alerts=(*run.alerts, again)).score()
    assert replace(after, raw_precision=before.raw_precision) == before


@_thorough
@given(run=runs(), data=st.data())
def test_an_alert_said_again_under_another_id_credits_nothing_new(run: Run, data: st.DataObject) -> None:
    again = replace(data.draw(st.sampled_from(run.alerts)), id="again")
    before, after = run.score(), replace(run, alerts=(*run.alerts, again)).score()
    assert _without_ids(after) == _without_ids(before)


def _without_ids(score: Score) -> Score:
    return replace(
        score,
        steps=tuple(replace(step, alerts=()) for step in score.steps),
        false_alerts=(),
        ignored_alerts=(),
        raw_precision=score.recall,
    )


@_thorough
@given(run=runs())
def test_rescoring_gives_the_same_bytes(run: Run) -> None:
    assert _bytes(run.score()) == _bytes(run.score())


def test_rescoring_in_another_process_gives_the_same_bytes() -> None:
    program = "import sys; from tests.score.test_score import write_all; write_all()"
    said = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    assert len(said[0]) > 1000


def write_all() -> None:
    """Print the score of every case."""
    for case in cases("score"):
        sys.stdout.write(_bytes(read_run(case.raw).score()) + "\n")


@_thorough
@given(run=runs(labels=("setup", "cleanup", "benign")))
def test_a_run_without_an_attack_has_no_recall(run: Run) -> None:
    found = run.score()
    assert (found.recall.value, found.visibility.value, found.summary) == (None, None, None)
    assert found.steps == ()


# -- what follows from the specification -----------------------------------------------------------


@_thorough
@given(run=runs())
def test_recall_is_the_most_that_the_evidence_allows(run: Run) -> None:
    fits = _evidence_of_occurred_steps(run)
    assert run.score().recall.hits == _most_steps([steps for steps in fits.values() if steps])


@_thorough
@given(run=runs())
def test_an_alert_credits_a_step_only_with_evidence_for_it(run: Run) -> None:
    fits = _evidence_of_occurred_steps(run)
    alerts = {alert.id: alert for alert in run.alerts}
    credited = [(alerts[it], step.step) for step in run.score().steps for it in step.alerts]
    assert all(any(step in fits.get(event, ()) for event in alert.event_ids) for alert, step in credited)
    for alert in run.alerts:
        assert sum(it is alert for it, _ in credited) <= len(alert.event_ids)


@_thorough
@given(run=runs())
def test_nobody_detects_more_than_who_alerts_on_everything(run: Run) -> None:
    found = run.score()
    never, everything = found.floors
    assert never.recall.hits == 0
    assert found.recall.hits <= everything.recall.hits <= found.visibility.hits
    assert found.recall.total == found.visibility.total == everything.recall.total


@_thorough
@given(run=runs())
def test_every_alert_is_true_false_or_ignored(run: Run) -> None:
    found = run.score()
    assert not set(found.false_alerts) & set(found.ignored_alerts)
    credited = {alert for step in found.steps for alert in step.alerts}
    assert not credited & {*found.false_alerts, *found.ignored_alerts}


@_thorough
@given(run=runs())
def test_the_summary_stays_within_its_scale(run: Run) -> None:
    summary = run.score().summary
    assert summary is None or 0 <= summary <= 100 + 1e-9


def _evidence_of_occurred_steps(run: Run) -> dict[str, set[str]]:
    """Say the slow way which steps that occurred each evidence event fits."""
    wanted = {event for alert in run.alerts for event in alert.event_ids}
    attempts = [it for it in run.truth if it.label == "attack" and it.status == "ran" and it.occurred]
    return {
        str(event["event.id"]): {it.step for it in attempts if _fits(event, it, run)}
        for event in run.events
        if event["event.id"] in wanted
    }


def _fits(event: Event, record: Truth, run: Run) -> bool:
    measured = [clock for clock in run.clocks if clock.node == event.get("host.name")]
    low = min((it.offset - it.bound for it in measured), default=0)
    high = max((it.offset + it.bound for it in measured), default=0)
    moment = event["@timestamp"]
    assert isinstance(moment, int)
    return record.start + low <= moment <= record.end + high and any(
        all(_shares(event.get(name), values) for name, values in predicate.where.items())
        for predicate in record.evidence
    )


def _shares(value: object, values: Iterable[str | int]) -> bool:
    held = value if isinstance(value, tuple) else (value,)
    return any(one in held for one in values)


def _most_steps(fits: Sequence[set[str]]) -> int:
    """Try every way to give each event to one of its steps."""
    return max((len(set(chosen)) for chosen in itertools.product(*fits)), default=0)


def test_a_hundred_thousand_events_are_scored_in_seconds() -> None:
    """Twenty steps, most events within one of them; it takes 1 s, and 10 where much else goes on."""
    steps = [
        {"step": f"{n}", "start": 10 * n, "end": 10 * n + 9, "where": [{"host.name": "left"}] * 3}
        for n in range(20)
    ]
    run = read_run({"truth": steps})
    events: Iterable[Event] = (
        {"event.id": str(n), "@timestamp": at(n / 500), "host.name": "left"} for n in range(100_000)
    )
    begun = time.monotonic()
    score = score_run(
        run="", truth=run.truth, alerts=(), events=events, clocks=(), rules={}, observed_until=at(200)
    )
    assert time.monotonic() - begun < 10
    assert sum(step.events for step in score.steps) == 20 * 4501
