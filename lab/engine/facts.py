"""What an engine and its machine say of themselves, and how nodes are confined."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Protocol

from lab.engine.nodes import SeenNode
from lab.moment import Moment


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

    limits_disk: bool = False
    """Whether its storage driver can limit what a node writes."""

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

    cpus: float = 0
    """Limit in processors; 0 for none."""

    called: str = ""
    """The engine's name of its container."""

    interfaces: tuple[str, ...] | None = None
    """Its network interfaces beside loopback, and those that a machine has for them; None where nobody can
    look."""

    devices: tuple[str, ...] = ()
    """Devices of the host that it has."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Happening:
    """A change that the engine made, whoever asked for it."""

    subject: str
    """The node or network, as the inventory names it."""

    what: str
    """What happened to it, `was removed`."""


class Happenings(Protocol):
    """Changes as they are made."""

    def __iter__(self) -> Iterator[Happening]:
        """Yield each change of a lab, until `close`, or until the engine goes away."""
        ...

    def close(self) -> None:
        """Listen no more; may be called from any thread, and twice."""
        ...


class Facts(Protocol):
    """Tells what there is. Every method may raise EngineUnreachable, EngineSlow or EngineFault."""

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

    def walls(self, lab: str) -> tuple[Wall, ...]:
        """Read how each node of a lab is confined."""
        ...

    def happenings(self, lab: str) -> Happenings:
        """Tell of every change of a lab's nodes and networks from now on; commands on nodes are none."""
        ...

    def written(self, node: SeenNode) -> int:
        """Return how many bytes a node has written to its root file system."""
        ...

    def vitals(self, node: SeenNode) -> Vitals:
        """Measure a running node."""
        ...
