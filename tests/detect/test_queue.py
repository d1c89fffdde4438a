"""An analyst is shown each rule once for each actor, and each story as one incident."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.detect.alert import RISKS, Alert, Level
from lab.detect.queue import PAUSE, Queue
from lab.moment import SECOND, Moment


def alert(
    number: int, rule: str = "a", *, at: float = 0, level: Level = "high", techniques: str = "", **named: str
) -> Alert:
    """Make an alert; `source_ip="x y"` names two addresses."""
    return Alert(
        id=f"{number:04d}",
        engine="sigma",
        rule_id=rule,
        rule_hash="",
        title=rule,
        level=level,
        risk=RISKS[level],
        techniques=tuple(techniques.split()),
        first_event=Moment(round(at * SECOND)),
        ingested=Moment(round(at * SECOND)),
        raised=Moment(round(at * SECOND) + 1),
        entities={name.replace("_", "."): tuple(it.split()) for name, it in named.items()},
        event_ids=(f"e{number}",),
        evidence_count=1,
    )


def test_repeats_of_a_rule_on_one_actor_are_one_entry_with_a_count() -> None:
    queue = Queue()
    counts = [queue.add(alert(it, at=it, source_ip="x", user_name=f"u{it}")) for it in range(3)]
    (entry,) = queue.entries
    assert counts == [1, 2, 3]
    assert (entry.evidence, entry.entities["user.name"]) == (3, ("u0", "u1", "u2"))
    assert [it.id for it in entry.alerts] == ["0000", "0001", "0002"]


@pytest.mark.parametrize(
    ("one", "other", "entries"),
    [
        ({"source_ip": "x"}, {"source_ip": "y"}, 2),
        ({"host_name": "h", "user_name": "u"}, {"host_name": "h", "user_name": "u"}, 1),
        ({"host_name": "h", "user_name": "u"}, {"host_name": "h", "user_name": "v"}, 2),
        ({"host_name": "h"}, {"host_name": "h"}, 1),
        ({"source_ip": "x"}, {"source_ip": "x", "rule": "b"}, 2),
        ({"source_ip": "x"}, {"source_ip": "x", "at": PAUSE / SECOND}, 1),
        ({"source_ip": "x"}, {"source_ip": "x", "at": PAUSE / SECOND + 1}, 2),
    ],
)
def test_another_rule_or_actor_or_a_long_pause_is_another_entry(
    one: Mapping[str, Any], other: Mapping[str, Any], entries: int
) -> None:
    assert len(Queue([alert(0, **one), alert(1, **other)]).entries) == entries


def test_a_story_from_scan_to_another_host_is_one_incident() -> None:
    told = [
        alert(0, "scan", at=0, level="low", techniques="T1046", source_ip="x", destination_ip="y z"),
        alert(1, "guess", at=1, techniques="T1110", source_ip="x", host_name="h", user_name="u"),
        alert(2, "who", at=2, level="low", techniques="T1033", host_name="h", user_name="u"),
        alert(3, "onward", at=3, level="critical", techniques="T1021 T1046", source_ip="y"),
        alert(4, "other", at=3, host_name="h", user_name="v"),
    ]
    story, other = Queue(told).incidents
    assert [it.first.title for it in story.entries] == ["scan", "guess", "who", "onward"]
    assert (story.chain, story.level) == (("T1046", "T1110", "T1033", "T1021"), "critical")
    assert (story.risk, other.risk) == (100, 73)
    assert story.alert_ids == ("0000", "0001", "0002", "0003")


def test_what_comes_from_where_nobody_went_is_another_incident() -> None:
    told = [alert(0, source_ip="x", destination_ip="y"), alert(1, at=1, source_ip="z", destination_ip="y")]
    assert len(Queue(told).incidents) == 2


def test_two_stories_that_turn_out_to_be_one_are_one() -> None:
    told = [
        alert(0, "a", source_ip="x"),
        alert(1, "b", at=1, host_name="h", user_name="u"),
        alert(2, "c", at=2, source_ip="x", host_name="h", user_name="u"),
        alert(3, "d", at=3, host_name="h", user_name="u"),
    ]
    (found,) = Queue(told).incidents
    assert len(found.entries) == 4


NAMES = st.sampled_from(["", "x", "y", "z", "x y"])
ALERTS = st.lists(
    st.builds(
        lambda rule, at, source, target, host, user: (rule, at, source, target, host, user),
        st.sampled_from("ab"),
        st.integers(0, 9000),
        NAMES,
        NAMES,
        NAMES,
        NAMES,
    ),
    max_size=20,
)


@given(ALERTS)
def test_every_alert_is_in_one_entry_and_every_entry_in_one_incident(told: list[Any]) -> None:
    named = ("source_ip", "destination_ip", "host_name", "user_name")
    alerts = [
        alert(number, rule, at=at, **{name: it for name, it in zip(named, who, strict=True) if it})
        for number, (rule, at, *who) in enumerate(told)
    ]
    queue = Queue(alerts)
    ids = sorted(it.id for it in alerts)
    assert sorted(it.id for entry in queue.entries for it in entry.alerts) == ids
    assert sorted(it for incident in queue.incidents for it in incident.alert_ids) == ids


def test_a_flood_is_sorted_in_quickly() -> None:
    queue = Queue(alert(it, at=it / 1000, source_ip="x", user_name=f"u{it}") for it in range(20_000))
    assert (len(queue.entries), len(queue.incidents)) == (1, 1)
