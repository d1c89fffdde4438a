"""Notices what is done to a lab while a run goes on, and not by the run.

The engine tells of each change as it is made; when it falls silent itself, that is a disturbance too. The
machine's clock is compared with one that nobody can set. At the end the lab is held against what it was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from lab.engine.engine import Engine
from lab.engine.facts import Happenings
from lab.engine.nodes import RunningLab, SeenNode
from lab.errors import LabError
from lab.moment import SECOND, Moment, clock_jump
from lab.watch.collection import Disturbance

_JUMP: Final = SECOND // 2
"""What counts as setting the clock, in nanoseconds: daemons that keep time move it by less at once."""

_LOOK_EVERY: Final = 0.5
"""Seconds between two looks at the clock, and at an engine that went away."""


Meant = Callable[[Disturbance], bool]
"""Whether something that became of a lab is no disturbance."""


@dataclass(slots=True)
class Guard:
    """Watches one lab from `start` to `finish`."""

    engine: Engine
    lab: RunningLab
    """As it was when the run began."""

    meant: Meant = lambda _disturbance: False
    """Tells what was done on purpose, by somebody who responds to the attack."""

    _found: list[Disturbance] = field(default_factory=list)
    _ending: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _happenings: list[Happenings] = field(default_factory=list)

    def start(self) -> None:
        """Begin; when it returns, the engine tells us of every change.

        Raises:
            LabError: it cannot be asked.
        """
        self._happenings.append(self.engine.happenings(self.lab.name))
        for work in (self._listen, self._look):
            thread = threading.Thread(target=work, daemon=True, name="guard")
            self._threads.append(thread)
            thread.start()

    def _listen(self) -> None:
        while not self._ending.is_set():
            for it in self._happenings[-1]:
                self._note(it.subject, it.what)
            if self._ending.is_set():
                return
            self._note("engine", "went away")
            self._listen_again()

    def _listen_again(self) -> None:
        while not self._ending.wait(_LOOK_EVERY):
            try:
                self._happenings.append(self.engine.happenings(self.lab.name))
            except LabError:
                continue
            self._note("engine", "is there again")
            return

    def _look(self) -> None:
        """Look at the clock; each jump is noted once."""
        known = clock_jump()
        while not self._ending.wait(_LOOK_EVERY):
            now = clock_jump()
            if abs(now - known) >= _JUMP:
                self._note("clock", f"was set {(now - known) / SECOND:+.1f} s")
                known = now

    def _note(self, subject: str, what: str) -> None:
        self._found.append(Disturbance(at=Moment.now(), subject=subject, what=what))

    def finish(self) -> tuple[Disturbance, ...]:
        """Stop, compare the lab with what it was, and return all that was noticed, in order."""
        self._ending.set()
        for happenings in self._happenings:
            happenings.close()
        for thread in self._threads:
            thread.join()
        for subject, what in self._differences():
            if not any(it.subject == subject for it in self._found):
                self._note(subject, what)
        return tuple(it for it in self._found if not self.meant(it))

    def _differences(self) -> Iterator[tuple[str, str]]:
        """Say what is not as it was: what nobody told us of."""
        try:
            now = self.engine.observe(self.lab.name)
        except LabError:
            yield "engine", "does not answer at the end"
            return
        for node in self.lab.nodes:
            if what := _difference(node, now.node(node.name)):
                yield node.name, what
        for network in self.lab.networks:
            seen = now.network(network.name)
            if seen is None or seen.id != network.id:
                yield network.name, "is not what it was"


def _difference(before: SeenNode, now: SeenNode | None) -> str:
    if now is None:
        return "is gone at the end"
    if now.id != before.id:
        return "was made anew"
    if now.state != before.state:
        return f"is {now.state} at the end"
    if (now.addresses, now.elsewhere) != (before.addresses, before.elsewhere):
        return "is on other networks at the end"
    return ""
