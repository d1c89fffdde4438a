"""What there is: labs, nodes and what they use, and the ends of their logs. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from lab.engine.engine import Engine
from lab.engine.facts import Vitals
from lab.engine.labels import BASE
from lab.engine.nodes import RunningLab, SeenNode
from lab.engine.shell import Shell
from lab.errors import NotFound
from lab.inventory.kind import Kind, Kinds, Log
from lab.moment import Moment
from lab.provision import apply
from lab.workers import together


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeStatus:
    """A node as it is now."""

    lab: str
    """The lab it belongs to."""

    name: str
    """Its name."""

    kind: str
    """Its kind."""

    health: str
    """`ready`, or why not."""

    addresses: Mapping[str, str]
    """Network to address."""

    started: Moment | None
    """When its first process started; None when it does not run."""

    memory: int
    """Bytes it uses."""

    processor: float
    """Processors it used over the last moment: 1.0 is one of them, wholly."""

    image: str
    """The image it was made from."""

    base: str
    """What its image is built on."""


_AT_ONCE: Final = 32
"""Measurements at once: Docker lets each wait up to a second, and does nothing meanwhile."""

_MOMENT: Final = 0.3
"""Seconds over which the use of processors is measured."""


def nodes(engine: Engine, kinds: Kinds, name: str, pause: Callable[[float], None]) -> tuple[NodeStatus, ...]:
    """Look at the nodes of a lab; of every lab when none is named.

    Args:
        engine: Where.
        kinds: What nodes can be.
        name: The lab.
        pause: Waits, while the use of processors is measured.

    Raises:
        NotFound: there is no such lab.
    """
    known = engine.labs()
    if name and name not in known:
        raise NotFound("lab", name=name, known=known, remedy="lab up  makes one")
    found = [node for it in ((name,) if name else known) for node in engine.observe(it).nodes]
    labels = {image: engine.image_labels(image) or {} for image in {node.image for node in found}}
    before = together([partial(_vitals, node, engine) for node in found], workers=_AT_ONCE)
    said = together([partial(_health, node, kinds.find(node.kind), engine) for node in found])
    if any(before):
        pause(_MOMENT)  # once for all of them
    now = together([partial(_vitals, node, engine) for node in found], workers=_AT_ONCE)
    return tuple(
        _status(node, health, (first, second), labels[node.image].get(BASE, ""))
        for node, health, first, second in zip(found, said, before, now, strict=True)
    )


def _vitals(node: SeenNode, engine: Engine) -> Vitals | None:
    return engine.vitals(node) if node.state == "running" else None


def _health(node: SeenNode, kind: Kind | None, engine: Engine) -> str:
    return apply.healthy(node, kind.health if kind else (), engine)


def _status(node: SeenNode, said: str, seen: tuple[Vitals | None, Vitals | None], base: str) -> NodeStatus:
    before, now = seen
    return NodeStatus(
        lab=node.lab,
        name=node.name,
        kind=node.kind,
        health=said or "ready",
        addresses=node.addresses,
        started=now.started if now else None,
        memory=now.memory if now else 0,
        processor=_processors(before, now) if before and now else 0.0,
        image=node.image,
        base=base,
    )


def _processors(before: Vitals, now: Vitals) -> float:
    passed = now.measured - before.measured
    return round((now.processor - before.processor) / passed, 3) if passed > 0 else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LabStatus:
    """A lab on this machine."""

    name: str
    """Its name."""

    nodes: int
    """How many nodes there are."""

    running: int
    """How many of them run."""

    networks: int
    """How many networks there are."""

    created: Moment | None
    """When its oldest node was made."""

    inventory: str
    """The file that defines it, as it was when the lab was made."""


def labs(engine: Engine) -> tuple[LabStatus, ...]:
    """Look at every lab on this machine."""
    return tuple(_lab_status(engine.observe(name)) for name in engine.labs())


def _lab_status(lab: RunningLab) -> LabStatus:
    return LabStatus(
        name=lab.name,
        nodes=len(lab.nodes),
        running=sum(node.state == "running" for node in lab.nodes),
        networks=len(lab.networks),
        created=min((node.created for node in lab.nodes), default=None),
        inventory=lab.inventory,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class LogTail:
    """The end of one log of a node."""

    source: str
    """What writes it; `console` is what the node's first process writes."""

    path: str
    """Where it is on the node; empty for the console."""

    lines: tuple[str, ...]
    """Its last lines."""


CONSOLE: Final = "console"


def read_logs(
    node: SeenNode, engine: Engine, kinds: Kinds, *, source: str, lines: int
) -> tuple[LogTail, ...]:
    """Read the ends of a node's logs; of one of them when its source is named.

    Raises:
        NotFound: the node has no such log.
    """
    known = (Log(source=CONSOLE, path=""), *_logs(node, kinds))
    wanted = [log for log in known if source in {"", log.source}]
    if not wanted:
        raise NotFound(f"log of {node.name}", name=source, known=tuple(log.source for log in known))
    return tuple(
        LogTail(source=log.source, path=log.path, lines=_tail(node, engine, log, lines)) for log in wanted
    )


def _tail(node: SeenNode, engine: Engine, log: Log, lines: int) -> tuple[str, ...]:
    if log.source == CONSOLE:
        return tuple(engine.log_tail(node, lines).splitlines())
    ran = engine.execute(node, ("tail", "-n", str(lines), log.path), user="root")
    return tuple(ran.stdout.decode("utf-8", "backslashreplace").splitlines())


def follow_logs(node: SeenNode, shell: Shell, kinds: Kinds, *, source: str, lines: int) -> Iterator[str]:
    """Read the ends of a node's log files, and each new line as it is written, until it is stopped."""
    known = _logs(node, kinds)
    paths = [log.path for log in known if source in {"", log.source}]
    if not paths:
        raise NotFound(f"log file of {node.name}", name=source, known=tuple(it.source for it in known))
    stream = shell.stream(node, ("tail", "-q", "-n", str(lines), "-F", *paths))
    rest = b""
    for chunk in stream:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode("utf-8", "backslashreplace") for line in whole)


def _logs(node: SeenNode, kinds: Kinds) -> tuple[Log, ...]:
    kind = kinds.find(node.kind)
    return kind.logs if kind else ()
