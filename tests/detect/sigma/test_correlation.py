"""Correlations, told as what matched when, and when they fire."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.detect.sigma import correlation
from lab.detect.sigma.correlation import LATE, MAX_KEPT, Correlator, Match, ways
from lab.detect.sigma.rule import Correlation, CorrelationKind, Operator
from lab.moment import SECOND
from lab.telemetry.event import Event, Value

SPAN: Final = 60


def about(  # noqa: PLR0913  # each is one word of a correlation
    kind: CorrelationKind,
    *,
    rules: tuple[str, ...] = ("a",),
    operator: Operator = "gte",
    count: int = 3,
    group_by: tuple[str, ...] = ("source.ip",),
    fields: tuple[str, ...] = (),
    aliases: dict[str, dict[str, str]] | None = None,
    percentile: int = 0,
    expression: tuple[str, ...] = (),
) -> Correlation:
    return Correlation(
        id="c",
        hash="",
        path="",
        title="c",
        level="high",
        techniques=(),
        tactics=(),
        tags=(),
        kind=kind,
        rules=rules,
        group_by=group_by,
        aliases=aliases or {},
        timespan=SPAN * SECOND,
        operator=operator,
        count=count,
        fields=fields,
        percentile=percentile,
        expression=expression,
        alone=True,
    )


def matched(time: float, order: int, rule: str = "a", source: str = "x", user: str = "u") -> Match:
    event: Event = {
        "@timestamp": round(time * SECOND),
        "event.id": f"{order:04d}",
        "source.ip": source,
        "user.name": user,
    }
    return Match(time=round(time * SECOND), order=order, rule=rule, events=(event,))


def at(*times: float) -> list[Match]:
    return [matched(time, order) for order, time in enumerate(times)]


def fired(rule: Correlation, matches: Sequence[Match]) -> list[list[str]]:
    """Return the evidence of each firing, by the last letter of the events' numbers."""
    return [
        [str(event["event.id"]).lstrip("0") or "0" for event in it.events]
        for it in Correlator(rule).feed(matches)
    ]


def test_a_count_fires_when_it_is_reached_within_the_window() -> None:
    assert fired(about("event_count"), at(0, 30, 60)) == [["0", "1", "2"]]


def test_a_count_spread_over_more_than_the_window_is_none() -> None:
    assert fired(about("event_count"), at(0, 30, 60.1)) == []


def test_what_goes_on_fires_once_per_window() -> None:
    assert len(fired(about("event_count"), at(*range(0, 200, 5)))) == 3


def test_cases_are_kept_apart_and_lacking_fields_belong_to_none() -> None:
    known = [matched(number, number, source=f"s{number % 2}") for number in range(4)]
    unknown = [Match(time=0, order=9, rule="a", events=({"@timestamp": 0, "event.id": "9"},))] * 5
    assert fired(about("event_count"), [*known, *unknown]) == []


@pytest.mark.parametrize(
    ("operator", "reached"), [("gt", 4), ("gte", 3), ("eq", 3), ("lt", 1), ("lte", 1), ("neq", 1)]
)
def test_every_comparison_is_decided_at_each_match(operator: Operator, reached: int) -> None:
    (found,) = fired(about("event_count", operator=operator), at(0, 1, 2, 3, 4))
    assert len(found) == reached


def test_different_values_are_counted() -> None:
    rule = about("value_count", fields=("user.name",))
    same = [matched(number, number, user="one") for number in range(10)]
    assert fired(rule, same) == []
    others = [matched(10, 10, user="two"), matched(11, 11, user="three")]
    assert len(fired(rule, [*same, *others])) == 1


def test_values_of_several_fields_are_counted_together() -> None:
    rule = about("value_count", fields=("user.name", "source.ip"), group_by=())
    pairs = [("x", "u"), ("y", "u"), ("x", "u"), ("x", "v")]
    known = [matched(n, n, source=source, user=user) for n, (source, user) in enumerate(pairs)]
    assert fired(rule, known) == [["0", "1", "2", "3"]]


def test_temporal_wants_every_rule_in_any_order() -> None:
    rule = about("temporal", rules=("a", "b"), count=2)
    assert fired(rule, [matched(5, 0, "b"), matched(6, 1, "a")]) == [["0", "1"]]
    assert fired(rule, [matched(5, 0, "b"), matched(6, 1, "b")]) == []


def test_ordered_wants_the_order_of_the_file() -> None:
    rule = about("temporal_ordered", rules=("a", "b"), count=2)
    assert fired(rule, [matched(5, 0, "b"), matched(6, 1, "a")]) == []
    assert fired(rule, [matched(5, 0, "a"), matched(6, 1, "b")]) == [["0", "1"]]


def test_ordered_fires_at_each_match_of_the_last_rule() -> None:
    rule = about("temporal_ordered", rules=("a", "b"), count=2)
    known = [matched(1, 0, "a"), matched(2, 1, "b"), matched(3, 2, "b")]
    assert fired(rule, known) == [["0", "1"], ["0", "2"]]


def test_matches_of_one_moment_are_in_any_order() -> None:
    rule = about("temporal_ordered", rules=("a", "b"), count=2)
    assert fired(rule, [matched(5, 0, "b"), matched(5, 1, "a")]) == [["0", "1"]]


def test_an_alias_names_the_same_thing_in_different_fields() -> None:
    aliases = {"who": {"a": "user.name", "b": "user.target.name"}}
    rule = about("temporal", rules=("a", "b"), count=2, group_by=("who",), aliases=aliases)
    other: Event = {"@timestamp": 6 * SECOND, "event.id": "1", "user.target.name": "u"}
    known = [matched(5, 0, "a"), Match(time=6 * SECOND, order=1, rule="b", events=(other,))]
    assert fired(rule, known) == [["0", "1"]]


def test_an_event_that_comes_late_still_counts() -> None:
    late = [matched(0, 0), matched(50, 1), matched(20, 2)]
    assert fired(about("event_count"), late) == [["0", "2", "1"]]


def test_an_event_that_comes_too_late_is_forgotten() -> None:
    horizon = SPAN + LATE / SECOND
    late = [matched(horizon + 100, 0), matched(90, 1), matched(91, 2), matched(92, 3)]
    assert fired(about("event_count"), late) == []


def test_a_flood_of_one_value_neither_fills_memory_nor_hides_others() -> None:
    rule = about("value_count", fields=("user.name",), count=4)
    quiet = [matched(0, 0, user="one"), matched(0.1, 1, user="two")]
    flood = [matched(1 + n / 10_000, 2 + n, user="flood") for n in range(3 * MAX_KEPT)]
    correlator = Correlator(rule)
    assert correlator.feed([*quiet, *flood]) == []
    (case,) = correlator._cases.values()  # noqa: SLF001  # memory is what is tested
    assert len(case.kept) <= MAX_KEPT
    assert len(correlator.feed([matched(10, 99_999, user="three")])) == 1


def test_idle_cases_are_forgotten() -> None:
    correlator = Correlator(about("event_count"))
    correlator.feed(matched(n, n, source=f"s{n}") for n in range(20_000))
    assert len(correlator._cases) < 3 * (SPAN + LATE / SECOND)  # noqa: SLF001  # memory is what is tested


def test_an_event_from_far_ahead_makes_nothing_forgotten_that_goes_on() -> None:
    others = [matched(n, n, source=f"s{n}") for n in range(500)]
    begun = [matched(500, 500), matched(501, 501), matched(10**9, 502, source="ahead")]
    correlator = Correlator(about("event_count"))
    assert correlator.feed([*others, *begun]) == []
    assert len(correlator.feed([matched(502, 503)])) == 1


def test_the_number_of_cases_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correlation, "MAX_CASES", 2_000)
    correlator = Correlator(about("event_count"))
    correlator.feed(matched(n / 10_000, n, source=f"s{n}") for n in range(20_000))
    assert len(correlator._cases) <= 4_000  # noqa: SLF001  # memory is what is tested


RULES: Final = [
    about("event_count"),
    about("value_count", fields=("user.name",)),
    about("temporal", rules=("a", "b"), count=2),
    about("temporal_ordered", rules=("a", "b"), count=2),
]

STREAMS: Final = st.lists(
    st.tuples(st.integers(0, 300), st.sampled_from("ab"), st.sampled_from("xy"), st.sampled_from("uvw")),
    max_size=40,
)


def stream(told: list[tuple[int, str, str, str]]) -> list[Match]:
    return [matched(time, order, rule, source, user) for order, (time, rule, source, user) in enumerate(told)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
@given(told=STREAMS, cut=st.integers(0, 40))
def test_cutting_a_stream_changes_nothing(
    rule: Correlation, told: list[tuple[int, str, str, str]], cut: int
) -> None:
    whole, parts, known = Correlator(rule), Correlator(rule), stream(told)
    assert whole.feed(known) == [*parts.feed(known[:cut]), *parts.feed(known[cut:])]


def counted(rule: Correlation, inside: list[Match]) -> int:
    """Count what the rule counts, from nothing but the matches of a window."""
    if rule.kind == "event_count":
        return len(inside)
    users = {it.events[0]["user.name"] for it in inside}
    return len(users) if rule.kind == "value_count" else len({it.rule for it in inside})


@pytest.mark.parametrize("rule", RULES[:3], ids=lambda rule: rule.kind)
@given(told=STREAMS)
def test_a_case_fires_whenever_some_window_fulfils_the_condition(
    rule: Correlation, told: list[tuple[int, str, str, str]]
) -> None:
    """The plain definition: is there any window, of any case, with enough in it?"""
    known = stream(sorted(told))
    groups = {
        source: [it for it in known if it.events[0]["source.ip"] == source and it.rule in rule.rules]
        for source in "xy"
    }
    windows = [
        [it for it in group if 0 <= end.time - it.time <= rule.timespan]
        for group in groups.values()
        for end in group
    ]
    expected = any(counted(rule, inside) >= rule.count for inside in windows)
    assert bool(Correlator(rule).feed(known)) == expected


def sized(*sizes: Value | None) -> list[Match]:
    """Make matches one second apart, each with a number of bytes."""
    found = []
    for place, it in enumerate(sizes):
        event: Event = {"@timestamp": place * SECOND, "event.id": str(place), "source.ip": "x"}
        events = (event if it is None else event | {"source.bytes": it},)
        found.append(Match(time=place * SECOND, order=place, rule="a", events=events))
    return found


@pytest.mark.parametrize(
    ("kind", "sizes", "limit", "percentile", "ends"),
    [
        ("value_sum", (10, 20, 30), 60, 0, ["2"]),
        ("value_sum", (10, 20, 29.9), 60, 0, []),
        ("value_sum", (10, "20", None, "many", True, 30), 60, 0, ["5"]),
        ("value_avg", (10, 90, 50), 50, 0, ["1"]),
        ("value_avg", (10, 20, 119), 50, 0, []),
        ("value_median", (1, 1, 100, 100, 100), 100, 0, ["4"]),
        ("value_median", (1, 99), 50, 0, ["1"]),
        ("value_percentile", tuple(range(11)), 9, 90, ["10"]),
        ("value_percentile", (1, 2, 3), 4, 100, []),
        ("value_percentile", (7, 1), 1, 0, ["0"]),
    ],
)
def test_numbers_are_calculated_with(
    kind: CorrelationKind, sizes: tuple[Value | None, ...], limit: int, percentile: int, ends: list[str]
) -> None:
    rule = about(kind, fields=("source.bytes",), count=limit, percentile=percentile)
    assert [it[-1] for it in fired(rule, sized(*sizes))] == ends


@pytest.mark.parametrize(
    ("expression", "rules", "found"),
    [
        (("a", "b", "or"), "b", 1),
        (("a", "b", "and"), "ba", 1),
        (("a", "b", "and"), "bb", 0),
        (("a", "b", "c", "or", "and"), "ca", 1),
        (("a", "b", "not", "and"), "a", 1),
        (("a", "b", "not", "and"), "ba", 0),
        (("a", "b", "and", "not", "c", "and"), "cb", 1),
        (("a", "b", "and", "not", "c", "and"), "abc", 0),
    ],
)
def test_a_condition_of_rules_is_decided_at_each_match(
    expression: tuple[str, ...], rules: str, found: int
) -> None:
    rule = about("temporal", rules=("a", "b", "c"), expression=expression, count=0)
    assert len(fired(rule, [matched(place, place, it) for place, it in enumerate(rules)])) == found


@pytest.mark.parametrize(
    ("rules", "ends"), [("abc", ["2"]), ("acb", ["1"]), ("cab", []), ("bac", ["2"]), ("bc", [])]
)
def test_an_ordered_condition_of_rules_wants_the_order_of_its_words(rules: str, ends: list[str]) -> None:
    rule = about("temporal_ordered", rules=("a", "b", "c"), expression=("a", "c", "and"), count=0)
    assert [
        it[-1] for it in fired(rule, [matched(place, place, it) for place, it in enumerate(rules)])
    ] == ends


def test_a_condition_that_never_holds_is_told() -> None:
    with pytest.raises(ValueError, match="never hold"):
        ways(("a", "a", "not", "and"))


def test_a_condition_that_holds_in_too_many_ways_is_told() -> None:
    parts = [(f"a{place}", f"b{place}", "or") for place in range(12)]
    expression = (*parts[0], *(word for it in parts[1:] for word in (*it, "and")))
    with pytest.raises(ValueError, match="more than"):
        ways(expression)
