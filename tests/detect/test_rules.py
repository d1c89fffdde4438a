"""Every rule of ours fires on what it is for, and stays quiet on what a person at work does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest

from lab import attack
from lab.detect.detector import OWN_RULES
from lab.detect.sigma.correlation import Correlator, Match
from lab.detect.sigma.read import read_rules
from lab.detect.sigma.rule import Correlation, Rule, RuleSet
from lab.telemetry.event import Event
from lab.telemetry.events import Events
from lab.telemetry.matching import Matcher
from tests.detect.events import event
from tests.support import Case, by_name, cases


@cache
def own_rules() -> RuleSet:
    return read_rules([OWN_RULES])


@cache
def _matcher() -> Matcher:
    return Matcher()


def _ids(slug: str) -> str:
    lines = (OWN_RULES / f"{slug}.yml").read_text(encoding="utf-8").splitlines()
    return next(line.removeprefix("id: ") for line in lines if line.startswith("id: "))


def _fired(events: Sequence[Event]) -> set[str]:
    """Return the ids of all rules and correlations that match, alerting or not."""
    rules = own_rules()
    found = _matcher().places(Events.of(events), [it.where for it in rules.rules])
    known = [
        Match(time=int(str(events[row]["@timestamp"])), order=row, rule=rule.id, events=(events[row],))
        for rule, rows in zip(rules.rules, found, strict=True)
        for row in rows
    ]
    for correlation in rules.correlations:
        known += Correlator(correlation).feed(known)
    return {match.rule for match in known}


def _events(told: dict[str, Any]) -> list[Event]:
    return [event(it) for it in told.get("sequence", [told])]


@pytest.mark.parametrize("case", cases("detect"), ids=by_name)
def test_a_rule_fires_on_what_it_is_for(case: Case) -> None:
    quiet = [told for told in case.raw["matches"] if _ids(case.name) not in _fired(_events(told))]
    assert quiet == []


@pytest.mark.parametrize("case", cases("detect"), ids=by_name)
def test_a_rule_stays_quiet_on_the_rest(case: Case) -> None:
    loud = [told for told in case.raw["must_not"] if _ids(case.name) in _fired(_events(told))]
    assert loud == []


def test_every_rule_has_cases_of_both_sorts() -> None:
    slugs = {path.stem for path in OWN_RULES.glob("*.yml")}
    complete = {case.name for case in cases("detect") if case.raw["matches"] and case.raw["must_not"]}
    assert complete == slugs


def test_every_rule_of_ours_can_be_evaluated() -> None:
    assert own_rules().unusable == ()


@pytest.mark.parametrize("rule", [*own_rules().rules, *own_rules().correlations], ids=lambda it: it.title)
def test_every_rule_names_techniques_that_exist_and_their_tactics(rule: Rule | Correlation) -> None:
    known = attack.techniques()
    assert rule.techniques
    assert set(rule.techniques) <= known.keys()
    assert {tactic for it in rule.techniques for tactic in known[it].tactics} & set(rule.tactics)
