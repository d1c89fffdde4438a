"""Did the step have its effect? Looked at on the node itself, without the tool that made it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from lab.engine.engine import Engine
from lab.engine.nodes import RunningLab, SeenNode
from lab.errors import LabError
from lab.files.loader import Item, Reading, suggestion


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a check found."""

    occurred: bool
    """Whether the effect is there."""

    said: str
    """What was seen, for a person."""


class Check(Protocol):
    """One way to look for an effect."""

    @property
    def node(self) -> str:
        """Where to look."""
        ...

    def before(self, engine: Engine, node: SeenNode) -> int:
        """Look before the step; what is returned is given to `after`."""
        ...

    def after(self, engine: Engine, node: SeenNode, before: int) -> Finding:
        """Look after the step."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class OpenPort:
    """Something listens on a TCP port of the node."""

    node: str
    """Where to look."""

    port: int
    """Which port."""

    def before(self, engine: Engine, node: SeenNode) -> int:
        """Nothing to remember."""
        del engine, node
        return 0

    def after(self, engine: Engine, node: SeenNode, before: int) -> Finding:
        """Read the kernel's table of sockets."""
        del before
        tables = engine.execute(node, ("cat", "/proc/net/tcp", "/proc/net/tcp6"), user="root").stdout.decode()
        found = any(_listens(line.split(), self.port) for line in tables.splitlines())
        return Finding(
            occurred=found, said=f"port {self.port} of {self.node} is {'open' if found else 'closed'}"
        )


def _listens(words: list[str], port: int) -> bool:
    listening = "0A"
    return len(words) > 3 and words[3] == listening and words[1].endswith(f":{port:04X}")  # noqa: PLR2004


@dataclass(frozen=True, kw_only=True, slots=True)
class Counter:
    """The kernel of the node counted packets of a sort while the step ran."""

    node: str
    """Where to look."""

    counter: str
    """Its name in /proc/net/snmp, `Tcp.OutRsts`."""

    at_least: int
    """By how much it must have grown."""

    def before(self, engine: Engine, node: SeenNode) -> int:
        """Read the counter."""
        return self._read(engine, node)

    def after(self, engine: Engine, node: SeenNode, before: int) -> Finding:
        """Read it again."""
        grown = self._read(engine, node) - before
        said = f"{self.counter} of {self.node} grew by {grown}; {self.at_least} or more were expected"
        return Finding(occurred=grown >= self.at_least, said=said)

    def _read(self, engine: Engine, node: SeenNode) -> int:
        table = engine.execute(node, ("cat", "/proc/net/snmp"), user="root").stdout.decode()
        return snmp_counters(table).get(self.counter, 0)


def snmp_counters(table: str) -> dict[str, int]:
    """Read /proc/net/snmp, pairs of lines with names and values: `Icmp.InEchos` to its count (proc(5))."""
    lines = [line.split() for line in table.splitlines()]
    return {
        f"{names[0].rstrip(':')}.{name}": int(value)
        for names, values in zip(lines[::2], lines[1::2], strict=False)
        for name, value in zip(names[1:], values[1:], strict=False)
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A path is there, and belongs to a user."""

    node: str
    """Where to look."""

    path: str
    """Which path; it must not be empty."""

    owner: str = ""
    """Whose it must be; empty for anybody's."""

    def before(self, engine: Engine, node: SeenNode) -> int:
        """Nothing to remember."""
        del engine, node
        return 0

    def after(self, engine: Engine, node: SeenNode, before: int) -> Finding:
        """Ask the file system."""
        del before
        ran = engine.execute(node, ("stat", "-c", "%U %s", "--", self.path), user="root")
        if ran.code:
            return Finding(occurred=False, said=f"{self.path} is not on {self.node}")
        owner, size = ran.stdout.decode().split()
        said = f"{self.path} on {self.node} belongs to {owner} and has {size} bytes"
        return Finding(occurred=int(size) > 0 and self.owner in {"", owner}, said=said)


_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "open_port": ("node", "port"),
    "counter": ("node", "counter", "at_least"),
    "file": ("node", "path", "owner"),
}
_EXAMPLES: Final[Mapping[str, str]] = {
    "open_port": "open_port: {node: bastion, port: 22}",
    "counter": "counter: {node: bastion, counter: Icmp.InEchos, at_least: 1}",
    "file": "file: {node: bastion, path: /tmp/loot, owner: maria}",
}
_COUNTER: Final = re.compile(r"[A-Z][A-Za-z]+\.[A-Z][A-Za-z]+")


def read_check(reading: Reading, item: Item) -> Check | None:
    """Read the `check` of a step; None when it is not one, which is noted."""
    entries = reading.mapping(item, "check")
    if len(entries) != 1 or next(iter(entries)) not in _KEYS:
        wrong = next(iter(entries), "")
        reading.problem(item, f"unknown check {wrong!r}", suggestion(wrong, _KEYS, "checks"))
        return None
    kind, arguments = next(iter(entries.items()))
    values = reading.mapping(arguments, kind, _KEYS[kind])
    missing = [key for key in _KEYS[kind] if key not in values and key != "owner"]
    if missing:
        reading.problem(arguments, f"check {kind} needs {', '.join(missing)}", f"write  {_EXAMPLES[kind]}")
        return None
    return _make(reading, kind, values)


def _make(reading: Reading, kind: str, values: Mapping[str, Item]) -> Check:
    node = reading.text(values["node"], "node")
    if kind == "open_port":
        return OpenPort(node=node, port=int(reading.number(values["port"], "port", least=1)))
    if kind == "counter":
        counter = reading.text(values["counter"], "counter")
        if not _COUNTER.fullmatch(counter):
            reading.problem(
                values["counter"], f"{counter!r} names no counter", "write  Tcp.OutRsts, as in /proc/net/snmp"
            )
        return Counter(
            node=node, counter=counter, at_least=int(reading.number(values["at_least"], "at_least", least=1))
        )
    owner = reading.text(values["owner"], "owner") if "owner" in values else ""
    return File(node=node, path=reading.text(values["path"], "path"), owner=owner)


def look_before(check: Check, engine: Engine, running: RunningLab) -> int | None:
    """Look before the step; None when the node cannot be asked."""
    node = running.node(check.node)
    try:
        return check.before(engine, node) if node else None
    except (LabError, ValueError):
        return None


def look_after(check: Check, engine: Engine, running: RunningLab, before: int | None) -> Finding:
    """Look after the step; a node that cannot be asked shows no effect, and the finding says so."""
    node = running.node(check.node)
    if node is None or before is None:
        return Finding(occurred=False, said=f"{check.node} could not be asked before the step")
    try:
        return check.after(engine, node, before)
    except (LabError, ValueError) as error:
        return Finding(occurred=False, said=f"{check.node} could not be asked: {error}")
