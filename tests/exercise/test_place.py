"""The one door: whatever comes to it, step, check or revert, is resolved, guarded, journalled, then run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.engine.engine import Engine
from lab.engine.nodes import RunningLab
from lab.engine.shell import Completed
from lab.errors import EngineFault, OutOfScope
from lab.exercise.checks import CHECK_KINDS
from lab.exercise.checks.counter import Counter
from lab.exercise.checks.file import File
from lab.exercise.checks.logged import Logged
from lab.exercise.checks.open_port import OpenPort
from lab.exercise.journal import Act, Entry, Journal
from lab.exercise.listed import by_kind
from lab.exercise.place import Place
from lab.exercise.rendering import Renderer
from lab.exercise.steps import STEP_KINDS
from lab.exercise.steps.nmap import Nmap
from lab.exercise.steps.ssh import Ssh
from lab.exercise.steps.wait import Wait
from lab.exercise.template import texts_of
from lab.files import records
from tests.world import World, completed


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def running(world: World) -> RunningLab:
    return world.stand_up()


@pytest.fixture
def place(world: World, running: RunningLab, tmp_path: Path) -> Place:
    return door(world.engine, running, tmp_path)


def door(
    engine: Engine, running: RunningLab, folder: Path, node: str = "attacker", act: Act = "run"
) -> Place:
    found = running.node(node)
    assert found is not None
    return Place(
        shell=engine, running=running, node=found, journal=Journal(folder / "journal.jsonl"), step="1-x",
        act=act, timeout=5, pause=lambda _seconds: None,
    )  # fmt: skip


def test_what_goes_through_is_journalled_before_it_runs(place: Place, world: World, tmp_path: Path) -> None:
    seen: list[tuple[Entry, ...]] = []

    def look(_node: object, argv: tuple[str, ...]) -> None:
        del argv
        seen.append(records.read_lines(tmp_path / "journal.jsonl", Entry))

    world.special = look
    ran = place.run(("nmap", "-sn", "bastion"), targets=("bastion",))
    assert [(it.state, it.argv, it.node) for it in seen[0]] == [
        ("begun", ("nmap", "-sn", "bastion"), "attacker")
    ]
    assert [it.name for it in ran.targets] == ["bastion"]
    assert place.acted


@pytest.mark.parametrize(
    "argv", [("ping", "8.8.8.8"), ("curl", "http://example.org/"), ("nc", "::ffff:8.8.8.8")]
)
def test_what_names_an_address_outside_never_runs(argv: tuple[str, ...], place: Place, world: World) -> None:
    with pytest.raises(OutOfScope):
        place.run(argv)
    assert (world.ran, place.acted) == ([], False)


@pytest.mark.parametrize("target", ["desk", "8.8.8.8", "10.0.0.0/8", "nobody"])
def test_a_target_that_is_not_of_the_lab_is_refused(target: str, place: Place, world: World) -> None:
    with pytest.raises(OutOfScope):
        place.run(("true",), targets=(target,))
    assert world.ran == []


def test_a_session_is_guarded_in_what_it_runs_there_too(place: Place, world: World) -> None:
    step = Ssh(target="bastion", user="maria", password="x", command="ping 8.8.8.8")
    with pytest.raises(OutOfScope):
        step.act(place)
    assert world.ran == []


@pytest.mark.parametrize("arguments", ["-iL /tmp/hosts", "10.0.0.1", "-sS 'x"])
def test_options_that_a_template_brought_are_guarded_too(arguments: str, place: Place, world: World) -> None:
    with pytest.raises(OutOfScope):
        Nmap(target="bastion", arguments=arguments).act(place)
    assert world.ran == []


def test_a_session_says_who_took_part(place: Place) -> None:
    outcome = Ssh(target="bastion", user="maria", password="x", command="whoami").act(place)
    assert outcome.command_line == "ssh maria@bastion: whoami"
    assert outcome.users == ("maria",)


def test_a_pause_sends_nothing(place: Place, world: World) -> None:
    assert Wait(seconds=9).act(place).command_line == "wait"
    assert world.ran == []


def test_a_counter_that_grew_enough_is_an_effect(world: World, running: RunningLab, tmp_path: Path) -> None:
    there = door(world.engine, running, tmp_path, "bastion")
    check = Counter(node="bastion", counter="Tcp.OutRsts", at_least=900)
    finding = check.after(there, check.before(there))
    assert (finding.occurred, finding.said) == (
        True, "Tcp.OutRsts of bastion grew by 1000; 900 or more were expected",
    )  # fmt: skip
    assert not Counter(node="bastion", counter="Tcp.OutRsts", at_least=5000).after(there, 0).occurred


def test_no_count_is_not_a_count_of_zero(world: World, running: RunningLab, tmp_path: Path) -> None:
    there = door(world.engine, running, tmp_path, "bastion", "check")
    world.special = lambda _node, argv: completed(argv, "")
    with pytest.raises(ValueError, match=r"tells no Tcp\.OutRsts"):
        Counter(node="bastion", counter="Tcp.OutRsts", at_least=1).before(there)


@pytest.mark.parametrize(("act", "asked"), [("check", 3), ("run", 1)])
def test_what_the_engine_lost_is_read_again_and_never_done_again(
    world: World, running: RunningLab, tmp_path: Path, act: Act, asked: int
) -> None:
    there = door(world.engine, running, tmp_path, "bastion", act)
    world.special = lambda _node, argv: replace(completed(argv, "read"), heard=len(world.ran) == 3)
    assert there.run(("cat", "/proc/net/snmp")).completed.heard == (act == "check")
    assert len(world.ran) == asked


def test_what_the_engine_goes_on_losing_is_no_finding(
    world: World, running: RunningLab, tmp_path: Path
) -> None:
    there = door(world.engine, running, tmp_path, "bastion", "check")
    world.special = lambda _node, argv: replace(completed(argv), heard=False)
    with pytest.raises(EngineFault, match="lost what was read"):
        there.run(("cat", "/proc/net/snmp"))


def test_an_open_port_is_read_from_the_kernel(world: World, running: RunningLab, tmp_path: Path) -> None:
    there = door(world.engine, running, tmp_path, "bastion")
    table = "  sl  local_address rem_address   st\n   0: 00000000:0016 00000000:0000 0A 0\n"
    world.special = lambda _node, argv: completed(argv, table)
    check = OpenPort(node="bastion", port=22)
    assert check.after(there, check.before(there)).said == "port 22 of bastion is open"
    assert not OpenPort(node="bastion", port=23).after(there, 0).occurred


@pytest.mark.parametrize(
    ("out", "code", "owner", "occurred"),
    [
        ("maria 5", 0, "maria", True),
        ("maria 5", 0, "root", False),
        ("root 0", 0, "", False),
        ("", 1, "", False),
    ],
)
def test_a_file_is_there_and_belongs_to_somebody(  # noqa: PLR0913  # a case and what it needs
    out: str, code: int, owner: str, *, occurred: bool, world: World, running: RunningLab, tmp_path: Path
) -> None:
    there = door(world.engine, running, tmp_path, "bastion")
    world.special = lambda _node, argv: completed(argv, out, code=code)
    check = File(node="bastion", path="/tmp/loot", owner=owner)
    assert check.after(there, check.before(there)).occurred is occurred


def test_every_text_is_a_template_and_filled_in_once() -> None:
    step = Ssh(target="{{ a }}", user="{{ b }}", password="p", command="c")
    check = File(node="bastion", path="{{ a }}", owner="x")
    assert list(texts_of((step, check))) == [
        "{{ a }}",
        "{{ b }}",
        "c",
        "p",
        "",
        "root",
        "",
        "bastion",
        "{{ a }}",
        "x",
        "",
        "root",
    ]
    with Renderer() as renderer:
        filled, looked = renderer.fill_in((step, check), {}, {"a": "{{ b }}", "b": "two"})
    assert (filled.target, filled.user, looked.path) == ("{{ b }}", "two", "{{ b }}")


def test_kinds_are_listed_by_name_and_none_stands_twice() -> None:
    assert set(STEP_KINDS) == {
        "atomic", "command", "health", "http", "listen", "nmap", "packet", "playbook", "ssh", "traffic",
        "wait",
    }  # fmt: skip
    assert set(CHECK_KINDS) == {"counter", "file", "logged", "open_port"}
    with pytest.raises(ValueError, match="one name"):
        by_kind(File, File)


@pytest.mark.parametrize(("at_least", "occurred"), [(2, True), (3, False)])
def test_a_log_got_lines_that_hold_all_texts(
    at_least: int, *, occurred: bool, world: World, running: RunningLab, tmp_path: Path
) -> None:
    there = door(world.engine, running, tmp_path, "bastion")
    asked: list[tuple[str, ...]] = []

    def answer(_node: object, argv: tuple[str, ...]) -> Completed:
        asked.append(argv)
        return completed(argv, "120\n" if argv[0] == "stat" else "a b\nb\na\nc b a\n")

    world.special = answer
    check = Logged(node="bastion", path="/var/log/x", contains=("a", "b"), at_least=at_least)
    assert check.after(there, check.before(there)).occurred is occurred
    assert asked[1] == ("tail", "-c", "+121", "--", "/var/log/x")
