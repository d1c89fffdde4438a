"""Everything arrives once, whatever the SIEM does meanwhile."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from lab.errors import SiemBusy, SiemFault
from lab.files import records
from lab.runs.noticed import Noticed
from lab.siem.document import Document, batched, documents
from lab.siem.follow import following
from lab.siem.push import Pusher
from lab.siem.sink import Delivery, Taken
from lab.telemetry.events import Events
from lab.telemetry.store import Store
from tests.siem.fake import FakeSink, busy, refusing
from tests.siem.runs import event, make_run


def pusher(folder: Path, sink: FakeSink, *, patience: float = 0, said: list[str] | None = None) -> Pusher:
    noticed = Noticed(folder) if folder.exists() else make_run(folder)
    heard = said if said is not None else []
    return Pusher(noticed=noticed, run="r1", sink=sink, tell=heard.append, patience=patience)


def test_a_run_is_sent_once_and_a_second_push_sends_nothing(tmp_path: Path) -> None:
    sink = FakeSink()
    delivery = pusher(tmp_path / "run", sink).push()
    assert (delivery.sent, delivery.whole) == ({"events": 5, "alerts": 2}, True)
    assert len(sink.came) == len(sink.kept) == 7
    pusher(tmp_path / "run", sink).push()
    assert len(sink.came) == 7


def test_what_came_since_is_sent_alone(tmp_path: Path) -> None:
    sink = FakeSink()
    pushing = pusher(tmp_path / "run", sink)
    pushing.push()
    Store(pushing.noticed.events).append(Events.of([event(100), event(101)]))
    assert pushing.push().sent == {"events": 7, "alerts": 2}
    assert len(sink.came) == 9


def test_a_compacted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    sink = FakeSink()
    pushing = pusher(tmp_path / "run", sink)
    store = Store(pushing.noticed.events)
    pushing.push()
    store.append(Events.of([event(100)]))
    store.append(Events.of([event(101)]))
    store.compact()
    pushing.push()
    assert Counter(sink.came).most_common(1)[0][1] == 1
    assert len(sink.kept) == 9


def test_a_server_that_was_made_anew_is_sent_everything(tmp_path: Path) -> None:
    pusher(tmp_path / "run", FakeSink()).push()
    anew = FakeSink(identity="second")
    assert pusher(tmp_path / "run", anew).push().whole
    assert len(anew.kept) == 7


def test_a_server_that_lost_documents_is_sent_them_again(tmp_path: Path) -> None:
    sink, said = FakeSink(), list[str]()
    pusher(tmp_path / "run", sink).push()
    sink.kept.clear()
    assert pusher(tmp_path / "run", sink, said=said).push().whole
    assert len(sink.kept) == 7
    assert said == ["fake lost what it had taken of r1; sending all of it again"]


def test_a_server_that_keeps_losing_documents_is_named(tmp_path: Path) -> None:
    def forget(sink: FakeSink, batch: Sequence[Document]) -> Taken:
        del sink
        return Taken(new=len(batch))

    with pytest.raises(SiemFault, match="5 of 5 events are not there, 2 of 2 alerts are not there"):
        pusher(tmp_path / "run", FakeSink(before=forget)).push()
    assert not records.read(tmp_path / "run" / "siem" / "fake.sent.json", Delivery).whole


def test_a_refused_document_is_shown_with_its_reason_and_the_rest_arrives(tmp_path: Path) -> None:
    sink = FakeSink(before=refusing(3))
    delivery = pusher(tmp_path / "run", sink).push()
    assert delivery.refusals == {"events": 1}
    assert [it.why for it in delivery.refused] == ["not this one"]
    assert json.loads(delivery.refused[0].document)["event.original"] == "line 3"
    assert delivery.whole
    assert len(sink.kept) == 6


def test_a_server_without_room_is_tried_again_and_nothing_is_doubled(tmp_path: Path) -> None:
    tries = Counter[str]()

    def sometimes(_: FakeSink, batch: Sequence[Document]) -> Taken | None:
        tries[batch[0].id] += 1
        if tries[batch[0].id] == 1:
            return Taken(again=tuple(batch), why="429: queue is full")
        return None

    sink = FakeSink(before=sometimes)
    assert pusher(tmp_path / "run", sink, patience=30).push().whole
    assert len(sink.came) == len(sink.kept) == 7


def test_patience_ends_with_what_to_do_and_what_arrived_stays_noted(tmp_path: Path) -> None:
    sink = FakeSink()

    def full(sink: FakeSink, batch: Sequence[Document]) -> Taken | None:
        return busy(sink, batch) if len(sink.kept) >= 2 else None

    sink.before = full
    with pytest.raises(SiemBusy, match="lab siem push r1"):
        pusher(tmp_path / "run", sink).push()
    assert records.read(tmp_path / "run" / "siem" / "fake.sent.json", Delivery).sent == {"events": 2}
    sink.before = lambda _sink, _batch: None
    assert pusher(tmp_path / "run", sink).push().whole
    assert len(sink.came) == 7


def test_who_only_counts_is_noted_after_each_batch(tmp_path: Path) -> None:
    sink = FakeSink(remembers="by count")
    noted: list[int] = []

    def look(sink: FakeSink, _: Sequence[Document]) -> Taken | None:
        path = tmp_path / "run" / "siem" / "fake.sent.json"
        noted.append(sum(records.read(path, Delivery).sent.values()) if path.exists() else 0)
        assert noted[-1] == len(sink.came)
        return None

    sink.before = look
    pusher(tmp_path / "run", sink).push()
    assert noted == [0, 2, 4, 5]


def test_who_only_counts_is_not_sent_again_what_it_may_have_taken(tmp_path: Path) -> None:
    with pytest.raises(SiemBusy):
        pusher(tmp_path / "run", FakeSink(remembers="by count", before=busy), patience=30).push()


def test_notes_about_a_server_are_told(tmp_path: Path) -> None:
    said: list[str] = []
    pusher(tmp_path / "run", FakeSink(notes=("its clock is 40 s ahead",)), said=said).push()
    assert said == ["fake: its clock is 40 s ahead"]


def test_a_run_is_followed_while_it_goes_on_and_finished_at_its_end(tmp_path: Path) -> None:
    sink, said = FakeSink(), list[str]()
    pushing = pusher(tmp_path / "run", sink, said=said)
    store = Store(pushing.noticed.events)
    arrived = threading.Event()
    sink.before = lambda _sink, _batch: arrived.set()
    with following(pushing):
        assert arrived.wait(10)
        store.append(Events.of([event(100)]))
        store.compact()
    assert len(sink.kept) == 8
    assert said == ["fake has 6 events and 2 alerts of this run"]


def test_a_siem_that_is_away_does_not_disturb_a_run(tmp_path: Path) -> None:
    said: list[str] = []
    with following(pusher(tmp_path / "run", FakeSink(before=busy), said=said), last=0):
        pass
    assert "lab siem push r1  sends the rest" in said[-1]


def test_documents_are_named_by_run_and_content(tmp_path: Path) -> None:
    noticed = make_run(tmp_path / "run")
    one, other = [it.id for it in documents(noticed, "r1")], [it.id for it in documents(noticed, "r2")]
    assert one == [it.id for it in documents(noticed, "r1")]
    assert len({*one, *other}) == 14


def test_a_batch_has_a_count_a_size_and_one_stream(tmp_path: Path) -> None:
    found = list(documents(make_run(tmp_path / "run"), "r1"))
    assert [len(it) for it in batched(found, count=3, size=10**9)] == [3, 2, 2]
    assert [len(it) for it in batched(found, count=100, size=1)] == [1] * 7
    assert all(len({doc.stream for doc in it}) == 1 for it in batched(found, count=100, size=10**9))


@pytest.mark.parametrize("skip", [0, 1, 99, 100, 101, 250, 300])
def test_events_are_skipped_over_segments(tmp_path: Path, skip: int) -> None:
    store = Store(make_run(tmp_path / "run", events=300).events)
    assert store.count() == 300
    left = [str(it["event.id"]) for it in store.events(skip=skip)]
    assert left == [f"{number:024d}" for number in range(skip, 300)]
    store.compact()
    assert [str(it["event.id"]) for it in store.events(skip=skip)] == left
