"""May this step touch this address? The default is no, and no flag turns it off.

A target is resolved immediately before the step, from the labels the engine has now: the name of
a node, the name of a network, an address of a node, or a block of addresses inside a network of
the lab. Anything else is refused, whatever it would resolve to.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from lab.engine.nodes import RunningLab, SeenNode
from lab.errors import OutOfScope

_IPV4: Final = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?:/\d{1,2})?(?![\w.]*\w)")
_IPV6: Final = re.compile(r"(?<![\w:.])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F.]*(?:/\d{1,3})?(?![\w:])")
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\s'\"]+", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What a step may touch, proved now."""

    name: str
    """As the step named it."""

    address: str
    """What a tool is to be given: one address, or a block in CIDR form."""

    nodes: tuple[SeenNode, ...]
    """The nodes behind it."""


class Scope:
    """The addresses one node may aim at, as the engine has them now."""

    def __init__(self, running: RunningLab, source: SeenNode) -> None:
        self._lab = running
        self._source = source

    def resolve(self, target: str) -> Target:
        """Turn what a step names into what it may touch.

        Raises:
            OutOfScope: it is not of this lab, or not on a network of the source.
        """
        if node := self._lab.node(target):
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
        for network in self._lab.networks:
            attached = network.name in self._source.addresses
            if attached and network.subnet and block.subnet_of(ipaddress.IPv4Network(network.subnet)):
                return Target(name=target, address=str(block), nodes=self._inside(block))
        raise self._refuse(target, f"it is not inside a network that {self._source.name} is attached to")

    def _inside(self, block: ipaddress.IPv4Network) -> tuple[SeenNode, ...]:
        return tuple(
            node
            for node in self._lab.nodes
            if any(address and ipaddress.IPv4Address(address) in block for address in node.addresses.values())
        )

    def check_words(self, argv: Iterable[str]) -> None:
        """Refuse a command line that names an address or a URL outside the lab.

        This reads what can be read; what a free command does beyond that, the walls stop.

        Raises:
            OutOfScope: a word of it is not of this lab.
        """
        for word in argv:
            for url in _URL.findall(word):
                self._check_url(url)
            for address in (*_IPV4.findall(word), *filter(_is_ipv6, _IPV6.findall(word))):
                if not _harmless(address):
                    self.resolve(address)

    def _check_url(self, url: str) -> None:
        try:
            host = urlsplit(url).hostname or ""
        except ValueError:
            raise self._refuse(url, "its host cannot be read") from None
        if host and host != "localhost" and not _harmless(host):
            self.resolve(host)


def _is_ipv6(text: str) -> bool:
    """Tell an address from a time of day, which looks alike."""
    try:
        ipaddress.IPv6Interface(text)
    except ValueError:
        return False
    return True


def _harmless(address: str) -> bool:
    """Tell whether an address is the node itself, or none at all: `0.0.0.0`, `::` to listen on."""
    try:
        read = ipaddress.ip_address(address)
    except ValueError:
        return False
    return read.is_loopback or read.is_unspecified
