"""Logs and packets are followed over a scripted shell: nothing is lost, and what goes silent is said."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.detect.alert import Alert
from lab.detect.detector import Detector
from lab.engine.memory import MemoryEngine
from lab.engine.nodes import SeenNode
from lab.engine.shell import Completed, Stream
from lab.errors import EngineFault
from lab.moment import SECOND, Moment
from lab.runs.noticed import Noticed
from lab.telemetry.events import Events
from lab.telemetry.lines import plain
from lab.watch.canary import Canaries
from lab.watch.collection import read_collection
from lab.watch.collector import Capture, Collector, captures_of, logs_of
from lab.watch.desk import FollowedLog, LineQueue
from lab.watch.live import Silent, Unwatched, Watch, watching
from tests.world import EVE, Followed, World, completed, starter


class Chunks:
    """A stream that says what it was given, and then ends or goes on for ever."""

    def __init__(self, *chunks: bytes, fault: OSError | None = None) -> None:
        self.chunks = chunks
        self.fault = fault

    def __iter__(self) -> Iterator[bytes]:
        """Yield the chunks."""
        yield from self.chunks
        if self.fault:
            raise self.fault

    def close(self) -> None:
        """Nothing goes on."""


@pytest.fixture
def engine() -> MemoryEngine:
    return MemoryEngine()


@pytest.fixture
def node(engine: MemoryEngine) -> Iterator[SeenNode]:
    with engine.open_baking("scratch:latest", lab="x", role="x") as found:
        yield found


def event(_text: str, _key: tuple[str, str, str]) -> bool:
    """Take every line for an event, none for a canary."""
    return False


def collected(
    engine: MemoryEngine, node: SeenNode, folder: Path, stream: Stream, *, lines: int = 100
) -> tuple[list[str], list[str], LineQueue]:
    """Follow one log until its stream has ended; return its lines and the notes."""
    waiting = LineQueue(lines=lines)
    engine.follow = lambda _node, _argv: stream
    collector = Collector(engine, Noticed(folder), waiting, event)
    collector.start((FollowedLog(node=node, source="sshd", path="/var/log/auth.log"),), ())
    for _ in range(100):
        if collector.notes:
            break
        time.sleep(0.01)
    collector.stop()
    return [text for it in waiting.drain() for text in plain(it.lines.texts)], collector.notes, waiting


def test_lines_are_cut_where_they_end_wherever_chunks_do(
    engine: MemoryEngine, node: SeenNode, tmp_path: Path
) -> None:
    stream = Chunks(b"fir", b"st\nsecond\r\nth\xffird\nlast")
    texts, notes, _ = collected(engine, node, tmp_path, stream)
    assert texts == ["first", "second", "th\\xffird", "last"]
    assert (
        tmp_path / "raw" / node.name / "var" / "log" / "auth.log"
    ).read_bytes() == b"first\nsecond\r\nth\xffird\nlast"
    assert [it.partition(" ")[2] for it in notes] == [
        f"{node.name}:/var/log/auth.log: ended before the run did; nothing of it is seen from here on"
    ]


def test_a_line_without_end_is_cut(engine: MemoryEngine, node: SeenNode, tmp_path: Path) -> None:
    texts, _, _ = collected(engine, node, tmp_path, Chunks(b"x" * 1_200_000, b"y\n"))
    assert [len(it) for it in texts] == [1_200_000, 1]


def test_what_does_not_fit_is_in_the_raw_log_and_counted(
    engine: MemoryEngine, node: SeenNode, tmp_path: Path
) -> None:
    texts, _, waiting = collected(engine, node, tmp_path, Chunks(b"a\nb\nc\n"), lines=1)
    assert texts == ["a"]
    assert sum(waiting.dropped.values()) == 2
    assert (tmp_path / "raw" / node.name / "var" / "log" / "auth.log").read_bytes() == b"a\nb\nc\n"


def test_no_room_for_raw_logs_is_said(engine: MemoryEngine, node: SeenNode, tmp_path: Path) -> None:
    fault = OSError(28, "No space left on device", "/raw")
    _, notes, _ = collected(engine, node, tmp_path, Chunks(fault=fault))
    assert "No space left on device: /raw" in notes[0]


def test_packets_are_kept_as_they_come(engine: MemoryEngine, node: SeenNode, tmp_path: Path) -> None:
    asked: list[tuple[str, ...]] = []

    def follow(_node: SeenNode, argv: tuple[str, ...]) -> Stream:
        asked.append(argv)
        return Chunks(b"head", b"packet")

    engine.follow = follow
    collector = Collector(engine, Noticed(tmp_path), LineQueue(), event)
    collector.start((), (Capture(node=node, network="outside", argv=("capture", "br0")),))
    collector.stop()
    assert (tmp_path / "packets" / "outside.pcap").read_bytes() == b"headpacket"
    assert asked == [("capture", "br0")]


def test_what_ends_before_the_run_is_followed_again_from_where_it_was_left(
    engine: MemoryEngine, node: SeenNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.watch.collector._AGAIN", 0.01)
    log, ends = b"before\nfirst\nsecond\nthird\n", iter((15, 10, 23, 27))
    asked: list[int] = []

    def follow(_node: SeenNode, argv: tuple[str, ...]) -> Stream:
        asked.append(int(argv[2]) - 1)
        end = next(ends)
        if end == 10:
            raise EngineFault(doing="following", said="the node is not there")
        return Chunks(log[asked[-1] : end]) if end < len(log) else held

    held = Followed()
    held.write(log[23:])
    engine.follow = follow
    engine.answer = lambda _node, argv: completed(argv, "7 7" if not asked else "7 40")
    waiting = LineQueue()
    collector = Collector(engine, Noticed(tmp_path), waiting, event)
    collector.start((FollowedLog(node=node, source="sshd", path="/var/log/auth.log"),), ())
    time.sleep(0.3)
    collector.stop()
    assert asked == [7, 15, 15, 23]
    assert [text for it in waiting.drain() for text in plain(it.lines.texts)] == ["first", "second", "third"]
    assert [it.partition("auth.log: ")[2] for it in collector.notes] == 2 * [
        "ended before the run did; nothing of it is seen from here on",
        "was followed again from here on",
    ]


def test_what_cannot_be_followed_from_the_start_stops_the_run(
    engine: MemoryEngine, node: SeenNode, tmp_path: Path
) -> None:
    def refuse(_node: SeenNode, _argv: tuple[str, ...]) -> Stream:
        raise EngineFault(doing="following", said="no")

    engine.follow = refuse
    collector = Collector(engine, Noticed(tmp_path), LineQueue(), event)
    with pytest.raises(EngineFault):
        collector.start((FollowedLog(node=node, source="sshd", path="/x"),), ())


class Failing:
    """A detector that fails on the first event."""

    rules: Mapping[str, str] = {}

    def feed(self, events: Events, now: Moment) -> tuple[Alert, ...]:
        """Fail."""
        del now
        raise EngineFault(doing="detecting", said=f"broken on {len(events)} events")

    def recall(self, events: Events) -> None:
        """Remember nothing."""

    def close(self) -> None:
        """Nothing is held."""


def test_every_log_and_network_of_a_lab_is_watched() -> None:
    world, lab = World(), starter()
    running = world.stand_up()
    assert {(it.node.name, it.source) for it in logs_of(running, lab)} == {
        ("bastion", "sshd"), ("bastion", "snoopy"), ("shop", "apache"), ("shop", "apache_error"),
        ("shop", "snoopy"), ("desk", "snoopy"), ("sensor", "suricata"),
    }  # fmt: skip
    assert {(it.node.name, it.network) for it in captures_of(running, lab)} == {
        ("sensor", "outside"), ("sensor", "inside"),
    }  # fmt: skip


def test_a_fault_of_detection_ends_the_run_at_once_and_what_was_seen_is_written(tmp_path: Path) -> None:
    world, lab, noticed = World(), starter(), Noticed(tmp_path)
    running = world.stand_up()
    played: list[str] = []

    def run() -> None:
        detectors: tuple[Detector, ...] = (Failing(),)
        with watching(
            engine=world.engine,
            lab=lab,
            running=running,
            noticed=noticed,
            detectors=detectors,
            on_alert=lambda _alert: None,
            pause=lambda _seconds: None,
        ) as watch:
            world.log("bastion", "/var/log/auth.log", "2026-11-23T22:44:50+00:00 bastion sshd[3]: x")
            played.append("a step")
            for _ in range(100):
                watch.check()
                time.sleep(0.02)
            played.append("another, unwatched")

    with pytest.raises(Unwatched, match=r"watching failed, so the run was ended: .*broken on 1 events"):
        run()
    assert played == ["a step"]
    assert sum(it.read for it in read_collection(noticed).logs) == 1


def test_a_run_that_was_killed_has_no_collection(tmp_path: Path) -> None:
    assert read_collection(Noticed(tmp_path)).notes == ("the run was killed",)


def test_a_followed_log_of_the_world_ends_when_it_is_closed() -> None:
    stream = Followed()
    stream.write(b"x\n")
    stream.close()
    assert list(stream) == [b"x\n"]


@contextmanager
def watched(world: World, folder: Path) -> Iterator[Watch]:
    """Watch the starter lab with nobody to detect."""
    with watching(
        engine=world.engine,
        lab=starter(),
        running=world.stand_up(),
        noticed=Noticed(folder),
        detectors=(),
        on_alert=lambda _alert: None,
        pause=lambda _seconds: None,
    ) as watch:
        yield watch


def test_a_run_that_nobody_disturbs_is_not_degraded_and_canaries_are_no_events(tmp_path: Path) -> None:
    world = World()
    with watched(world, tmp_path):
        world.log("bastion", "/var/log/auth.log", "2026-11-23T22:44:50+00:00 bastion sshd[3]: x")
    found = read_collection(Noticed(tmp_path))
    assert not found.degraded, found
    assert sum(it.read for it in found.logs) == 1
    raw = (tmp_path / "raw" / "bastion" / "var" / "log" / "auth.log").read_text(encoding="utf-8")
    assert raw.count("canary-") == 2


def test_a_source_that_is_silent_at_the_start_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.watch.live._AT_START", 0.3)
    world = World(silent={("sensor", EVE)})
    said = re.escape(f"nothing arrives of sensor:{EVE}, sensor:packets of")
    with pytest.raises(Silent, match=said), watched(world, tmp_path):
        pass


def test_a_source_that_falls_silent_is_found_while_it_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.watch.live._PROVE_EVERY", 0.05)
    monkeypatch.setattr("lab.watch.live._LAST_PROOF", 0.2)
    world = World()
    with watched(world, tmp_path):
        world.silent.add(("bastion", "/var/log/auth.log"))
        time.sleep(0.6)
        world.silent.clear()
        time.sleep(0.3)
        world.silent.add(("shop", "/var/log/exec.log"))
    found = read_collection(Noticed(tmp_path))
    assert {(it.host, it.what) for it in found.blind} == {
        ("bastion", "/var/log/auth.log"), ("shop", "/var/log/exec.log"),
    }  # fmt: skip
    assert all(it.end > it.start for it in found.blind)


def test_what_is_done_to_a_lab_meanwhile_is_said(tmp_path: Path) -> None:
    world = World()
    with watched(world, tmp_path):
        running = world.engine.observe("starter")
        for node in running.nodes:
            if node.name == "bastion":
                world.engine.stop_node(node)
            if node.name == "desk":
                world.engine.remove_nodes([node])
        time.sleep(0.1)
    found = [(it.subject, it.what) for it in read_collection(Noticed(tmp_path)).disturbances]
    assert found == [("bastion", "stopped"), ("desk", "was removed")]


def test_a_clock_that_is_set_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.watch.guard._LOOK_EVERY", 0.02)
    jumped = [0]
    monkeypatch.setattr("lab.watch.guard.clock_jump", lambda: jumped[0])
    with watched(World(), tmp_path):
        time.sleep(0.1)
        jumped[0] = -17 * SECOND
        time.sleep(0.1)
    (found,) = read_collection(Noticed(tmp_path)).disturbances
    assert (found.subject, found.what) == ("clock", "was set -17.0 s")


def test_a_token_hides_only_the_canary_it_was_made_for(engine: MemoryEngine, node: SeenNode) -> None:
    mine = FollowedLog(node=node, source="sshd", path="/var/log/auth.log")
    other = FollowedLog(node=node, source="snoopy", path="/var/log/exec.log")
    sent: list[str] = []

    def answer(_node: SeenNode, argv: tuple[str, ...]) -> Completed:
        sent.append(argv[-2])
        hidden = [canaries.heard(f"x {argv[-2]}", log.key) for log in (other, mine, mine)]
        assert hidden == [False, True, False]
        return completed(argv)

    engine.answer = answer
    canaries = Canaries(engine, (mine,))
    assert canaries.prove(within=1) == ()
    assert not canaries.heard("x canary-0000000000000000", mine.key)
    assert len(sent) == 1
