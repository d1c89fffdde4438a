"""Does the lab keep in what is in it? Probes from inside every node, and how each is confined.

Probes go to addresses of this machine alone. Where a wall leads outside, no packet is sent there:
it is proved that none has a way, since the next hop is an address that nobody owns and the host
passes nothing on from the lab's bridges.
"""

from __future__ import annotations

import ipaddress
import secrets
import select
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

from lab.engine.addresses import host_addresses, routed
from lab.engine.engine import Engine
from lab.engine.facts import Wall
from lab.engine.nodes import RunningLab, SeenNetwork, SeenNode
from lab.errors import Leak
from lab.files import records
from lab.inventory.kind import Kinds
from lab.provision.confinement import faults, upstream, wanted
from lab.workers import together

_SCRIPT: Final = Path(__file__).with_name("probe.py")
"""Runs inside the nodes; prints JSON."""

_OUTSIDE: Final = {"192.0.2.1": "the internet", "169.254.169.254": "the cloud's metadata"}
"""Addresses whose way is looked up, never used: one for documentation (RFC 5737), one of all clouds."""

_ENGINE_SOCKETS: Final = (
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
)
_ENGINE_PORTS: Final = (2375, 2376)
"""Where Docker's API listens when it is opened to the network."""

_QUICK: Final = 0.02
_THOROUGH: Final = 1.0
"""Seconds for an answer: this machine answers itself within a millisecond."""

_ENOUGH: Final = secrets.token_bytes(16)
"""What ends the listening; nobody else knows it."""

_NOBODYS_NAME: Final = "homerange-probe.invalid"
"""A name that can exist nowhere (RFC 6761); asked only where no resolver outside is set."""

WallName = Literal[
    "host",
    "gateway",
    "raw frames",
    "route",
    "engine",
    "dns",
    "other networks",
    "confinement",
    "bridge",
    "definition",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """One attempt to get through a wall."""

    node: str
    """From where."""

    wall: WallName
    """Which wall."""

    target: str
    """What was tried."""

    held: bool
    """Whether the wall held."""

    said: str
    """What happened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """A lab and the probes that were tried on it."""

    running: RunningLab
    """The lab."""

    probes: tuple[Probe, ...]
    """What was tried."""

    untried: tuple[str, ...] = ()
    """What was not tried, or could not be closed, and why."""

    @property
    def holes(self) -> tuple[Probe, ...]:
        """The probes that got through."""
        return tuple(probe for probe in self.probes if not probe.held)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Orders:
    """What the probe script is told."""

    token: str
    patience: float
    port: int
    tries: list[tuple[str, str, int]]
    raw: list[str]
    outside: list[str]
    sockets: tuple[str, ...]
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """What the probe script prints."""

    reached: tuple[tuple[str, str, int], ...]
    raw: tuple[str, ...] | None
    hops: Mapping[str, str]
    sockets: tuple[str, ...]
    nameservers: tuple[str, ...]
    ipv6: tuple[str, ...]
    resolved: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Try:
    """One way through a node's own stack, and which wall it would break."""

    wall: WallName
    protocol: str
    address: str
    port: int
    whose: str

    @property
    def way(self) -> tuple[str, str, int]:
        """The try as the probe script has it."""
        return (self.protocol, self.address, self.port)


def prove(running: RunningLab, engine: Engine, kinds: Kinds) -> Proof:
    """Attack the walls of a lab from one node of each sort: nodes of one kind on the same networks are alike.

    Raises:
        Leak: something got through; names every way.
    """
    alike = {(node.kind, *sorted(node.addresses)): node for node in running.nodes}
    proof = _WallTest(running, engine, kinds, thorough=False).run(tuple(alike.values()))
    if proof.holes:
        raise Leak(*(f"{it.node} -> {it.target}: {it.said}" for it in proof.holes))
    return proof


def attack(running: RunningLab, engine: Engine, kinds: Kinds) -> Proof:
    """Attack every wall from inside every node, and say what happened."""
    return _WallTest(running, engine, kinds, thorough=True).run(running.nodes)


class _WallTest:
    """The walls of one lab, and what is tried on them."""

    def __init__(self, running: RunningLab, engine: Engine, kinds: Kinds, *, thorough: bool) -> None:
        self._running = running
        self._engine = engine
        self._kinds = kinds
        self._thorough = thorough
        self._script = _SCRIPT.read_text(encoding="utf-8")
        self._host = host_addresses()
        self._blocks = [str(next(block.hosts())) for block in routed()]
        self._strangers = {
            address: f"node {node.name} of lab {name}"
            for name in engine.labs()
            for node in (running if name == running.name else engine.observe(name)).nodes
            for address in node.addresses.values()
        }
        self._opened = {network.name for network in running.networks if network.internet}
        self._confinements = {wall.node: wall for wall in engine.walls(running.name)}

    def run(self, nodes: tuple[SeenNode, ...]) -> Proof:
        """Try every wall from the nodes."""
        with _listening() as (port, heard):
            tasks = [partial(self._probe, node, port, heard) for node in nodes if node.state == "running"]
            found = [probe for probes in together(tasks) for probe in probes]
        confined = [self._confinement(wall) for wall in self._confinements.values()]
        placed = [_placement(node) for node in self._running.nodes]
        bridges = [_bridge(network) for network in self._running.networks if not network.internet]
        probes = (*confined, *placed, *bridges, *found)
        return Proof(running=self._running, probes=probes, untried=tuple(self._untried()))

    def _untried(self) -> Iterator[str]:
        """Say what nobody tried, or could close."""
        unknown = [it.name for it in self._running.networks if not it.internet and it.loose is None]
        if unknown and not self._thorough:
            yield (
                f"raw frames on {', '.join(unknown)}: only root can make this machine deaf to them, so they "
                "were not tried;  lab verify  tries them,  sudo lab up  closes them"
            )

    def _probe(self, node: SeenNode, port: int, heard: Callable[[str], set[str]]) -> tuple[Probe, ...]:
        tries = list(self._tries(node, port))
        closed = self._closed(node)
        token = secrets.token_hex(8)
        orders = _Orders(
            token=token,
            patience=_THOROUGH if self._thorough else _QUICK,
            port=port,
            tries=[it.way for it in tries],
            raw=list(self._host.ipv4) if closed and (self._thorough or self._sealed(node)) else [],
            outside=list(self._outside()) if closed else [],
            sockets=_ENGINE_SOCKETS,
            name=_NOBODYS_NAME if closed and self._thorough and self._asks_nobody(node) else "",
        )
        argv = ("python3", "-I", "-S", "-c", self._script, records.to_json(orders))
        patience = {"RES_OPTIONS": "timeout:1 attempts:1"}  # resolv.conf(5); the rest is waited for at once
        ran = self._engine.execute(node, argv, user="root", timeout=30, environment=patience)
        try:
            found = records.from_json(ran.stdout, _Found)
        except ValueError:
            said = ran.stderr.decode("utf-8", "backslashreplace").strip() or f"exit code {ran.code}"
            return (Probe(node=node.name, wall="host", target="the probe itself", held=False, said=said),)
        reached = {*found.reached, *_ways(heard(token), port)}
        probes = [_outcome(node, it, reached=it.way in reached) for it in tries]
        probes += [_socket_probe(node, found)]
        if closed:
            probes += [*_frames(node, orders, found, heard(token)), *self._ways_out(node, found)]
        return tuple(probes)

    def _tries(self, node: SeenNode, port: int) -> Iterator[_Try]:
        """List what is tried through the node's own stack; where the host is open to it, less."""
        if not node.addresses:
            return
        if self._closed(node):
            here = {**dict.fromkeys(self._host.all, "this machine"), **self._gateways(node)}
            for address, whose in here.items():
                wall: WallName = "host" if whose == "this machine" else "gateway"
                for protocol in ("tcp", "udp", "icmp"):
                    yield _Try(wall=wall, protocol=protocol, address=address, port=port, whose=whose)
            for address in here:
                for api in _ENGINE_PORTS:
                    yield _Try(wall="engine", protocol="tcp", address=address, port=api, whose="engine's API")
        for address, whose in self._others(node).items():
            for protocol in ("tcp", "udp", "icmp"):
                yield _Try(wall="other networks", protocol=protocol, address=address, port=port, whose=whose)

    def _gateways(self, node: SeenNode) -> dict[str, str]:
        """Name the first address of each network, where a gateway would be; from Docker 28 on, a node may."""
        first = {
            str(next(ipaddress.IPv4Network(network.subnet).hosts())): f"gateway of {network.name}"
            for network in self._running.networks
            if network.name in node.addresses and network.subnet
        }
        return {address: whose for address, whose in first.items() if address not in self._strangers}

    def _others(self, node: SeenNode) -> dict[str, str]:
        """Find nodes that share no network with this one, in this lab and in all others."""
        return {
            address: whose
            for address, whose in self._strangers.items()
            if address and not self._near(node, address)
        }

    def _outside(self) -> dict[str, str]:
        """Name addresses whose way is looked up: outside, and in each block this machine knows."""
        return {**dict.fromkeys(self._blocks, "a network this machine knows"), **_OUTSIDE}

    def _closed(self, node: SeenNode) -> bool:
        """Tell whether a node has networks of its own and the inventory opens none of them."""
        return bool(node.addresses) and not self._opened.intersection(node.addresses)

    def _sealed(self, node: SeenNode) -> bool:
        return all(it.sealed for it in self._running.networks if it.name in node.addresses)

    def _asks_nobody(self, node: SeenNode) -> bool:
        """Tell whether the engine hands the node's questions to no resolver outside."""
        found = self._confinements.get(node.name)
        return found is not None and bool(found.nameservers) and not upstream(found)

    def _near(self, node: SeenNode, address: str) -> bool:
        """Tell whether an address is on a network that the node is attached to."""
        blocks = (it.subnet for it in self._running.networks if it.name in node.addresses and it.subnet)
        return any(ipaddress.ip_address(address) in ipaddress.ip_network(block) for block in blocks)

    def _ways_out(self, node: SeenNode, found: _Found) -> Iterator[Probe]:
        owned = set(self._host.all)
        for address, whose in self._outside().items():
            hop = found.hops.get(address, "none")
            leads = not self._near(node, address) and (hop in owned or hop == "direct")
            said = {"none": "no route", "direct": "straight onto a network it is attached to"}.get(
                hop, f"via {hop}, which {'this machine has and would pass on' if leads else 'nobody has'}"
            )
            yield Probe(
                node=node.name, wall="route", target=f"way to {address} ({whose})", held=not leads, said=said
            )
        said = ", ".join(str(ipaddress.ip_address(int(it, 16))) for it in found.ipv6) or "none"
        yield Probe(node=node.name, wall="route", target="IPv6 addresses", held=not found.ipv6, said=said)
        outside = [it for it in found.nameservers if not ipaddress.ip_address(it.split("%")[0]).is_loopback]
        words = "answers for a name that nobody has" if found.resolved else ", ".join(outside)
        yield Probe(
            node=node.name,
            wall="dns",
            target="name servers",
            held=not words,
            said=words or "only the engine's own, which knows the lab's nodes",
        )

    def _confinement(self, wall: Wall) -> Probe:
        node = self._running.node(wall.node)
        kind = self._kinds.find(node.kind) if node else None
        should = wanted(kind, node.machine) if node and kind else None
        said = "; ".join(faults(wall, should, node))
        fine = (
            "as its kind says"
            if kind
            else "its kind is not known here, so its capabilities were not compared"
        )
        return Probe(
            node=wall.node, wall="confinement", target="confinement", held=not said, said=said or fine
        )


@contextmanager
def _listening() -> Iterator[tuple[int, Callable[[str], set[str]]]]:
    """Listen on every address of this machine, so that there is something for a probe to reach.

    Yields:
        The port, for TCP and UDP, and a function: a probe's token to all that was heard with it.
    """
    over_ipv6 = socket.has_dualstack_ipv6()
    family, anywhere = (socket.AF_INET6, "::") if over_ipv6 else (socket.AF_INET, "")
    with (
        socket.create_server((anywhere, 0), family=family, dualstack_ipv6=over_ipv6) as server,
        socket.socket(family, socket.SOCK_DGRAM) as datagrams,
    ):
        port = int(server.getsockname()[1])
        if over_ipv6:
            datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        datagrams.bind((anywhere, port))
        datagrams.settimeout(0)
        ear = _Ear(datagrams)
        listener = threading.Thread(target=ear.listen, daemon=True)
        listener.start()
        try:
            yield port, ear.heard
        finally:
            datagrams.sendto(_ENOUGH, ("::1" if over_ipv6 else "127.0.0.1", port))
            listener.join()


class _Ear:
    """What reached a socket. Whoever asks has all that arrived before, read by the listener or not yet."""

    def __init__(self, datagrams: socket.socket) -> None:
        self._datagrams = datagrams
        self._reading = threading.Lock()
        self._said: list[bytes] = []

    def listen(self) -> None:
        """Take what arrives, so that the socket never overflows, until the last word is heard."""
        while _ENOUGH not in self._said:
            select.select([self._datagrams], [], [])
            self._take()

    def heard(self, token: str) -> set[str]:
        """Tell what was said with a probe's token."""
        self._take()
        lines = [said.decode("ascii", "replace") for said in self._said]
        return {line.partition(" ")[2] for line in lines if line.startswith(token)}

    def _take(self) -> None:
        with self._reading, suppress(BlockingIOError):
            while True:
                self._said.append(self._datagrams.recv(2048))


def _ways(heard: set[str], port: int) -> set[tuple[str, str, int]]:
    """Read which tries were heard here although no answer found its way back."""
    words = (line.split(" ") for line in heard)
    return {(protocol, address, port) for protocol, address in words if protocol != "raw"}


def _outcome(node: SeenNode, tried: _Try, *, reached: bool) -> Probe:
    return Probe(
        node=node.name,
        wall=tried.wall,
        target=f"{tried.protocol.upper()} {tried.address}"
        + (f" port {tried.port}" if tried.wall == "engine" else "")
        + f" ({tried.whose})",
        held=not reached,
        said="got through" if reached else "no answer",
    )


def _placement(node: SeenNode) -> Probe:
    """Look whether a node is on networks of its lab alone."""
    said = f"is attached to {', '.join(node.elsewhere)} by hand;  lab up  makes it anew"
    return Probe(
        node=node.name,
        wall="other networks",
        target="networks it is attached to",
        held=not node.elsewhere,
        said=said if node.elsewhere else "those of the lab",
    )


def _bridge(network: SeenNetwork) -> Probe:
    """Look at the host's end of a network."""
    found = [*(network.loose or ()), *([network.strange] if network.strange else [])]
    fine = "the host is deaf on it" if network.loose is not None else "only root can look, and close it"
    return Probe(
        node=network.name,
        wall="bridge",
        target=f"bridge {network.bridge}",
        held=not found,
        said=f"{'; '.join(found)}; as root,  lab up  puts it right" if found else fine,
    )


def _socket_probe(node: SeenNode, found: _Found) -> Probe:
    return Probe(
        node=node.name,
        wall="engine",
        target="engine's socket",
        held=not found.sockets,
        said=", ".join(found.sockets) or "not there",
    )


def _frames(node: SeenNode, orders: _Orders, found: _Found, heard: set[str]) -> Iterator[Probe]:
    """Say what became of frames written past the node's own stack."""
    if not orders.raw:
        return
    deaf = "the host did not hear it"
    if found.raw is None:
        deaf = "the node may not write frames"
    through = {f"ARP for {address}": address in (found.raw or ()) for address in orders.raw}
    everybody = ("ff02::1", "255.255.255.255", "224.0.0.1")
    through |= {f"UDP to {address}": f"raw {address}" in heard for address in (*orders.raw, *everybody)}
    for target, got in through.items():
        said = "the host heard it; as root,  lab up  closes this" if got else deaf
        yield Probe(node=node.name, wall="raw frames", target=target, held=not got, said=said)
