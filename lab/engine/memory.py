"""The shipped fake: an engine in memory that keeps the same contract as Docker's.

Nodes have addresses, states and labels but run nothing; `answer` decides what a command prints.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network
from queue import SimpleQueue
from typing import IO, Final

from lab.engine import labels
from lab.engine.facts import About, Belongings, Happening, Happenings, Vitals, Wall
from lab.engine.nodes import NetworkSpec, NodeSpec, RunningLab, SeenNetwork, SeenNode
from lab.engine.outside import Difference
from lab.engine.shell import Completed, Hear, Stream, Traced
from lab.errors import EngineFault, NameTaken
from lab.moment import Moment
from lab.workers import Stop

Answer = Callable[[SeenNode, tuple[str, ...]], Completed]
"""Says what a command on a node does."""

Follow = Callable[[SeenNode, tuple[str, ...]], Stream | None]
"""Says what a command on a node writes as it comes; None when `answer` knows all of it."""

_SCRATCH: Final = "scratch:latest"


def succeed(_node: SeenNode, argv: tuple[str, ...]) -> Completed:
    """Answer any command with success and no output."""
    now = Moment.now()
    return Completed(argv=argv, code=0, stdout=b"", stderr=b"", start=now, end=now)


@dataclass(slots=True)
class _Written:
    """A stream of what is known already."""

    written: bytes

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines."""
        yield from self.written.splitlines(keepends=True)

    def close(self) -> None:
        """Forget what was not read."""
        self.written = b""


@dataclass(slots=True)
class _Heard:
    """Changes that somebody listens to."""

    lab: str
    queue: SimpleQueue[Happening | None] = field(default_factory=SimpleQueue)

    def __iter__(self) -> Iterator[Happening]:
        """Yield each change."""
        while (happening := self.queue.get()) is not None:
            yield happening

    def close(self) -> None:
        """End it."""
        self.queue.put(None)


@dataclass(slots=True)
class MemoryEngine:
    """An engine whose labs are values in this process."""

    answer: Answer = succeed
    """What commands do."""

    follow: Follow = lambda _node, _argv: None
    """What commands write that are followed."""

    disks: dict[str, int] = field(default_factory=dict)
    """What nodes have written, in bytes."""

    changed: dict[str, tuple[Difference, ...]] = field(default_factory=dict)
    """What of nodes is not as in their images, by node."""

    typed: bytes = b""
    """All that commands were given to read."""

    foreign: set[str] = field(default_factory=set)
    """Names that are taken by somebody else, `lab/name`."""

    _nodes: dict[tuple[str, str], SeenNode] = field(default_factory=dict)
    _specs: dict[tuple[str, str], NodeSpec] = field(default_factory=dict)
    _networks: dict[tuple[str, str], SeenNetwork] = field(default_factory=dict)
    _images: dict[str, dict[str, str]] = field(default_factory=lambda: {_SCRATCH: {}})
    _listeners: list[_Heard] = field(default_factory=list)
    _count: int = 0

    def close(self) -> None:
        """Give back nothing: it holds nothing."""

    def about(self) -> About:
        """Say which engine it is, and on what machine."""
        return About(name="Memory", version="1.0", api="1.41", memory=8 * 2**30, cpus=2, storage="/")

    def labs(self) -> tuple[str, ...]:
        """Name every lab that something is left of, sorted."""
        return tuple(sorted({lab for lab, _ in (*self._nodes, *self._networks)}))

    def belongings(self) -> Belongings:
        """Name all that the engine has, ours or not."""
        return Belongings(
            containers=frozenset(node.id for node in self._nodes.values()),
            networks=frozenset(network.id for network in self._networks.values()),
            volumes=frozenset(),
        )

    def subnets(self) -> tuple[IPv4Network, ...]:
        """List the blocks of all networks."""
        return tuple(IPv4Network(network.subnet) for network in self._networks.values())

    def observe(self, lab: str) -> RunningLab:
        """Read what there is of a lab; nothing at all is an empty lab."""
        return RunningLab(
            name=lab,
            networks=tuple(self._networks[key] for key in sorted(self._networks) if key[0] == lab),
            nodes=tuple(self._nodes[key] for key in sorted(self._nodes) if key[0] == lab),
        )

    def create_network(self, spec: NetworkSpec) -> None:
        """Make a network."""
        self._claim(spec.lab, spec.name, "network", taken=(spec.lab, spec.name) in self._networks)
        self._networks[spec.lab, spec.name] = SeenNetwork(
            lab=spec.lab,
            name=spec.name,
            id=self._next_id(),
            bridge=spec.bridge,
            subnet=f"10.{self._count % 250}.0.0/{spec.prefix}",
            definition=spec.definition,
            before=spec.before,
            inventory=spec.inventory,
            internet=spec.internet,
            loose=None if spec.internet else (),
        )

    def seal_network(self, network: SeenNetwork) -> None:
        """Note that it is sealed."""
        self._networks[network.lab, network.name] = replace(network, loose=())

    def create_node(self, spec: NodeSpec) -> None:
        """Make a node, attach it and start it."""
        doing = f"creating {spec.name}"
        self._claim(spec.lab, spec.name, "node", taken=(spec.lab, spec.name) in self._nodes)
        if spec.image not in self._images:
            raise EngineFault(doing=doing, said=f"no such image: {spec.image}")
        for network in spec.networks:
            if (spec.lab, network) not in self._networks:
                raise EngineFault(doing=doing, said=f"network {network} not found")
        self._specs[spec.lab, spec.name] = spec
        self._nodes[spec.lab, spec.name] = SeenNode(
            lab=spec.lab,
            name=spec.name,
            kind=spec.kind,
            id=self._next_id(),
            state="running",
            image=spec.image,
            definition=spec.definition,
            created=Moment.now(),
            addresses={network: self._address(spec.lab, network) for network in sorted(spec.networks)},
            machine=spec.machine,
        )

    def _claim(self, lab: str, name: str, what: str, *, taken: bool) -> None:
        if taken or f"{lab}/{name}" in self.foreign:
            raise NameTaken(
                doing=f"creating {what} {name}", said=f"the name lab-{lab}-{name} is already in use"
            )

    def _next_id(self) -> str:
        self._count += 1
        return f"{self._count:012x}"

    def _address(self, lab: str, network: str) -> str:
        used = sum(network in node.addresses for (owner, _), node in self._nodes.items() if owner == lab)
        return f"{self._networks[lab, network].subnet.rpartition('.')[0]}.{used + 2}"

    def start_node(self, node: SeenNode) -> None:
        """Start a node that stopped, or wake one that was paused."""
        self._existing(node)
        self._nodes[node.lab, node.name] = replace(node, state="running")
        self._tell(node.lab, node.name, "was started")

    def written(self, node: SeenNode) -> int:
        """Return what a test says that it has written."""
        return self.disks.get(node.name, 0)

    def restart_node(self, node: SeenNode) -> None:
        """Start a node anew."""
        self.start_node(node)

    def stop_node(self, node: SeenNode) -> None:
        """Stop a node, as somebody might behind our back."""
        self._nodes[node.lab, node.name] = replace(self._existing(node), state="stopped")
        self._tell(node.lab, node.name, "stopped")

    def _existing(self, node: SeenNode) -> SeenNode:
        try:
            return self._nodes[node.lab, node.name]
        except KeyError:
            raise EngineFault(doing=f"finding {node.name}", said=f"no such container: {node.id}") from None

    def remove_nodes(self, nodes: Iterable[SeenNode]) -> None:
        """Remove nodes; those that are gone already are no error."""
        for node in tuple(nodes):
            if self._nodes.pop((node.lab, node.name), None):
                self._tell(node.lab, node.name, "was removed")

    def remove_network(self, network: SeenNetwork) -> None:
        """Remove a network that no node is attached to; one that is gone already is no error."""
        held = [n.name for n in self._nodes.values() if n.lab == network.lab and network.name in n.addresses]
        if held:
            raise EngineFault(
                doing=f"removing network {network.name}", said=f"active endpoints: {', '.join(held)}"
            )
        self._networks.pop((network.lab, network.name), None)

    def detach(self, node: SeenNode, network: str) -> None:
        """Take a node off a network."""
        seen = self._existing(node)
        left = {name: address for name, address in seen.addresses.items() if name != network}
        self._nodes[node.lab, node.name] = replace(seen, addresses=left)
        self._tell(node.lab, network, "lost an endpoint")

    def attach(self, node: SeenNode, network: str, address: str) -> None:
        """Put a node on a network, under an address."""
        seen = self._existing(node)
        if (node.lab, network) not in self._networks:
            raise EngineFault(doing=f"putting {node.name} on {network}", said=f"network {network} not found")
        there = {**seen.addresses, network: seen.addresses.get(network, address)}
        self._nodes[node.lab, node.name] = replace(seen, addresses=dict(sorted(there.items())))
        self._tell(node.lab, network, "got one more endpoint")

    @contextmanager
    def workbench(self, image: str, lab: str) -> Iterator[SeenNode]:
        """Have a throw-away node to work in."""
        with self.open_baking(image, lab=lab, role="evidence") as node:
            yield node

    @contextmanager
    def beside(self, node: SeenNode, capabilities: tuple[str, ...], *, image: str = "") -> Iterator[SeenNode]:
        """Have a throw-away node; `answer` says what commands on it do."""
        del capabilities, image
        helper = replace(
            self._existing(node), id=self._next_id(), name=f"help-{node.name}", addresses={}, passing=True
        )
        self._nodes[node.lab, helper.name] = helper
        try:
            yield helper
        finally:
            self._nodes.pop((node.lab, helper.name), None)

    @contextmanager
    def root_of(self, node: SeenNode) -> Iterator[Iterable[bytes]]:
        """Read an archive without files: nodes hold none here."""
        self._existing(node)
        yield (bytes(10240),)

    def differences(self, node: SeenNode) -> tuple[Difference, ...]:
        """Return what a test says."""
        self._existing(node)
        return self.changed.get(node.name, ())

    def set_aside(self, node: SeenNode) -> None:
        """Keep a node under another name."""
        seen = self._nodes.pop((node.lab, self._existing(node).name))
        name = f"{seen.name}.aside-{seen.id[:8]}"
        aside = replace(seen, name=name, state="stopped", passing=True, addresses={})
        self._nodes[aside.lab, aside.name] = aside
        self._tell(node.lab, node.name, "was renamed")

    def bring_back(self, node: SeenNode) -> None:
        """Have a node again that was set aside."""
        self._claim(node.lab, node.name, "node", taken=(node.lab, node.name) in self._nodes)
        key = next(key for key, it in self._nodes.items() if it.id == node.id)
        self._nodes.pop(key)
        self._nodes[node.lab, node.name] = replace(node, state="running", passing=False)
        self._tell(node.lab, node.name, "was renamed")

    def execute(  # noqa: PLR0913  # the contract's
        self,
        node: SeenNode,
        argv: tuple[str, ...],
        *,
        user: str = "",
        stdin: bytes = b"",
        timeout: float = 60,
        environment: Mapping[str, str] | None = None,
        folder: str = "",
        traced: Traced = "no",
        stop: Stop | None = None,
    ) -> Completed:
        """Ask `answer` what the command does."""
        del user, stdin, timeout, environment, folder, traced, stop
        return self.answer(self._existing(node), argv)

    def relay(self, node: SeenNode, argv: tuple[str, ...], *, stdin: Iterable[bytes], hear: Hear) -> int:
        """Ask `answer` what the command does, once its input has come to its end."""
        self.typed += b"".join(stdin)
        ran = self.answer(self._existing(node), argv)
        hear(1, ran.stdout)
        hear(2, ran.stderr)
        return ran.code

    def open_shell(self, node: SeenNode) -> int:
        """Answer that the shell ended well."""
        return self.answer(self._existing(node), ("bash",)).code

    def dial(self, node: SeenNode, port: int) -> socket.socket | None:
        """Connect to nothing: nothing runs."""
        del port
        self._existing(node)
        return None

    def stream(self, node: SeenNode, argv: tuple[str, ...]) -> Stream:
        """Give what `follow` says; else what `answer` says the command prints, at once."""
        return self.follow(self._existing(node), argv) or _Written(
            self.answer(self._existing(node), argv).stdout
        )

    def walls(self, lab: str) -> tuple[Wall, ...]:
        """Read how each node of a lab is confined."""
        return tuple(
            _wall(spec) for key, spec in sorted(self._specs.items()) if key in self._nodes and key[0] == lab
        )

    def log_tail(self, node: SeenNode, lines: int) -> str:
        """Return nothing: the first process wrote nothing."""
        del lines
        self._existing(node)
        return ""

    def image_labels(self, tag: str) -> Mapping[str, str] | None:
        """Return an image's labels; None when there is no such image."""
        return self._images.get(tag)

    def pull(self, image: str) -> bool:
        """Fetch nothing: no registry answers here."""
        return image in self._images

    @contextmanager
    def take_out(self, image: str, path: str) -> Iterator[Iterable[bytes]]:
        """Read nothing: images hold nothing here."""
        del image, path
        yield ()

    def load_root(self, archive: IO[bytes], tag: str) -> None:
        """Make an image; the archive is not read."""
        del archive
        self._images[tag] = {}

    @contextmanager
    def open_baking(self, image: str, *, lab: str, role: str) -> Iterator[SeenNode]:
        """Make a throw-away node of an image."""
        node = SeenNode(
            lab=lab,
            name=f"bake-{role}",
            kind=role,
            id=self._next_id(),
            state="running",
            image=image,
            definition="",
            created=Moment.now(),
            passing=True,
        )
        self._nodes[lab, node.name] = node
        try:
            yield node
        finally:
            self._nodes.pop((lab, node.name), None)

    def succeeds(self, image: str, argv: tuple[str, ...], **_how: object) -> bool:
        """Run a program in a throw-away container; here nothing runs, and no host has devices."""
        del image, argv
        return False

    def commit(self, node: SeenNode, tag: str, labelled: Mapping[str, str]) -> None:
        """Make an image of a baking node."""
        self._existing(node)
        self._images[tag] = dict(labelled)

    def images(self) -> Mapping[str, int]:
        """Return every image of ours; it takes no bytes."""
        return {tag: 0 for tag, labelled in self._images.items() if labels.BAKED in labelled}

    def remove_image(self, tag: str) -> None:
        """Remove an image; one that is gone already is no error."""
        self._images.pop(tag, None)

    def registry_answers(self, image: str) -> bool:
        """Tell whether the image is here: no registry answers."""
        return self.pull(image)

    def happenings(self, lab: str) -> Happenings:
        """Tell of every change from now on."""
        heard = _Heard(lab=lab)
        self._listeners.append(heard)
        return heard

    def _tell(self, lab: str, subject: str, what: str) -> None:
        for listener in self._listeners:
            if listener.lab == lab:
                listener.queue.put(Happening(subject=subject, what=what))

    def vitals(self, node: SeenNode) -> Vitals:
        """Measure nothing: nothing runs."""
        now = Moment.now()
        return Vitals(memory=0, processor=0, started=self._existing(node).created, measured=now)


def _wall(spec: NodeSpec) -> Wall:
    return Wall(
        node=spec.name,
        capabilities=tuple(sorted(spec.capabilities)),
        drops_all=True,
        new_privileges=False,
        privileged=False,
        host_network=spec.host_network,
        mounts=(),
        nameservers=() if spec.host_network else ("127.0.0.1",),
        memory=spec.memory,
        processes=spec.processes,
        cpus=spec.cpus,
        called=f"lab-{spec.lab}-{spec.name}",
    )
