"""The store: nothing lost, nothing doubled, typed; and the matcher of batches."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.ask.query import query
from lab.errors import BadFile, BadQuery, DiskFull
from lab.moment import SECOND, Moment
from lab.telemetry import database
from lab.telemetry.event import FIELDS, SCHEMA_VERSION, Event, FieldType, Value
from lab.telemetry.events import Events
from lab.telemetry.store import Store
from lab.telemetry.table import SCHEMA, table_of

VALUES: dict[FieldType, st.SearchStrategy[Value]] = {
    "keyword": st.text(min_size=1, max_size=10),
    "keywords": st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=3).map(tuple),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(allow_nan=False),
    "boolean": st.booleans(),
    "date": st.integers(0, 2**63 - 1).map(Moment),
    "ip": st.ip_addresses().filter(lambda ip: getattr(ip, "ipv4_mapped", None) is None).map(str),
    "ips": st.lists(
        st.ip_addresses().filter(lambda ip: getattr(ip, "ipv4_mapped", None) is None).map(str),
        min_size=1,
        max_size=3,
    ).map(tuple),
}
EVENTS = st.fixed_dictionaries(
    {"@timestamp": VALUES["date"], "event.id": VALUES["keyword"]},
    optional={name: VALUES[kind] for name, kind in FIELDS.items() if name not in {"@timestamp", "event.id"}},
)


def event(number: int, **fields: Value) -> Event:
    """Make an event; `source_ip` in the arguments stands for `source.ip`."""
    named = {name.replace("_", "."): value for name, value in fields.items()}
    return {"@timestamp": Moment(number), "event.id": f"e{number}", **named}


def filled(folder: Path, batches: int = 5) -> tuple[Store, list[Event]]:
    store, everything = Store(folder), list[Event]()
    for number in range(batches):
        batch = [event(2 * number), event(2 * number + 1)]
        everything += store.append(Events.of(batch))
    return store, everything


@given(batches=st.lists(st.lists(EVENTS, min_size=1, max_size=3), max_size=3))
@settings(max_examples=30, deadline=None)
def test_what_is_appended_comes_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[Event]]
) -> None:
    store = Store(tmp_path_factory.mktemp("run") / "events")
    stored = [one for batch in batches for one in store.append(Events.of(batch))]
    assert [one | {"event.ingested": 0} for one in stored] == [
        one | {"event.ingested": 0} for batch in batches for one in batch
    ]
    assert list(store.events()) == stored
    store.compact()
    assert list(store.events()) == stored


def test_every_event_says_when_it_was_stored(tmp_path: Path) -> None:
    before, (store, events) = Moment.now(), filled(tmp_path)
    assert all(before <= int(str(one["event.ingested"])) <= Moment.now() for one in events)
    assert list(store.events()) == events


def test_a_segment_has_the_columns_it_needs_typed_and_the_version(tmp_path: Path) -> None:
    _, events = filled(tmp_path, 1)
    schema = pq.read_schema(next(tmp_path.glob("*.parquet")))
    assert set(schema.names) == set().union(*events)
    assert all(schema.field(name).type == SCHEMA.field(name).type for name in schema.names)
    assert (schema.metadata or {})[b"homerange.schema"] == str(SCHEMA_VERSION).encode()


def test_names_in_order_are_batches_in_order_also_after_reopening(tmp_path: Path) -> None:
    filled(tmp_path, 2)
    Store(tmp_path).append(Events.of([event(99)]))
    Store(tmp_path).compact()
    Store(tmp_path).append(Events.of([event(100)]))
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "00000001-00000003.parquet",
        "00000004-00000004.parquet",
    ]


def test_no_events_make_no_segment(tmp_path: Path) -> None:
    Store(tmp_path).append(Events.of([]))
    assert list(tmp_path.iterdir()) == []


def test_a_kill_before_the_old_segments_are_removed_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, events = filled(tmp_path / "events")
    monkeypatch.setattr(Store, "_remove_covered", _killed)
    with pytest.raises(KeyboardInterrupt):
        store.compact()
    monkeypatch.undo()
    assert len(list((tmp_path / "events").iterdir())) == 6
    assert list(store.events()) == events
    assert query(tmp_path, "SELECT count(*) FROM events").rows == ((len(events),),)
    Store(tmp_path / "events").compact()
    assert len(list((tmp_path / "events").iterdir())) == 1
    assert list(store.events()) == events


def test_a_kill_while_writing_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, events = filled(tmp_path)
    monkeypatch.setattr(pq.ParquetWriter, "write_table", _killed)
    with pytest.raises(KeyboardInterrupt):
        store.append(Events.of([event(99)]))
    monkeypatch.undo()
    assert list(Store(tmp_path).events()) == events
    Store(tmp_path).compact()
    assert [path.suffix for path in tmp_path.iterdir()] == [".parquet"]


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_reader_goes_on_when_segments_are_merged_under_it(tmp_path: Path) -> None:
    store, events = filled(tmp_path)
    reading = store.events()
    seen = [next(reading) for _ in range(3)]
    Store(tmp_path).compact()
    assert seen + list(reading) == events


def test_a_segment_of_an_older_version_opens(tmp_path: Path) -> None:
    folder = tmp_path / "events"
    store, events = filled(folder, 1)
    old = table_of([event(7)]).select(["@timestamp", "event.id"])
    pq.write_table(old, folder / "00000000-00000000.parquet")
    assert list(store.events()) == [event(7), *events]
    found = query(tmp_path, 'SELECT "event.id", "source.ip" FROM events ORDER BY 1')
    assert found.rows == (("e0", None), ("e1", None), ("e7", None))
    store.compact()
    assert list(store.events()) == [event(7), *events]


def test_a_full_disk_is_named_and_stores_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, events = filled(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DiskFull, match="no space is left"):
        store.append(Events.of([event(99)]))
    assert list(store.events()) == events


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"source_ip": "10.0.0.300"}, "not an address"),
        ({"source_ip": "2001:DB8::0:1"}, "short form"),
        ({"no_such": "field"}, "not fields of the schema: no.such"),
    ],
)
def test_a_mistake_of_a_source_is_told(fields: dict[str, Value], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        table_of([event(1, **fields)])


def test_a_plain_parquet_reader_opens_the_folder(tmp_path: Path) -> None:
    filled(tmp_path)
    table = pq.read_table(tmp_path)
    assert table["@timestamp"].type == pa.timestamp("ns", "UTC")
    assert len(table) == 10


def test_every_error_of_duckdb_is_ours() -> None:
    kinds: list[type[Exception]] = [
        kind for kind in vars(duckdb).values() if isinstance(kind, type) and issubclass(kind, duckdb.Error)
    ]
    assert len(kinds) > 20
    for kind in kinds:
        with pytest.raises(BadQuery):
            _raising(kind)()


def _raising(kind: type[Exception]) -> Callable[[], None]:
    def raising() -> None:
        with database.duckdb_errors("SELECT 1"):
            raise kind("said")

    return raising


def test_a_long_run_is_few_files_while_it_goes_on(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(400):
        store.append(Events.of([event(number)]))
        store.tidy()
    assert len(list(tmp_path.iterdir())) < 135
    assert [it["event.id"] for it in Store(tmp_path).events()] == [f"e{number}" for number in range(400)]


@pytest.mark.parametrize(
    "content",
    [b"", b"PAR1", b"not parquet at all", b"PAR1" + b"\0" * 100 + b"PAR1"],
)
def test_a_segment_that_is_no_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "00000001-00000001.parquet").write_bytes(content)
    with pytest.raises(BadFile, match=r"00000001-00000001\.parquet: is no segment of events"):
        list(Store(tmp_path).events())


@pytest.mark.parametrize(
    "columns",
    [
        {"a": [1]},
        {"@timestamp": ["no time"], "event.id": ["e"]},
        {"@timestamp": [1], "event.id": [None]},
        {"@timestamp": [1], "event.id": ["e"], "source.port": ["no number"]},
        {"@timestamp": [1], "event.id": ["e"], "event.category": [[[1]]]},
    ],
)
def test_a_segment_with_other_columns_is_named(tmp_path: Path, columns: dict[str, list[object]]) -> None:
    pq.write_table(pa.table(columns), tmp_path / "00000001-00000001.parquet")
    with pytest.raises(BadFile, match="is no segment of events"):
        list(Store(tmp_path).events())


def test_links_are_neither_read_nor_written_through(tmp_path: Path) -> None:
    store, _ = filled(tmp_path / "events", 1)
    secret = tmp_path / "secret"
    secret.write_text("mine", encoding="utf-8")
    (tmp_path / "events" / "00000003-00000003.draft").symlink_to(secret)
    Store(tmp_path / "events").append(Events.of([event(5)]))
    assert secret.read_text(encoding="utf-8") == "mine"
    (tmp_path / "events" / "00000009-00000009.parquet").symlink_to(secret)
    with pytest.raises(BadFile, match="is a link"):
        list(store.events())


@pytest.mark.parametrize("scattered", [False, True])
def test_events_come_in_the_order_in_which_they_happened(scattered: bool, tmp_path: Path) -> None:  # noqa: FBT001
    seconds = list(range(3000))
    if scattered:
        random.Random(1).shuffle(seconds)
    store = Store(tmp_path)
    for begin in range(0, 3000, 500):
        store.append(Events.of(event(it * SECOND) for it in seconds[begin : begin + 500]))
    batches = [[int(str(it["@timestamp"])) for it in batch] for batch in store.in_order(200)]
    assert [moment for batch in batches for moment in batch] == [it * SECOND for it in range(3000)]
    assert max(map(len, batches)) <= 260
    assert not [it for it in tmp_path.iterdir() if it.suffix != ".parquet"]


def test_a_minute_that_is_full_is_read_in_parts(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(Events.of(event(it * SECOND // 100) for it in range(6000)))
    batches = list(store.in_order(500))
    assert sum(map(len, batches)) == 6000
    assert max(map(len, batches)) <= 600


@pytest.mark.parametrize("apart", [1, 1_000_000, 90 * SECOND])
@pytest.mark.parametrize("scattered", [False, True])
def test_thousands_of_events_of_one_moment_come_in_order(
    apart: int,
    scattered: bool,  # noqa: FBT001
    tmp_path: Path,
) -> None:
    moments = [number // 2000 * apart for number in range(6000)]
    if scattered:
        random.Random(1).shuffle(moments)
    store = Store(tmp_path)
    for begin in range(0, 6000, 500):
        store.append(Events.of(event(it) for it in moments[begin : begin + 500]))
    batches = [[int(str(it["@timestamp"])) for it in batch] for batch in store.in_order(100)]
    assert [moment for batch in batches for moment in batch] == sorted(moments)
    assert max(map(len, batches)) <= 2000
    assert not [it for it in tmp_path.iterdir() if it.suffix != ".parquet"]


def test_an_empty_store_has_nothing_in_order(tmp_path: Path) -> None:
    assert list(Store(tmp_path).in_order()) == []
