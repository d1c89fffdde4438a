"""The pure parts of the screen: lines of the queue, addresses of hunts, trees, pictures."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from lab.errors import BadFile, WrongInput
from lab.flow import loop
from lab.learn import answers
from lab.runs.header import LabRecord, NodeRecord
from lab.runs.triage import new_act, standings
from lab.score import intervals
from lab.telemetry.event import Event
from lab.telemetry.lookup import Bars, Clause
from lab.web import told
from lab.web.alerts import AlertFile
from lab.web.charts import bars_drawn, picture
from lab.web.charts import lines as drawn_lines
from lab.web.hunting import hunt_of
from lab.web.inbox import View, lines
from lab.web.tree import flattened, process_tree
from lab.why import benign, causes, steps
from tests.web.serving import an_alert


def alert_file(folder: Path, *alerts: dict[str, object]) -> AlertFile:
    path = folder / "alerts.jsonl"
    path.write_text("".join(json.dumps(it) + "\n" for it in alerts), encoding="utf-8")
    return AlertFile(path)


# -- the queue ---------------------------------------------------------------------------------------


def test_lines_are_of_all_alerts_the_most_urgent_first(tmp_path: Path) -> None:
    alerts = [
        an_alert(it, rule_id=f"r{it % 3}", level=("low", "critical", "high")[it % 3]) for it in range(30)
    ]
    found = lines(alert_file(tmp_path, *alerts).rows(), {}, View(), {})
    assert (len(found), found.total) == (3, 30)
    assert [(it.level, len(it.alerts)) for it in found.page(0, 10)] == [
        ("critical", 10), ("high", 10), ("low", 10),
    ]  # fmt: skip
    first = found.page(0, 1)[0]
    assert found.find(first.key) == first
    assert found.alerts({first.key}) == first.alerts
    assert len(found.alerts(None)) == 30


def test_what_was_made_of_alerts_decides_which_are_shown(tmp_path: Path) -> None:
    rows = alert_file(tmp_path, *(an_alert(it) for it in range(3))).rows()
    made = standings([new_act("acknowledge", [rows[0].id]), new_act("escalate", [rows[1].id])])
    shown = {
        state: lines(rows, made, View(by="alert", state=state), {}).total
        for state in ("open", "done", "escalated", "all")
    }
    assert shown == {"open": 2, "done": 1, "escalated": 1, "all": 3}


@pytest.mark.parametrize(("text", "count"), [("MARIA", 2), ("10.9.0.2", 1), ("t1110", 2), ("nothing", 0)])
def test_a_search_looks_through_names_and_techniques(tmp_path: Path, text: str, count: int) -> None:
    entities = {"source.ip": ["10.9.0.2"], "user.name": ["maria"]}
    rows = alert_file(tmp_path, an_alert(0), an_alert(1, entities=entities)).rows()
    assert lines(rows, {}, View(text=text), {}).total == count
    assert rows[1].names("user.name", "maria")
    assert not rows[1].names("user.name", "mari")


def test_an_alert_of_two_techniques_counts_once(tmp_path: Path) -> None:
    rows = alert_file(tmp_path, an_alert(0, techniques=["T1110", "T1078"]), an_alert(1, techniques=[])).rows()
    found = lines(rows, {}, View(by="technique"), {})
    assert (len(found), found.total) == (3, 2)


def test_a_file_of_alerts_is_followed_and_made_anew(tmp_path: Path) -> None:
    file = alert_file(tmp_path, an_alert(0))
    assert len(file.rows()) == 1
    path = tmp_path / "alerts.jsonl"
    with path.open("a", encoding="utf-8") as more:
        more.write(json.dumps(an_alert(1)))
    assert len(file.rows()) == 1, "a line that is not whole yet"
    with path.open("a", encoding="utf-8") as more:
        more.write("\n")
    assert [it.id[-1] for it in file.rows()] == ["0", "1"]
    whole = file.whole(file.rows()[1].id)
    assert whole is not None
    assert whole.event_ids == ("event-1",)
    new = tmp_path / "new"
    new.write_text(json.dumps(an_alert(7)) + "\n", encoding="utf-8")
    new.replace(path)
    assert [it.id[-1] for it in file.rows()] == ["7"]


def test_a_line_that_is_no_alert_is_named(tmp_path: Path) -> None:
    (tmp_path / "alerts.jsonl").write_text(json.dumps(an_alert(0)) + '\n{"id": 1}\n', encoding="utf-8")
    with pytest.raises(BadFile, match=r"alerts\.jsonl:2: not an alert"):
        AlertFile(tmp_path / "alerts.jsonl").rows()


# -- hunts -------------------------------------------------------------------------------------------


def test_a_hunt_reads_back_from_its_address() -> None:
    from urllib.parse import parse_qsl

    found = hunt_of(
        [
            ("q", "a&b=c"),
            ("f", "user.name=x=y"),
            ("x", "host.name"),
            ("from", "2026-11-27T10:00:00.5Z"),
            ("group", "source.ip"),
            ("page", "3"),
        ]
    )
    assert found.clauses == (Clause("user.name", "x=y"), Clause("host.name", None, wanted=False))
    assert hunt_of(parse_qsl(found.query()[1:])) == found
    assert (
        hunt_of(parse_qsl(found.including("event.module", "a b&c").query()[1:])).clauses[-1].value == "a b&c"
    )
    assert found.without(found.clauses[0]).clauses == found.clauses[1:]


@pytest.mark.parametrize("pair", [("f", "nothing=1"), ("from", "noon"), ("group", "x"), ("q", "x" * 3000)])
def test_a_wrong_hunt_says_what_is_wrong(pair: tuple[str, str]) -> None:
    with pytest.raises(WrongInput):
        hunt_of([pair])


# -- pictures ----------------------------------------------------------------------------------------


def start(pid: int, parent: int | None, number: int = 0) -> Event:
    made: Event = {
        "@timestamp": number,
        "event.id": f"e{pid}-{number}",
        "process.pid": pid,
        "process.command_line": f"c{pid}",
    }
    return made if parent is None else {**made, "process.parent.pid": parent}


def test_processes_stand_below_those_that_started_them() -> None:
    found = flattened(process_tree([start(10, 1), start(11, 10), start(12, 10), start(13, 11), start(20, 1)]))
    assert [(depth, it.pid) for depth, it in found] == [(0, 1), (1, 10), (2, 11), (3, 13), (2, 12), (1, 20)]


def test_a_number_that_comes_again_is_another_process_and_no_circle() -> None:
    found = flattened(
        process_tree([start(10, 1), start(11, 10), start(10, 11, 5), start(12, 10, 6), start(7, 7)])
    )
    assert len(found) == 6
    assert max(depth for depth, _ in found) == 4


def test_a_tree_may_be_of_any_depth() -> None:
    found = flattened(process_tree(start(it + 1, it) for it in range(1, 5000)))
    assert found[-1][0] == 4999


def test_one_event_makes_a_bar_that_can_be_seen() -> None:
    found = bars_drawn(Bars(start=0, width=10, counts=(1, 0, 100_000)))
    assert (found[0].height, found[1].height, found[2].height) == (2.0, 0, 90.0)


def test_traffic_joins_nodes_and_nothing_else() -> None:
    nodes = tuple(
        NodeRecord(name=name, kind="plain", image="", addresses={"inside": address})
        for name, address in (("one", "10.0.0.1"), ("two", "10.0.0.2"))
    )
    traffic = [("10.0.0.1", "10.0.0.2", 5), ("10.0.0.1", "8.8.8.8", 9), ("10.0.0.1", "10.0.0.1", 3)]
    found = picture(LabRecord(lab="x", nodes=nodes), traffic)
    assert [(it.first.name, it.second.name, it.count) for it in found.links] == [("one", "two", 5)]
    assert picture(None, traffic).spots == ()


def test_a_run_without_a_value_leaves_a_gap() -> None:
    (line,) = drawn_lines({"recall": [0.5, None, 1.0]}, ["a", "b", "c"])
    assert (len(line.dots), line.last) == (2, "100%")


# -- what other processes say ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (told.Reasons, loop.Reasons),
        (told.Reason, steps.Why),
        (told.Cause, causes.Cause),
        (told.FalseAlarm, benign.FalseAlarm),
        (told.NearMiss, benign.NearMiss),
        (told.Graded, answers.Graded),
        (told.Judged, answers.Judged),
        (told.Share, intervals.Share),
    ],
)
def test_what_is_read_is_what_is_said(read: type, said: type) -> None:
    names = {it.name for it in dataclasses.fields(said)}
    assert {it.name for it in dataclasses.fields(read)} <= names
