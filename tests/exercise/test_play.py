"""How a scenario is played: guarded, checked, recorded, and undone whatever happens."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from lab.engine.labels import BAKED
from lab.engine.memory import MemoryEngine
from lab.engine.nodes import SeenNode
from lab.engine.shell import Completed
from lab.exercise.journal import Entry
from lab.exercise.play import Play
from lab.exercise.recover import read_past
from lab.exercise.scenario import read_scenario
from lab.exercise.truth import Truth, read_truth
from lab.files import careful, records
from lab.files.workplace import SHIPPED, Workplace
from lab.inventory.definition import Lab, read_inventory
from lab.moment import Moment
from lab.provision.blueprint import draw
from lab.runs import folder
from lab.runs.folder import RunFolder
from lab.workers import Stop
from tests.support import KINDS

SCENARIO = """
name: small
benign: 5s
steps:
  - name: First
    technique: T1082
    from: attacker
    command: {argv: [uname, -a]}
    check: {file: {node: bastion, path: /tmp/first, owner: root}}
    revert: {node: bastion, argv: [rm, -f, /tmp/first]}
    register: first
  - name: Second
    technique: T1046
    from: attacker
    nmap: {target: "TARGET"}
    revert: {node: bastion, argv: [rm, -f, /tmp/second]}
"""


class Node:
    """Answers commands like a node on which everything works, and remembers them."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, ...]] = []
        self.size = "5"
        self.on: dict[str, Callable[[], None]] = {}

    def __call__(self, _node: SeenNode, argv: tuple[str, ...]) -> Completed:
        self.ran.append(argv)
        now = Moment.now()
        if argv[0] in self.on:
            self.on[argv[0]]()
        out = {"date": str(int(now)), "stat": f"root {self.size}"}.get(argv[0], "Linux")
        return Completed(argv=argv, code=0, stdout=out.encode(), stderr=b"", start=now, end=now)


def played(text: str, node: Node, *, stop: Stop | None = None) -> tuple[Truth, ...]:
    run, play = prepared(text, node, stop=stop)
    with suppress(KeyboardInterrupt):
        play.play()
    return read_truth(run.happened)


def prepared(text: str, node: Node, *, stop: Stop | None = None) -> tuple[RunFolder, Play]:
    lab = _lab()
    engine = MemoryEngine(answer=node)
    with engine.open_baking("scratch:latest", lab="x", role="x") as container:
        for it in lab.nodes:
            engine.commit(container, f"image-{it.name}", {BAKED: "0"})
    drawn = draw(lab, {it.name: f"image-{it.name}" for it in lab.nodes})
    for network in drawn.networks:
        engine.create_network(network)
    for spec in drawn.nodes:
        engine.create_node(spec)
    path = Path("small.yml")
    path.write_text(text, encoding="utf-8")
    scenario = read_scenario(path, lab)
    run = folder.create(Workplace(Path.cwd()), scenario.name, Moment.now())
    play = Play(
        lab=lab,
        scenario=scenario,
        engine=engine,
        run=run.path.name,
        happened=run.happened,
        tell=lambda _line: None,
        pause=lambda _seconds: None,
        stop=stop or Stop(),
    )
    return run, play


def _lab() -> Lab:
    return read_inventory(SHIPPED.find("inventories", "starter"), KINDS)


def _steps(truth: tuple[Truth, ...], label: str) -> dict[str, Truth]:
    return {it.name: it for it in truth if it.label == label}


@pytest.mark.usefixtures("workplace")
def test_what_happened_is_recorded_with_its_check() -> None:
    first = _steps(played(SCENARIO.replace("TARGET", "bastion"), Node()), "attack")["First"]
    assert (first.status, first.occurred, first.technique, first.tactics) == (
        "ran",
        True,
        "T1082",
        ("discovery",),
    )
    assert first.processes == ("uname -a",)


@pytest.mark.usefixtures("workplace")
def test_an_effect_that_is_not_there_did_not_occur() -> None:
    node = Node()
    node.size = "0"
    assert _steps(played(SCENARIO.replace("TARGET", "bastion"), node), "attack")["First"].occurred is False


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("target", ["8.8.8.8", "desk", "{{ first.stdout }}", "10.0.0.0/8"])
def test_a_step_out_of_scope_is_refused_and_never_run(target: str) -> None:
    node = Node()
    second = _steps(played(SCENARIO.replace("TARGET", target), node), "attack")["Second"]
    assert (second.status, second.occurred) == ("refused", None)
    assert [argv for argv in node.ran if argv[0] == "nmap"] == []


@pytest.mark.usefixtures("workplace")
def test_everything_is_undone_in_reverse_order() -> None:
    node = Node()
    truth = played(SCENARIO.replace("TARGET", "bastion"), node)
    assert [argv[-1] for argv in node.ran if argv[0] == "rm"] == ["/tmp/second", "/tmp/first"]
    assert _steps(truth, "cleanup").keys() == {"Undo: First", "Undo: Second"}


@pytest.mark.usefixtures("workplace")
def test_ctrl_c_once_in_a_step_undoes_and_records_what_there_was() -> None:
    node, stop = Node(), Stop()
    node.on["uname"] = stop.set
    steps = _steps(played(SCENARIO.replace("TARGET", "bastion"), node, stop=stop), "attack")
    assert [argv[-1] for argv in node.ran if argv[0] == "rm"] == ["/tmp/first"]
    assert (steps["First"].occurred, steps["First"].reason) == (None, "stopped by the user")
    assert (steps["Second"].status, steps["Second"].reason) == ("skipped", "the run was stopped by the user")


@pytest.mark.usefixtures("workplace")
def test_ctrl_c_twice_leaves_what_is_owed_to_whoever_cleans_up() -> None:
    node = Node()
    node.on["uname"] = _interrupt
    run, play = prepared(SCENARIO.replace("TARGET", "bastion"), node)
    with pytest.raises(KeyboardInterrupt):
        play.play()
    past = read_past(run.happened)
    assert [argv for argv in node.ran if argv[0] == "rm"] == []
    assert [it.revert.argv for it in past.owed] == [("rm", "-f", "/tmp/first")]
    assert set(past.begun) == {"1-first"}


def _interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.usefixtures("workplace")
@pytest.mark.parametrize("finish", [True, False])
@pytest.mark.parametrize("dies_at", range(1, 40))
def test_a_run_that_dies_at_any_write_is_played_on_or_cleaned(
    dies_at: int, *, finish: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = Node()
    run, play = prepared(SCENARIO.replace("TARGET", "bastion"), node)
    with monkeypatch.context() as patch:
        _die_at(patch, dies_at)
        with suppress(Died):
            play.play()
    acted = {argv[0] for argv in node.ran}
    owed = read_past(run.happened).owed
    again = replace(play, past=read_past(run.happened))
    if finish:
        again.play()
    else:
        again.clean()
    undone = {argv[-1] for argv in node.ran if argv[0] == "rm"}
    assert {it.revert.argv[-1] for it in owed} <= undone
    assert ("uname" not in acted) or "/tmp/first" in undone
    assert read_past(run.happened).owed == ()
    recorded = [(it.step, it.attempt) for it in read_truth(run.happened) if it.label == "attack"]
    assert len(set(recorded)) == len(recorded)
    assert {step for step, _ in recorded} >= ({"1-first", "2-second"} if finish else set())


class Died(BaseException):
    """The program was killed."""


def _die_at(patch: pytest.MonkeyPatch, count: int) -> None:
    """Be killed while a record is written: the line is torn."""
    written = itertools.count(1)
    append = careful.append

    def dying(path: Path, content: bytes) -> None:
        if next(written) >= count:
            append(path, content[: len(content) // 2])
            raise Died
        append(path, content)

    patch.setattr(careful, "append", dying)


@pytest.mark.usefixtures("workplace")
def test_intent_is_journalled_before_each_act() -> None:
    played(SCENARIO.replace("TARGET", "bastion"), Node())
    (run,) = Path("runs").iterdir()
    journal = records.read_lines(run / "journal.jsonl", Entry)
    journal = tuple(it for it in journal if it.act not in {"step", "undo"} and it.step != "0-people")
    acts = [(it.act, it.state, it.node, it.argv[0]) for it in journal if it.state == "begun"]
    assert acts == [
        ("run", "begun", "attacker", "uname"),
        ("check", "begun", "bastion", "stat"),
        ("run", "begun", "attacker", "nmap"),
        ("revert", "begun", "bastion", "rm"),
        ("revert", "begun", "bastion", "rm"),
    ]
    assert [it.state for it in journal] == ["begun", "done"] * 5


KEYS = """
name: keys
benign: 0s
seed: 7
vars: {suffix: x}
steps:
  - name: Looped
    technique: T1082
    from: attacker
    loop: [a, "{{ suffix }}"]
    command: {argv: [echo, "{{ item }}"]}
    revert: none
    register: looped
  - name: Held back
    technique: T1082
    from: attacker
    when: looped.rc == 9
    command: {argv: [never]}
    revert: none
  - name: Over what was found
    technique: T1082
    from: attacker
    loop: looped.stdout.split()
    when: looped.rc == 0
    command: {argv: [found, "{{ item }}"]}
    revert: none
  - name: Tried again
    technique: T1082
    from: attacker
    retries: 2
    delay: 10s
    jitter: 0.5
    command: {argv: [again]}
    check: {file: {node: bastion, path: /tmp/again}}
    revert: none
  - name: Lacking
    technique: T1082
    from: bastion
    needs: {capabilities: [NET_RAW]}
    command: {argv: [never]}
    revert: none
"""


@pytest.mark.usefixtures("workplace")
def test_steps_loop_hold_back_and_are_tried_again() -> None:
    node = Node()
    node.size = "0"
    truth = [it for it in played(KEYS, node) if it.label == "attack"]
    assert [argv for argv in node.ran if argv[0] in {"echo", "found", "again", "never"}] == [
        ("echo", "a"), ("echo", "{{ suffix }}"), ("found", "Linux"), ("again",), ("again",), ("again",),
    ]  # fmt: skip
    assert [(it.name, it.attempt, it.status) for it in truth] == [
        ("Looped", 1, "ran"),
        ("Looped", 2, "ran"),
        ("Held back", 1, "skipped"),
        ("Over what was found", 1, "ran"),
        ("Tried again", 1, "ran"),
        ("Tried again", 2, "ran"),
        ("Tried again", 3, "ran"),
        ("Lacking", 1, "skipped"),
    ]
    assert truth[-1].reason == "bastion does not have NET_RAW"


@pytest.mark.usefixtures("workplace")
def test_pauses_vary_by_the_seed_alone() -> None:
    def waited() -> list[float]:
        node = Node()
        node.size = "0"
        _, play = prepared(KEYS, node)
        pauses: list[float] = []
        play.pause = pauses.append
        play.play()
        return pauses

    first = waited()
    assert first == waited()
    assert len(set(first)) == len(first)
    assert all(5 <= it <= 15 for it in first if it)


@pytest.mark.usefixtures("workplace")
def test_steps_beside_each_other_begin_together() -> None:
    node, both = Node(), threading.Barrier(2, timeout=10)
    node.on |= {"one": lambda: _ignore(both.wait()), "two": lambda: _ignore(both.wait())}
    text = KEYS[: KEYS.index("  - name")] + "".join(
        f"  - {{name: {it}, technique: T1082, from: attacker, parallel: {str(it == 'two').lower()},"
        f" command: {{argv: [{it}]}}, revert: none}}\n"
        for it in ("one", "two")
    )
    assert {it.status for it in played(text, node) if it.label == "attack"} == {"ran"}


def _ignore(_value: int) -> None:
    """A barrier tells who came first."""


@pytest.mark.usefixtures("workplace")
def test_a_run_has_a_limit() -> None:
    text = KEYS.replace("benign: 0s", "benign: 0s\ntimeout: 0s")
    node = Node()
    assert {it.status for it in played(text, node) if it.label == "attack"} == {"skipped"}
    assert not [argv for argv in node.ran if argv[0] in {"echo", "found", "again"}]


@pytest.mark.usefixtures("workplace")
def test_conditions_and_loops_know_the_nodes() -> None:
    node = Node()
    text = KEYS[: KEYS.index("  - name")] + (
        "  - {name: x, technique: T1082, from: attacker, when: nodes.bastion.address, revert: none,"
        " loop: '[nodes.bastion.address]', command: {argv: [found, '{{ item }}']}}\n"
    )
    (truth,) = [it for it in played(text, node) if it.label == "attack"]
    assert truth.status == "ran"
    assert next(argv[1] for argv in node.ran if argv[0] == "found").startswith("10.")
