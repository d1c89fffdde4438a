"""How seldom rules cry wolf: ten ways in which a rule looks at nothing, none of which counts as quiet."""

from __future__ import annotations

from functools import cache

import pytest

from lab.detect.detector import OWN_RULES
from lab.detect.sigma.explain import Taken, take_all_apart
from lab.detect.sigma.read import read_rules
from lab.detect.sigma.rule import RuleSet
from lab.files.workplace import CARRIED
from lab.telemetry.event import Event
from lab.telemetry.events import Events
from lab.telemetry.store import Store
from lab.why.quiet import Looked, Sighting, Watched, quiet

RECORDING = CARRIED / "recordings" / "ssh-brute-force"


@cache
def rules() -> tuple[RuleSet, dict[str, Taken]]:
    return read_rules([OWN_RULES]), take_all_apart([OWN_RULES])


@cache
def recorded() -> tuple[Event, ...]:
    return tuple(Store(RECORDING / "events"))


def looked(events: list[Event]) -> dict[str, Looked]:
    sighting = Sighting(*rules())
    if events:
        sighting.feed(Events.of(events))
    return {it.rule: it for it in sighting.close()}


def without(field: str) -> list[Event]:
    return [{name: value for name, value in it.items() if name != field} for it in recorded()]


def test_of_a_whole_run_each_rule_on_its_logs_looked() -> None:
    found = looked(list(recorded()))
    for title in ("Account asks who it is", "SSH log-in failed", "SSH password guessing from one address"):
        assert (found[title].sight, found[title].events > 0, found[title].why) == ("looked", True, "")


SILENCED = {
    "snoopy": "Account asks who it is",
    "sshd": "SSH log-in failed",
    "apache": "Request for something that is not there",
    "suricata": "A sensor reported an attack",
}


@pytest.mark.parametrize("module", SILENCED)
def test_a_rule_whose_source_was_silent_is_named(module: str) -> None:
    found = looked([it for it in recorded() if it.get("event.module") != module])
    assert found[SILENCED[module]].sight == "source silent"
    assert found[SILENCED[module]].why


REMOVED = {
    "process.executable": "Account asks who it is",
    "process.command_line": "Password hashes are read",
    "http.response.status_code": "Request for something that is not there",
    "url.original": "Path traversal in a request",
    "event.outcome": "SSH log-in failed",
    "event.severity": "A sensor reported an attack",
}


@pytest.mark.parametrize("field", REMOVED)
def test_a_rule_whose_field_no_event_had_is_named(field: str) -> None:
    found = looked(without(field))
    assert found[REMOVED[field]].sight == "field absent"
    assert field in found[REMOVED[field]].why


def test_a_mapping_that_is_broken_makes_a_source_silent() -> None:
    broken = [
        {**it, "event.module": "snooty"} if it.get("event.module") == "snoopy" else it for it in recorded()
    ]
    assert looked(broken)["Account asks who it is"].sight == "source silent"


def test_a_correlation_over_a_blind_rule_is_blind() -> None:
    found = looked([it for it in recorded() if it.get("event.module") != "sshd"])
    assert found["SSH password guessing from one address"].sight == "source silent"
    assert "SSH log-in failed" in found["SSH password guessing from one address"].why


def test_who_looked_at_nothing_was_not_quiet() -> None:
    watched = [Watched(name="a", hosts=7, hours=10, lived=240)]
    blind = quiet(watched, [], tuple(looked([]).values()))
    assert (blind.bound, blind.lived_bound) == (None, None)
    assert {it.sight for it in blind.looked} == {"source silent"}
    assert len(blind.blind) == len(blind.looked)


def test_none_in_so_many_host_hours_bounds_the_rate_at_three_over_them() -> None:
    watched = [Watched(name="a", hosts=6, hours=10, lived=240), Watched(name="b", hosts=6, hours=2, lived=48)]
    found = quiet(watched, [], tuple(looked(list(recorded())).values()))
    assert found.host_hours == 72
    assert found.bound == pytest.approx(3.0 / 72, rel=0.002)
    assert found.lived_bound == pytest.approx(3.0 / 1728, rel=0.002)


def test_false_alarms_raise_the_bound() -> None:
    watched = [Watched(name="a", hosts=1, hours=10, lived=10, false_alarms={"x": 2})]
    found = quiet(watched, [], tuple(looked(list(recorded())).values()))
    assert found.false_alarms == 2
    assert found.bound == pytest.approx(0.63, abs=0.01)
