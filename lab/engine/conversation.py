"""A command inside a container and the socket to it. Knows sockets, not Docker's client."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import nullcontext, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from lab.engine import trace
from lab.engine.nodes import SeenNode
from lab.engine.shell import MAX_OUTPUT, Hear, Traced
from lab.workers import Stop

_STDERR: Final = 2

_FIRST: Final = re.compile(rb"^(\d{1,10})\n", re.MULTILINE)
_HEAD: Final = 65_536
"""Bytes of complaints before the first line; what comes after more has no number."""

_LAST_WORDS: Final = 3.0
"""Seconds in which a command that is ended is gone, and its keeper has said what it did."""

_END: Final = b"0\n"
"""The frame that ends the input; the connection itself goes on, since its end means that we are gone."""


@cache
def _script(*names: str) -> str:
    """Return Perl that runs inside a node, without its comments."""
    texts = [Path(__file__).with_name(f"{name}.pl").read_text(encoding="ascii") for name in names]
    lines = [line for text in texts for line in text.splitlines()]
    return "\n".join(line for line in lines if line and not line.startswith("#"))


def kept(argv: tuple[str, ...], *, traced: Traced = "no") -> list[str]:
    """Return a command line that runs another and ends with us; traced, it ends with a trailer."""
    if traced == "no":
        return ["perl", "-e", _script("keeper"), "--", *argv]
    openly = ("sh", "-c", 'exec "$0" "$@"') if traced == "openly" else ()
    return ["perl", "-e", _script("tracer", "keeper"), "--", "--trace", *openly, *argv]


def leash(process: str) -> list[str]:
    """Return a command line that ends a process, and all that it started, when we are gone."""
    return ["perl", "-e", _script("keeper"), "--", "--leash", process]


class Heard:
    """What a command writes: of each stream the beginning, of standard error the end as well."""

    def __init__(self) -> None:
        self._kept = {1: bytearray(), _STDERR: bytearray()}
        self._tail = bytearray()
        self._passed = 0

    def hear(self, channel: int, chunk: bytes) -> None:
        """Keep no more than is asked for."""
        kept = self._kept[channel]
        kept.extend(chunk[: MAX_OUTPUT - len(kept)])
        if channel == _STDERR:
            self._passed += len(chunk)
            self._tail.extend(chunk)
            del self._tail[: -trace.LONGEST]

    @property
    def stdout(self) -> bytes:
        """The beginning of standard output."""
        return bytes(self._kept[1])

    def stderr(self, *, traced: bool) -> tuple[bytes, trace.Trace | None]:
        """Return the beginning of standard error, and what the trailer says that a traced command has."""
        if not traced:
            return bytes(self._kept[_STDERR]), None
        before, found = trace.read_trailer(bytes(self._tail))
        own = self._passed - len(self._tail) + len(before)
        return bytes(self._kept[_STDERR][:own]), found


class Conversation:
    """A command that is kept, and the socket to its input and outputs."""

    def __init__(self, exec_id: str, stream: Any, frames: Iterator[tuple[int, bytes]]) -> None:  # noqa: ANN401  # docker gives a SocketIO or a socket
        self.id = exec_id
        self.process = 0
        """The command's process id inside the node, once the first output has come; 0 for none."""
        self._frames = self._without_head(frames)
        self._stream = stream
        # A second handle on the same socket: docker's cannot be shut down from another thread.
        self._line = socket.socket(fileno=os.dup(stream.fileno()))
        self._line.settimeout(None)

    def _without_head(self, frames: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        """Read the line that the keeper begins with; pass all else on.

        Where something is wrong with a node's libraries, the linker complains before that line.
        """
        head = b""
        for channel, chunk in frames:
            if self.process or channel != _STDERR or len(head) > _HEAD:
                yield channel, chunk
                continue
            head += chunk
            if found := _FIRST.search(head):
                self.process = int(found[1])
                said = head[: found.start()] + head[found.end() :]
                if said:
                    yield channel, said
            elif len(head) > _HEAD:
                yield _STDERR, head
        if head and not self.process and len(head) <= _HEAD:
            yield _STDERR, head

    def relay(
        self, stdin: Iterable[bytes], hear: Hear, *, timeout: float | None = None, stop: Stop | None = None
    ) -> bool:
        """Send the input while both outputs are read to their end; tell whether that came by itself.

        Args:
            stdin: What the command reads.
            hear: Takes what it writes.
            timeout: Seconds until it is ended; None for never.
            stop: Ends it when it is set.
        """
        threading.Thread(target=self._send, args=(stdin,), daemon=True).start()
        ended = threading.Event()
        give_up = partial(self._give_up, ended)
        clock = threading.Timer(timeout or 0, give_up)
        if timeout is not None:
            clock.start()
        try:
            with stop.calling(give_up) if stop else nullcontext():
                for channel, chunk in self._frames:
                    hear(channel, chunk)
        except ConnectionError:
            return not ended.is_set()  # it broke: what came before was heard
        finally:
            clock.cancel()
            self._release()
        return not ended.is_set()

    def _give_up(self, ended: threading.Event) -> None:
        """End the command; its keeper has a moment to say what it did."""
        ended.set()
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_WR)
        last = threading.Timer(_LAST_WORDS, self.close)
        last.daemon = True
        last.start()

    def _send(self, stdin: Iterable[bytes]) -> None:
        with suppress(OSError):  # the command ended before it had read everything
            for chunk in stdin:
                if chunk:
                    self._line.sendall(b"%d\n%b" % (len(chunk), chunk))
            self._line.sendall(_END)

    def __iter__(self) -> Iterator[bytes]:
        """Yield what the command writes to standard output, until it ends or we hang up."""
        self._send(())
        try:
            for channel, chunk in self._frames:
                if channel != _STDERR:
                    yield chunk
        except OSError:
            return
        finally:
            self._release()

    def close(self) -> None:
        """Hang up: the command ends, and whoever reads sees the end."""
        with suppress(OSError):
            self._line.shutdown(socket.SHUT_RDWR)

    def _release(self) -> None:
        """Give the socket back; done by whoever reads, so that it is not taken away under a read."""
        self.close()
        self._line.close()
        release(self._stream)


def release(stream: Any) -> None:  # noqa: ANN401  # docker gives a SocketIO or a socket
    """Give back what docker opened: closing its file leaves the socket below it open."""
    beneath = getattr(stream, "_sock", None)
    stream.close()
    if beneath:
        beneath.close()


_FULL: Final = ("temporarily unavailable", "read init-p: connection reset by peer")
"""What is said where no process can be started any more: by the system, or by runc, whose own one died."""


def not_started(node: SeenNode, code: int | None, said: bytes) -> str:
    """Say why a node could not even start a command."""
    silent = f"it ended with {code} and said nothing"
    words = (said.decode("utf-8", "backslashreplace").strip().splitlines() or [silent])[0]
    full = "its limit of processes is reached: " if any(it in words for it in _FULL) else ""
    return f"{full}{words}\n    lab reset {node.name}  makes it anew"
