"""No rule of ours knows an exercise: nothing particular to a scenario or an inventory stands in one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import attack
from lab.detect.detector import OWN_RULES
from lab.detect.sigma.read import read_rules
from lab.files.workplace import CARRIED

SENSOR = CARRIED / "playbooks" / "roles" / "suricata" / "files" / "homerange.rules"

COMMON = frozenset(
    {
        *("root", "admin", "users", "files", "sensor", "backup", "support", "password", "passwords"),
        *("orders", "lab", "post"),
    }
)
"""Words of scenarios that are also words of the field, and say nothing of them."""

PUBLIC = re.compile(
    r"/(etc|proc|var/log|var/spool|usr|bin|dev|lib|tmp$|srv$|home$|root$)|^/(admin|staff|api|robots\.txt|uploads?)"
)
"""Paths that every machine or web site may have."""


def words(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, it in value.items():
            yield str(name)
            yield from words(it)
    elif isinstance(value, list):
        for it in value:
            yield from words(it)
    elif value is not None:
        yield str(value)


def constants() -> set[str]:
    """Gather hosts, accounts, passwords, addresses, names and paths of scenarios and inventories."""
    found: set[str] = set()
    for path in sorted((CARRIED / "inventories").glob("*.yml")):
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        found |= set(hosts(said["all"])) | set(keyed(said, ("name", "password")))
    for path in sorted((CARRIED / "scenarios").glob("*.yml")):
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        found |= set(keyed(said, ("user", "password", "account", "target", "from")))
        text = " ".join(words(said))
        found |= {it for it in re.findall(r"(?<![\w.}~])/[\w./-]{4,}", text) if not PUBLIC.search(it)}
        found |= set(re.findall(r"[\w.-]+\.example\b", text))
    return {it.strip("/") for it in found if len(it) > 3 and "{{" not in it} - COMMON


def hosts(group: dict[str, Any]) -> Iterator[str]:
    yield from group.get("hosts", {}) or {}
    for it in (group.get("children", {}) or {}).values():
        yield from hosts(it or {})


def keyed(value: object, names: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, dict):
        for name, it in value.items():
            if any(str(name).endswith(one) for one in names) and isinstance(it, str) and " " not in it:
                yield it
            yield from keyed(it, names)
    elif isinstance(value, list):
        for it in value:
            yield from keyed(it, names)


def detections(path: Path) -> str:
    said = yaml.safe_load(path.read_text(encoding="utf-8"))
    return " ".join(words({it: said.get(it) for it in ("detection", "correlation")})).lower()


def test_the_constants_are_those_of_the_exercises() -> None:
    assert {"bastion", "maria", "summer2026", "shop", "tmp/.look"} <= constants()


@pytest.mark.parametrize("path", sorted(OWN_RULES.glob("*.yml")), ids=lambda it: it.stem)
def test_no_rule_knows_an_exercise(path: Path) -> None:
    text = detections(path)
    known = {it for it in constants() if re.search(rf"(?<![\w.]){re.escape(it.lower())}(?![\w.])", text)}
    assert known == set()
    assert not re.search(r"\b(?:\d{1,3}\.){3}\d{1,3}\b", text.replace("127.0.0.1", ""))


def test_no_rule_of_the_sensor_knows_an_exercise() -> None:
    lines = [it for it in SENSOR.read_text(encoding="utf-8").splitlines() if it.startswith("alert")]
    text = re.sub(r"msg:\"[^\"]*\"|metadata:[^;]*", "", "\n".join(lines)).lower()
    known = {it for it in constants() if re.search(rf"(?<![\w.]){re.escape(it.lower())}(?![\w.])", text)}
    assert known == set()


def test_every_technique_of_the_exercises_has_a_rule() -> None:
    used: set[str] = set()
    for path in (CARRIED / "scenarios").glob("*.yml"):
        used |= set(re.findall(r"technique: (T[\d.]+)", path.read_text(encoding="utf-8")))
    rules = read_rules([OWN_RULES])
    known = {it for rule in (*rules.rules, *rules.correlations) for it in rule.techniques}
    known |= set(re.findall(r"mitre_technique_id (T[\d.]+)", SENSOR.read_text(encoding="utf-8")))
    assert used - known == set()


def test_every_rule_has_references_false_positives_and_tags_of_today() -> None:
    for path in OWN_RULES.glob("*.yml"):
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert said["falsepositives"], path.name
        assert said["references"], path.name
        techniques = [it for it in said["tags"] if re.match(r"attack\.t\d", it)]
        assert {it.removeprefix("attack.").upper() for it in techniques} <= attack.techniques().keys()


def test_the_sensor_s_rules_name_techniques_and_tactics_of_today() -> None:
    text = SENSOR.read_text(encoding="utf-8")
    assert set(re.findall(r"mitre_technique_id (T[\d.]+)", text)) <= attack.techniques().keys()
    assert set(re.findall(r"mitre_tactic_id (TA\d+)", text)) <= attack.tactics().keys()
