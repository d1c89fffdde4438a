"""Suricata's alerts become ours, with level, technique and the hash of the rule that ran."""

from __future__ import annotations

import hashlib

import pytest

from lab.detect.reported import SuricataDetector, rule_hashes
from lab.moment import Moment
from lab.telemetry.event import Event
from lab.telemetry.events import Events

RULE = 'alert tcp any any -> any any (msg:"scan"; sid:9000001; rev:1;)'
RULES = f"# alert tcp any any -> any any (sid:1;)\n\n  {RULE}\nalert ip any any -> any any (gid:2; sid: 7;)\n"


def seen(**fields: str | int | tuple[str, ...]) -> Event:
    return {
        "@timestamp": 5,
        "event.ingested": 9,
        "event.id": "one",
        "event.module": "suricata",
        "event.dataset": "suricata.alert",
        "rule.id": "1:9000001",
        "rule.name": "scan",
        "source.ip": "10.0.0.1",
        **fields,
    }


def test_each_rule_of_a_file_has_the_hash_of_its_line() -> None:
    hashes = rule_hashes(RULES)
    assert list(hashes) == ["1:9000001", "2:7"]
    assert hashes["1:9000001"] == hashlib.sha256(RULE.encode()).hexdigest()


def test_an_alert_of_the_sensor_becomes_one_of_ours() -> None:
    record: dict[str, str | int | tuple[str, ...]] = {
        "event.severity": 1,
        "threat.technique.id": ("T1046",),
        "threat.tactic.id": ("TA0007",),
    }
    (alert,) = SuricataDetector(RULES).feed(Events.of([seen(**record)]), Moment(20))
    assert (alert.engine, alert.rule_id, alert.title, alert.level) == (
        "suricata",
        "1:9000001",
        "scan",
        "high",
    )
    assert (alert.techniques, alert.tactics) == (("T1046",), ("discovery",))
    assert (alert.first_event, alert.ingested, alert.raised) == (5, 9, 20)
    assert (alert.event_ids, alert.entities) == (("one",), {"source.ip": ("10.0.0.1",)})
    assert alert.rule_hash == rule_hashes(RULES)["1:9000001"]


@pytest.mark.parametrize(
    ("severity", "level"),
    [(1, "high"), (2, "medium"), (3, "low")],
)
def test_the_level_follows_the_severity(severity: int, level: str) -> None:
    (alert,) = SuricataDetector("").feed(Events.of([seen(**{"event.severity": severity})]), Moment(20))
    assert alert.level == level


@pytest.mark.parametrize("severity", [4, 9])
def test_what_the_sensor_calls_informational_raises_nothing(severity: int) -> None:
    assert SuricataDetector("").feed(Events.of([seen(**{"event.severity": severity})]), Moment(20)) == ()


def test_other_records_of_the_sensor_are_no_alerts() -> None:
    assert (
        SuricataDetector("").feed(Events.of([seen(**{"event.dataset": "suricata.flow"})]), Moment(20)) == ()
    )
