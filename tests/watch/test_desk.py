"""One desk for live runs and replays: every line counted, every batch taken by all, a flood dropped."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from lab.detect.alert import Alert, read_alerts
from lab.detect.detector import Detector, all_rules, detectors
from lab.engine.memory import MemoryEngine
from lab.moment import Moment
from lab.runs.noticed import Noticed
from lab.telemetry.event import Line
from lab.telemetry.lines import Lines, plain
from lab.telemetry.store import Store
from lab.watch.desk import (
    Batch,
    Collected,
    Desk,
    FollowedLog,
    LineQueue,
    StoreTaker,
    usual_desk,
)
from lab.watch.replay import replay

FAILED = (
    "2026-11-23T22:44:{:02d}.127525+00:00 bastion sshd-session[33]: "
    "Failed password for maria from 10.0.0.9 port 4{:02d} ssh2"
)


@pytest.fixture
def log() -> FollowedLog:
    with MemoryEngine().open_baking("scratch:latest", lab="x", role="x") as node:
        return FollowedLog(node=node, source="sshd", path="/var/log/auth.log")


def line(log: FollowedLog, text: str, number: int = 1) -> Collected:
    """Collect a line."""
    read = Line(text=text, host=log.node.name, path=log.path, number=number, created=Moment.now())
    return Collected(key=log.key, lines=Lines.of([read], "a-file"))


class Remembering:
    """Takes batches and remembers them."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.closed = False

    def take(self, batch: Batch) -> None:
        """Remember how many events there were."""
        self.batches.append(len(batch.events))

    def close(self) -> None:
        """Remember that it is over."""
        self.closed = True


def test_everybody_gets_every_batch_and_hears_of_the_end(log: FollowedLog) -> None:
    first, second = Remembering(), Remembering()
    desk = Desk((first, second), (log,))
    desk.take_lines([line(log, FAILED.format(1, 1)), line(log, FAILED.format(2, 2), 2)])
    desk.take_lines([line(log, FAILED.format(3, 3), 3)])
    desk.take_lines([])
    desk.close()
    assert first.batches == second.batches == [2, 1]
    assert first.closed
    assert second.closed


def test_each_line_of_each_log_is_counted(log: FollowedLog) -> None:
    desk = Desk((), (log,))
    desk.take_lines([line(log, FAILED.format(1, 1)), line(log, "no line of sshd at all", 2)])
    (count,) = desk.counts(Counter({log.key: 5}))
    assert (count.read, count.parsed, count.unparsed, count.dropped) == (7, 1, 1, 5)
    assert (count.source, count.path) == ("sshd", "/var/log/auth.log")


def test_what_is_stored_is_evaluated_written_and_told(log: FollowedLog, tmp_path: Path) -> None:
    noticed, told = Noticed(tmp_path), list[Alert]()
    desk = usual_desk(noticed, detectors(""), told.append, (log,))
    desk.take_lines([line(log, FAILED.format(second, second), second) for second in range(1, 9)])
    desk.close()
    assert len(list(Store(noticed.events).events())) == 8
    assert "SSH password guessing from one address" in {it.title for it in told}
    assert read_alerts(noticed) == tuple(told)
    assert all(it.raised >= it.ingested for it in told)


def test_a_replay_raises_the_same_alerts_at_the_moments_of_the_recording(
    log: FollowedLog, tmp_path: Path
) -> None:
    noticed, told = Noticed(tmp_path), list[Alert]()
    desk = Desk((StoreTaker(Store(noticed.events)),), (log,))
    for second in range(1, 9):
        desk.take_lines([line(log, FAILED.format(second, second), second)])
    desk.close()
    replay(noticed, detectors(""), told.append)
    assert told
    assert all(it.raised == it.ingested for it in told)
    assert read_alerts(noticed) == tuple(told)


def test_every_rule_of_every_detector_is_known_by_its_hash() -> None:
    loaded: tuple[Detector, ...] = detectors('alert tcp any any -> any any (msg:"x"; sid:7;)')
    rules = all_rules(loaded)
    assert "1:7" in rules
    assert len(rules) > 20
    assert all(rules.values())
    assert list(rules) == sorted(rules)


def test_a_queue_gives_lines_back_in_order_and_has_room_again(log: FollowedLog) -> None:
    waiting = LineQueue(lines=2)
    for text in "abc":
        waiting.put(line(log, text))
    assert [text for it in waiting.drain() for text in plain(it.lines.texts)] == ["a", "b"]
    assert waiting.dropped == {log.key: 1}
    waiting.put(line(log, "d"))
    assert [text for it in waiting.drain() for text in plain(it.lines.texts)] == ["d"]
    assert waiting.drain() == []


def test_a_queue_holds_no_more_characters_than_it_may(log: FollowedLog) -> None:
    waiting = LineQueue(size=10)
    for text in ("x" * 6, "y" * 6, "z" * 4):
        waiting.put(line(log, text))
    assert [text[0] for it in waiting.drain() for text in plain(it.lines.texts)] == ["x", "z"]
    assert sum(waiting.dropped.values()) == 1
