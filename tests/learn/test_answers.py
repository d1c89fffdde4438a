"""Dispositions and reasons beside truth, apart."""

from __future__ import annotations

import pytest

from lab.detect.alert import Alert
from lab.exercise.truth import Party, Truth
from lab.learn.answers import Graded, grade_answers
from lab.moment import SECOND, Moment
from lab.runs.header import LabRecord, NodeRecord
from lab.runs.triage import Disposition, Standing
from lab.score.intervals import Rate, share
from lab.score.values import Delay, Score, StepScore

BEGUN = Moment(1_795_587_000 * SECOND)
LAB = LabRecord(
    lab="x", nodes=(NodeRecord(name="desk", kind="workstation", image="", addresses={"inside": "10.0.0.7"}),)
)
DESK = Party(node="desk", addresses=("10.0.0.7",))


def alert(name: str, second: int, source: str = "10.0.0.9") -> Alert:
    moment = Moment(BEGUN + second * SECOND)
    return Alert(
        id=name, engine="sigma", rule_id="r", rule_hash="", title=f"rule of {name}", level="high",
        first_event=moment, ingested=moment, raised=moment, entities={"source.ip": (source,)},
        event_ids=(), evidence_count=1,
    )  # fmt: skip


def act(second: int, *, suspicious: bool) -> Truth:
    moment = Moment(BEGUN + second * SECOND)
    return Truth(
        run="x", step=f"work-{second}", name="read shadow", label="benign", action="read-shadow",
        suspicious=suspicious, start=moment, end=moment, sources=(DESK,), users=("maria",),
    )  # fmt: skip


def score(*, false: tuple[str, ...], ignored: tuple[str, ...] = ()) -> Score:
    step = StepScore(
        step="1-guess", name="Guess a password", technique="T1110.001", verdict="technique", modifiers=(),
        reason="", events=1, alerts=("attack",), rules=(), time_to_detect=1, sensor_delay=None,
        evaluation_delay=None,
    )  # fmt: skip
    some = share(1, 1)
    return Score(
        run="x", rules={}, steps=(step,), visibility=some, recall=some, precision=some, raw_precision=some,
        false_positives=Rate(count=0, hours=0, value=None, low=None, high=None), false_alerts=false,
        ignored_alerts=ignored, time_to_detect=Delay(observed=1, censored=0, median=1, p90=1),
        steps_before_first_alert=0, floors=(), summary=None,
    )  # fmt: skip


def said(disposition: Disposition | None, reason: str = "") -> Standing:
    return Standing(disposition=disposition, reason=reason, acknowledged=True)


def graded(standings: dict[str, Standing], *, suspicious: bool = False) -> Graded:
    return grade_answers(
        "x",
        alerts=(
            alert("attack", 1),
            alert("work", 100, "10.0.0.7"),
            alert("nothing", 500),
            alert("setup", 900),
        ),
        standings=standings,
        truth=(act(100, suspicious=suspicious),),
        score=score(false=("work", "nothing"), ignored=("setup",)),
        lab=LAB,
    )


def test_verdict_and_reason_are_graded_apart() -> None:
    found = graded(
        {
            "attack": said("TruePositive", "somebody guesses: T1110"),
            "work": said("FalsePositive", "no idea"),
            "nothing": said("TruePositive", "T1059"),
        }
    )
    assert (found.verdicts.hits, found.verdicts.total) == (2, 3)
    assert (found.reasons.hits, found.reasons.total) == (1, 2)
    assert [it.reason_right for it in found.answers] == [True, False, None]


@pytest.mark.parametrize(("suspicious", "right"), [(True, "BenignPositive"), (False, "FalsePositive")])
def test_work_that_looks_bad_is_benign_and_other_work_false(suspicious: bool, right: Disposition) -> None:  # noqa: FBT001  # a case
    found = graded({"work": said(right, "the desk, as Maria does every day")}, suspicious=suspicious)
    (answer,) = [it for it in found.answers if it.alert == "work"]
    assert (answer.right, answer.verdict_right, answer.reason_right) == (right, True, True)


@pytest.mark.parametrize("reason", ["", "T1059", "it is in on of a"])
def test_a_reason_that_names_nothing_right_is_wrong(reason: str) -> None:
    assert graded({"attack": said("TruePositive", reason)}).reasons.hits == 0


def test_who_says_nothing_is_not_right_and_the_floor_is_beside() -> None:
    found = graded({"attack": said("Undetermined"), "setup": said("TruePositive")})
    assert (found.verdicts.hits, found.answered.hits, found.floor.hits, found.floor.total) == (0, 1, 1, 3)


def test_the_setup_of_an_exercise_does_not_count() -> None:
    assert "setup" not in {it.alert for it in graded({}).answers}
