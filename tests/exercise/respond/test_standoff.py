"""An attack that goes on: which ways are tried, when, and what is found when it is over. Nothing runs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from lab.engine.nodes import SeenNode
from lab.engine.outside import Difference
from lab.engine.shell import Completed
from lab.exercise.play import Play
from lab.exercise.respond.aftermath import Aftermath, read_aftermath
from lab.exercise.respond.probing import Probe, read_probes
from lab.exercise.respond.standoff import Answering
from lab.exercise.truth import read_truth
from lab.moment import Moment
from lab.runs.folder import RunFolder
from tests.exercise.test_play import prepared

SCENARIO = """\
name: stay
benign: 1s
steps:
  - name: Come in
    technique: T1078.003
    from: attacker
    command: {argv: [come], targets: [bastion]}
    check: {file: {node: bastion, path: /tmp/in}}
    revert: none
  - name: Fail
    technique: T1003.008
    from: attacker
    command: {argv: [fail], targets: [bastion]}
    check: {file: {node: bastion, path: /tmp/never}}
    revert: none
access:
  - name: front
    from: attacker
    once: Come in
    command: {argv: [front], targets: [bastion]}
    shows: hello
    then: {command: {argv: [replant], targets: [bastion]}}
  - name: back
    from: attacker
    once: Come in
    command: {argv: [back], targets: [bastion]}
    shows: hello
    then: {command: {argv: [dig], targets: [bastion]}}
  - name: never
    from: attacker
    once: Fail
    command: {argv: [secret], targets: [bastion]}
    shows: hello
service:
  - {name: work, from: desk, command: {argv: [work], targets: [bastion]}, shows: ""}
"""


@dataclass
class Nodes:
    """Answers for all nodes."""

    shut: set[str] = field(default_factory=set)
    """Ways that lead nowhere."""

    ran: list[str] = field(default_factory=list)
    """Every program that was run."""

    on: dict[str, Callable[[], None]] = field(default_factory=dict)
    """Done when a program is run."""

    there: set[str] = field(default_factory=lambda: {"/tmp/in"})
    """Files that there are."""

    def __call__(self, _node: SeenNode, argv: tuple[str, ...]) -> Completed:
        """Do what a command does."""
        now = Moment.now()
        program = argv[0]
        self.ran.append(program)
        if program in self.on:
            self.on[program]()
        code, out = 0, "hello"
        if program == "date":
            out = str(int(now))
        elif program == "stat":
            code, out = (0, "root 5") if argv[-1] in self.there else (1, "")
        elif program in self.shut:
            code, out = 255, ""
        return Completed(argv=argv, code=code, stdout=out.encode(), stderr=b"", start=now, end=now)


def standing(nodes: Nodes, **given: object) -> tuple[RunFolder, Play]:
    run, play = prepared(SCENARIO, nodes)  # type: ignore[arg-type]  # it answers as one of those does
    answering = Answering(acted=lambda: 0, over=lambda: True, most=5.0)
    return run, replace(play, answering=replace(answering, **given))  # type: ignore[arg-type]  # its fields


def tried(run: RunFolder, *, then: bool = False) -> dict[str, list[bool]]:
    found: dict[str, list[bool]] = {}
    for it in read_probes(run.happened):
        if it.then == then:
            found.setdefault(it.way, []).append(it.open)
    return found


def played(nodes: Nodes, **given: object) -> tuple[RunFolder, Aftermath]:
    run, play = standing(nodes, **given)
    play.play()
    found = read_aftermath(run.happened)
    assert found is not None
    return run, found


pytestmark = pytest.mark.usefixtures("workplace")


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_way_is_tried_once_its_step_had_its_effect_and_never_before() -> None:
    run, _ = played(Nodes())
    assert tried(run).keys() == {"front", "back", "work"}
    assert all(tried(run)["front"])
    assert "secret" not in (it.way for it in read_probes(run.happened))


def test_who_loses_a_way_takes_the_next_and_does_there_what_the_scenario_says() -> None:
    nodes = Nodes()

    def over() -> bool:
        if "front" in nodes.ran:
            nodes.shut.add("front")
        time.sleep(0.02)
        return "dig" in nodes.ran

    acts = iter(range(1000))
    run, _ = played(nodes, over=over, acted=lambda: next(acts))
    assert nodes.ran.count("dig") == 1
    assert "replant" not in nodes.ran
    (done,) = [it for it in read_probes(run.happened) if it.then]
    assert (done.way, done.side, done.open) == ("back", "attacker", True)


def test_tries_are_neither_found_nor_false() -> None:
    run, _ = played(Nodes())
    labels = {it.label for it in read_truth(run.happened) if it.step == "0-probes"}
    assert labels == {"setup"}
    assert '"step":"0-probes"' in run.happened.journal.read_text(encoding="utf-8")


def test_what_is_left_is_looked_for_on_the_nodes() -> None:
    nodes = Nodes()
    run, found = played(nodes)
    assert [(it.node, it.path, it.gone) for it in found.artefacts] == [("bastion", "/tmp/in", False)]
    nodes = Nodes()

    def over() -> bool:
        nodes.there.clear()
        return True

    run, found = played(nodes, over=over)
    assert [(it.path, it.gone) for it in found.artefacts] == [("/tmp/in", True)]
    assert not any(it.occurred for it in found.again if it.step != "1-come-in")
    assert run.happened.aftermath.exists()


def test_the_steps_by_which_the_attacker_came_in_are_played_once_more() -> None:
    nodes = Nodes()
    run, found = played(nodes)
    assert [(it.step, it.occurred) for it in found.again] == [("1-come-in", True), ("2-fail", False)]
    assert nodes.ran.count("come") == 2
    assert [it.label for it in read_truth(run.happened) if it.step == "0-again"] == ["setup"]
    assert sum(it.step == "1-come-in" for it in read_truth(run.happened)) == 1, "it is no second attempt"


def test_what_differs_from_the_image_is_told_before_and_after() -> None:
    nodes = Nodes()
    run, play = standing(nodes)
    engine = play.engine
    one, two = (Difference(path=it, how="added") for it in ("/etc/a", "/etc/b"))
    engine.changed["bastion"] = (one,)  # type: ignore[attr-defined]  # of the fake

    def come() -> None:
        engine.changed["bastion"] = (one, two)  # type: ignore[attr-defined]  # of the fake

    nodes.on["come"] = come
    play.play()
    found = read_aftermath(run.happened)
    assert found is not None
    assert (found.before["bastion"], found.after["bastion"]) == ((one,), (one, two))
    assert "attacker" not in found.after


def test_nodes_that_were_reached_are_made_anew() -> None:
    _, play = standing(Nodes())
    assert play.play().keys() == {"bastion"}


def test_who_tries_the_ways_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    run, play = standing(Nodes(), over=lambda: False, most=30.0)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "probes.jsonl")

    monkeypatch.setattr("lab.exercise.respond.probing.records.append", full)
    with pytest.raises(OSError, match="No space left"):
        play.play()
    assert read_aftermath(run.happened) is None


def test_probes_are_lines_that_are_read_back() -> None:
    run, _ = played(Nodes())
    lines = run.happened.probes.read_text(encoding="utf-8").splitlines()
    assert {it["side"] for it in map(json.loads, lines)} == {"attacker", "people"}
    assert all(isinstance(it, Probe) for it in read_probes(run.happened))
