"""How well a timeline tells what happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lab.exercise.truth import Party, Truth
from lab.learn.grade import Grade, grade
from lab.learn.timeline import Noted
from lab.moment import SECOND, Moment
from tests.report import storybook

BEGUN = storybook.STARTED
TRUTH = (
    *storybook.truth(),
    Truth(
        run="x",
        step="0-desk-1",
        name="read shadow",
        label="benign",
        action="read-shadow",
        suspicious=True,
        start=Moment(BEGUN + 200 * SECOND),
        end=Moment(BEGUN + 205 * SECOND),
        occurred=True,
        sources=(Party(node="desk"),),
    ),
)


def noted(second: float, technique: str = "", *indicators: str, line: int = 1) -> Noted:
    return Noted(
        line=line, time=Moment(BEGUN + int(second * SECOND)), technique=technique, indicators=indicators
    )


def graded(*entries: Noted, truth: Sequence[Truth] = TRUTH) -> Grade:
    return grade("x", BEGUN, entries, truth, storybook.score())


def test_what_was_seen_at_its_time_under_its_technique_is_found() -> None:
    found = graded(noted(36, "T1046", storybook.ATTACKER, "nobody"), noted(50, "T1110"))
    assert [it.technique for it in found.found] == ["T1046", "T1110.001"]
    assert (found.recall.hits, found.recall.total) == (2, 7)
    assert (found.precision.hits, found.precision.total) == (2, 2)
    assert (found.order.hits, found.order.total) == (1, 1)
    assert (found.indicators.hits, found.indicators.total) == (1, 2)
    assert found.off == 0


def test_one_step_takes_one_entry() -> None:
    found = graded(noted(36, "T1046"), noted(37, "T1046"))
    assert (found.recall.hits, found.precision.hits, len(found.mistaken)) == (1, 1, 1)
    assert "noted twice" in found.mistaken[0].why


def test_the_right_technique_at_the_wrong_time_is_none() -> None:
    (wrong,) = graded(noted(300, "T1046")).mistaken
    assert "no step" in wrong.why


def test_work_that_only_looked_bad_is_named() -> None:
    (wrong,) = graded(noted(202, "T1003.008")).mistaken
    assert wrong.why == "that was work, and only looked bad: read shadow (desk)"


def test_a_step_that_took_no_effect_is_not_asked_for() -> None:
    names = [it.step for it in graded(noted(1)).missed]
    assert "See what runs" not in names
    assert len(names) == 7


def test_a_miss_is_explained_and_its_hint_gives_nothing_away() -> None:
    missed = {it.step: it for it in graded(noted(1)).missed}
    scan = missed["Find open services on the bastion"]
    assert "events show it" in scan.why
    assert "T1046" not in scan.hint
    assert "+35" in scan.hint


def test_the_wrong_order_is_seen() -> None:
    entries = [noted(49, "T1110", line=1), noted(48, "T1046", line=2)]
    late = [replace(it, start=Moment(it.start), end=Moment(it.end)) for it in TRUTH]
    found = graded(*entries, truth=late)
    assert (found.order.hits, found.order.total) == (0, 1)


def test_a_run_without_an_attack_has_no_recall() -> None:
    found = graded(noted(1, "T1046"), truth=[it for it in TRUTH if it.label == "benign"])
    assert (found.recall.total, found.recall.value, found.precision.hits) == (0, None, 0)
