"""Several processes read what one would read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from lab.moment import Moment
from lab.telemetry import helpers
from lab.telemetry.event import Event, Line
from lab.telemetry.helpers import Helpers
from lab.telemetry.lines import Lines
from lab.telemetry.reader import Reader
from lab.telemetry.sources import SOURCES, source_named
from tests.support import cases


@pytest.fixture(scope="module")
def several() -> Iterator[Helpers]:
    with closing(Helpers(2)) as found:
        yield found


def read(kind: str, by: Helpers | None) -> list[Event]:
    texts = [text for case in cases("telemetry") if case.raw["source"] == kind for text in case.raw["lines"]]
    lines = [
        Line(text=text, host="h", path="/p", number=number, created=Moment(1))
        for number, text in enumerate(texts * 3, 1)
    ]
    reader = Reader(source_named(kind), helpers=by)
    found = reader.read(Lines.of(lines, "f"))
    assert found.unparsed == sum(it.get("event.kind") == "pipeline_error" for it in found.events)
    return list(found.events)


@pytest.mark.parametrize("kind", [kind for kind, maker in SOURCES.items() if maker.stateless])
def test_what_several_read_is_what_one_reads(
    kind: str, several: Helpers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(helpers, "_WORTHWHILE", 1)
    assert read(kind, several) == read(kind, None) != []


def test_who_remembers_lines_reads_alone(several: Helpers) -> None:
    assert not several.worthwhile(source_named("auditd"), 10**6)
    assert not several.worthwhile(source_named("snoopy"), 10**6)
    assert several.worthwhile(source_named("suricata"), 10**6)


def test_helpers_end_when_nobody_needs_them() -> None:
    found = Helpers(2)
    lines = Lines.of([Line(text="{}", host="", path="", number=1, created=Moment(0))] * 4, "f")
    found.read(source_named("ecs"), lines, range(4))
    processes = found._processes  # noqa: SLF001  # whether they end is the promise
    found.close()
    assert [it.poll() for it in processes] == [0, 0]
