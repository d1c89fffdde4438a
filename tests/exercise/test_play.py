"""How a scenario is played: guarded, checked, recorded, and undone whatever happens."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from lab.engine.labels import BAKED
from lab.engine.memory import MemoryEngine
from lab.engine.nodes import SeenNode
from lab.engine.shell import Completed
from lab.exercise.journal import Entry
from lab.exercise.play import Play
from lab.exercise.scenario import read_scenario
from lab.exercise.truth import Truth, read_truth
from lab.files import records
from lab.files.workplace import SHIPPED, Workplace
from lab.inventory.definition import Lab, read_inventory
from lab.moment import Moment
from lab.provision.blueprint import draw
from lab.runs import folder
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

    def __call__(self, _node: SeenNode, argv: tuple[str, ...]) -> Completed:
        self.ran.append(argv)
        now = Moment.now()
        if argv[0] == "interrupt":
            raise KeyboardInterrupt
        out = {"date": str(int(now)), "stat": f"root {self.size}"}.get(argv[0], "Linux")
        return Completed(argv=argv, code=0, stdout=out.encode(), stderr=b"", start=now, end=now)


def played(text: str, node: Node) -> tuple[Truth, ...]:
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
    )
    with suppress(KeyboardInterrupt):
        play.play()
    return read_truth(run.happened)


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
def test_ctrl_c_in_a_step_undoes_and_records_what_there_was() -> None:
    node = Node()
    text = SCENARIO.replace("TARGET", "bastion").replace("argv: [uname, -a]", "argv: [interrupt]")
    truth = played(text, node)
    assert [argv[-1] for argv in node.ran if argv[0] == "rm"] == ["/tmp/first"]
    assert _steps(truth, "attack")["First"].reason == "stopped by the user"


@pytest.mark.usefixtures("workplace")
def test_intent_is_journalled_before_each_act() -> None:
    played(SCENARIO.replace("TARGET", "bastion"), Node())
    (run,) = Path("runs").iterdir()
    journal = records.read_lines(run / "journal.jsonl", Entry)
    acts = [(it.act, it.state, it.node, it.argv[0]) for it in journal if it.state == "begun"]
    assert acts == [
        ("run", "begun", "attacker", "uname"),
        ("check", "begun", "bastion", "stat"),
        ("run", "begun", "attacker", "nmap"),
        ("revert", "begun", "bastion", "rm"),
        ("revert", "begun", "bastion", "rm"),
    ]
    assert [it.state for it in journal] == ["begun", "done"] * 5
