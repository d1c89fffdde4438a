"""What a card must say, whether it flatters or not."""

from __future__ import annotations

import pytest

from lab.learn import card
from lab.learn.card import Baseline, Evaluation, Group, Sort, evaluation
from lab.score.intervals import share


def group(hits: int, total: int, sort: Sort = "benign", name: str = "g") -> Group:
    return Group(name=name, sort=sort, flagged=share(hits, total))


def measured(found: int, of: int, false: int, benign: int, *baselines: Baseline) -> Evaluation:
    groups = [group(found, of, "novel attack", "a"), group(false, benign)]
    return evaluation(groups, baselines=baselines)


def test_figures_are_those_of_the_groups() -> None:
    found = evaluation(
        [
            group(80, 100, "known attack", "a"), group(10, 50, "novel attack", "b"),
            group(5, 200), group(4, 40, "hard benign"),
        ]
    )  # fmt: skip
    assert (found.recall.value, found.recall_known.value, found.recall_novel.value) == (0.6, 0.8, 0.2)
    assert (found.ordinary.value, found.hard.value) == (0.025, 0.1)
    assert found.accuracy == pytest.approx((90 + 195 + 36) / 390)
    assert found.f1 == pytest.approx(2 * 90 / (2 * 90 + 9 + 60))


def test_accuracy_stands_beside_what_saying_the_same_of_all_gives() -> None:
    found = measured(0, 10, 0, 990)
    assert (found.accuracy, found.majority) == (0.99, 0.99)
    assert "calling all the same is right in 0.9900" in " ".join(card.warnings(found, found, 0.1, None))


def test_a_baseline_that_is_as_good_is_named() -> None:
    port = Baseline(name="the port alone", accuracy=0.97, recall=1, false_positive_rate=0, recall_novel=None)
    found = measured(96, 100, 4, 100, port)
    assert "the port alone is right in 0.9700, the model in 0.9600" in card.warnings(found, found, 0.1, None)


def test_a_card_warns_of_false_positives_beyond_twice_the_aim() -> None:
    good = measured(99, 100, 1, 10_000)
    bad = evaluation([group(99, 100, "novel attack"), group(100, 10_000), group(30, 100, "hard benign")])
    assert card.warnings(good, good, 0.001, 0.05) == ()
    said = " ".join(card.warnings(good, bad, 0.001, 0.05))
    assert "test: 0.0100 false positives on ordinary" in said
    assert "test: 0.3000 false positives on hard" in said


def test_a_card_without_a_test_says_so() -> None:
    figures = measured(90, 100, 0, 1000)
    assert "no test was given" in " ".join(card.warnings(figures, None, 0.1, None))


def test_a_card_of_benign_rows_alone_claims_nothing_of_attacks() -> None:
    figures = evaluation([group(0, 100)])
    assert "tried on no attack" in " ".join(card.warnings(figures, figures, 0.1, None))
    assert (figures.f1, figures.recall.value, card.at_base_rates(figures)) == (None, None, ())


def test_alerts_are_worth_less_where_attacks_are_rare() -> None:
    worth = [it.true_share or 0 for it in card.at_base_rates(measured(99, 100, 1, 10_000))]
    assert worth == sorted(worth, reverse=True)
    assert worth[0] > 0.99
    assert worth[-1] < 0.05


def test_none_in_a_few_is_not_none() -> None:
    """No false alarm in twenty rows is not a rate of zero: alerts are not all true then."""
    worth = [it.true_share or 0 for it in card.at_base_rates(measured(20, 20, 0, 20))]
    assert worth[2] < 0.01


def test_a_curve_is_that_of_its_scores() -> None:
    found = card.curve([4, 3, 2, 1], [True, False, True, False])
    assert found
    assert found.area == 0.75
    assert (found.false_positive_rates[-1], found.recalls[-1], found.precisions[-1]) == (1, 1, 0.5)
    assert card.curve([1, 2], [True, True]) is None


def test_a_score_that_says_nothing_has_half_the_area() -> None:
    found = card.curve([1.0] * 10, [True, False] * 5)
    assert found
    assert found.area == 0.5


def test_figures_of_several_seeds_have_a_spread() -> None:
    found = card.spreads([measured(90, 100, 0, 10), measured(80, 100, 1, 10)])
    recall, false = found["recall"], found["false_positive_rate"]
    assert recall
    assert false
    assert [recall.mean, recall.deviation, *recall.values] == pytest.approx([0.85, 0.05, 0.9, 0.8])
    assert false.mean == 0.05
    assert found["recall_known"] is None
