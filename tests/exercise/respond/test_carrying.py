"""Responses: each written down before it is done, looked at afterwards, and taken back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from lab.engine.nodes import RunningLab, SeenNode
from lab.engine.shell import Completed
from lab.errors import EngineFault, NotFound, OutOfScope, WrongInput
from lab.exercise.respond import ACTIONS
from lab.exercise.respond.base import Action, NotDone
from lab.exercise.respond.block import Block
from lab.exercise.respond.carrying import Carrying, action_of, arguments_of
from lab.exercise.respond.isolate import Isolate
from lab.exercise.respond.kill import Kill
from lab.exercise.respond.lock import Lock
from lab.exercise.respond.remove import Remove
from lab.exercise.respond.restore import Restore
from lab.exercise.respond.words import NoResponse, read_action
from lab.moment import SECOND, Moment
from lab.runs.diary import Diary
from lab.runs.response import Response, acts, is_of_response
from tests.world import World, completed


@pytest.fixture
def world() -> World:
    world = World()
    world.stand_up()
    return world


@pytest.fixture
def settled() -> list[str]:
    """Has an entry for each time that somebody waited for the lab."""
    return []


@pytest.fixture
def carrying(world: World, tmp_path: Path, settled: list[str]) -> Carrying:
    def renew(node: SeenNode) -> None:
        engine = world.engine
        engine.create_node(engine._specs[node.lab, node.name])  # noqa: SLF001  # as apply would

    def find(name: str) -> tuple[RunningLab, SeenNode]:
        running = world.engine.observe("starter")
        node = running.node(name)
        assert node is not None
        return running, node

    written = Diary(tmp_path / "response.jsonl", Response)
    return Carrying(
        engine=world.engine,
        find=find,
        written=written,
        renew=renew,
        settle=lambda: settled.append("all are ready"),
    )


def addresses(world: World, name: str = "bastion") -> dict[str, str]:
    node = world.engine.observe("starter").node(name)
    assert node is not None
    return dict(node.addresses)


def states(carrying: Carrying) -> list[str]:
    return [it.state for it in carrying.written.entries()]


def scripted(world: World, answer: Callable[[tuple[str, ...]], str | None]) -> None:
    """Have helpers answer what a test says; nothing else is asked otherwise."""

    def special(node: SeenNode, argv: tuple[str, ...]) -> Completed | None:
        said = answer(argv) if node.passing else None
        return None if said is None else completed(argv, said)

    world.special = special


def test_a_node_is_off_its_networks_and_back_under_its_addresses(world: World, carrying: Carrying) -> None:
    before = addresses(world)
    done = carrying.carry_out(Isolate(node="bastion", network=("outside",)))
    assert addresses(world) == {"inside": before["inside"]}
    assert (done.state, done.react, done.arguments) == ("done", "RA3102", {"network": ("outside",)})
    carrying.take_back()
    assert addresses(world) == before
    assert states(carrying) == ["begun", "begun", "done", "undoing", "undone"]
    with pytest.raises(NotFound, match="response that can be taken back"):
        carrying.take_back()


def test_what_is_needed_to_take_it_back_is_on_disk_before_it_is_done(
    world: World, carrying: Carrying, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[str] = []

    def killed(_self: object, _node: SeenNode, _network: str) -> None:
        kept.extend(it.kept for it in carrying.written.entries())
        raise KeyboardInterrupt

    monkeypatch.setattr(type(world.engine), "detach", killed)
    with pytest.raises(KeyboardInterrupt):
        carrying.carry_out(Isolate(node="bastion"))
    assert json.loads(kept[-1]) == addresses(world)
    (act,) = acts(carrying.written.entries())
    assert (act.last.state, act.last.said) == ("failed", "stopped by the user")
    carrying.take_back(act.begun.id[:4])
    assert states(carrying)[-1] == "undone"


def test_a_node_that_is_made_anew_can_be_had_again(
    world: World, carrying: Carrying, settled: list[str]
) -> None:
    before = world.engine.observe("starter").node("shop")
    assert before is not None
    carrying.carry_out(Restore(node="shop"))
    now = world.engine.observe("starter").node("shop")
    assert now is not None
    assert now.id != before.id
    carrying.take_back()
    again = world.engine.observe("starter").node("shop")
    assert again is not None
    assert (again.id, again.addresses) == (before.id, before.addresses)
    assert settled == ["all are ready"], "it is said to be back when it is"


def test_a_response_that_did_not_help_says_so(world: World, carrying: Carrying) -> None:
    still = {"found": [{"process": 7, "parent": 1, "owner": 0, "line": "x", "program": ""}]}
    scripted(world, lambda _argv: json.dumps({**still, "left": still["found"]}))
    with pytest.raises(NotDone, match="1 of 1 processes on bastion still run"):
        carrying.carry_out(Kill(node="bastion", user="jens"))
    assert states(carrying)[-1] == "failed"


def test_locking_the_password_alone_says_what_is_left_open(world: World, carrying: Carrying) -> None:
    scripted(world, lambda _: '{"there": true, "password": "$y$x", "expires": "", "shut": ["password"]}')
    done = carrying.carry_out(Lock(node="bastion", user="jens", door=("password",)))
    assert done.said == "jens on bastion: password shut; key and session left open"
    with pytest.raises(NotDone, match="can still come in by key"):
        carrying.carry_out(Lock(node="bastion", user="jens", door=("password", "key")))


def test_an_engine_that_fails_leaves_the_act_as_failed(world: World, carrying: Carrying) -> None:
    def fail(_argv: tuple[str, ...]) -> str:
        raise EngineFault(doing="asking", said="gone")

    scripted(world, fail)
    with pytest.raises(EngineFault, match="gone"):
        carrying.carry_out(Remove(node="bastion", path=("/tmp/x",)))
    assert states(carrying) == ["begun", "failed"]


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (Isolate(node="bastion", network=("moon",)), "bastion is not on moon; it is on: inside, outside"),
        (Isolate(node="sensor"), "sensor is on no network"),
        (Block(node="bastion", address="bastion"), "not one other node"),
        (Block(node="bastion", address="outside"), "not one other node"),
        (Kill(node="bastion"), "one of --user, --process and --program"),
        (Kill(node="bastion", user="a", program="b"), "one of --user, --process and --program"),
        (Kill(node="bastion", process=1), "process 1 is bastion itself"),
        (Remove(node="bastion", path=("etc/x",)), "'etc/x' is not a whole path"),
        (Remove(node="bastion", path=("/tmp/../etc",)), "is not a whole path"),
        (Remove(node="bastion", path=("/",)), "is not a whole path"),
        (Remove(node="bastion", path=()), "a path at least"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_and_changes_nothing(
    world: World, carrying: Carrying, action: Action, said: str
) -> None:
    before = world.engine.observe("starter")
    with pytest.raises(WrongInput, match=said):
        carrying.carry_out(action)
    assert world.engine.observe("starter") == before


def test_nothing_is_done_to_what_is_not_of_the_lab(carrying: Carrying) -> None:
    for address in ("192.0.2.7", "127.0.0.1", "example.com"):
        with pytest.raises(OutOfScope):
            carrying.carry_out(Block(node="bastion", address=address))


def test_a_node_that_stopped_is_not_worked_on(world: World, carrying: Carrying) -> None:
    node = world.engine.observe("starter").node("bastion")
    assert node is not None
    world.engine.stop_node(node)
    with pytest.raises(WrongInput, match="bastion does not run"):
        carrying.carry_out(Kill(node="bastion", user="jens"))


_AT = Moment(10**18)

LINES: Mapping[str, Action] = {
    "lab respond isolate gateway --network outside --network inside": Isolate(
        node="gateway", network=("outside", "inside")
    ),
    "lab respond isolate gateway": Isolate(node="gateway"),
    "lab respond block shop --address=attacker": Block(node="shop", address="attacker"),
    "lab respond lock gateway --user jens --door key": Lock(node="gateway", user="jens", door=("key",)),
    "lab respond kill shop --process 12": Kill(node="shop", process=12),
    "lab respond remove shop /tmp/a '/tmp/b c' --line x": Remove(
        node="shop", path=("/tmp/a", "/tmp/b c"), line="x"
    ),
    "lab respond restore shop": Restore(node="shop"),
}


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_the_command_line_is_a_response(line: str) -> None:
    assert read_action(line) == LINES[line]


def test_every_kind_of_response_has_a_line() -> None:
    assert {it.kind for it in LINES.values()} == set(ACTIONS)


@pytest.mark.parametrize("action", LINES.values(), ids=str)
def test_what_is_written_down_says_what_was_done(carrying: Carrying, action: Action) -> None:
    line = Response(
        id="a", at=_AT, state="begun", action=action.kind, node=action.node, arguments=arguments_of(action)
    )
    carrying.written.add(line)
    assert action_of(carrying.written.entries()[0]) == action


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("lab respond", "is no response"),
        ("lab down starter", "is no response"),
        ("lab respond isolate", "is no response"),
        ("lab respond melt shop", "there is no response 'melt'; there is: block, isolate"),
        ("lab respond isolate shop gateway", "acts on one node"),
        ("lab respond isolate --network outside", "names no node"),
        ("lab respond block shop", "block needs --address"),
        ("lab respond block shop --port 22", "block has no option '--port'; it has: --address"),
        ("lab respond block shop --address", "--address needs a value"),
        ("lab respond kill shop --process many", "'many' is no number"),
        ("lab respond isolate 'shop", "is no command line"),
    ],
)
def test_a_line_that_is_none_is_refused(line: str, said: str) -> None:
    with pytest.raises(NoResponse, match=said):
        read_action(line)


def test_what_a_response_does_to_the_lab_is_no_disturbance(world: World, carrying: Carrying) -> None:
    carrying.carry_out(Isolate(node="bastion", network=("outside",)))
    lines = carrying.written.entries()
    (act,) = acts(lines)
    assert act.done is not None
    just, later = Moment(act.done + SECOND), Moment(act.done + 60 * SECOND)
    assert is_of_response("bastion", later, lines)
    assert is_of_response("outside", just, lines)
    assert not is_of_response("outside", later, lines)
    assert not is_of_response("shop", later, lines)
    assert world.engine.observe("starter").node("shop") is not None
