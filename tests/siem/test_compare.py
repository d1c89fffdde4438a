"""Rules here and on a server, rule by rule and event by event; every difference has its cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.detect.alert import Alert
from lab.detect.sigma.products import Language, Translation
from lab.files import records
from lab.moment import SECOND, Moment
from lab.runs.noticed import Noticed
from lab.siem.compare import Comparer, Comparison, RuleResult
from lab.siem.document import Stream
from lab.siem.mapping import LONGEST
from lab.siem.sink import Found
from lab.telemetry.events import Events
from lab.telemetry.store import Store
from tests.siem.fake import FakeSink
from tests.siem.runs import START, event

RULE = "11111111-1111-1111-1111-111111111111"
BASE = "22222222-2222-2222-2222-222222222222"
GUESSING = "33333333-3333-3333-3333-333333333333"

TEXT = f"""\
title: Word
id: {RULE}
logsource: {{product: linux, service: sshd}}
detection: {{s: {{event.original|contains: word}}, condition: s}}
level: high
---
title: Failure
id: {BASE}
name: failure
logsource: {{product: linux, service: sshd}}
detection: {{s: {{event.outcome: failure}}, condition: s}}
level: low
---
title: Guessing
id: {GUESSING}
correlation:
  type: event_count
  rules: [failure]
  group-by: [source.ip]
  timespan: 1m
  condition: {{gte: 3}}
level: high
"""


@dataclass
class Searched(FakeSink):
    """Finds what a test says."""

    found: Mapping[str, Found] = field(default_factory=dict)
    count: int = 6
    correlates: Language | None = "esql"

    def search(self, rules: Iterable[Translation], run: str) -> list[Found]:
        del run
        return [self.found.get(it.id, Found(id=it.id)) for it in rules]

    def held(self, run: str) -> Mapping[Stream, int] | None:
        del run
        return {"events": self.count, "alerts": 0}


def noticed(folder: Path, *, long: bool = False) -> Noticed:
    made = Noticed(folder)
    text = "x" * LONGEST * long + "word"
    found = [event(0, event__original=text), event(1)]
    found += [event(number, event__outcome="failure") for number in range(2, 6)]
    for it in found:
        it["process.name"] = "sshd"
    Store(made.events).append(Events.of(found))
    return made


def compared(folder: Path, sink: Searched, *, long: bool = False) -> dict[str, RuleResult]:
    path = folder / "rules.yml"
    path.write_text(TEXT, encoding="utf-8")
    half = noticed(folder / "run", long=long)
    made = Comparer(noticed=half, run="r1", sink=sink, rules=[path]).compare()
    assert records.read(half.detection("fake"), Comparison) == made
    return {it.id: it for it in made.rules if it.id in {RULE, BASE, GUESSING}}


def ids(*numbers: int) -> tuple[str, ...]:
    return tuple(f"{number:024d}" for number in numbers)


ALL = {RULE: Found(id=RULE, events=ids(0)), BASE: Found(id=BASE, events=ids(2, 3, 4, 5))}


def test_the_same_events_are_equal_and_a_correlation_is_counted_here_where_the_server_cannot(
    tmp_path: Path,
) -> None:
    silent = Found(id=GUESSING, why="this server has no ES|QL")
    found = compared(tmp_path, Searched(found={**ALL, GUESSING: silent}))
    assert {it.verdict for it in found.values()} == {"equal"}
    assert found[GUESSING].counted_here == "this server has no ES|QL"
    assert found[GUESSING].here == found[GUESSING].there > 0


def test_a_server_that_counts_itself_is_believed(tmp_path: Path) -> None:
    case = {"source.ip": "10.1.0.2", "since": START.iso(), "event_count": "4"}
    found = compared(tmp_path, Searched(found={**ALL, GUESSING: Found(id=GUESSING, cases=(case,))}))
    assert (found[GUESSING].verdict, found[GUESSING].counted_here) == ("equal", "")
    raised = records.read_lines(Noticed(tmp_path / "run").alerts_of("fake"), Alert)
    assert [it.evidence_count for it in raised if it.rule_id == GUESSING] == [6]


def test_windows_that_begin_elsewhere_are_a_cause(tmp_path: Path) -> None:
    found = compared(tmp_path, Searched(found=ALL))
    assert found[GUESSING].verdict == "differs"
    assert "windows begin at whole multiples" in found[GUESSING].differences[0].cause


def test_events_that_never_arrived_are_a_cause(tmp_path: Path) -> None:
    found = compared(tmp_path, Searched(found={BASE: ALL[BASE]}, count=5))
    assert (
        found[RULE].differences[0].cause
        == "1 events of the run are not on the server: lab siem push  sends them"
    )
    assert found[RULE].differences[0].events == ids(0)


def test_a_text_that_is_too_long_is_a_cause(tmp_path: Path) -> None:
    found = compared(tmp_path, Searched(found={BASE: ALL[BASE]}), long=True)
    assert "event.original is longer than the 8191 characters" in found[RULE].differences[0].cause


def test_what_nothing_explains_is_called_so(tmp_path: Path) -> None:
    more = {**ALL, RULE: Found(id=RULE, events=ids(0, 1))}
    found = compared(tmp_path, Searched(found=more))
    assert [(it.side, it.count) for it in found[RULE].differences] == [("only there", 1)]
    assert "not explained" in found[RULE].differences[0].cause


def test_a_query_that_was_refused_is_not_asked(tmp_path: Path) -> None:
    found = compared(tmp_path, Searched(found={**ALL, RULE: Found(id=RULE, why="too many clauses")}))
    assert (found[RULE].verdict, found[RULE].cause) == ("not asked", "too many clauses")


def test_alerts_are_raised_when_a_rule_looks(tmp_path: Path) -> None:
    compared(tmp_path, Searched(found=ALL))
    raised = records.read_lines(Noticed(tmp_path / "run").alerts_of("fake"), Alert)
    (found,) = [it for it in raised if it.rule_id == RULE]
    stored = next(
        Moment(int(str(it["event.ingested"])))
        for it in Store(Noticed(tmp_path / "run").events)
        if it["event.id"] == ids(0)[0]
    )
    assert found.raised % (60 * SECOND) == 0
    assert 0 <= found.raised - stored < 60 * SECOND
    assert BASE not in {it.rule_id for it in raised}  # it serves the correlation alone
