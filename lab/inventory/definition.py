"""An inventory is the lab: a plain Ansible inventory in YAML -> Lab, or every problem at once.

`lab.inventory.groups` reads it as Ansible does; here it gets its meaning: variables that start with
`lab_` are ours, all others are the role's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from lab.files import loader
from lab.files.declared import read
from lab.files.loader import Item, Plain, Reading, suggestion
from lab.inventory.groups import Groups, Host
from lab.inventory.kind import Argument, Kind, Kinds, Machine

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_MACHINE: Final = "machine"
"""The variable that gives a host a kernel of its own, as `node.yml` has it for all of a kind."""

_NAME_RULE: Final = "use small letters, digits and dashes, at most 32"


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkOptions:
    """What may stand below a network of `lab_networks`."""

    internet: bool = False
    """Whether its nodes get a way out. Without it they have none, to this machine neither."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """An isolated segment."""

    name: str
    """As the inventory names it."""

    internet: bool = False
    """Whether it has a way out; only when the inventory says `internet: true`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One host of the lab."""

    name: str
    """As the inventory names it; also its host name."""

    kind: Kind
    """What it is."""

    attach: tuple[str, ...] = ()
    """Networks it is attached to, the first one first."""

    watch: tuple[str, ...] = ()
    """Networks a sensor captures."""

    variables: Mapping[str, Plain] = field(default_factory=dict)
    """The role's variables this host sets."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lab:
    """What an inventory defines."""

    name: str
    """The inventory's file name without its ending."""

    path: Path
    """The inventory."""

    networks: tuple[Network, ...]
    """In the order of the file."""

    nodes: tuple[Node, ...]
    """In the order of the file."""

    def node(self, name: str) -> Node | None:
        """Return the node of that name, if there is one."""
        return next((node for node in self.nodes if node.name == name), None)


def read_inventory(path: Path, kinds: Kinds) -> Lab:
    """Read the inventory that defines a lab.

    Args:
        path: The file.
        kinds: What its nodes can be.

    Raises:
        NotFound: the file does not exist.
        BadFile: it is not a lab; every problem is named, each with its line.
    """
    root, reading = loader.load(path)
    lab = _Inventory(reading, root, path, kinds).lab()
    reading.finish()
    return lab


class _Inventory:
    """One inventory being read."""

    def __init__(self, reading: Reading, root: Item, path: Path, kinds: Kinds) -> None:
        self._reading = reading
        self._path = path
        self._kinds = kinds
        self._groups = Groups(reading, root, path.parent)
        self._shared = self._groups.shared()
        self._networks = self._read_networks(self._shared.get("lab_networks", Item(None, 1)))

    def lab(self) -> Lab:
        """Return the lab; what is wrong with it is in the reading."""
        name = self._path.stem.lower()
        if not _NAME.fullmatch(name):
            self._reading.problem(0, f"{self._path.stem!r} cannot name a lab", _NAME_RULE)
        hosts = self._groups.hosts
        if not hosts and not self._reading.problems:
            self._reading.problem(0, "defines no hosts", "see inventories/starter.yml for a whole lab")
        nodes = tuple(self._node(host) for host in hosts.values())
        return Lab(name=name, path=self._path, networks=self._networks, nodes=tuple(n for n in nodes if n))

    def _read_networks(self, item: Item) -> tuple[Network, ...]:
        found = []
        for name, entry in self._reading.mapping(item, "lab_networks").items():
            if not _NAME.fullmatch(name):
                self._reading.problem(entry, f"{name!r} cannot name a network", _NAME_RULE)
            options = read(self._reading, entry, NetworkOptions, f"network {name}")
            found.append(Network(name=name, internet=options.internet))
        return tuple(found)

    def _node(self, host: Host) -> Node | None:
        if not _NAME.fullmatch(host.name):
            self._reading.problem(host.where, f"{host.name!r} cannot name a host", _NAME_RULE)
        variables = self._groups.variables(host)
        kind = self._with_kernel(host, self._kind(host, variables), variables)
        attach = self._names_of(host, variables, "lab_attach")
        watch = self._names_of(host, variables, "lab_watch")
        if kind is None:
            return None
        self._placed(host, kind, attach, watch)
        checked = self._variables(host, kind, variables)
        return Node(name=host.name, kind=kind, attach=attach, watch=watch, variables=checked)

    def _kind(self, host: Host, variables: Mapping[str, Item]) -> Kind | None:
        kinds = [group.name for group in self._groups.of(host) if group.name in self._kinds.names]
        if "ansible_host" in variables:
            self._reading.problem(
                variables["ansible_host"],
                f"host {host.name} is a machine that exists already; this version only makes containers",
                "take ansible_host away",
            )
        if len(kinds) == 1:
            return self._kinds.find(kinds[0])
        if kinds:
            both = " and ".join(kinds)
            self._reading.problem(
                host.where, f"host {host.name} is of two kinds: {both}", "keep it in one group"
            )
        elif group := next((name for name in host.groups if name not in {"all", "ungrouped"}), ""):
            remedy = suggestion(group, self._kinds.names, "kinds")
            self._reading.problem(host.where, f"unknown kind {group!r} for host {host.name}", remedy)
        else:
            remedy = (
                f"put it into a group named like one of the kinds: {', '.join(sorted(self._kinds.names))}"
            )
            self._reading.problem(host.where, f"host {host.name} has no kind", remedy)
        return None

    def _with_kernel(self, host: Host, kind: Kind | None, variables: Mapping[str, Item]) -> Kind | None:
        """Return a kind with a kernel of its own, where the host asks for one."""
        if kind is None or _MACHINE not in variables:
            return kind
        item = variables[_MACHINE]
        if kind.host_network:
            self._reading.problem(
                item, f"{host.name} is a sensor and cannot be a machine", "take machine away"
            )
        return replace(kind, machine=read(self._reading, item, Machine, f"machine of host {host.name}"))

    def _names_of(self, host: Host, variables: Mapping[str, Item], variable: str) -> tuple[str, ...]:
        """Read `lab_attach` or `lab_watch`: names of networks, none twice."""
        if variable not in variables:
            return ()
        names = {network.name for network in self._networks}
        found: list[str] = []
        for entry in self._reading.sequence(variables[variable], variable):
            name = self._reading.text(entry, variable)
            if name not in names:
                self._reading.problem(
                    entry,
                    f"unknown network {name!r} in {variable} of host {host.name}",
                    suggestion(name, names, "networks"),
                )
            elif name in found:
                self._reading.problem(
                    entry, f"network {name} stands twice in {variable} of {host.name}", "keep one"
                )
            found.append(name)
        return tuple(found)

    def _placed(self, host: Host, kind: Kind, attach: tuple[str, ...], watch: tuple[str, ...]) -> None:
        """Check that a sensor watches and that everything else is attached."""
        if kind.host_network and attach:
            self._reading.problem(
                host.where, f"{host.name} is a sensor and attaches to no network", "use lab_watch instead"
            )
        if kind.host_network and not watch:
            self._reading.problem(
                host.where, f"{host.name} watches no network", "write  lab_watch: [outside]"
            )
        if not kind.host_network and watch:
            self._reading.problem(
                host.where, f"{host.name} is no sensor and cannot lab_watch", "use lab_attach"
            )
        if not kind.host_network and not attach:
            self._reading.problem(
                host.where, f"{host.name} is attached to no network", "write  lab_attach: [outside]"
            )

    def _variables(self, host: Host, kind: Kind, variables: Mapping[str, Item]) -> dict[str, Plain]:
        """Check the role's variables; one that stands in `all` may be meant for another kind."""
        found: dict[str, Plain] = {}
        for name, item in variables.items():
            if name == _MACHINE:
                continue  # `_with_kernel` read it
            if name.startswith("lab_"):
                self._ours(name, item, host)
            elif name in kind.arguments:
                self._check(item, kind.arguments[name], name)
                found[name] = item.plain()
            elif not name.startswith("ansible_") and self._shared.get(name) is not item:
                names = suggestion(name, kind.arguments, f"variables of {kind.name}")
                self._reading.problem(item, f"unknown variable {name!r} for {kind.name} {host.name}", names)
        for name, argument in kind.arguments.items():
            if argument.required and name not in found:
                self._reading.problem(
                    host.where, f"{host.name} needs the variable {name!r}", f"kind {kind.name}"
                )
        return found

    def _ours(self, name: str, item: Item, host: Host) -> None:
        known = ("lab_attach", "lab_watch", "lab_networks")
        if name not in known:
            remedy = suggestion(name, known, "our variables")
            self._reading.problem(item, f"unknown variable {name!r} for host {host.name}", remedy)

    def _check(self, item: Item, argument: Argument, name: str) -> None:
        """Check a value as Ansible's argument_specs would."""
        fits = _TYPES.get(argument.type)
        if fits and not isinstance(item.value, fits):
            found = loader.kind_of(item)
            self._reading.problem(item, f"{name} must be of type {argument.type}, not {found}")
            return
        if argument.choices and item.plain() not in argument.choices:
            allowed = ", ".join(str(choice) for choice in argument.choices)
            self._reading.problem(item, f"{name} cannot be {item.plain()!r}", f"choices: {allowed}")
        if isinstance(item.value, list):
            inner = Argument(type=argument.elements or "raw", options=argument.options)
            for entry in item.value:
                self._check(entry, inner, f"an entry of {name}")
        if isinstance(item.value, dict) and argument.options:
            self._check_options(item, argument.options, name)

    def _check_options(self, item: Item, options: Mapping[str, Argument], name: str) -> None:
        entries = self._reading.mapping(item, name, options)
        for key, entry in entries.items():
            if key in options:
                self._check(entry, options[key], f"{key} of {name}")
        for key in (key for key, option in options.items() if option.required and key not in entries):
            self._reading.problem(item, f"{name} needs {key!r}")


_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "str": (str, int, float),
    "path": str,
    "int": int,
    "float": (int, float),
    "bool": bool,
    "list": list,
    "dict": dict,
}
"""Ansible's types to what YAML gives; `raw` and the rarer types take anything."""
