"""Windows: what is counted, that more of an attack never scores less, and what an alert of them says."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.detect import windows
from lab.detect.alert import MAX_EVIDENCE
from lab.detect.description import Description
from lab.detect.model import WindowDetector, WindowModel, read_model, write_model
from lab.moment import SECOND
from lab.telemetry.event import Event
from lab.telemetry.events import Events
from tests.learn import data

NOW = data.START
USUAL = {
    "middle": np.array([1.0, 1.0, 1.0, 14.0, 1.0, 1.0]),
    "scale": np.full(6, 0.5),
}
"""Only bytes are plenty on a quiet day."""


def described(threshold: float = 6.0) -> Description:
    return Description(
        name="w", kind="destination-window", title="x", level="medium", techniques=("T1498",),
        tactics=("impact",), threshold=threshold, weights="", version="0",
    )  # fmt: skip


def command(number: int, name: str, user: str = "jane", parent: int | None = None) -> Event:
    return data.command(number, name, number / 100, user, parent)


def values(events: list[Event]) -> list[list[int]]:
    found = windows.filled(windows.Traffic(), [Events.of(events)])
    return [np.expm1(it).round().astype(int).tolist() for _, _, it in found]


def test_what_reaches_a_destination_is_counted() -> None:
    found = values(
        [
            data.connection(1), data.connection(2, 1, **{"source.ip": "10.0.0.8"}), data.connection(3, 2),
            data.connection(4, 3, **{"destination.port": 443, "destination.packets": 0}),
        ]
    )  # fmt: skip
    assert found == [[3, 2, 2, 400, 1, 2]]


def test_each_destination_and_each_ten_seconds_has_a_window() -> None:
    events = [
        data.connection(1),
        data.connection(2, 10),
        data.connection(3, 0, **{"destination.ip": "10.0.0.2"}),
    ]
    assert len(values(events)) == 3
    assert values([data.base(1, 0)]) == []


def test_a_scan_of_ports_is_no_flood() -> None:
    (scan,) = values([data.connection(it, 0, **{"destination.port": it}) for it in range(500)])
    assert (scan[0], scan[2], scan[5]) == (1, 500, 1)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 9**6)), min_size=1, max_size=40)
)
def test_a_score_never_falls_as_an_attack_grows(flows: list[tuple[int, int, int]]) -> None:
    model = WindowModel(described(), USUAL)
    window = windows.Traffic().window(("10.0.0.1",), 0)
    scores = []
    for source, port, size in flows:
        window.add({"source.ip": str(source), "destination.port": port, "source.bytes": size})
        scores.append(model.explain(window.values()).score)
    assert all(first <= second + 1e-9 for first, second in pairwise(scores))


def test_shares_of_a_score_are_all_of_it_and_what_is_below_the_usual_counts_nothing() -> None:
    score, shares = windows.distance([4.0, 0.0, 2.0], [1.0, 5.0, 1.0], [1.0, 1.0, 1.0])
    assert score == pytest.approx(10**0.5)
    assert sum(shares) == pytest.approx(score)
    assert [it / score for it in shares] == pytest.approx([0.9, 0.0, 0.1])


def test_a_flood_raises_once_with_bounded_evidence_and_what_moved_it(tmp_path: Path) -> None:
    written = write_model(tmp_path / "w", described(), USUAL)
    model = read_model(tmp_path / "w")
    assert isinstance(model, WindowModel)
    detector = WindowDetector(model)
    flood = [data.connection(it, it / 100) for it in range(1500)]
    found = detector.feed(Events.of(flood), NOW)
    assert [(it.rule_id, it.rule_hash) for it in found] == [("model:w", written.hash)]
    (alert,) = found
    assert alert.entities["destination.ip"] == ("10.0.0.1",)
    assert len(alert.event_ids) <= MAX_EVIDENCE
    assert alert.score is not None
    assert alert.score >= written.threshold
    assert {name for name, _ in alert.moved} >= {"to one port", "of one source to one port"}
    later = [data.connection(5000 + it, 60 + it / 100) for it in range(500)]
    assert len(detector.feed(Events.of(later), NOW)) == 1


def test_how_events_come_in_batches_makes_no_difference() -> None:
    flood = [data.connection(it, it / 50) for it in range(800)]
    whole = WindowDetector(WindowModel(described(), USUAL)).feed(Events.of(flood), NOW)
    apart = WindowDetector(WindowModel(described(), USUAL))
    parts = [it for at in range(0, 800, 7) for it in apart.feed(Events.of(flood[at : at + 7]), NOW)]
    assert [it.id for it in whole] == [it.id for it in parts]


def test_after_a_restart_nothing_is_raised_again() -> None:
    flood = [data.connection(it, it / 100) for it in range(900)]
    detector = WindowDetector(WindowModel(described(), USUAL))
    detector.recall(Events.of(flood[:600]))
    assert detector.feed(Events.of(flood[600:]), NOW) == ()


def nothing_seen(hours: int = 24) -> dict[str, Any]:
    tables = {name: np.zeros(size, np.float32) for name, size in windows.TABLES.items()}
    tables["hours"][:hours] = 1
    return tables


def test_what_was_never_seen_is_new() -> None:
    seen = nothing_seen()
    for name, words in windows.noted("jane", "/bin/ls", "/bin/sh"):
        seen[name][windows.place(*words)] = 1
    events = [
        command(1, "/bin/sh"), command(2, "/bin/ls", parent=101), command(3, "/bin/nc"),
        command(4, "/bin/nc"), command(5, "/bin/ls", "tom", 101),
    ]  # fmt: skip
    found = windows.filled(windows.Deeds(seen), [Events.of(events)])
    plain = {key[1]: np.expm1(it).round().tolist() for key, _, it in found}
    assert plain["jane"][:3] == [2, 2, 0]
    assert plain["tom"][:3] == [0, 1, 0]


def test_an_hour_is_odd_only_when_most_of_a_day_was_seen() -> None:
    hour = NOW // (3600 * SECOND) % 24
    for known, odd in ((24, 0.0), (3, 0.0)):
        (found,) = windows.filled(windows.Deeds(nothing_seen(known)), [Events.of([command(1, "/bin/ls")])])
        assert found[2][3] == odd
    seen = nothing_seen()
    seen["hours"][hour] = 0
    (found,) = windows.filled(windows.Deeds(seen), [Events.of([command(1, "/bin/ls")])])
    assert found[2][3] == 1.0
