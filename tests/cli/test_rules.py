"""`lab detect` and `lab rules`, from their words to their exit codes."""

from __future__ import annotations

import gzip
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from tests.cli.test_commands import Terminal, terminal
from tests.support import SAMPLES
from tests.world import completed

__all__ = ["terminal"]  # a fixture

SIGMA: Final = SAMPLES / "sigma"
RULE: Final = SIGMA / "proc_creation_lnx_crontab_removal.yml"
OPENSSH: Final = str(SAMPLES / "loghub" / "openssh.log")

REMOVAL: Final = {"Image": "/usr/bin/crontab", "CommandLine": "crontab -r", "UtcTime": "2026-11-24 10:00:00"}
LISTING: Final = {"Image": "/usr/bin/crontab", "CommandLine": "crontab -l"}

BROKEN: Final = "title: broken\nlogsource: {product: linux}\nlevel: dire\n"


def lines(*events: object) -> str:
    return "".join(json.dumps(it) + "\n" for it in events)


@pytest.fixture
def events(terminal: Terminal) -> Path:
    path = terminal.folder / "events.json"
    path.write_text(lines(LISTING, REMOVAL, {"User": "x"}), encoding="utf-8")
    return path


def matches(terminal: Terminal, *words: str) -> list[dict[str, Any]]:
    return [json.loads(it) for it in terminal.lab("detect", *words, "--format", "json").out.splitlines()]


@pytest.mark.usefixtures("events")
def test_a_match_is_one_line_with_its_rule_and_its_event(terminal: Terminal) -> None:
    (found,) = matches(terminal, "events.json", "--rules", str(RULE), "--as", "linux/process_creation")
    assert found == {
        "rule": "c2e234de-03a3-41e1-b39a-1e56dc17ba67",
        "title": "Remove Scheduled Cron Task/Job",
        "level": "medium",
        "tags": ["attack.stealth"],
        "file": str(terminal.folder / "events.json"),
        "event": 2,
        "time": "2026-11-24T10:00:00.000000000Z",
        "evidence": [],
    }
    shown = terminal.lab("detect", "events.json", "--rules", str(RULE))
    assert "events.json:2  Remove Scheduled Cron Task/Job" in shown.out
    assert "events: 3; matches: 1; rules: 1" in shown.said


@pytest.mark.usefixtures("events")
@pytest.mark.parametrize(("level", "code"), [("low", 1), ("medium", 1), ("high", 0)])
def test_a_level_can_fail_a_build(terminal: Terminal, level: str, code: int) -> None:
    terminal.lab("detect", "events.json", "--rules", str(RULE), "--fail-on", level, code=code)


@pytest.mark.parametrize(
    "form", ["lines", "list", "laid out", "records", "gzip", "zip", "utf-16", "bom", "crlf"]
)
def test_events_are_read_whatever_they_come_as(terminal: Terminal, form: str) -> None:
    path, several = terminal.folder / "given", [LISTING, REMOVAL]
    text = lines(*several)
    contents = {
        "lines": text.encode(),
        "list": json.dumps(several).encode(),
        "laid out": json.dumps(several, indent=2).encode(),
        "records": json.dumps({"Records": several}).encode(),
        "gzip": gzip.compress(text.encode()),
        "utf-16": text.encode("utf-16"),
        "bom": text.encode("utf-8-sig"),
        "crlf": text.replace("\n", "\r\n").encode(),
    }
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inner/events.json", text)
    else:
        path.write_bytes(contents[form])
    (found,) = matches(terminal, "given", "--rules", str(RULE))
    assert found["event"] == 2


def test_a_log_with_a_parser_of_ours_is_read_by_it(terminal: Terminal) -> None:
    found = matches(terminal, OPENSSH)
    title = "SSH password guessing from one address, one by one"
    guessing = next(it for it in found if it["title"] == title)
    assert guessing["event"] == guessing["evidence"][-1]
    said = Path(OPENSSH).read_text(encoding="utf-8").splitlines()[guessing["event"] - 1]
    assert "Failed password" in said or "authentication failure" in said
    assert list(terminal.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["not-there", "--rules", str(RULE)], "not-there: is not there"),
        (["events.json", "--rules", "no-rules"], "no-rules"),
        (["events.json", "--rules", "broken.yml"], "broken.yml:3"),
        (["events.json", "--as", "nonsense"], "no log source 'nonsense'"),
        (["events.json", "--as", "a/b/c"], "product/category"),
        (["text", "--as", "linux/process_creation"], "holds no JSON objects"),
        (["torn.json", "--as", "linux/process_creation"], "torn.json: is no whole JSON"),
        (["events.json", "--pipeline", "text"], "is no pipeline of pySigma"),
        (["events.json", "--fail-on", "dire"], "informational, low, medium, high, critical"),
    ],
)
@pytest.mark.usefixtures("events")
def test_wrong_input_is_named(terminal: Terminal, words: list[str], said: str) -> None:
    (terminal.folder / "broken.yml").write_text(BROKEN, encoding="utf-8")
    (terminal.folder / "text").write_text("nothing to be read\n", encoding="utf-8")
    (terminal.folder / "torn.json").write_text('[{"a": 1},\n', encoding="utf-8")
    refused = terminal.lab("detect", *words, code=2)
    assert said in refused.said
    assert "Traceback" not in refused.said


@pytest.mark.usefixtures("events")
def test_a_pipeline_of_the_users_own_gives_names_and_values(terminal: Terminal) -> None:
    (terminal.folder / "pipeline.yml").write_text(
        "name: mine\npriority: 10\nvars: {tools: [crontab]}\ntransformations:\n"
        "  - {id: names, type: field_name_mapping, mapping: {Programme: CommandLine}}\n"
        "  - {id: values, type: value_placeholders}\n",
        encoding="utf-8",
    )
    (terminal.folder / "rule.yml").write_text(
        "title: mine\nlogsource: {product: linux, category: process_creation}\n"
        "detection: {s: {Programme|contains|expand: '%tools% -r'}, condition: s}\n",
        encoding="utf-8",
    )
    words = ["events.json", "--rules", "rule.yml", "--as", "linux/process_creation"]
    assert matches(terminal, *words) == []
    (found,) = matches(terminal, *words, "--pipeline", "pipeline.yml")
    assert (found["title"], found["event"]) == ("mine", 2)


@pytest.mark.usefixtures("events")
def test_what_cannot_be_evaluated_is_counted_with_its_reason(terminal: Terminal) -> None:
    rules = terminal.folder / "rules"
    rules.mkdir()
    (rules / "good.yml").write_bytes(RULE.read_bytes())
    (rules / "broken.yml").write_text(BROKEN, encoding="utf-8")
    (rules / "ahead.yml").write_text(
        "title: ahead\nlogsource: {product: linux}\ndetection: {s: {a|re: 'b(?=c)'}, condition: s}\n",
        encoding="utf-8",
    )
    found = terminal.lab("detect", "events.json", "--rules", "rules")
    assert "matches: 1" in found.said
    assert "rules that cannot be evaluated: 2" in found.said
    assert "invalid perl operator" in found.said
    assert "broken.yml:1" in found.said
    assert "line 3" in found.said


def test_rules_that_were_added_are_used_and_can_be_removed(terminal: Terminal) -> None:
    (terminal.folder / "mine.yml").write_text(
        "title: a closed connection\nid: 0b0b0b0b-0000-4000-8000-000000000000\n"
        "logsource: {product: linux, service: sshd}\n"
        "detection: {s: ['Connection closed'], condition: s}\n",
        encoding="utf-8",
    )
    before = {it["title"] for it in matches(terminal, OPENSSH)}
    assert "1 rules in use" in terminal.lab("rules", "add", "mine.yml").out
    assert "as before" in terminal.lab("rules", "add", "mine.yml").out
    assert json.loads((terminal.folder / "rules.json").read_text(encoding="utf-8"))["paths"] == ["mine.yml"]
    assert {it["title"] for it in matches(terminal, OPENSSH)} - before == {"a closed connection"}
    listed = terminal.json("rules", "list")
    assert isinstance(listed, dict)
    assert "a closed connection" in {it["title"] for it in listed["rules"]}
    assert "detection: {s:" in terminal.lab("rules", "show", "a closed").out
    terminal.lab("rules", "remove", "mine.yml")
    assert {it["title"] for it in matches(terminal, OPENSSH)} == before
    assert "no rules 'mine.yml'" in terminal.lab("rules", "remove", "mine.yml", code=2).said


def test_rules_that_are_gone_are_named_and_not_passed_over(terminal: Terminal) -> None:
    (terminal.folder / "mine.yml").write_bytes(RULE.read_bytes())
    terminal.lab("rules", "add", "mine.yml")
    (terminal.folder / "mine.yml").unlink()
    refused = terminal.lab("detect", OPENSSH, code=2)
    assert "mine.yml: was added as rules and is not there any more" in refused.said
    assert "lab rules remove" in refused.said
    terminal.lab("rules", "remove", "mine.yml")
    terminal.lab("detect", OPENSSH)


def test_a_checkout_is_taken_as_it_is(terminal: Terminal) -> None:
    checkout = terminal.folder / "sigma"
    for place in ("rules/linux", "deprecated/linux", "tests", ".github/workflows", "unsupported"):
        (checkout / place).mkdir(parents=True)
    (checkout / "rules" / "linux" / "a.yml").write_bytes(RULE.read_bytes())
    (checkout / "deprecated" / "linux" / "b.yml").write_bytes(RULE.read_bytes())
    for place in ("tests/thor.yml", ".github/workflows/ci.yml", "unsupported/c.yml"):
        (checkout / place).write_text("on: [push]\n", encoding="utf-8")
    assert terminal.lab("rules", "add", "sigma").out.endswith("1 rules in use\n")


@pytest.mark.parametrize(
    "words", [["add", "not-there"], ["add", "broken.yml"], ["add", "empty"], ["show", "no such"]]
)
def test_what_is_no_rule_is_refused_and_not_remembered(terminal: Terminal, words: list[str]) -> None:
    (terminal.folder / "broken.yml").write_text(BROKEN, encoding="utf-8")
    (terminal.folder / "empty").mkdir()
    refused = terminal.lab("rules", *words, code=2)
    assert words[1] in refused.said
    assert not (terminal.folder / "rules.json").exists()


def test_rules_are_looked_through(terminal: Terminal) -> None:
    (terminal.folder / "doubtful.yml").write_text(
        "title: doubtful\nlogsource: {product: linux, category: process_creation}\ntags: [attack.t9999]\n"
        "detection: {s: {User: x}, other: {User: y}, condition: s}\n",
        encoding="utf-8",
    )
    found = terminal.lab("rules", "check", "doubtful.yml", code=0)
    assert "has no t9999" in found.out
    assert "other" in found.out
    (terminal.folder / "doubtful.yml").write_text(
        "title: doubtful\nlogsource: {product: linux}\ndetection: {s: {Hashes: x}, condition: s}\n",
        encoding="utf-8",
    )
    assert "no event has the field 'Hashes'" in terminal.lab("rules", "check", "doubtful.yml", code=1).out


CASES: Final = """\
matches:
  - {Image: /usr/bin/crontab, CommandLine: crontab -r}
must_not:
  - {Image: /usr/bin/crontab, CommandLine: crontab -l}
  - [{Image: /usr/bin/id}, {Image: /bin/sh}]
"""


def test_cases_beside_a_rule_are_tried(terminal: Terminal) -> None:
    (terminal.folder / "mine.yml").write_bytes(RULE.read_bytes())
    cases = terminal.folder / "mine.test.yml"
    cases.write_text(CASES, encoding="utf-8")
    assert "3 cases of 1 files, 0 wrong" in terminal.lab("rules", "test", "mine.yml").out
    cases.write_text(CASES.replace("-l", "-r"), encoding="utf-8")
    failed = terminal.lab("rules", "test", "mine.yml", code=1)
    assert "mine.test.yml:4\twas matched" in failed.out
    cases.write_text("matched:\n  - {}\n", encoding="utf-8")
    assert "mine.test.yml:1" in terminal.lab("rules", "test", "mine.yml", code=2).said


def test_a_correlation_is_tried_on_a_sequence(terminal: Terminal) -> None:
    (terminal.folder / "mine.yml").write_text(
        "title: sign\nname: sign\nlogsource: {product: linux}\ndetection: {s: {a: x}, condition: s}\n---\n"
        "title: signs\ncorrelation: {type: event_count, rules: [sign], timespan: 10s, condition: {gte: 2}}\n",
        encoding="utf-8",
    )
    early, soon, late = (f"{{a: x, '@timestamp': '2026-11-24T10:00:{it:02}Z'}}" for it in (0, 9, 11))
    (terminal.folder / "mine.test.yml").write_text(
        f"matches:\n  - [{early}, {soon}]\nmust_not:\n  - [{early}, {late}]\n", encoding="utf-8"
    )
    assert "2 cases of 1 files, 0 wrong" in terminal.lab("rules", "test", "mine.yml").out


@pytest.fixture
def replayed(terminal: Terminal) -> Terminal:
    terminal.lab("replay", "ssh-brute-force")
    return terminal


def test_a_rule_is_explained_clause_by_clause(replayed: Terminal) -> None:
    replayed.lab("rules", "add", str(SIGMA))
    found = replayed.lab("rules", "explain", "Account asks who it is").out
    assert "tool\tImage endswith '/whoami'" in found
    assert "1 matched" in found
    near = replayed.lab("rules", "explain", "Linux Recon Indicators").out
    assert "of the log source" in near
    web = replayed.lab("rules", "explain", "JNDIExploit Pattern").out
    assert "no log of this run has such events: it would take one of apache" in web or "0 matched" in web
    missing = replayed.json("rules", "explain", "Account asks who it is")
    assert isinstance(missing, dict)
    assert missing["explanation"]["matches"] == 1


def test_a_rule_is_explained_on_one_event(replayed: Terminal) -> None:
    (event,) = replayed.lab(
        "query", 'SELECT "event.id" FROM events WHERE "process.command_line" = \'whoami\' LIMIT 1'
    ).out.split()
    found = replayed.lab("rules", "explain", "Account asks who it is", "--event", event).out
    assert "holds\ttool" in found
    assert "the event is of the log source; the rule matches it" in found
    assert (
        "no event 'nope'"
        in replayed.lab("rules", "explain", "Account asks who it is", "--event", "nope", code=2).said
    )


def test_coverage_counts_rules_and_logs(replayed: Terminal) -> None:
    every = replayed.json("rules", "coverage")
    here = replayed.json("rules", "coverage", "--run", "2")
    assert isinstance(every, list)
    assert isinstance(here, list)
    web = next(it for it in every if it["technique"] == "T1190")
    assert (web["rules"] > 0, web["seen_by"]) == (True, ["apache"])
    assert next(it for it in here if it["technique"] == "T1033")["seen_by"] == ["snoopy"]
    assert sum(not it["rules"] for it in every) > 500


@pytest.mark.parametrize(
    ("product", "words"),
    [
        ("duckdb", "SELECT * FROM events WHERE"),
        ("elasticsearch", "process.executable.caseless"),
        ("opensearch", "process.executable.caseless"),
        ("splunk", 'process.executable="*crontab"'),
    ],
)
def test_a_rule_is_written_for_other_products(terminal: Terminal, product: str, words: str) -> None:
    assert words in terminal.lab("rules", "convert", str(RULE), "--to", product).out


def test_sql_of_a_rule_is_a_question_for_lab_query(replayed: Terminal) -> None:
    rule = SIGMA / "proc_creation_lnx_grep_os_arch_discovery.yml"
    said = replayed.json("rules", "convert", str(rule), "--to", "duckdb")
    assert isinstance(said, list)
    replayed.lab("query", str(said[0]["query"]))


def test_rules_for_suricata_are_remembered_and_change_the_sensor(terminal: Terminal) -> None:
    terminal.lab("up", "starter")
    assert "nothing to change" in terminal.lab("plan").out
    (terminal.folder / "local.rules").write_text(
        'alert tcp any any -> any 4444 (msg:"a shell calls home"; sid:7000001; rev:1;)\n', encoding="utf-8"
    )
    assert "Suricata reads it" in terminal.lab("rules", "add-suricata", "local.rules").out
    assert json.loads((terminal.folder / "rules.json").read_text(encoding="utf-8")) == {
        "paths": [],
        "suricata": ["local.rules"],
    }
    changes = terminal.lab("plan").out
    assert "sensor" in changes
    assert "bastion" not in changes
    terminal.lab("rules", "remove", "local.rules")
    assert "nothing to change" in terminal.lab("plan").out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "local.rules: cannot be read"),
        ('alert tcp any any -> any any (msg:"x"; content:"{{"; sid:1;)\n', "local.rules:1: has two braces"),
    ],
)
def test_what_no_sensor_can_be_given_is_refused(terminal: Terminal, text: str | None, said: str) -> None:
    if text is not None:
        (terminal.folder / "local.rules").write_text(text, encoding="utf-8")
    assert said in terminal.lab("rules", "add-suricata", "local.rules", code=2).said
    assert not (terminal.folder / "rules.json").exists()


def test_what_suricata_refuses_is_named_by_its_line(terminal: Terminal) -> None:
    (terminal.folder / "local.rules").write_text("# none\nalert nonsense\n", encoding="utf-8")
    said = (
        "E: detect-parse: no rule options.\n"
        'E: detect: error parsing signature "alert nonsense" from file /tmp/user.rules at line 2\n'
    )
    terminal.world.special = lambda _node, argv: (
        replace(completed(argv, said), code=1) if "suricata -T" in argv[-1] else None
    )
    refused = terminal.lab("rules", "add-suricata", "local.rules", code=2)
    assert "local.rules:2: detect-parse: no rule options." in refused.said
    assert not (terminal.folder / "rules.json").exists()
