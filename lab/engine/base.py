"""The contract of an engine, and the values that cross it.

Everything an engine makes carries our labels, and what a running lab is can be read back from them
alone: there is no state file. The labels are named here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from pathlib import Path
from typing import Final, Literal, Protocol

from lab.moment import Moment

LAB: Final = "homerange.lab"
"""Label: the lab a container or network belongs to. What lacks it is not ours and is left alone."""

NODE: Final = "homerange.node"
"""Label: the node a container is."""

NETWORK: Final = "homerange.network"
"""Label: the network of the lab that an engine's network is."""

KIND: Final = "homerange.kind"
"""Label: the node's kind."""

DEFINITION: Final = "homerange.definition"
"""Label: hashes of all that was asked for; where one differs from today's, the thing has drifted."""

BENCH: Final = "homerange.bench"
"""Label: the role that is being baked in a throw-away container."""

BAKED: Final = "homerange.baked"
"""Label: on images, the hash of what went in."""

BEFORE: Final = "homerange.before"
"""Label: on networks, what the host had before the lab was made, packed; see `lab.provision.receipt`."""

INVENTORY: Final = "homerange.inventory"
"""Label: on networks, the path of the inventory that defines the lab, so that a lab's name finds it."""

INTERNET: Final = "homerange.internet"
"""Label: on networks, `yes` when the inventory gives its nodes a way out."""

BASE: Final = "homerange.base"
"""Label: on images, what the image was built on, for people."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkSpec:
    """A network as it should be."""

    lab: str
    """The lab it belongs to."""

    name: str
    """Its name in the inventory."""

    bridge: str
    """Name of the bridge on the host, at most 15 characters."""

    internet: bool
    """Whether nodes on it may reach the outside."""

    prefix: int
    """Length of its subnet's prefix: 26 for up to some fifty nodes."""

    definition: str
    """What was asked for, as `aspect=hash` pairs."""

    before: str = ""
    """What the host had before the lab was made, packed."""

    inventory: str = ""
    """Path of the inventory that defines the lab."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeSpec:
    """A node as it should be."""

    lab: str
    """The lab it belongs to."""

    name: str
    """Its name in the inventory, and its host name."""

    kind: str
    """Name of its kind."""

    image: str
    """The baked image's tag."""

    command: tuple[str, ...]
    """Arguments of its first process."""

    user: str
    """Who the first process runs as."""

    capabilities: tuple[str, ...]
    """The Linux capabilities it keeps."""

    memory: int
    """Limit in bytes."""

    cpus: float
    """Limit in processors."""

    processes: int
    """Limit of processes and threads."""

    read_only: bool
    """Whether the root file system is read-only."""

    tmpfs: tuple[str, ...]
    """Writable folders in memory, `path:options`."""

    networks: tuple[str, ...]
    """Networks it is attached to, the first one first."""

    host_network: bool
    """Whether it shares the host's network."""

    environment: Mapping[str, str]
    """Environment of the first process."""

    definition: str
    """What was asked for, as `aspect=hash` pairs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenNetwork:
    """A network of ours that the engine has."""

    lab: str
    """The lab it belongs to."""

    name: str
    """Its name in the inventory."""

    id: str
    """The engine's id."""

    bridge: str
    """Name of the bridge on the host."""

    subnet: str
    """Its IPv4 subnet, in CIDR form."""

    definition: str
    """What was asked for when it was made, as `aspect=hash` pairs."""

    before: str = ""
    """What the host had before the lab was made, packed."""

    inventory: str = ""
    """Path of the inventory that defines the lab."""

    internet: bool = False
    """Whether the inventory gave it a way out."""

    sealed: bool | None = None
    """Whether the host is deaf on its bridge; None where that cannot be changed, or need not be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenNode:
    """A node of ours that the engine has."""

    lab: str
    """The lab it belongs to."""

    name: str
    """Its name in the inventory."""

    kind: str
    """Name of its kind."""

    id: str
    """The engine's id."""

    state: Literal["running", "paused", "stopped"]
    """Whether its first process runs."""

    image: str
    """The image it was made from."""

    definition: str
    """What was asked for when it was made, as `aspect=hash` pairs."""

    created: Moment
    """When it was made."""

    addresses: Mapping[str, str] = field(default_factory=dict)
    """Network name to its address there."""

    elsewhere: tuple[str, ...] = ()
    """The engine's names of networks it is attached to that are not of its lab."""

    baking: bool = False
    """Whether it is no node but a bench on which an image is made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningLab:
    """What the engine has of one lab, read from the labels."""

    name: str
    """The lab's name."""

    networks: tuple[SeenNetwork, ...] = ()
    """Sorted by name."""

    nodes: tuple[SeenNode, ...] = ()
    """Sorted by name."""

    def node(self, name: str) -> SeenNode | None:
        """Return the node of that name, if there is one."""
        return next((node for node in self.nodes if node.name == name), None)

    def network(self, name: str) -> SeenNetwork | None:
        """Return the network of that name, if there is one."""
        return next((network for network in self.networks if network.name == name), None)

    @property
    def inventory(self) -> str:
        """The path of the inventory that defines it, as it was when the lab was made."""
        return next((network.inventory for network in self.networks if network.inventory), "")

    @property
    def empty(self) -> bool:
        """Tell whether nothing of the lab is left."""
        return not self.networks and not self.nodes


@dataclass(frozen=True, kw_only=True, slots=True)
class Completed:
    """A command that ran inside a node."""

    argv: tuple[str, ...]
    """What ran."""

    code: int
    """Its exit code."""

    stdout: bytes
    """What it wrote to standard output, at most `MAX_OUTPUT`."""

    stderr: bytes
    """What it wrote to standard error, at most `MAX_OUTPUT`."""

    start: Moment
    """Just before the engine was asked."""

    end: Moment
    """Just after its end was known."""


MAX_OUTPUT: Final = 4 * 2**20
"""Bytes kept of each stream of a command; the rest is read and dropped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """What an engine says of itself."""

    name: str
    """`Docker`."""

    version: str
    """`20.10.24`."""

    api: str
    """Version of its API, `1.41`."""

    memory: int
    """The machine's memory in bytes."""

    cpus: int
    """The machine's processors."""

    storage: str
    """Where images and containers are kept, as the engine's host names it."""

    rootless: bool = False
    """Whether the engine runs without root's rights."""

    cgroups: str = ""
    """Version of the kernel's control groups, `1` or `2`."""

    cannot: tuple[str, ...] = ()
    """Limits and walls that this engine cannot give to a node."""

    clock: Moment | None = None
    """The time on the engine's machine when it was asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Belongings:
    """All that an engine has, ours or not."""

    containers: frozenset[str]
    """Ids."""

    networks: frozenset[str]
    """Ids."""

    volumes: frozenset[str]
    """Names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wall:
    """How a node is confined, as the engine has it now and not as it was asked for."""

    node: str
    """The node's name."""

    capabilities: tuple[str, ...]
    """Capabilities it keeps."""

    drops_all: bool
    """Whether all others are dropped."""

    new_privileges: bool
    """Whether a program may gain privileges by being started."""

    privileged: bool
    """Whether it is confined at all."""

    host_network: bool
    """Whether it shares the host's network."""

    mounts: tuple[str, ...]
    """Paths of the host that are mounted into it."""

    nameservers: tuple[str, ...]
    """Where names that the engine does not know are asked; loopback means nowhere."""

    memory: int
    """Limit in bytes; 0 for none."""

    processes: int
    """Limit; 0 for none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Vitals:
    """What a running node uses, at one moment."""

    memory: int
    """Bytes, without the page cache."""

    processor: int
    """Processor time since it started, in nanoseconds, over all processors."""

    started: Moment
    """When its first process started."""

    measured: Moment
    """When this was true."""


class Stream(Protocol):
    """What a command writes, as it comes."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield chunks until the command ends or the stream is closed."""
        ...

    def close(self) -> None:
        """End the command; whoever reads sees the end. May be called from any thread, and twice."""
        ...


class Engine(Protocol):
    """What runs nodes. Every method may raise EngineUnreachable, EngineSlow or EngineFault."""

    def about(self) -> About:
        """Say which engine it is, and on what machine."""
        ...

    def labs(self) -> tuple[str, ...]:
        """Name every lab that something is left of, sorted."""
        ...

    def belongings(self) -> Belongings:
        """Name all that the engine has, ours or not."""
        ...

    def subnets(self) -> tuple[IPv4Network, ...]:
        """List the IPv4 blocks of all networks the engine has, ours or not."""
        ...

    def observe(self, lab: str) -> RunningLab:
        """Read what there is of a lab; nothing at all is an empty lab."""
        ...

    def create_network(self, spec: NetworkSpec) -> None:
        """Make a network.

        Raises:
            NameTaken: somebody else's network has the name.
        """
        ...

    def seal_network(self, network: SeenNetwork) -> None:
        """Make the host deaf on a network's bridge, where it is not."""
        ...

    def create_node(self, spec: NodeSpec) -> None:
        """Make a node, attach it and start it.

        Raises:
            NameTaken: somebody else's container has the name.
        """
        ...

    def start_node(self, node: SeenNode) -> None:
        """Start a node that stopped, or wake one that was paused."""
        ...

    def remove_nodes(self, nodes: Iterable[SeenNode]) -> None:
        """Remove nodes with all they wrote; those that are gone already are no error."""
        ...

    def remove_network(self, network: SeenNetwork) -> None:
        """Remove a network that no node is attached to; one that is gone already is no error.

        Raises:
            EngineFault: it still has endpoints after a bounded number of tries.
        """
        ...

    def execute(  # noqa: PLR0913  # what a command needs, each with a default
        self,
        node: SeenNode,
        argv: tuple[str, ...],
        *,
        user: str = "",
        stdin: bytes = b"",
        timeout: float = 60,
        environment: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run a command inside a node and wait for it.

        Args:
            node: Where.
            argv: What; no shell is added.
            user: Who runs it; the image's user when empty.
            stdin: What it reads.
            timeout: Seconds until it is stopped.
            environment: Variables to set.

        Raises:
            EngineSlow: it did not end in time; it was stopped.
        """
        ...

    def shell(self, node: SeenNode) -> int:
        """Give this terminal a shell on a node until it ends; return its exit code."""
        ...

    def stream(self, node: SeenNode, argv: tuple[str, ...]) -> Stream:
        """Run a command inside a node and read what it writes to standard output, as it comes.

        The command ends when the stream is closed, and also when this process is killed.
        """
        ...

    def walls(self, lab: str) -> tuple[Wall, ...]:
        """Read how each node of a lab is confined."""
        ...

    def log_tail(self, node: SeenNode, lines: int) -> str:
        """Return the last lines the node's first process wrote."""
        ...

    def registry_answers(self, image: str) -> bool:
        """Tell whether the engine reaches the registry of an image, and it has the image."""
        ...

    def image_labels(self, tag: str) -> Mapping[str, str] | None:
        """Return an image's labels; None when there is no such image."""
        ...

    def pull(self, image: str) -> bool:
        """Fetch an image from its registry; False when no registry has it or none answers."""
        ...

    def load_root(self, archive: Path, tag: str) -> None:
        """Make an image of a root file system in a tar archive."""
        ...

    def open_bench(self, image: str, *, lab: str, role: str) -> AbstractContextManager[str]:
        """Run a throw-away container of an image, with a way to its distribution's packages.

        It carries the lab's label, so what a kill leaves behind is found by `lab down`.

        Yields:
            The name by which the Ansible connection finds it. It is removed at the end.
        """
        ...

    def connection(self) -> Mapping[str, str]:
        """Return the variables with which Ansible reaches a bench by its name."""
        ...

    def commit(self, bench: str, tag: str, labels: Mapping[str, str]) -> None:
        """Make an image of a bench as it is now."""
        ...

    def images(self) -> Mapping[str, int]:
        """Return every image of ours: its tag to the bytes it takes; layers may be shared."""
        ...

    def remove_image(self, tag: str) -> None:
        """Remove an image; one that is gone already is no error."""
        ...

    def vitals(self, node: SeenNode) -> Vitals:
        """Measure a running node."""
        ...
