"""Networks and nodes: as they should be, as they are, and what makes, changes and removes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from lab.moment import Moment


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

    machine: int = 0
    """Memory in bytes of the virtual machine that it is; 0 for a container."""

    memory: int
    """Limit in bytes."""

    cpus: float
    """Limit in processors."""

    processes: int
    """Limit of processes and threads."""

    disk: int
    """What it may write to its root file system, in bytes."""

    read_only: bool
    """Whether the root file system is read-only."""

    tmpfs: tuple[str, ...]
    """Writable folders in memory, `path:options`."""

    networks: tuple[str, ...]
    """Networks it is attached to, the first one first."""

    host_network: bool
    """Whether it shares the host's network."""

    devices: tuple[str, ...] = ()
    """Devices of the host that it gets, where the host and the image have a use for them."""

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

    loose: tuple[str, ...] | None = None
    """Where the host listens on its bridge; None where that cannot be changed, or need not be."""

    strange: str = ""
    """What somebody changed about its bridge that only making it anew puts right."""

    @property
    def sealed(self) -> bool | None:
        """Whether the host is deaf on its bridge; None where that cannot be changed, or need not be."""
        return None if self.loose is None else not self.loose


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

    machine: int = 0
    """Memory in bytes of the virtual machine that it is; 0 for a container."""

    pristine: bool = False
    """Whether commands on it, in a machine, have the disk as it was baked for their root."""

    passing: bool = False
    """Whether it is no node but a container of a moment, in which an image is baked or a node is worked on;
    or one that was set aside."""


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


class Nodes(Protocol):
    """Makes, changes and removes nodes and networks.

    Every method may raise EngineUnreachable, EngineSlow or EngineFault.
    """

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

    def stop_node(self, node: SeenNode) -> None:
        """Stop a node at once; what it wrote to its disk stays."""
        ...

    def restart_node(self, node: SeenNode) -> None:
        """Start a node anew: what it had in memory is gone, what it wrote to its disk stays."""
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

    def log_tail(self, node: SeenNode, lines: int) -> str:
        """Return the last lines the node's first process wrote."""
        ...
