"""Events looked up by a person who hunts: exact, over everything, and while the run goes on."""

from __future__ import annotations

import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from lab.errors import BadQuery
from lab.telemetry.event import Event, Value
from lab.telemetry.events import Events
from lab.telemetry.lookup import Asked, Clause, Lookup
from lab.telemetry.store import Store

SECOND = 10**9
BEGUN = 1_795_587_000 * SECOND


def event(number: int, **fields: Value) -> Event:
    at = BEGUN + number * SECOND
    known: Event = {
        "@timestamp": at, "event.id": f"e{number}", "event.created": at, "event.ingested": at,
        "event.kind": "event", "event.module": "sshd", "event.original": f"line {number}",
    }  # fmt: skip
    return {**known, **{name.replace("_", "."): value for name, value in fields.items()}}


def lookup(folder: Path, *batches: list[Event]) -> Lookup:
    store = Store(folder / "events")
    for it in batches:
        store.append(Events.of(it))
    return Lookup(folder / "events")


def ids(found: list[Event]) -> list[str]:
    return [str(it["event.id"]) for it in found]


def test_a_page_has_the_newest_first_whatever_the_segments(tmp_path: Path) -> None:
    events = [event(it) for it in range(300)]
    random.Random(1).shuffle(events)
    found = lookup(tmp_path, events[:100], events[100:101], events[101:])
    newest = [f"e{it}" for it in range(299, -1, -1)]
    assert ids(found.page(Asked(), ("event.module",), size=50)) == newest[:50]
    assert ids(found.page(Asked(), (), skip=250, size=100)) == newest[250:]


@pytest.mark.parametrize(
    ("clause", "expected"),
    [
        (Clause("user.name", "maria"), ["e0"]),
        (Clause("user.name", "maria", wanted=False), ["e2", "e1"]),
        (Clause("user.name", None), ["e1", "e0"]),
        (Clause("user.name", None, wanted=False), ["e2"]),
        (Clause("event.category", "process"), ["e2", "e1"]),
        (Clause("event.category", "process", wanted=False), ["e0"]),
        (Clause("process.pid", "7"), ["e1"]),
        (Clause("source.ip", "10.0.0.1"), ["e2"]),
    ],
)
def test_filters_hold_for_each_sort_of_field(tmp_path: Path, clause: Clause, expected: list[str]) -> None:
    found = lookup(
        tmp_path,
        [event(0, user_name="maria"), event(1, user_name="tom", event_category=("process",), process_pid=7)],
        [event(2, event_category=("network", "process"), source_ip="10.0.0.1")],
    )
    assert ids(found.page(Asked(clauses=(clause,)), ())) == expected
    assert found.count(Asked(clauses=(clause,))) == len(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("failed PASSWORD", ["e0"]),
        ("100%", ["e1"]),
        ("a.c", ["e2"]),
        ("a_c", []),
        ("\\d", ["e4"]),
        ("ÄRGER", ["e5"]),
        ("12", ["e3"]),
        ("'; DROP TABLE events; --", ["e6"]),
    ],
)
def test_a_text_is_looked_for_as_it_is_in_any_case(tmp_path: Path, text: str, expected: list[str]) -> None:
    lines = ("Failed password", "at 100% now", "a.c", "312", "a\\d", "ärger", "x'; drop table EVENTS; --")
    found = lookup(tmp_path, [event(it, event_original=line) for it, line in enumerate(lines)])
    assert ids(found.page(Asked(text=text), ())) == expected


def test_bars_and_values_count_everything(tmp_path: Path) -> None:
    found = lookup(tmp_path, [event(it, user_name="ab"[it % 2]) for it in range(1000)])
    span = found.span()
    assert span == (BEGUN, BEGUN + 999 * SECOND)
    bars = found.bars(Asked(), span, 50)
    assert (sum(bars.counts), len(bars.counts) <= 51) == (1000, True)
    assert found.top(Asked(), "user.name") == [("a", 500), ("b", 500)]
    part = Asked(start=BEGUN + 10 * SECOND, end=BEGUN + 20 * SECOND)
    assert found.count(part) == sum(found.bars(part, span, 50).counts) == 10


def test_one_event_is_whole(tmp_path: Path) -> None:
    wanted = event(3, event_category=("process", "session"), process_pid=12, source_ip="::1")
    found = lookup(tmp_path, [event(2), wanted])
    whole = found.event("e3")
    assert whole is not None
    assert {**whole, "event.ingested": wanted["event.ingested"]} == wanted
    assert found.event("nothing") is None
    assert ids(found.events(["e3", "e2", "none"])) == ["e2", "e3"]


def test_an_empty_store_and_one_that_grows(tmp_path: Path) -> None:
    found = lookup(tmp_path)
    assert (found.span(), found.page(Asked(), ()), found.count(Asked())) == (None, [], 0)
    Store(tmp_path / "events").append(Events.of([event(1)]))
    assert ids(found.page(Asked(), ())) == ["e1"]
    Store(tmp_path / "events").append(Events.of([event(2)]))
    Store(tmp_path / "events").compact()
    assert ids(found.page(Asked(), ())) == ["e2", "e1"]
    assert found.span() == (BEGUN + SECOND, BEGUN + 2 * SECOND)


def test_many_sorts_of_segments_are_read_together(tmp_path: Path) -> None:
    names = ("user_name", "url_path", "source_ip", "destination_ip", "process_pid", "rule_name", "message")
    sorts = [
        [event(it, **{name: 7 if name == "process_pid" else "10.0.0.1"})] for it, name in enumerate(names)
    ]
    more = [
        [event(10 + it, **{a: "10.0.0.1", b: "10.0.0.1"})] for it, (a, b) in enumerate(pairwise(names[:4]))
    ]
    most = [
        [event(20 + it, event_action="x", **{name: 7 if name == "process_pid" else "10.0.0.1"})]
        for it, name in enumerate(names)
    ]
    found = lookup(tmp_path, *sorts, *more, *most)
    assert found.count(Asked(clauses=(Clause("user.name", "10.0.0.1"),))) == 3
    assert len(found.page(Asked(), ("user.name", "process.pid"))) == 17


def test_a_field_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadQuery, match="no field"):
        lookup(tmp_path, [event(1)]).top(Asked(), 'x" FROM events; --')


def test_it_does_without_pyarrow() -> None:
    code = "import sys, lab.web.app; sys.exit(bool({'pyarrow', 'sigma', 'numpy'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
