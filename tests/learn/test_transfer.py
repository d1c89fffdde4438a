"""From public data to the lab and back: the same columns, labels by truth, and what it comes to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.detect.description import Description
from lab.errors import WrongInput
from lab.exercise.truth import Party
from lab.learn import days, transfer
from lab.learn.records import Wanted
from lab.learn.tables import nsl_kdd
from tests.learn import data

DESCRIBED = Description(
    name="x", kind="record", title="x", level="low", techniques=(), tactics=(), threshold=0, weights="",
    version="0",
)  # fmt: skip


def flooded(folder: Path) -> days.Day:
    step = replace(
        data.step("2-flood", "10.0.0.1", 300, 310), sources=(Party(node="a", addresses=("10.0.0.9",)),)
    )
    return days.day(data.run(folder, data.flooded(1), [step]))


def test_connections_have_the_columns_of_the_data_set_and_labels_of_truth(tmp_path: Path) -> None:
    events = [
        data.connection(1, 0, **{"network.transport": "tcp", "event.duration": 1_500_000_000}),
        data.connection(2, 1, **{"network.transport": "udp", "destination.bytes": 7}),
        data.connection(3, 9, **{"network.transport": "tcp", "destination.ip": "10.0.0.2"}),
    ]
    step = replace(data.step("s", "10.0.0.2", 8, 10), sources=(Party(node="a", addresses=("10.0.0.9",)),))
    found = transfer.connections([days.day(data.run(tmp_path / "r", events, [step]))])
    assert found.numbers.tolist() == [[1.5, 100, 0, 1, 1], [0, 100, 7, 2, 2], [0, 100, 0, 1, 1]]
    assert found.words["protocol_type"].tolist() == ["tcp", "udp", "tcp"]
    assert found.labels.tolist() == ["normal", "normal", "T1498"]


def test_both_ways_are_measured_at_a_threshold_of_where_it_was_trained(tmp_path: Path) -> None:
    public = nsl_kdd(data.nsl_kdd(tmp_path / "t.txt", 1))
    lab = transfer.connections([flooded(tmp_path / "f")])
    wanted = Wanted(described=DESCRIBED, target=0.05, seeds=(1, 2))
    there, back = transfer.measured(public, lab, wanted, lambda _line: None)
    assert (there.trained_on, there.tried_on) == ("t.txt", "f")
    assert (back.trained_on, back.tried_on) == ("f", "t.txt")
    assert there.recall.total >= 4000
    assert back.recall.total == sum(count for _, count in data.TYPES.values())
    assert back.false_positive_rate.total == 1200


def test_a_run_without_connections_is_refused(tmp_path: Path) -> None:
    empty = days.day(data.run(tmp_path / "r", [data.base(1, 0)]))
    with pytest.raises(WrongInput, match="no connection was seen in r"):
        transfer.connections([empty])
