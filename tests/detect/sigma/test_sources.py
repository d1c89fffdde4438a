"""Sigma's log sources find their events among ours, as parsers write these."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lab.detect.sigma.detector import SigmaDetector
from lab.detect.sigma.read import read_rules
from lab.moment import Moment
from lab.telemetry.events import Events
from lab.telemetry.lines import Lines
from lab.telemetry.reader import Reader
from lab.telemetry.sources import source_named
from tests.detect.sigma.test_sigma import written
from tests.support import Case, by_name, cases


@pytest.mark.parametrize("case", cases("log-sources"), ids=by_name)
def test_a_rule_finds_its_event_among_those_of_a_parser(case: Case, tmp_path: Path) -> None:
    detection = {"s": case.raw["search"], "condition": "s"}
    path = tmp_path / "rule.yml"
    path.write_text(written(logsource=case.raw["logsource"], detection=detection), encoding="utf-8")
    rules = read_rules([path])
    assert rules.unusable == ()
    line = case.raw["line"]
    text = line if isinstance(line, str) else json.dumps(line)
    reader = Reader(source_named(case.raw["source"]))
    lines = Lines.cut(f"{text}\n".encode(), after=0, host="h", path="log", file="f")
    read = reader.read(lines).events
    events = Events.all_of([read, reader.rest()]).stored(Moment(1))
    detector = SigmaDetector(rules)
    found = list(detector.hits(events))
    detector.close()
    assert len(found) == 1, list(events)
