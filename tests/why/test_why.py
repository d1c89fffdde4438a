"""Why a step was missed: rules broken on purpose, one part at a time, and the part that is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lab.files.workplace import CARRIED
from lab.runs.folder import RunFolder
from lab.why.inquiry import Inquiry
from lab.why.steps import Why

RECORDING = CARRIED / "recordings" / "ssh-brute-force"

WHOAMI = """\
title: Who
id: 00000000-0000-4000-8000-000000000001
name: who
tags: [attack.discovery, attack.t1033]
logsource: {product: linux, category: process_creation}
detection:
  tool:
    Image|endswith: [/whoami, /id]
  words:
    CommandLine|contains: whoami
  terminal:
    process.interactive: true
  condition: tool and words and not terminal
level: medium
"""

FAILED = """\
title: Failed
id: 00000000-0000-4000-8000-000000000002
name: failed
tags: [attack.credential-access, attack.t1110]
logsource: {product: linux, service: sshd}
detection: {s: {event.action: ssh_login, event.outcome: failure}, condition: s}
level: informational
"""

GUESSING = """\
title: Guessing
id: 00000000-0000-4000-8000-000000000003
tags: [attack.credential-access, attack.t1110.001]
correlation:
  type: event_count
  rules: [failed]
  group-by: [source.ip]
  timespan: 1m
  condition: {gte: 5}
level: high
"""


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A recorded run, without what its sensors raised: the rules here alone decide."""
    shutil.copytree(RECORDING, tmp_path / "run")
    (tmp_path / "run" / "sensor.rules").write_text("", encoding="utf-8")
    (segment,) = (tmp_path / "run" / "events").iterdir()
    table = pq.read_table(segment)
    pq.write_table(table.filter(pc.field("event.dataset") != "suricata.alert"), segment)
    return RunFolder(tmp_path / "run")


@pytest.fixture
def ask(run: RunFolder, tmp_path: Path) -> Callable[..., Why]:
    def asked(step: str, *rules: str) -> Why:
        folder = tmp_path / "rules"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for number, text in enumerate(rules):
            (folder / f"{number}.yml").write_text(text, encoding="utf-8")
        with Inquiry(run, [folder]) as inquiry:
            (place,) = inquiry.find(step)
            return inquiry.why(place)

    return asked


def test_with_the_rules_as_they_are_both_steps_are_detected(ask: Callable[..., Why]) -> None:
    assert ask("Ask who I am", WHOAMI).verdict == "technique"
    assert ask("Guess the password", FAILED, GUESSING).verdict == "technique"


@dataclass(frozen=True)
class Broken:
    """One part of a rule, and what is wrong with it."""

    old: str
    new: str
    rung: str
    fault: str
    said: str


ON_EVENTS = {
    "field": Broken(
        "CommandLine|contains: whoami",
        "process.working_directory|contains: whoami",
        "rule",
        "clause",
        "words:",
    ),
    "unknown field": Broken("    Image|endswith", "    Imagee|endswith", "rule", "unusable", "Imagee"),
    "absent field": Broken("CommandLine|contains: whoami", "url.path: /x", "rule", "field", "url.path"),
    "value": Broken("contains: whoami", "contains: who-am-i", "rule", "clause", "who-am-i"),
    "log source": Broken(
        "product: linux, category", "product: windows, category", "no rule", "log source", "windows"
    ),
    "condition": Broken("words and not terminal", "words and terminal", "rule", "clause", "terminal"),
    "filter": Broken(
        "process.interactive: true", "process.interactive: false", "rule", "clause", "rules the step"
    ),
    "level": Broken("level: medium", "level: informational", "rule", "level", "raises nothing"),
    "tags": Broken("attack.discovery, attack.t1033", "attack.impact, attack.t1485", "tags", "", "T1485"),
    "regular expression": Broken(
        "CommandLine|contains: whoami", "CommandLine|re: '(whoami'", "rule", "unusable", "cannot be evaluated"
    ),
}


@pytest.mark.parametrize("name", ON_EVENTS)
def test_of_a_rule_on_events_the_part_that_is_broken_is_named(name: str, ask: Callable[..., Why]) -> None:
    broken = ON_EVENTS[name]
    assert broken.old in WHOAMI
    found = ask("Ask who I am", WHOAMI.replace(broken.old, broken.new))
    assert found.rung == broken.rung
    assert broken.said in found.why
    assert [it.fault for it in found.causes[:1]] == ([broken.fault] if found.rung == "rule" else [])


ON_SEVERAL = {
    "timespan": Broken("timespan: 1m", "timespan: 1s", "rule", "window", "within 1 s"),
    "count": Broken("gte: 5", "gte: 500", "rule", "count", "gte 500"),
    "group": Broken(
        "group-by: [source.ip]", "group-by: [source.ip, source.port]", "rule", "group", "source.port"
    ),
    "absent group": Broken("group-by: [source.ip]", "group-by: [url.path]", "rule", "group", "url.path"),
    "reference": Broken("rules: [failed]", "rules: [fail]", "rule", "unusable", "fail"),
    "level": Broken("level: high", "level: informational", "rule", "level", "raises nothing"),
}


@pytest.mark.parametrize("name", ON_SEVERAL)
def test_of_a_correlation_the_part_that_is_broken_is_named(name: str, ask: Callable[..., Why]) -> None:
    broken = ON_SEVERAL[name]
    assert broken.old in GUESSING
    found = ask("Guess the password", FAILED, GUESSING.replace(broken.old, broken.new))
    assert (found.rung, found.causes[0].fault) == (broken.rung, broken.fault)
    assert broken.said in found.why


def test_a_correlation_over_a_broken_rule_names_that(ask: Callable[..., Why]) -> None:
    found = ask("Guess the password", FAILED.replace("event.outcome: failure", "event.outcome: no"), GUESSING)
    assert "'Failed'" in found.why
    assert "event.outcome" in found.why


def test_without_a_rule_the_events_are_shown_and_a_draft_is_begun(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "rule.yml").write_text(GUESSING + "---\n" + FAILED, encoding="utf-8")
    with Inquiry(run, [tmp_path / "rule.yml"]) as inquiry:
        (place,) = inquiry.find("List the local accounts")
        found, draft = inquiry.why(place), inquiry.draft(place)
    assert found.rung == "no rule"
    assert any(value == "cat /etc/passwd" for it in found.usable for _, value in it.says)
    (tmp_path / "draft.yml").write_text(draft.rule, encoding="utf-8")
    (tmp_path / "draft.test.yml").write_text(draft.cases, encoding="utf-8")
    with Inquiry(run, [tmp_path / "draft.yml"]) as inquiry:
        (place,) = inquiry.find("List the local accounts")
        assert inquiry.why(place).verdict == "technique"


def test_a_draft_passes_its_own_cases(run: RunFolder, tmp_path: Path) -> None:
    from lab.detect.sigma.trials import try_cases

    (tmp_path / "rule.yml").write_text(FAILED, encoding="utf-8")
    with Inquiry(run, [tmp_path / "rule.yml"]) as inquiry:
        draft = inquiry.draft(inquiry.find("See what runs")[0])
    (tmp_path / "draft.yml").write_text(draft.rule, encoding="utf-8")
    (tmp_path / "draft.test.yml").write_text(draft.cases, encoding="utf-8")
    (tried,) = try_cases([tmp_path / "draft.yml"])
    assert tried.cases > 1
    assert tried.wrong == ()


def test_near_misses_are_benign_events_that_one_clause_alone_kept_from_an_alert(
    run: RunFolder, tmp_path: Path
) -> None:
    (tmp_path / "rule.yml").write_text(
        WHOAMI.replace("[/whoami, /id]", "/id").replace("contains: whoami", "contains: id -n"),
        encoding="utf-8",
    )
    with Inquiry(run, [tmp_path / "rule.yml"]) as inquiry:
        near = inquiry.near_misses()
    assert {it.clause.partition(":")[0] for it in near} <= {"words", "tool", "terminal"}
    assert all(it.count > 0 and it.example for it in near)


def test_a_false_alarm_has_a_cause_and_what_tells_it_apart(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "rule.yml").write_text(
        "title: Log-in\nid: 00000000-0000-4000-8000-000000000009\ntags: [attack.impact, attack.t1485]\n"
        "logsource: {product: linux, service: sshd}\nlevel: high\n"
        "detection: {s: {event.action: ssh_login, event.outcome: success}, condition: s}\n",
        encoding="utf-8",
    )
    with Inquiry(run, [tmp_path / "rule.yml"]) as inquiry:
        found = inquiry.false_alarms()
    assert found
    assert {it.rule for it in found} == {"Log-in"}
    assert any("none of" in it.apart for it in found)
