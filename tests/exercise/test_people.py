"""People in the lab: they are told how their day is, and what they did is in truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.engine.memory import MemoryEngine
from lab.engine.nodes import RunningLab, SeenNode
from lab.engine.shell import Completed
from lab.exercise.journal import Journal
from lab.exercise.people import Household
from lab.exercise.place import Place
from lab.exercise.recorder import Recorder
from lab.exercise.truth import Truth, read_truth
from lab.exercise.written import People
from lab.files.workplace import Workplace
from lab.moment import SECOND, Moment
from lab.runs import folder
from tests.world import World, completed, starter

START, END = 1_795_000_000 * SECOND, 1_795_000_007 * SECOND
BASE = {"ordered": 1, "name": "1-desk-1", "kind": "browse-shop", "suspicious": False}
BAD = {"ordered": 1, "name": "1-desk-2", "kind": "read-shadow", "suspicious": True}


class Told(MemoryEngine):
    """An engine whose people write down what they are told to have done."""

    given: list[bytes]
    said: bytes = b""

    def execute(self, node: SeenNode, argv: tuple[str, ...], **given: Any) -> Completed:  # noqa: ANN401  # the contract's
        """Keep orders, and answer with what was done."""
        del node
        if argv[0] == "sh" and isinstance(stdin := given.get("stdin"), bytes):
            self.given.append(stdin)
        return completed(argv, self.said.decode()) if argv[0] == "tail" else completed(argv)


def household(tmp_path: Path, *lines: object) -> tuple[Told, Household, Path]:
    engine = Told()
    engine.given = []
    engine.said = b"\n".join(it if isinstance(it, bytes) else json.dumps(it).encode() for it in lines)
    running = World(engine=engine).stand_up()
    run = folder.create(Workplace(tmp_path), "x", Moment.now())
    found = Household(
        starter(), running, lambda node: _door(engine, running, node, tmp_path), Recorder("x", run.happened)
    )
    return engine, found, run.path


def _door(engine: Told, running: RunningLab, node: SeenNode, tmp_path: Path) -> Place:
    return Place(
        shell=engine,
        running=running,
        node=node,
        journal=Journal(tmp_path / "journal.jsonl"),
        step="0-people",
        act="check",
        timeout=5,
        pause=lambda _seconds: None,
    )


def written(path: Path) -> tuple[Truth, ...]:
    return read_truth(folder.RunFolder(path).happened)


def test_everybody_gets_a_seed_of_their_own(tmp_path: Path) -> None:
    engine, people, _ = household(tmp_path)
    people.begin(People(day=120 * SECOND, intensity=2, cast={"desk": "clerk"}), 7)
    (orders,) = map(json.loads, engine.given)
    assert (orders["seed"], orders["length"], orders["intensity"], orders["character"]) == (
        "7-desk", 120, 2, "clerk",
    )  # fmt: skip


def test_what_was_done_is_benign_truth(tmp_path: Path) -> None:
    lines = ({**BASE, "start": START}, {**BASE, "end": END}, {**BAD, "start": START}, {**BAD, "end": END})
    _, people, path = household(tmp_path, *lines)
    people.write_down()
    first, second = written(path)
    assert {first.label, second.label} == {"benign"}
    assert [(it.action, it.suspicious, it.occurred) for it in (first, second)] == [
        ("browse-shop", False, True),
        ("read-shadow", True, True),
    ]
    assert (first.start, first.end, first.sources[0].node) == (START, END, "desk")


def test_what_failed_and_what_was_under_way_says_so(tmp_path: Path) -> None:
    lines = ({**BASE, "start": START}, {**BASE, "end": END, "failed": "no route"}, {**BAD, "start": START})
    _, people, path = household(tmp_path, *lines)
    people.write_down()
    assert [(it.occurred, it.reason) for it in sorted(written(path), key=lambda it: it.action)] == [
        (False, "no route"),
        (None, "under way when the run ended"),
    ]


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b'{"name": 1}', b'{"end": 3, "name": "n", "kind": "k", "suspicious": true}']
)
def test_what_an_attacker_wrote_there_is_passed_over(tmp_path: Path, line: bytes) -> None:
    _, people, path = household(tmp_path, line, {**BASE, "start": START}, {**BASE, "end": END})
    people.write_down()
    assert [it.action for it in written(path)] == ["browse-shop"]
