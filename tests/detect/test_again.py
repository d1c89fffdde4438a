"""A run looked at again: the same alerts as live, and of rules that were edited only those are asked."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lab.detect.again import Again
from lab.detect.alert import Alert, read_alerts
from lab.detect.detector import OWN_RULES, detectors
from lab.detect.sigma import compiled
from lab.detect.sigma.compiled import rules_of
from lab.detect.sigma.detector import SigmaDetector
from lab.detect.sigma.read import read_rules
from lab.files.workplace import CARRIED
from lab.runs.folder import RunFolder
from lab.runs.noticed import Noticed
from lab.watch.replay import replay

RECORDING = RunFolder(CARRIED / "recordings" / "ssh-brute-force")


def told(alerts: tuple[Alert, ...]) -> list[Alert]:
    return sorted(alerts, key=lambda it: (it.raised, it.rule_id, it.id))


def test_what_is_raised_is_what_a_replay_raises_batch_by_batch(tmp_path: Path) -> None:
    RECORDING.copy_to(tmp_path)
    sensor = RECORDING.noticed.sensor_rules.read_text(encoding="utf-8")
    replay(Noticed(tmp_path), detectors(sensor), lambda _alert: None)
    found = Again.of(RECORDING.noticed).alerts(rules_of([OWN_RULES]))
    assert told(found) == told(read_alerts(Noticed(tmp_path)))
    assert len(found) > 10


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The rules that ship, in a folder where they may be edited, with a cache of their own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(OWN_RULES, tmp_path / "rules")
    return tmp_path / "rules"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


EDITS = {
    "a value": ("discover-user.yml", "/whoami", "/whoareyou"),
    "a level": ("read-password-hashes.yml", "level: high", "level: low"),
    "tags": ("netcat-connects.yml", "attack.t1095", "attack.t1571"),
    "a name": ("discover-user.yml", "name: discover_user", "name: discover_you"),
    "a title": ("discover-user.yml", "title: Account", "title: An account"),
    "a correlation": ("ssh-brute-force.yml", "gte: 4", "gte: 3"),
    "broken": ("discover-user.yml", "condition:", "kondition:"),
    "no YAML": ("discover-user.yml", "detection:", "detection: ["),
}


@pytest.mark.parametrize("what", EDITS)
def test_rules_that_were_edited_are_those_that_reading_everything_gives(what: str, rules: Path) -> None:
    before = rules_of([rules])
    name, old, new = EDITS[what]
    edit(rules / name, old, new)
    assert rules_of([rules]) == read_rules([rules]) != before


def test_of_rules_that_were_edited_the_others_are_not_converted_again(
    rules: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules_of([rules])
    edit(rules / "discover-user.yml", "/whoami", "/whoareyou")
    read: list[Path] = []

    def watching(paths: list[Path], _pipelines: object = ()) -> object:
        read.extend(paths)
        return read_rules(paths)

    monkeypatch.setattr("lab.detect.sigma.read.read_rules", watching)
    rules_of([rules])
    assert [it.name for it in read] == ["discover-user.yml"]


def test_what_is_kept_and_cannot_be_read_is_made_anew(rules: Path) -> None:
    whole = rules_of([rules])
    for it in compiled.folder_of_kept().iterdir():
        it.write_bytes(b"{")
    assert rules_of([rules]) == whole


def test_only_rules_whose_text_is_new_are_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    again, own = Again.of(RECORDING.noticed), rules_of([OWN_RULES])
    first = again.alerts(own)

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(SigmaDetector, "matches", never)
    assert again.alerts(own) == first
