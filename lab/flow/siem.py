"""Stages that bring runs into other SIEMs, search them there, and take back what was found."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.errors import NotFound
from lab.flow.context import Context
from lab.flow.labs import find_lab

if TYPE_CHECKING:  # imported by the stages that need them, so that other commands are quick
    from pathlib import Path

    from lab.engine.nodes import SeenNode
    from lab.inventory.kind import Service
    from lab.runs.folder import RunFolder
    from lab.siem.compare import Comparison
    from lab.siem.sink import Delivery, Server, Sink


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A SIEM, and what is asked of it."""

    siem: str
    """A product whose node runs in the lab, such a node's name, or an address."""

    run: str = ""
    """A run's id, or how it begins; else the last run."""

    rules: tuple[Path, ...] = ()
    """The user's own rules: files and folders."""

    every: int = 60
    """Seconds between two looks of a rule there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reached:
    """A SIEM that can be spoken to."""

    choice: Choice
    """What is asked of it."""

    sink: Sink
    """The SIEM."""

    memory: int = 0
    """Bytes that its node uses; 0 where it is no node of ours."""

    startup: float = 0.0
    """Seconds from its node's start until it answered; 0 where that is not known."""


def reach_siem(choice: Choice, context: Context) -> Reached:
    """A choice -> the SIEM, at an address or on a node of the lab."""
    from lab.siem import sinks
    from lab.siem.target import Credentials, is_url, target_at, unknown

    if is_url(choice.siem):
        target = target_at(choice.siem, Credentials.from_environment(os.environ))
        if target.product and target.product not in sinks.SINKS:
            raise unknown(target.product, tuple(sinks.SINKS))
        sink = sinks.open_sink(target)
        context.held.callback(sink.close)
        return Reached(choice=choice, sink=sink)
    return _on_node(choice, context)


def _on_node(choice: Choice, context: Context) -> Reached:
    """Speak to a SIEM on a node: over the engine, with the password that the node made for itself."""
    from lab.engine.forward import forwarding
    from lab.siem import sinks
    from lab.siem.target import Target

    node, service = _node_of(choice.siem, context)
    port = context.held.enter_context(forwarding(context.engine, node, service.port))
    search = (
        context.held.enter_context(forwarding(context.engine, node, service.search_port))
        if service.search_port
        else 0
    )
    target = Target(
        name=service.product,
        product=service.product,
        url=f"http://127.0.0.1:{port}",
        search_url=f"http://127.0.0.1:{search}" if search else "",
        user=service.user,
        password=_read(node, service.secret, context),
        api_key=_read(node, service.token, context),
    )
    sink = sinks.open_sink(target)
    context.held.callback(sink.close)
    return Reached(
        choice=choice,
        sink=sink,
        memory=context.engine.vitals(node).memory,
        startup=_startup(node, context),
    )


def _node_of(name: str, context: Context) -> tuple[SeenNode, Service]:
    """Find the node that runs a SIEM, by its product or by its own name."""
    from lab.siem.sinks import SINKS
    from lab.siem.target import unknown

    running = context.engine.observe(find_lab(context))
    found = {}
    for node in running.nodes:
        kind = context.kinds.find(node.kind)
        if kind and kind.service and kind.service.product in SINKS and node.state == "running":
            found[node.name] = node, kind.service
    for node, service in found.values():
        if name in {node.name, service.product}:
            return node, service
    raise unknown(
        name, tuple(sorted({it for node, service in found.values() for it in (service.product, node.name)}))
    )


def _read(node: SeenNode, path: str, context: Context) -> str:
    """Read a secret that a node made for itself; nothing where it has none."""
    if not path:
        return ""
    ran = context.engine.execute(node, ("cat", path), user="root")
    if ran.code:
        raise NotFound("password", name=path, remedy=f"lab reset {node.name}  makes the node anew")
    return ran.stdout.decode("ascii", "replace").strip()


def _startup(node: SeenNode, context: Context) -> float:
    """Read how long a node needed until it answered, which its health check wrote down."""
    ran = context.engine.execute(node, ("cat", "/run/ready"), user="root")
    with suppress(ValueError):
        return float(ran.stdout.decode("ascii", "replace"))
    return 0.0


# -- what is asked of it -------------------------------------------------------------------------


def set_up(reached: Reached, context: Context) -> Server:
    """The SIEM -> the server, which knows our fields now."""
    server = reached.sink.meet()
    reached.sink.prepare(server)
    for note in server.notes:
        context.tell(note)
    return server


def push_run(reached: Reached, context: Context) -> Delivery:
    """The SIEM -> how far it has the run, which is all of it."""
    from lab.siem.push import Pusher

    run = _run(reached.choice, context)
    pusher = Pusher(
        noticed=run.noticed, run=run.path.name, sink=reached.sink, tell=context.tell, stop=context.stop
    )
    return pusher.push()


def detect_there(reached: Reached, context: Context) -> Comparison:
    """The SIEM -> what rules find there in the run, beside what they find here; its alerts are kept."""
    from lab.siem.compare import Comparer

    run = _run(reached.choice, context)
    comparer = Comparer(
        noticed=run.noticed,
        run=run.path.name,
        sink=reached.sink,
        rules=tuple(context.path(it) for it in reached.choice.rules),
        every=reached.choice.every,
        memory=reached.memory,
        startup=reached.startup,
    )
    return comparer.compare()


def _run(choice: Choice, context: Context) -> RunFolder:
    from lab.runs import folder

    return folder.find(context.workplace, choice.run)
