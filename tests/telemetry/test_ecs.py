"""Our fields and their values are those of the published Elastic Common Schema."""

from __future__ import annotations

from typing import Final

import pytest

from lab.siem.mapping import properties
from lab.telemetry.event import ECS_VERSION, FIELDS
from tests.support import SAMPLES, Case, by_name, cases

PUBLISHED: Final = {
    name: (kind, normalize == "array")
    for name, kind, normalize in (
        line.split("\t") for line in (SAMPLES / "ecs" / "fields.tsv").read_text("utf-8").splitlines()
    )
}
VALUES: Final = [
    line.split("\t") for line in (SAMPLES / "ecs" / "values.tsv").read_text("utf-8").splitlines()
]
TYPES: Final = {value: types.split(",") for field, value, types in VALUES if field == "event.category"}
OURS: Final = ("homerange.", "winlog.")
SAME: Final = {
    "keyword": {"keyword", "wildcard", "match_only_text", "constant_keyword"},
    "keywords": {"keyword", "wildcard"},
    "long": {"long"},
    "float": {"float"},
    "boolean": {"boolean"},
    "date": {"date"},
    "ip": {"ip"},
    "ips": {"ip"},
}


def test_the_version_that_is_stated_is_the_one_that_was_compared() -> None:
    assert ECS_VERSION == "9.4"
    assert len(PUBLISHED) > 1500


@pytest.mark.parametrize("name", [it for it in FIELDS if not it.startswith(OURS)])
def test_a_field_is_published_with_its_type(name: str) -> None:
    kind, many = PUBLISHED[name]
    assert kind in SAME[FIELDS[name]]
    assert many == (FIELDS[name] in {"keywords", "ips"})


def test_no_field_of_ours_hides_a_published_one() -> None:
    assert not [name for name in FIELDS if name.startswith(OURS) and name in PUBLISHED]
    assert set(FIELDS) <= set(properties())


@pytest.mark.parametrize("case", cases("telemetry"), ids=by_name)
def test_events_say_what_may_be_said(case: Case) -> None:
    for event in (*case.raw["expected"], *case.raw.get("rest", [])):
        if event is None or "unparsed" in event or event.get("event.dataset") == "x.y":
            continue
        for field in ("event.kind", "event.category", "event.type", "event.outcome"):
            known = {value for name, value, _ in VALUES if name == field}
            said = event.get(field, [])
            assert set(said if isinstance(said, list) else [said]) <= known, (field, event)
        fitting = {kind for category in event.get("event.category", []) for kind in TYPES[category]}
        assert set(event.get("event.type", [])) <= fitting, event
