"""Canaries: what is made to be written on a node has to arrive here, or the source is silent.

A log that says nothing looks the same as a node on which nothing happens. So each source proves itself at
the start of a run, again and again while it goes on, and at its end: its kind makes it write a line with a
token that nobody else knows, and this line has to come out of the collector. It is no event.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from lab.engine.nodes import SeenNode
from lab.engine.shell import Shell
from lab.errors import LabError
from lab.moment import Moment
from lab.watch.collection import Blind
from lab.watch.desk import FollowedLog
from lab.workers import together

CANARY: Final = b"canary-"
"""What every token begins with."""

_TOKEN: Final = re.compile(r"canary-[0-9a-f]{16}")

_AGAIN: Final = 1.0
"""Seconds after which another one is sent: the first may have come before the log was followed."""

_LOOK_EVERY: Final = 0.02

_APPEND: Final = ("sh", "-c", 'printf "%s\\n" "$1" >>"$2"', "sh")
"""What writes a canary where a kind says nothing: it proves the way from the file to us, not its writer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Packets:
    """The packets of a network: they have no lines, and prove themselves together with a log."""

    log: FollowedLog
    """The log whose canary makes it grow."""

    network: str
    """Which network's packets."""

    size: Callable[[], int]
    """Bytes that have arrived."""


@dataclass(slots=True)
class _State:
    """What is known of one source."""

    source: str
    host: str
    what: str
    proved: Moment
    """When the last canary was sent that arrived; at first, when the run began."""
    silent: bool = False
    """Whether the last canary did not arrive."""


@dataclass(slots=True)
class _Token:
    """A canary on its way."""

    log: FollowedLog
    lines: int
    """How many lines with it are still to come."""


@dataclass(slots=True)
class Canaries:
    """The canaries of one run."""

    shell: Shell
    logs: Sequence[FollowedLog]
    packets: Sequence[Packets] = ()
    now: Callable[[SeenNode], SeenNode] = lambda node: node
    """Finds a node as it is now."""
    _waiting: dict[str, _Token] = field(default_factory=dict)
    _arrived: set[tuple[str, str, str]] = field(default_factory=set)
    _states: dict[tuple[str, str, str], _State] = field(default_factory=dict)
    _blind: list[Blind] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def heard(self, text: str, key: tuple[str, str, str]) -> bool:
        """Tell whether a line is a canary that its log was waiting for; such a line is no event.

        A token counts for its own log and as often as it was sent, so that nobody hides behind one.
        """
        found = _TOKEN.search(text)
        if found is None:
            return False
        with self._lock:
            token = self._waiting.get(found[0])
            if token is None or token.log.key != key:
                return False
            token.lines -= 1
            if not token.lines:
                del self._waiting[found[0]]
                self._arrived.add(key)
        return True

    def prove(self, *, within: float) -> tuple[str, ...]:
        """Send canaries until one of each source has arrived, or time is over; name what is silent now."""
        with self._turn:
            sent, end = Moment.now(), time.monotonic() + within
            sizes = {it.network: it.size() for it in self.packets}
            self._arrived.clear()
            while missing := self._missing(sizes):
                if time.monotonic() > end:
                    break
                together([partial(self._send, log) for log in missing])
                again = time.monotonic() + _AGAIN
                while self._missing(sizes) and time.monotonic() < min(again, end):
                    time.sleep(_LOOK_EVERY)
            self._judge(sent, sizes)
            return tuple(f"{it.host}:{it.what}" for it in self._states.values() if it.silent)

    def _missing(self, sizes: dict[str, int]) -> list[FollowedLog]:
        """Return the logs that are to be sent a canary: none of theirs has arrived, or no packets with it."""
        grown = [it.log.key for it in self.packets if it.size() <= sizes[it.network]]
        return [log for log in self.logs if log.key not in self._arrived or log.key in grown]

    def _send(self, log: FollowedLog) -> None:
        token = f"canary-{secrets.token_hex(8)}"
        with self._lock:
            self._waiting[token] = _Token(log, log.canaries)
        argv = tuple(word.replace("{token}", token) for word in log.canary) or (*_APPEND, token, log.path)
        with suppress(LabError):  # the node is gone: its silence will be noticed
            self.shell.execute(self.now(log.node), argv, user="root", timeout=10)

    def _judge(self, sent: Moment, sizes: dict[str, int]) -> None:
        for log in self.logs:
            self._found(log.key, log.path, sent, arrived=log.key in self._arrived)
        for it in self.packets:
            key = ("packets", it.log.node.name, it.network)
            self._found(key, f"packets of {it.network}", sent, arrived=it.size() > sizes[it.network])

    def _found(self, key: tuple[str, str, str], what: str, sent: Moment, *, arrived: bool) -> None:
        state = self._states.setdefault(key, _State(source=key[0], host=key[1], what=what, proved=sent))
        if arrived:
            if state.silent:
                self._blind.append(_window(state, sent))
            state.proved, state.silent = sent, False
        else:
            state.silent = True

    def blind(self) -> tuple[Blind, ...]:
        """Return every time in which a source was silent; one that still is, up to now."""
        now = Moment.now()
        still = (_window(it, now) for it in self._states.values() if it.silent)
        return tuple(sorted((*self._blind, *still)))


def _window(state: _State, end: Moment) -> Blind:
    return Blind(start=state.proved, end=end, source=state.source, host=state.host, what=state.what)
