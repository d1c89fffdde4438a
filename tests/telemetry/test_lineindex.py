"""The index of lines: it never hides an event, and says of most blocks that a text is not in them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.telemetry import lineindex, lookup
from lab.telemetry.event import Event
from lab.telemetry.events import Events
from lab.telemetry.lineindex import BLOCK, build, build_all, opened, tells
from lab.telemetry.lookup import Asked, Lookup
from lab.telemetry.segments import present_segments
from lab.telemetry.store import Store

SECOND = 10**9
BEGUN = 1_795_587_000 * SECOND


def event(number: int, line: str) -> Event:
    at = BEGUN + number * SECOND
    return {
        "@timestamp": at, "event.id": f"e{number}", "event.created": at, "event.ingested": at,
        "event.kind": "event", "event.module": "sshd", "event.original": line,
    }  # fmt: skip


def segment(folder: Path, *lines: str) -> str:
    Store(folder / "events").append(Events.of([event(it, line) for it, line in enumerate(lines)]))
    (found,) = present_segments(folder / "events")
    return str(found.path.resolve())


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Index segments of any size."""
    monkeypatch.setattr(lineindex, "LARGE", 1)
    monkeypatch.setattr(lookup, "LARGE", 1)


def test_a_text_is_in_its_block_and_in_few_others(tmp_path: Path) -> None:
    chance = random.Random(3)
    numbers = [chance.randrange(10**9, 10**10) for _ in range(40 * BLOCK)]
    path = segment(tmp_path, *(f"sshd: connection {it} closed" for it in numbers))
    assert opened(path) is None
    build(path)
    index = opened(path)
    assert index is not None
    for place in (0, 17 * BLOCK, 40 * BLOCK - 1):
        blocks = index.holding(str(numbers[place]))
        assert any(it.first <= place <= it.last for it in blocks)
        assert len(blocks) < 5
    assert len(index.holding("CONNECTION")) == 40
    assert index.holding("nowhere to be found") == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=30), min_size=1, max_size=8), st.data())
def test_whatever_a_line_holds_is_found(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], data: st.DataObject
) -> None:
    path = segment(tmp_path_factory.mktemp("lines"), *lines)
    build(path)
    index = opened(path)
    assert index is not None
    line = data.draw(st.sampled_from(lines))
    start = data.draw(st.integers(0, max(0, len(line) - 1)))
    text = line[start : start + data.draw(st.integers(0, 12))]
    if tells(text):
        for case in (text, text.upper(), text.lower()):
            assert index.holding(case), (line, text)


@pytest.mark.parametrize("line", ["Kelvin \u212a sign", "long \u017f es", "ÄRGER and ASCII"])
def test_letters_that_only_look_alike_are_not_lost(tmp_path: Path, line: str) -> None:
    path = segment(tmp_path, line)
    build(path)
    index = opened(path)
    assert index is not None
    for text in ("kelvin k sign", "long s es", " and ascii"):
        if text.split()[0] in line.lower() or text == " and ascii":
            assert bool(index.holding(text)) == (text != " and ascii" or "ASCII" in line)


def test_with_an_index_the_same_is_found_as_without(tmp_path: Path) -> None:
    chance = random.Random(5)
    lines = [f"user {chance.choice('abc')} did {chance.randrange(1000)}" for _ in range(3000)]
    path = segment(tmp_path, *lines)
    asked = [
        Asked(text=it) for it in ("did 77", "user a", "DID 999", "user b did 1", "nothing", "d 5", "didn't")
    ]
    plain = Lookup(tmp_path / "events")
    before = [([it["event.id"] for it in plain.page(one, ())], plain.count(one)) for one in asked]
    build(path)
    indexed = Lookup(tmp_path / "events")
    for one, (page, count) in zip(asked, before, strict=True):
        assert [it["event.id"] for it in indexed.page(one, ())] == page
        span = indexed.span()
        assert span is not None
        assert sum(indexed.bars(one, span).counts) == count
    plain.close()


def test_what_is_no_whole_index_is_made_again(tmp_path: Path) -> None:
    path = segment(tmp_path, *("a line" for _ in range(200)))
    build_all(str(tmp_path / "events"))
    kept = lineindex._path(path)  # noqa: SLF001  # to break it
    assert opened(path) is not None
    kept.write_bytes(kept.read_bytes()[:-1])
    assert opened(path) is None
    kept.write_bytes(b"")
    assert opened(path) is None
    build_all(str(tmp_path / "events"))
    assert opened(path) is not None


def test_a_search_begins_the_index_and_does_not_wait_for_it(tmp_path: Path) -> None:
    segment(tmp_path, *(f"line {it}" for it in range(500)))
    found = Lookup(tmp_path / "events")
    assert len(found.page(Asked(text="line 499"), ())) == 1
    found.close()  # the process that makes it ends with us


def test_too_short_or_beyond_ascii_tells_nothing() -> None:
    assert [tells(it) for it in ("abc", "abcd", "ärger")] == [False, True, False]
