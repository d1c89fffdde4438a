"""Stages that bring runs into other SIEMs, search them there, and take back what was found."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from lab.errors import NotFound, NotReady
from lab.flow.context import Context
from lab.flow.labs import find_lab
from lab.workers import told_to_stop

if TYPE_CHECKING:  # imported by the stages that need them, so that other commands are quick
    from pathlib import Path

    from lab.detect.sigma.products import Language, Translation
    from lab.detect.sigma.rule import RuleSet
    from lab.engine.nodes import SeenNode
    from lab.inventory.kind import Service
    from lab.runs.folder import RunFolder
    from lab.siem.compare import Comparison
    from lab.siem.document import Step
    from lab.siem.kibana import Imported
    from lab.siem.onion import Shown
    from lab.siem.sink import Delivery, Server, Sink
    from lab.siem.target import Target


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

    steps: bool = False
    """Whether the steps of the exercise are sent as well, for dashboards."""


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
        target = target_at(choice.siem, Credentials.from_environment(os.environ, context.ask_password))
        if target.product and target.product not in sinks.SINKS:
            raise unknown(target.product, tuple(sinks.SINKS))
        sink = sinks.open_sink(target)
        context.held.callback(sink.close)
        return Reached(choice=choice, sink=sink)
    return _on_node(choice, context)


def _on_node(choice: Choice, context: Context) -> Reached:
    """Speak to a SIEM on a node."""
    from lab.siem import sinks

    node, service = _node_of(choice.siem, context, tuple(sinks.SINKS))
    sink = sinks.open_sink(_target(node, service, context))
    context.held.callback(sink.close)
    return Reached(
        choice=choice,
        sink=sink,
        memory=context.engine.vitals(node).memory,
        startup=_startup(node, context),
    )


def _target(node: SeenNode, service: Service, context: Context) -> Target:
    """Return how a node is spoken to: over the engine, with the password that it made for itself."""
    from lab.engine.forward import forwarding
    from lab.siem.target import Target

    port = context.held.enter_context(forwarding(context.engine, node, service.port))
    search = (
        context.held.enter_context(forwarding(context.engine, node, service.search_port))
        if service.search_port
        else 0
    )
    return Target(
        name=service.product,
        product=service.product,
        url=f"http://127.0.0.1:{port}",
        search_url=f"http://127.0.0.1:{search}" if search else "",
        user=service.user,
        password=_read(node, service.secret, context),
        api_key=_read(node, service.token, context),
    )


def _nodes(context: Context, products: tuple[str, ...]) -> list[tuple[SeenNode, Service]]:
    """List the running nodes of some products."""
    running = context.engine.observe(find_lab(context))
    kinds = [(node, context.kinds.find(node.kind)) for node in running.nodes if node.state == "running"]
    return [
        (node, kind.service)
        for node, kind in kinds
        if kind and kind.service and kind.service.product in products
    ]


def _node_of(name: str, context: Context, products: tuple[str, ...]) -> tuple[SeenNode, Service]:
    """Find the node that runs one of some products, by its product or by its own name."""
    from lab.siem.target import unknown

    found = _nodes(context, products)
    for node, service in found:
        if name in {node.name, service.product}:
            return node, service
    raise unknown(name, tuple(sorted({it for node, service in found for it in (service.product, node.name)})))


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


# -- on the screen -------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """A SIEM of the lab that somebody wants to look at."""

    siem: str
    """A product whose node runs in the lab, or such a node's name."""

    port: int
    """The port here; any that is free when 0."""

    shown: Callable[[str], None]
    """Takes the address."""


def serve_siem(opening: Opening, context: Context) -> None:
    """Which SIEM -> nothing, once the user has seen enough."""
    from lab.engine.forward import forwarding
    from lab.siem.sinks import SINKS

    node, service = _node_of(opening.siem, context, (*SINKS, KIBANA))
    with forwarding(context.engine, node, service.port, ours=opening.port) as port:
        opening.shown(f"http://127.0.0.1:{port}/")
        if service.user:
            shows = f"lab exec {node.name} cat {service.secret}"
            context.tell(f"log in as {service.user}; the password is what  {shows}  shows")
        context.tell("Ctrl-C ends it")
        with told_to_stop(context.stop, lambda: None):
            context.stop.wait()


# -- Security Onion ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Adoption:
    """A Security Onion, and the run that it is shown."""

    url: str
    """`onion+ssh://ACCOUNT@HOST`."""

    run: str = ""
    """A run's id, or how it begins; else the last run."""

    accepted: str = ""
    """Fingerprint of the one unknown host key that is accepted."""


def show_onion(adoption: Adoption, context: Context) -> Shown:
    """Which appliance -> what it has of the run, and how many alerts it raised."""
    from lab.siem.target import machine_at

    try:
        from lab.engine.ssh import connected
        from lab.siem import onion
    except ModuleNotFoundError as error:
        raise NotReady(
            f"the client {error.name} is not installed",
            remedy="pip install 'homerange[siem]'  brings those of all SIEMs",
        ) from error
    machine = machine_at(adoption.url, os.environ, accepted=adoption.accepted)
    session = context.held.enter_context(connected(machine))
    run = _run(Choice(siem=onion.NAME, run=adoption.run), context)
    return onion.show(onion.Onion(session=session, tell=context.tell), run.noticed)


# -- what is asked of it -------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class SetUp:
    """What a SIEM was told."""

    server: Server | None = None
    """The server that knows our fields now; None where only its screen was set up."""

    imported: Imported | None = None
    """What its screen took; None where it has none."""


def set_up(choice: Choice, context: Context) -> SetUp:
    """A choice -> what was told to the SIEM, and to the lab's Kibana beside it."""
    screen = _screen(choice, context)
    if screen and (choice.siem == KIBANA or choice.siem.startswith(f"{KIBANA}+")):
        return SetUp(imported=_import(screen, choice, context))
    reached = reach_siem(choice, context)
    server = tell_fields(reached, context)
    return SetUp(server=server, imported=_import(screen, choice, context) if screen else None)


KIBANA: Final = "kibana"
"""The product that shows what Elasticsearch has."""


def tell_fields(reached: Reached, context: Context) -> Server:
    """Make sure that a SIEM is there, and tell it our fields."""
    server = reached.sink.meet()
    reached.sink.prepare(server)
    for note in server.notes:
        context.tell(note)
    return server


def _screen(choice: Choice, context: Context) -> Target | None:
    """Find the Kibana that is meant, or that stands in the lab beside the store that is meant."""
    from lab.siem.target import Credentials, is_url, target_at

    if choice.siem.startswith(f"{KIBANA}+"):
        return target_at(choice.siem, Credentials.from_environment(os.environ, context.ask_password))
    if is_url(choice.siem) or choice.siem == "opensearch":
        return None
    found = _nodes(context, (KIBANA,))
    return _target(*found[0], context) if found else None


def _import(screen: Target, choice: Choice, context: Context) -> Imported:
    from lab.siem.dashboards import read_dashboards
    from lab.siem.kibana import Kibana, detection_rules, saved_objects

    rules, asked = _translated("lucene", choice.rules, context)
    kibana = Kibana(screen)
    context.held.callback(kibana.close)
    return kibana.import_all(
        saved_objects(read_dashboards()), detection_rules(rules, asked, every=choice.every)
    )


def _translated(
    language: Language, own: tuple[Path, ...], context: Context
) -> tuple[RuleSet, list[Translation]]:
    """Read our rules and the user's, and write them in a product's language."""
    from lab.detect.detector import OWN_RULES
    from lab.detect.sigma.products import translate
    from lab.detect.sigma.read import read_rules
    from lab.siem.mapping import stream_name

    paths = [OWN_RULES, *(context.path(it) for it in own)]
    rules = read_rules(paths)
    return rules, translate(paths, language, rules, index=stream_name("events"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """What is to be written for a product, and where."""

    what: Literal["kibana", "kibana-rules", "splunk"]
    """Data views and dashboards; detection rules; an app."""

    to: Path
    """The file."""

    rules: tuple[Path, ...] = ()
    """The user's own rules: files and folders."""

    every: int = 60
    """Seconds between two looks of a rule there."""


def export(wanted: Export, context: Context) -> Path:
    """What is wanted -> the file that a product can import."""
    from lab.files import careful

    path = context.path(wanted.to)
    careful.replace(path, _EXPORTS[wanted.what](wanted, context))
    return path


def _objects(_: Export, __: Context) -> bytes:
    from lab.siem.dashboards import read_dashboards
    from lab.siem.kibana import ndjson, saved_objects

    return ndjson(saved_objects(read_dashboards())).encode()


def _rules(wanted: Export, context: Context) -> bytes:
    from lab.siem.kibana import detection_rules, ndjson

    rules, asked = _translated("lucene", wanted.rules, context)
    return ndjson(detection_rules(rules, asked, every=wanted.every)).encode()


def _app(wanted: Export, context: Context) -> bytes:
    from lab import __version__
    from lab.siem.dashboards import read_dashboards
    from lab.siem.splunk_app import packed

    rules, asked = _translated("spl", wanted.rules, context)
    return packed(read_dashboards(), rules, asked, version=__version__, every=wanted.every)


_EXPORTS: Final = {"kibana": _objects, "kibana-rules": _rules, "splunk": _app}


def push_run(reached: Reached, context: Context) -> Delivery:
    """The SIEM -> how far it has the run, which is all of it."""
    from lab.siem.push import Pusher

    run = _run(reached.choice, context)
    pusher = Pusher(
        noticed=run.noticed, run=run.path.name, sink=reached.sink, tell=context.tell, stop=context.stop
    )
    delivery = pusher.push()
    if reached.choice.steps:
        pusher.send_steps(_steps(run))
    return delivery


def _steps(run: RunFolder) -> Iterator[Step]:
    """Read what was done, of a run that is over."""
    from lab.exercise.truth import read_truth
    from lab.siem.document import Step

    if run.header().state == "running":
        raise NotFound("finished run", name=run.path.name, remedy="steps are told when the exercise is over")
    for it in read_truth(run.happened):
        if it.label == "attack" and it.status == "ran":
            yield Step(
                id=f"{it.step}-{it.attempt}",
                name=it.name,
                technique=it.technique,
                start=it.start,
                end=it.end,
                sources=tuple(part.node for part in it.sources),
                targets=tuple(part.node for part in it.targets),
            )


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
