"""The kernel of the node counted packets of a sort while the step ran."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from lab.exercise.finding import Finding
from lab.exercise.place import Place
from lab.files.declared import Fault, Key

_COUNTER: Final = re.compile(r"[A-Z][A-Za-z]+\.[A-Z][A-Za-z]+")

_FRAMES: Final = "Interface.RxPackets"
"""A name of ours: the kernel keeps frames by interface, in another table."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counter:
    """A counter that has to grow."""

    kind: ClassVar[str] = "counter"
    remedy: ClassVar[str] = "write  counter: {node: bastion, counter: Icmp.InEchos, at_least: 1}"

    node: str
    """Where to look."""

    counter: str
    """Its name in /proc/net/snmp, `Tcp.OutRsts`; or `Interface.RxPackets`, all frames that came in."""

    at_least: Annotated[int, Key(least=1)]
    """By how much it must have grown."""

    def faults(self) -> Iterator[Fault]:
        """Find a name that the kernel cannot have."""
        if "{{" not in self.counter and not _COUNTER.fullmatch(self.counter):
            remedy = "write  Tcp.OutRsts, as in /proc/net/snmp"
            yield Fault(key="counter", what=f"{self.counter!r} names no counter", remedy=remedy)

    def before(self, place: Place) -> int:
        """Read the counter.

        Raises:
            ValueError: the node does not tell it.
        """
        return self._read(place)

    def after(self, place: Place, before: int) -> Finding:
        """Read it again."""
        grown = self._read(place) - before
        said = f"{self.counter} of {self.node} grew by {grown}; {self.at_least} or more were expected"
        return Finding(occurred=grown >= self.at_least, said=said)

    def _read(self, place: Place) -> int:
        if self.counter == _FRAMES:
            return received_frames(place.run(("cat", "/proc/net/dev")).completed.stdout.decode())
        table = place.run(("cat", "/proc/net/snmp")).completed.stdout.decode()
        found = snmp_counters(table)
        if self.counter not in found:  # no count is not a count of zero: all that ever came would be growth
            raise ValueError(f"its kernel tells no {self.counter}")
        return found[self.counter]


def received_frames(table: str) -> int:
    """Read /proc/net/dev: frames that came in on all interfaces but the loopback (proc(5))."""
    lines = [line.replace(":", " ").split() for line in table.splitlines()[2:]]
    return sum(int(words[2]) for words in lines if words and words[0] != "lo")


def snmp_counters(table: str) -> dict[str, int]:
    """Read /proc/net/snmp, pairs of lines with names and values: `Icmp.InEchos` to its count (proc(5))."""
    lines = [line.split() for line in table.splitlines()]
    return {
        f"{names[0].rstrip(':')}.{name}": int(value)
        for names, values in zip(lines[::2], lines[1::2], strict=False)
        for name, value in zip(names[1:], values[1:], strict=False)
    }
