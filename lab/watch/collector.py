"""Logs and packets from the nodes to this machine, while they are written.

Each log is followed by a command inside its node that ends when we hang up. That it is there, and that what
is written arrives, its canary tells (`lab.watch.canary`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from lab.engine.nodes import RunningLab, SeenNode
from lab.engine.shell import Shell, Stream
from lab.inventory.definition import Lab
from lab.moment import Moment
from lab.runs.noticed import Noticed
from lab.telemetry.lines import Lines, file_identity, whole_lines
from lab.watch.canary import CANARY
from lab.watch.desk import Collected, FollowedLog, LineQueue
from lab.workers import together

_FOLLOW: Final = ("tail", "-n", "0", "-s", "0.1", "-F", "--")
"""Gives what comes from now on; follows the name, so rotation is survived. On overlay file systems tail looks
for changes by itself, once a second unless told otherwise."""

_PATIENCE: Final = 10.0
"""Seconds for a follower to end once we hung up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Capture:
    """The packets of one network."""

    node: SeenNode
    """The sensor."""

    network: str
    """The network."""

    argv: tuple[str, ...]
    """What writes pcap to standard output."""


def logs_of(running: RunningLab, lab: Lab) -> tuple[FollowedLog, ...]:
    """List every log of every node that runs."""
    kinds = {node.kind.name: node.kind for node in lab.nodes}
    watched = {node.name: len(node.watch) for node in lab.nodes}
    return tuple(
        FollowedLog(
            node=node,
            source=log.source,
            path=log.path,
            canary=log.canary,
            canaries=max(1, watched.get(node.name, 0)),
        )
        for node in running.nodes
        if node.state == "running" and node.kind in kinds
        for log in kinds[node.kind].logs
    )


def captures_of(running: RunningLab, lab: Lab) -> tuple[Capture, ...]:
    """List what each sensor is to capture: the networks it watches."""
    sensors = {node.name: node for node in lab.nodes if node.watch and node.kind.capture}
    return tuple(
        Capture(node=node, network=network.name, argv=(*sensor.kind.capture, network.bridge))
        for node in running.nodes
        if (sensor := sensors.get(node.name)) and node.kind == sensor.kind.name
        for network in running.networks
        if network.name in sensor.watch
    )


Heard = Callable[[str, tuple[str, str, str]], bool]
"""Told each line with the key of its log; true for one that is no event."""


class Collector:
    """Follows logs and packets from `start` to `stop`."""

    def __init__(self, shell: Shell, noticed: Noticed, lines: LineQueue, heard: Heard) -> None:
        """Prepare; nothing is followed yet.

        Args:
            shell: Runs what follows.
            noticed: Where what comes is kept.
            lines: Where lines go.
            heard: Takes canaries out.
        """
        self._shell = shell
        self._noticed = noticed
        self._queue = lines
        self._heard = heard
        self._streams: list[Stream] = []
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        parts = len(list(noticed.packets.glob("*.pcap"))) if noticed.packets.exists() else 0
        self._part = f"-{parts}" if parts else ""
        self.notes: list[str] = []
        """What could not be followed to the end, and from when on."""

    def start(self, logs: Sequence[FollowedLog], captures: Sequence[Capture]) -> None:
        """Begin to follow everything.

        Raises:
            LabError: the engine would not run what follows.
        """
        together(
            [
                *(partial(self._start_log, log) for log in logs),
                *(partial(self._start_capture, capture) for capture in captures),
            ]
        )

    def size(self, network: str) -> int:
        """Return how many bytes of a network's packets have come."""
        path = self._packets(network)
        return path.stat().st_size if path.exists() else 0

    def _packets(self, network: str) -> Path:
        return self._noticed.packets / f"{network}{self._part}.pcap"

    def _start_log(self, log: FollowedLog) -> None:
        stream = self._shell.stream(log.node, (*_FOLLOW, log.path))
        path = self._noticed.raw / log.node.name / log.path.lstrip("/")
        self._begin(stream, partial(self._follow, stream, log, path), f"{log.node.name}:{log.path}")

    def _start_capture(self, capture: Capture) -> None:
        stream = self._shell.stream(capture.node, capture.argv)
        record = partial(self._record, stream, self._packets(capture.network))
        self._begin(stream, record, f"packets of {capture.network}")

    def _begin(self, stream: Stream, follow: Callable[[], None], what: str) -> None:
        self._streams.append(stream)
        thread = threading.Thread(target=self._guarded, args=(follow, what), name=what, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guarded(self, follow: Callable[[], None], what: str) -> None:
        why = "ended before the run did"
        try:
            follow()
        except OSError as error:  # no space to write what was read
            why = f"{error.strerror}: {error.filename}"
        if not self._stopping.is_set():
            self.notes.append(f"{Moment.now().iso()} {what}: {why}; nothing of it is seen from here on")

    def _follow(self, stream: Stream, log: FollowedLog, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        file, read = file_identity(log.node.name, log.path, str(Moment.now())), 0
        with path.open("ab") as raw:
            for chunk in whole_lines(stream):
                raw.write(chunk)
                raw.flush()
                lines = Lines.cut(chunk, after=read, host=log.node.name, path=log.path, file=file)
                read += len(lines)
                if CANARY in chunk:
                    lines = lines.without(lambda text: self._heard(text, log.key))
                if len(lines):
                    self._queue.put(Collected(key=log.key, lines=lines))

    @staticmethod
    def _record(stream: Stream, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as packets:
            for chunk in stream:
                packets.write(chunk)
                packets.flush()

    def stop(self) -> None:
        """Hang up on everything, and wait for what was on the way."""
        self._stopping.set()
        for stream in self._streams:
            stream.close()
        for thread in self._threads:
            thread.join(_PATIENCE)
