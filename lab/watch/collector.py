"""Logs and packets from the nodes to this machine, while they are written.

Each log is followed by a command inside its node that ends when we hang up. Where the node ends before that,
the log is followed again as soon as it can be, from where it was left. That it is there, and that what is
written arrives, its canary tells (`lab.watch.canary`).
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import BinaryIO, Final

from lab.engine.nodes import RunningLab, SeenNode
from lab.engine.shell import MAX_OUTPUT, Shell, Stream
from lab.errors import LabError
from lab.inventory.definition import Lab
from lab.moment import Moment
from lab.runs.noticed import Noticed
from lab.telemetry.inputs import whole_lines
from lab.telemetry.lines import Lines, file_identity
from lab.watch.canary import CANARY
from lab.watch.desk import Collected, FollowedLog, LineQueue
from lab.workers import together

_FOLLOW: Final = ("-s", "0.1", "-F", "--")
"""How tail gives what comes from a place on; it follows the name, so rotation is survived. On overlay file
systems it looks for changes by itself, once a second unless told otherwise."""

_REMEMBERED: Final = 4096
"""Bytes by which the end of what was read is known again in a file that took another's place."""

_AGAIN: Final = 0.5
"""Seconds between two attempts to follow again what ended before we did."""

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


Now = Callable[[SeenNode], SeenNode]
"""Finds a node as it is now."""


class _Streams:
    """A command on a node, run again whenever it ends before we do; each time gives a stream of its own."""

    def __init__(self, begin: Callable[[], Stream], note: Callable[[str], None]) -> None:
        """Run it for the first time.

        Raises:
            LabError: the engine would not.
        """
        self._begin = begin
        self._note = note
        self._ending = threading.Event()
        self._now = begin()
        self._lost = False

    def __iter__(self) -> Iterator[Iterator[bytes]]:
        """Yield what each of them gives, until we are closed."""
        yield self._given()
        while self._begun_again():
            yield self._given()

    def _given(self) -> Iterator[bytes]:
        for chunk in self._now:
            if self._lost:
                self._lost = False
                self._note("was followed again from here on")
            yield chunk
        if not self._lost and not self._ending.is_set():
            self._lost = True
            self._note("ended before the run did; nothing of it is seen from here on")

    def _begun_again(self) -> bool:
        while not self._ending.wait(_AGAIN):
            with suppress(LabError):  # the node is not there yet
                self._now = self._begin()
                if self._ending.is_set():  # meanwhile
                    self._now.close()
                return True
        return False

    def close(self) -> None:
        """End it for good. May be called from any thread."""
        self._ending.set()
        self._now.close()


class _Place:
    """Up to where a log was read, whatever happens to its node."""

    def __init__(self, shell: Shell, log: FollowedLog, now: Now) -> None:
        self._shell = shell
        self._now = now
        self._log = log
        self._last = b""
        self._file: bytes | None = None
        self._read = 0

    def _look(self) -> tuple[bytes, int]:
        """Return what tells the file from one that replaces it, and its size in bytes."""
        ran = self._shell.execute(
            self._now(self._log.node), ("stat", "-c", "%i %s", "--", self._log.path), user="root", timeout=10
        )
        file, _, size = ran.stdout.strip().partition(b" ")
        return file, int(size) if size.isdigit() else 0

    def follow(self) -> Stream:
        """Follow the log from here on; at first, from its end.

        Raises:
            LabError: the engine would not.
        """
        file, size = self._look()
        if self._file is None:
            self._file, self._read = file, size
        elif file != self._file or size < self._read:  # replaced or emptied, while we followed or since
            self._file, self._read = file, self._found(size)
        return self._shell.stream(
            self._now(self._log.node), ("tail", "-c", f"+{self._read + 1}", *_FOLLOW, self._log.path)
        )

    def _found(self, size: int) -> int:
        """Find the end of what was read in a file that took the place of another; 0 where there is none."""
        argv = ("tail", "-c", str(MAX_OUTPUT), "--", self._log.path)
        end = self._shell.execute(self._now(self._log.node), argv, user="root").stdout
        lines = self._last.splitlines(keepends=True)
        latest = (b"".join(lines[first:]) for first in range(len(lines)))
        places = (at + len(it) for it in latest if (at := end.rfind(it)) >= 0)
        return next((max(size, len(end)) - len(end) + at for at in places), 0)

    def passed(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Give what was read, and remember it."""
        for chunk in chunks:
            self._read += len(chunk)
            self._last = (self._last + chunk)[-_REMEMBERED:]
            yield chunk


class Collector:
    """Follows logs and packets from `start` to `stop`."""

    def __init__(
        self,
        shell: Shell,
        noticed: Noticed,
        lines: LineQueue,
        heard: Heard,
        now: Now = lambda node: node,
    ) -> None:
        """Prepare; nothing is followed yet.

        Args:
            shell: Runs what follows.
            noticed: Where what comes is kept.
            lines: Where lines go.
            heard: Takes canaries out.
            now: Finds a node as it is now: it may have been made anew.
        """
        self._now = now
        self._shell = shell
        self._noticed = noticed
        self._queue = lines
        self._heard = heard
        self._streams: list[_Streams] = []
        self._threads: list[threading.Thread] = []
        self._packets: dict[str, list[Path]] = defaultdict(list)
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
        return sum(path.stat().st_size for path in tuple(self._packets[network]))

    def _start_log(self, log: FollowedLog) -> None:
        place = _Place(self._shell, log, self._now)
        self._begin(place.follow, partial(self._follow, log, place), f"{log.node.name}:{log.path}")

    def _start_capture(self, capture: Capture) -> None:
        begin = partial(self._shell.stream, capture.node, capture.argv)
        self._begin(begin, partial(self._record, capture.network), f"packets of {capture.network}")

    def _begin(self, begin: Callable[[], Stream], take: Callable[[_Streams], None], what: str) -> None:
        def note(said: str) -> None:
            """Write down what became of it, and when."""
            self.notes.append(f"{Moment.now().iso()} {what}: {said}")

        def work() -> None:
            """Take what comes for as long as there is room for it."""
            try:
                take(streams)
            except OSError as error:  # no space to write what was read
                note(f"{error.strerror}: {error.filename}; nothing of it is seen from here on")

        streams = _Streams(begin, note)
        self._streams.append(streams)
        thread = threading.Thread(target=work, name=what, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _follow(self, log: FollowedLog, place: _Place, streams: _Streams) -> None:
        path = self._noticed.raw / log.node.name / log.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        file, read = file_identity(log.node.name, log.path, str(Moment.now())), 0
        with path.open("ab") as raw:
            for chunk in whole_lines(place.passed(chain.from_iterable(streams))):
                raw.write(chunk)
                raw.flush()
                lines = Lines.cut(chunk, after=read, host=log.node.name, path=log.path, file=file)
                read += len(lines)
                if CANARY in chunk:
                    lines = lines.without(lambda text: self._heard(text, log.key))
                if len(lines):
                    self._queue.put(Collected(key=log.key, lines=lines))

    def _record(self, network: str, streams: _Streams) -> None:
        """Keep packets, in a file for each time they were begun to be captured: each begins with a header."""
        self._noticed.packets.mkdir(parents=True, exist_ok=True)
        for stream in streams:
            with _new_file(self._noticed.packets, network) as packets:
                self._packets[network].append(Path(packets.name))
                for chunk in stream:
                    packets.write(chunk)
                    packets.flush()

    def stop(self) -> None:
        """Hang up on everything, and wait for what was on the way."""
        for streams in self._streams:
            streams.close()
        for thread in self._threads:
            thread.join(_PATIENCE)


def _new_file(folder: Path, name: str) -> BinaryIO:
    """Open a file of packets that is not there yet: `outside.pcap`, then `outside-1.pcap`."""
    names = (f"{name}-{number}" if number else name for number in count())
    return next(path for it in names if not (path := folder / f"{it}.pcap").exists()).open("xb")
