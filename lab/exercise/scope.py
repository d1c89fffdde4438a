"""May this step touch this address? The default is no, and no flag turns it off.

A target is resolved immediately before the step, from the labels the engine has now: the name of
a node, the name of a network, an address of a node, or a block of addresses inside a network of
the lab. Anything else is refused, whatever it would resolve to.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from lab.engine.nodes import RunningLab, SeenNode
from lab.errors import LabError, OutOfScope
from lab.exercise.addresses import Named, addresses_in, hosts_in

_FIRST: Final = ipaddress.IPv4Address("1.0.0.0")
_LOOPBACK: Final = ipaddress.IPv4Network("127.0.0.0/8")
_MASKS: Final = ipaddress.IPv4Address("255.0.0.0")

_SHOWN: Final = 200
"""Characters of a word that a refusal shows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What a step may touch, proved now."""

    name: str
    """As the step named it."""

    address: str
    """What a tool is to be given: one address, or a block in CIDR form."""

    nodes: tuple[SeenNode, ...]
    """The nodes behind it."""


class NotRunning(LabError):
    """A target is a node that does not run, so nothing can be aimed at it."""

    def __init__(self, node: str) -> None:
        self.node = node
        super().__init__(node)

    def message(self) -> str:
        """Name it."""
        return f"{self.node} does not run"


class Scope:
    """The addresses one node may aim at, as the engine has them now."""

    def __init__(self, running: RunningLab, source: SeenNode) -> None:
        self._lab = running
        self._source = source

    def resolve(self, target: str) -> Target:
        """Turn what a step names into what it may touch.

        Raises:
            OutOfScope: it is not of this lab, or not on a network of the source.
            NotRunning: it is a node that does not run.
        """
        if node := self._lab.node(target):
            if node.state != "running":
                raise NotRunning(node.name)
            return Target(name=target, address=self._address(node), nodes=(node,))
        if network := self._lab.network(target):
            return self._block(target, ipaddress.IPv4Network(network.subnet))
        if "/" in target:
            return self._cidr(target)
        return self._literal(target)

    def _refuse(self, target: str, why: str) -> OutOfScope:
        return OutOfScope(target, lab=self._lab.name, why=why)

    def _address(self, node: SeenNode) -> str:
        """Choose the address of a node on a network that the source is attached to as well."""
        if node.id == self._source.id:
            return next(iter(node.addresses.values()), "127.0.0.1")
        for network, address in node.addresses.items():
            if network in self._source.addresses and address:
                return address
        raise self._refuse(node.name, f"{self._source.name} shares no network with it")

    def _literal(self, target: str) -> Target:
        try:
            address = ipaddress.IPv4Address(target)
        except ValueError:
            raise self._refuse(target, "it is neither a node, a network nor a plain IPv4 address") from None
        for node in self._lab.nodes:
            for network, owned in node.addresses.items():
                if owned == str(address) and network in self._source.addresses:
                    return Target(name=target, address=owned, nodes=(node,))
        raise self._refuse(target, f"no node on a network of {self._source.name} has this address")

    def _cidr(self, target: str) -> Target:
        try:
            block = ipaddress.IPv4Network(target)
        except ValueError as error:
            raise self._refuse(target, f"it is not a block of addresses: {error}") from None
        return self._block(target, block)

    def _block(self, target: str, block: ipaddress.IPv4Network) -> Target:
        if any(block.subnet_of(subnet) for subnet in self._subnets()):
            return Target(name=target, address=str(block), nodes=self._inside(block))
        raise self._refuse(target, f"it is not inside a network that {self._source.name} is attached to")

    def _inside(self, block: ipaddress.IPv4Network) -> tuple[SeenNode, ...]:
        return tuple(
            node
            for node in self._lab.nodes
            if any(address and ipaddress.IPv4Address(address) in block for address in node.addresses.values())
        )

    def check_words(self, words: Iterable[str]) -> None:
        """Refuse words that name an address or a URL outside the lab, however it is written.

        This reads what can be read; what a free command does beyond that, the walls stop.

        Raises:
            OutOfScope: one of them is not of this lab.
        """
        for word in words:
            try:
                for host in hosts_in(word):
                    self._check_host(host)
                for named in addresses_in(word):
                    self._check(named)
            except ValueError as error:
                raise self._refuse(_shortened(word), str(error)) from None

    def _check_host(self, host: str) -> None:
        """Refuse a URL's host that is no node; one that is a number is read as an address beside this."""
        if host.lower() not in {"", "localhost"} and re.search(r"[g-zG-Z]", host):
            self.resolve(host)

    def _check(self, named: Named) -> None:
        if _harmless(named):
            return
        if named.first == named.last:
            said = self._why_not(str(named.first))
        else:
            inside = [it for it in self._subnets() if named.first in it and named.last in it]
            said = "" if inside else f"it is not inside a network that {self._source.name} is attached to"
        if said:
            read = "" if str(named.first) in named.written else f"it can be read as {named.first}; "
            raise self._refuse(named.written, read + said)

    def _why_not(self, address: str) -> str:
        try:
            self._literal(address)
        except OutOfScope as error:
            return error.why
        return ""

    def _subnets(self) -> Iterator[ipaddress.IPv4Network]:
        for network in self._lab.networks:
            if network.name in self._source.addresses and network.subnet:
                yield ipaddress.IPv4Network(network.subnet)


def _harmless(named: Named) -> bool:
    """Tell whether addresses are the node itself, or none at all: loopback, masks, a link's broadcast."""
    loopback = named.first in _LOOPBACK and named.last in _LOOPBACK
    return loopback or named.last < _FIRST or named.first >= _MASKS


def _shortened(word: str) -> str:
    return word if len(word) <= _SHOWN else f"{word[:_SHOWN]}..."
