"""Rules in other products' languages: every rule that ships can be said, and what cannot is named."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Final

import pytest

from lab.detect.detector import OWN_RULES
from lab.detect.sigma.products import Language, Translation, translate
from lab.detect.sigma.read import read_rules
from tests.detect.sigma.oracle import Raw
from tests.detect.sigma.test_sigma import PUBLIC, written

INDEX = "logs-homerange.events-default"


STARTS: Final = (
    "((event.module:(auditd OR snoopy OR sysmon)) AND "
    "(event.action.caseless:(exec* OR created\\-process*))) AND "
)
"""What every query for starts of programs begins with."""


def translated(detection: Raw, folder: Path, language: Language = "lucene") -> Translation:
    path = folder / "rule.yml"
    path.write_text(written(detection=detection, id=str(uuid.uuid4())), encoding="utf-8")
    (found,) = translate([path], language, read_rules([path]), index=INDEX)
    return found


def test_every_rule_on_single_events_can_be_said_in_lucene() -> None:
    paths = [OWN_RULES, PUBLIC]
    rules = read_rules(paths)
    found = translate(paths, "lucene", rules, index=INDEX)
    assert {it.id for it in found} == {it.id for it in rules.rules}
    assert [it for it in found if it.why] == []


@pytest.mark.parametrize("language", ["esql", "ppl"])
def test_correlations_are_said_where_the_backend_can(language: Language) -> None:
    rules = read_rules([OWN_RULES])
    found = {it.id: it for it in translate([OWN_RULES], language, rules, index=INDEX)}
    assert found.keys() == {it.id for it in rules.correlations}
    correlations = {it.id for it in rules.correlations}
    for rule in rules.correlations:
        nested = not correlations.isdisjoint(rule.rules)
        assert bool(found[rule.id].why) == (rule.kind == "temporal_ordered" or nested)
        if not found[rule.id].why:
            assert INDEX in found[rule.id].query


def test_splunk_is_asked_in_one_language() -> None:
    rules = read_rules([OWN_RULES])
    found = {it.id: it for it in translate([OWN_RULES], "spl", rules, index=INDEX)}
    known = {it.id for it in rules.rules} | {it.id for it in rules.correlations}
    assert found.keys() == known


@pytest.mark.parametrize(
    ("detection", "query"),
    [
        (
            {"s": {"CommandLine": "Foo Bar"}, "condition": "s"},
            STARTS + 'process.command_line.caseless:"foo bar"',
        ),
        (
            {"s": {"CommandLine|cased": "Foo"}, "condition": "s"},
            STARTS + "process.command_line:Foo",
        ),
        (
            {"s": {"CommandLine|re|i": "^A$"}, "condition": "s"},
            STARTS + "process.command_line.caseless:/a/",
        ),
        ({"s": {"ProcessId": 7}, "condition": "s"}, STARTS + "process.pid:7"),
        ({"s": [4711], "condition": "s"}, STARTS + "event.original.caseless:*4711*"),
        (
            {"s": {"User": "a"}, "t": {"User": "b"}, "condition": "not s or t"},
            STARTS + "((*:* AND NOT (user.name.caseless:a)) OR user.name.caseless:b)",
        ),
        (
            {"s": {"User|neq": "a"}, "condition": "not s"},
            STARTS + "(*:* AND NOT ((*:* AND NOT (user.name.caseless:a))))",
        ),
        (
            {"s": {"User": None}, "condition": "s"},
            STARTS + "((*:* AND NOT _exists_:user.name))",
        ),
    ],
)
def test_lucene_says_it_so(detection: Raw, query: str, tmp_path: Path) -> None:
    assert translated(detection, tmp_path).query == query


def test_what_a_rule_compares_is_told(tmp_path: Path) -> None:
    found = translated({"s": {"Image": "/a", "CommandLine|contains": "b"}, "condition": "s"}, tmp_path)
    assert found.fields == ("event.action", "event.module", "process.command_line", "process.executable")


def test_what_cannot_be_said_is_named(tmp_path: Path) -> None:
    found = translated({"s": {"Image|fieldref": "ParentImage"}, "condition": "s"}, tmp_path)
    assert (found.query, "field references" in found.why) == ("", True)
    found = translated({"s": {"CommandLine|re": r"\bsh\b"}, "condition": "s"}, tmp_path)
    assert "word boundaries" in found.why
