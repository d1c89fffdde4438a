"""Conditions find their events, any number at once, and what is no condition is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.errors import BadQuery
from lab.telemetry.conditions import Condition, Trial, bits, event_columns, places, written_column
from lab.telemetry.event import FIELDS
from lab.telemetry.events import Events
from lab.telemetry.matching import Matcher
from tests.telemetry.test_store import event

EVENTS = Events.of(
    [
        event(1, process_name="ls", source_port=22),
        event(2, process_name="LS", event_category=("process", "Web")),
        event(3, source_ip="10.0.0.9", user_name="'; DROP TABLE events; --"),
    ]
)

KNOWN = [
    ("\"process.name\" = 'ls'", {"process.name"}, [0]),
    ("\"~process.name\" LIKE 'l%'", {"process.name"}, [0, 1]),
    ('"process.name" ILIKE \'LS\' AND "source.port" > 20', {"process.name", "source.port"}, [0]),
    ("list_contains(\"~event.category\", 'web')", {"event.category"}, [1]),
    ("starts_with(\"source.ip\", '10.0.0.')", {"source.ip"}, [2]),
    ("regexp_matches(\"user.name\", '^.; DROP')", {"user.name"}, [2]),
    ('"tls.version" IS NULL', {"tls.version"}, [0, 1, 2]),
    ("true", set[str](), [0, 1, 2]),
    ("\"@timestamp\" < TIMESTAMPTZ '2026-01-01'", {"@timestamp"}, [0, 1, 2]),
    ("false", set[str](), []),
]


@pytest.fixture
def matcher() -> Iterator[Matcher]:
    made = Matcher()
    yield made
    made.close()


def asked(sql: str, fields: set[str]) -> Condition:
    return Condition(sql=sql, fields=frozenset(fields))


@pytest.mark.parametrize(("sql", "fields", "rows"), KNOWN)
def test_a_condition_finds_its_events(matcher: Matcher, sql: str, fields: set[str], rows: list[int]) -> None:
    assert matcher.places(EVENTS, [asked(sql, fields)]) == [rows]


def test_many_conditions_find_each_its_own(matcher: Matcher) -> None:
    conditions = [asked(sql, fields) for sql, fields, _ in KNOWN] * 20
    assert matcher.places(EVENTS, conditions) == [rows for *_, rows in KNOWN] * 20


def test_no_condition_and_no_event_are_no_match(matcher: Matcher) -> None:
    assert matcher.places(EVENTS, []) == []
    assert matcher.places(Events.of([]), [asked("true", set())]) == [[]]


@pytest.mark.parametrize(
    "condition",
    [
        "",
        "nope = 1",
        '"process.name" = \'ls',
        "true; DROP TABLE events",
        "true) UNION ALL SELECT 1 WHERE (true",
        "true) --",
        "EXISTS (FROM read_text('/etc/passwd'))",
        "\"process.name\" = 'x' + 1",
        "regexp_matches(\"process.name\", '(')",
    ],
)
def test_what_is_no_condition_is_told_and_harms_nothing(condition: str) -> None:
    trial, columns = Trial(), event_columns(FIELDS)
    with pytest.raises(BadQuery):
        trial.check(condition, columns)
    trial.check("true", columns)
    trial.close()


def test_numbers_say_which_conditions_hold() -> None:
    selected, some = bits(["a"] * 130)
    assert selected.count("CASE") == 130
    assert some == '"#0" <> 0 OR "#1" <> 0 OR "#2" <> 0'
    assert places([(7, 0, 1 << 61, 0), (3, 1, 0, 2)], 130)[0] == [3]
    assert places([(7, 0, 1 << 61, 0), (3, 1, 0, 2)], 130)[123] == [7]
    assert places([(7, 0, 1 << 61, 0), (3, 1, 0, 2)], 130)[125] == [3]


def test_names_that_differ_in_capitals_alone_are_different_columns() -> None:
    names = ["User", "user", "USER", "uSer", 'us"er', "us%22er", "us%er", "~user", "user#1"]
    assert len({written_column(it).lower() for it in names}) == len(names)
    assert all('"' not in written_column(it) for it in names)
