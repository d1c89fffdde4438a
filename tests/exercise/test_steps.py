"""Kinds of step, in memory: what they ask for, what they keep, and what no file can make them do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.engine.memory import MemoryEngine
from lab.engine.nodes import SeenNode
from lab.engine.shell import Completed
from lab.errors import OutOfScope
from lab.exercise.inside import NoAnswer
from lab.exercise.journal import Journal
from lab.exercise.place import MOST_HELD, Place, TooMany
from lab.exercise.steps.health import Health
from lab.exercise.steps.http import Http, Upload
from lab.exercise.steps.listen import Listen
from lab.exercise.steps.packet import Packet
from lab.exercise.steps.playbook import Playbook
from lab.exercise.steps.traffic import MOST_A_SECOND, MOST_SECONDS, Traffic
from tests.world import World, completed

PAGE = {"status": 200, "headers": {}, "body": "", "cookies": {}, "gone": [], "forms": []}


class Asking(MemoryEngine):
    """An engine that remembers what commands were given to read."""

    asked: list[dict[str, Any]]

    def execute(self, node: SeenNode, argv: tuple[str, ...], **given: Any) -> Completed:  # noqa: ANN401  # the contract's
        """Keep what a script is asked."""
        if given.get("stdin"):
            self.asked.append(json.loads(given["stdin"]))
        return super().execute(node, argv, **given)


class Door:
    """A place in memory whose scripts answer as they are told, and remember what they were asked."""

    def __init__(self, folder: Path, *answers: object) -> None:
        self.engine = Asking()
        self.engine.asked = []
        self.world = World(engine=self.engine)
        self.answers = list(answers)
        self.world.special = self._special
        running = self.world.stand_up()
        node = running.node("attacker")
        assert node is not None
        self.place = Place(
            shell=self.engine, running=running, node=node, journal=Journal(folder / "journal.jsonl"),
            step="1-x", act="run", timeout=30, pause=lambda _seconds: None,
        )  # fmt: skip

    @property
    def asked(self) -> list[dict[str, Any]]:
        """What scripts were asked."""
        return self.engine.asked

    def _special(self, _node: SeenNode, argv: tuple[str, ...]) -> Completed | None:
        return completed(argv, json.dumps(self.answers.pop(0))) if argv[0] == "python3" else None


def test_cookies_and_hidden_fields_go_along(tmp_path: Path) -> None:
    form = {"action": "/login", "method": "POST", "fields": {"token": "t1", "user": "", "password": ""}}
    door = Door(
        tmp_path,
        {**PAGE, "cookies": {"id": "1", "old": "x"}, "forms": [form]},
        {**PAGE, "cookies": {"id": "2"}, "gone": ["old"]},
        PAGE,
    )
    Http(target="shop", path="/login").act(door.place)
    Http(target="shop", path="/login", form={"user": "a b", "password": "&"}).act(door.place)
    Http(target="shop").act(door.place)
    assert [it["method"] for it in door.asked] == ["GET", "POST", "GET"]
    assert door.asked[1]["body"] == "token=t1&user=a+b&password=%26"
    cookies = [it["headers"].get("Cookie") for it in door.asked]
    assert cookies == [None, "id=1; old=x", "id=2"]


def test_redirects_are_followed_inside_the_lab_as_far_as_is_wanted(tmp_path: Path) -> None:
    onward = {**PAGE, "status": 302, "headers": {"location": "/next"}}
    door = Door(tmp_path, *([onward] * 3))
    outcome = Http(target="shop", method="POST", body="x", redirects=2).act(door.place)
    assert [(it["method"], it["path"], it["body"]) for it in door.asked] == [
        ("POST", "/", "x"), ("GET", "/next", ""), ("GET", "/next", ""),
    ]  # fmt: skip
    assert outcome.registered["status"] == 302


def test_a_load_has_its_caps_whatever_it_is_told(tmp_path: Path) -> None:
    door = Door(tmp_path, {"sent": 1, "answered": 1, "refused": 0})
    Traffic(target="shop", port=80, rate=1e9, seconds=1e9).act(door.place)
    (asked,) = door.asked
    assert asked["rate"] == MOST_A_SECOND
    assert asked["seconds"] == 30 <= MOST_SECONDS
    assert asked["count"] == MOST_A_SECOND * 30


def test_packets_are_told_by_their_own_ports(tmp_path: Path) -> None:
    sent = {
        "transport": "tcp", "source": "10.1.0.2", "source_port": 4242,
        "destination": "10.1.0.3", "destination_port": 22,
    }  # fmt: skip
    door = Door(tmp_path, {"sent": [sent], "answers": [{"summary": "SA", "load": ""}]})
    outcome = Packet(target="bastion", layers=({"TCP": {"dport": 22, "dst": "x"}},), count=9999).act(
        door.place
    )
    assert any(it.where.get("source.port") == (4242,) for it in outcome.evidence.predicates)
    assert door.asked[0]["packets"] == [[{"layer": "TCP", "fields": {"dport": 22}}]]
    assert door.asked[0]["count"] == 1000


def test_a_script_that_fails_says_its_last_words(tmp_path: Path) -> None:
    door = Door(tmp_path)
    door.world.special = lambda _node, argv: completed(argv, code=1, said="Traceback\nOSError: no route")
    with pytest.raises(NoAnswer, match="http"):
        Http(target="shop").act(door.place)


def test_a_template_that_is_left_never_reaches_ansible(tmp_path: Path) -> None:
    door = Door(tmp_path)
    with pytest.raises(OutOfScope):
        Playbook(tasks=({"command": "{{ lookup('pipe', 'id') }}"},)).act(door.place)
    assert door.world.ran == []


def test_a_run_keeps_no_more_sessions_than_it_may(tmp_path: Path) -> None:
    door = Door(tmp_path)
    for _ in range(MOST_HELD):
        door.place.hold(("ssh", "-N", "bastion"), targets=("bastion",))
    with pytest.raises(TooMany):
        door.place.hold(("ssh", "-N", "bastion"), targets=("bastion",))
    with pytest.raises(OutOfScope):
        Door(tmp_path).place.hold(("ssh", "198.51.100.9"), targets=("bastion",))


def test_a_file_goes_as_a_browser_sends_it(tmp_path: Path) -> None:
    form = {"action": "/photo", "method": "POST", "fields": {"token": "t1", "photo": ""}}
    door = Door(tmp_path, {**PAGE, "forms": [form]}, PAGE)
    upload = Upload(field="photo", name="a.gif", content="GIF89a", type="image/gif")
    Http(target="shop", path="/photo", via="/product/1", upload=upload).act(door.place)
    page, sent = door.asked
    assert (page["method"], page["path"], sent["method"]) == ("GET", "/product/1", "POST")
    assert 'name="token"\r\n\r\nt1\r\n' in sent["body"]
    assert 'name="photo"; filename="a.gif"\r\nContent-Type: image/gif\r\n\r\nGIF89a\r\n' in sent["body"]
    boundary = sent["headers"]["Content-Type"].partition("boundary=")[2]
    assert sent["body"].endswith(f"--{boundary}--\r\n")


@pytest.mark.parametrize("path", ["/etc/passwd", "/", "/tmp/", "/tmp/../etc/x", "root/x"])
def test_a_step_leaves_nothing_where_the_system_is(tmp_path: Path, path: str) -> None:
    door = Door(tmp_path)
    with pytest.raises(OutOfScope):
        Http(target="shop", save=path).act(door.place)
    with pytest.raises(OutOfScope):
        Listen(folder=path, http=8080).act(door.place)


def test_a_listener_is_held_until_the_end(tmp_path: Path) -> None:
    door = Door(tmp_path, {})
    outcome = Listen(folder="/root/c2", http=8080, dns=53).act(door.place)
    assert outcome.command_line == "listen on http 8080, dns 53"
    assert any(argv[0] == "test" and argv[-1].startswith("/root/c2/ready-") for _, argv in door.world.ran)


def test_health_is_told_in_milliseconds(tmp_path: Path) -> None:
    door = Door(tmp_path, {"took": [2.0, 4.0, 90.0], "failed": 1})
    found = Health(target="shop").act(door.place)
    assert found.registered == {"answered": 3, "failed": 1, "median_ms": 4.0, "worst_ms": 90.0}
    assert "3 of 4 requests answered" in found.command_line
