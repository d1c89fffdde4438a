"""Runs side by side, changes of one, and gates that a score has to pass."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.detect.again import Again
from lab.detect.detector import OWN_RULES
from lab.detect.sigma.compiled import rules_of
from lab.errors import WrongInput
from lab.export.junit import junit
from lab.files.workplace import CARRIED
from lab.moment import Moment
from lab.report.trend import trend
from lab.runs.folder import RunFolder
from lab.runs.header import Header
from lab.score.changes import changes
from lab.score.files import score_alerts
from lab.score.gates import Gates
from lab.score.intervals import rate, upper_bound
from lab.score.series import contrast, mcnemar, spread, taken
from lab.score.values import Score

HEADER = Header(id="a", lab="x", scenario="s", summary="", version="0", started=Moment(1))


def missed(score: Score, *places: int) -> Score:
    """Return a score in which some steps were missed."""
    steps = tuple(
        replace(it, verdict="telemetry_only", alerts=(), rules=(), time_to_detect=None)
        if place in places
        else it
        for place, it in enumerate(score.steps)
    )
    return replace(score, steps=steps)


@cache
def scored() -> Score:
    run = RunFolder(CARRIED / "recordings" / "ssh-brute-force")
    return score_alerts(run, Again.of(run.noticed).alerts(rules_of([OWN_RULES])), {})


@pytest.fixture
def score() -> Score:
    return scored()


def test_mcnemar_is_the_sign_test_on_those_that_disagree() -> None:
    assert mcnemar(0, 0) == 1
    assert mcnemar(0, 5) == pytest.approx(0.0625)
    assert mcnemar(1, 9) == pytest.approx(22 / 1024)
    assert mcnemar(9, 1) == mcnemar(1, 9)


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_a_probability(lost: int, won: int) -> None:
    assert 0 < mcnemar(lost, won) <= 1


def test_runs_are_compared_step_by_step(score: Score) -> None:
    found = contrast((HEADER, missed(score, 0)), (replace(HEADER, id="b"), score))
    assert (found.lost, found.won) == (0, 1)
    assert found.steps[0].first == "telemetry_only"
    assert found.p == 1


def test_runs_without_a_step_in_common_are_not_compared(score: Score) -> None:
    with pytest.raises(WrongInput, match="no step in common"):
        contrast((HEADER, score), (HEADER, replace(score, steps=())))


def test_the_spread_names_steps_that_come_out_both_ways(score: Score) -> None:
    found = spread([(HEADER, score), (replace(HEADER, id="b"), missed(score, 0))])
    assert found.unsteady == (score.steps[0].name,)
    assert found.recall is not None
    assert found.recall[0] <= found.recall[1] <= found.recall[2]


def test_a_score_that_is_the_same_has_no_changes(score: Score) -> None:
    assert not changes(score, score, raised_before=(), raised_after=())


def test_changes_name_step_verdict_and_rules(score: Score) -> None:
    (turned,) = changes(score, missed(score, 0), raised_before=(), raised_after=()).steps
    assert (turned.before, turned.after) == (score.steps[0].verdict, "telemetry_only")
    assert turned.lost == score.steps[0].rules
    assert turned.gained == ()


def test_gates_say_what_is_not_reached(score: Score) -> None:
    assert Gates().missed(score) == ()
    assert not Gates()
    recall, false = score.recall.value or 0, score.false_positives.count
    assert Gates(min_recall=recall, max_false=false).missed(score) == ()
    assert "recall has to be" in Gates(min_recall=1.01).missed(score)[0]
    assert Gates(max_false=0).missed(replace(score, false_positives=rate(2, 1))) == (
        "0 false alarms are allowed, and there are 2",
    )


def test_without_an_attack_no_recall_is_reached(score: Score) -> None:
    bare = replace(score, steps=(), recall=replace(score.recall, hits=0, total=0, value=None))
    assert "no attack" in Gates(min_recall=0).missed(bare)[0]


def test_junit_has_a_case_for_each_step_and_one_for_the_gates(score: Score) -> None:
    odd = replace(score.steps[0], name="a\x00b<&", reason="\ud800")
    told = replace(missed(score, 0), steps=(odd, *missed(score, 0).steps[1:]))
    root = ET.fromstring(junit([(HEADER, told)], Gates(min_recall=1.01)))  # noqa: S314  # our own
    (suite,) = root
    assert int(suite.attrib["tests"]) == len(score.steps) + 1
    assert suite.findall("testcase")[-1].attrib["name"] == "gates"
    assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure"))
    assert suite[0].attrib["name"] == "a\N{REPLACEMENT CHARACTER}b<&"


def test_none_of_so_many_is_bounded_by_the_rule_of_three() -> None:
    assert upper_bound(0) == pytest.approx(2.9957, abs=1e-3)
    assert upper_bound(1) == pytest.approx(4.744, abs=1e-3)


def test_a_trend_is_drawn_whatever_is_missing(score: Score) -> None:
    run = taken(HEADER, score)
    for runs in ((), (run,), (run, replace(run, run="<b>", delay=None))):
        root = ET.fromstring(trend(runs))  # noqa: S314  # our own
        assert root.tag.endswith("svg")
    assert "<b>" not in trend((run, replace(run, run="<b>")))
