"""An inventory is the lab: a plain Ansible inventory in YAML -> Lab, or every problem at once.

Groups, children, host ranges and the order in which variables win follow Ansible's own inventory
plugin for YAML; variables that start with `lab_` are ours, all others are the role's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lab import loader
from lab.kind import Argument, Kind, find_kind, kind_names
from lab.loader import Item, Plain, Reading, suggestion

_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_RANGE: Final = re.compile(r"\[([0-9]+|[a-z]):([0-9]+|[a-z])(?::([0-9]+))?\]")
_MAX_HOSTS: Final = 1000
_NAME_RULE: Final = "use small letters, digits and dashes, at most 32"


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


@dataclass(slots=True)
class _Host:
    """A host as the groups tell of it, before it has a meaning."""

    name: str
    where: Item
    groups: list[str] = field(default_factory=list)
    kinds: dict[str, Item] = field(default_factory=dict)
    variables: dict[str, Item] = field(default_factory=dict)


def read_inventory(path: Path) -> Lab:
    """Read the inventory that defines a lab.

    Raises:
        NotFound: the file does not exist.
        BadFile: it is not a lab; every problem is named, each with its line.
    """
    root, reading = loader.load(path)
    lab = _Inventory(reading, root).lab(path)
    reading.finish()
    return lab


class _Inventory:
    """One inventory being read."""

    def __init__(self, reading: Reading, root: Item) -> None:
        self._reading = reading
        self._root = root
        self._kinds = kind_names()
        self._hosts: dict[str, _Host] = {}
        self._networks: tuple[Network, ...] = ()

    def lab(self, path: Path) -> Lab:
        name = path.stem.lower()
        if not _NAME.fullmatch(name):
            self._reading.problem(0, f"{path.stem!r} cannot name a lab", _NAME_RULE)
        groups = self._reading.mapping(self._root, "an inventory")
        shared = self._shared(groups)
        self._networks = self._read_networks(shared.get("lab_networks", Item(None, 1)))
        for group, item in groups.items():
            self._group(group, item, {}, {}, ())
        if not self._hosts and not self._reading.problems:
            self._reading.problem(0, "defines no hosts", "see inventories/starter.yml for a whole lab")
        nodes = tuple(self._node(host, shared) for host in self._hosts.values())
        return Lab(name=name, path=path, networks=self._networks, nodes=tuple(n for n in nodes if n))

    def _shared(self, groups: Mapping[str, Item]) -> Mapping[str, Item]:
        """Return the variables of the group `all`, which every host has."""
        everyone = self._reading.mapping(groups.get("all", Item(None, 1)), "group all")
        return self._reading.mapping(everyone.get("vars", Item(None, 1)), "vars")

    def _read_networks(self, item: Item) -> tuple[Network, ...]:
        found = []
        for name, entry in self._reading.mapping(item, "lab_networks").items():
            if not _NAME.fullmatch(name):
                self._reading.problem(entry, f"{name!r} cannot name a network", _NAME_RULE)
            options = self._reading.mapping(entry, f"network {name}", ("internet",))
            internet = "internet" in options and self._reading.flag(options["internet"], "internet")
            found.append(Network(name=name, internet=internet))
        return tuple(found)

    def _group(  # what a group hands down to the groups inside it
        self,
        name: str,
        item: Item,
        inherited: Mapping[str, Item],
        of_kinds: Mapping[str, Item],
        inside: tuple[str, ...],
    ) -> None:
        if name in inside:
            self._reading.problem(
                item, f"group {name} is inside itself", "a group has other groups as children"
            )
            return
        entries = self._reading.mapping(item, f"group {name}", ("hosts", "vars", "children"))
        own = self._reading.mapping(entries.get("vars", Item(None, 1)), "vars")
        variables = {**inherited, **own}
        of_kinds = {**of_kinds, name: item} if name in self._kinds else of_kinds
        self._members(name, entries.get("hosts", Item(None, 1)), variables, of_kinds)
        for child, entry in self._reading.mapping(entries.get("children", Item(None, 1)), "children").items():
            self._group(child, entry, variables, of_kinds, (*inside, name))

    def _members(
        self, group: str, item: Item, inherited: Mapping[str, Item], of_kinds: Mapping[str, Item]
    ) -> None:
        for pattern, entry in self._reading.mapping(item, "hosts").items():
            own = self._reading.mapping(entry, f"host {pattern}")
            for name in self._expand(pattern, entry):
                host = self._hosts.setdefault(name, _Host(name=name, where=entry))
                host.groups.append(group)
                host.kinds |= of_kinds
                host.variables |= {**inherited, **own}

    def _expand(self, pattern: str, where: Item) -> Iterator[str]:
        """Give the host names of a pattern such as `student[01:30]`, both ends included."""
        try:
            names = list(_ranged(pattern))
        except ValueError as error:
            self._reading.problem(where, f"host range {pattern!r}: {error}", "write  student[01:30]")
            return
        for name in names:
            if _NAME.fullmatch(name):
                yield name
            else:
                self._reading.problem(where, f"{name!r} cannot name a host", _NAME_RULE)

    def _node(self, host: _Host, shared: Mapping[str, Item]) -> Node | None:
        kind = self._kind(host)
        attach = self._names_of(host, "lab_attach")
        watch = self._names_of(host, "lab_watch")
        if kind is None:
            return None
        self._placed(host, kind, attach, watch)
        return Node(
            name=host.name,
            kind=kind,
            attach=attach,
            watch=watch,
            variables=self._variables(host, kind, shared),
        )

    def _kind(self, host: _Host) -> Kind | None:
        if "ansible_host" in host.variables:
            self._reading.problem(
                host.variables["ansible_host"],
                f"host {host.name} is a machine that exists already; this version only makes containers",
                "take ansible_host away",
            )
        if len(host.kinds) == 1:
            return find_kind(next(iter(host.kinds)))
        if host.kinds:
            both = " and ".join(host.kinds)
            self._reading.problem(
                host.where, f"host {host.name} is of two kinds: {both}", "keep it in one group"
            )
        elif group := next((name for name in host.groups if name not in {"all", "ungrouped"}), ""):
            remedy = suggestion(group, self._kinds, "kinds")
            self._reading.problem(host.where, f"unknown kind {group!r} for host {host.name}", remedy)
        else:
            remedy = f"put it into a group named like one of the kinds: {', '.join(sorted(self._kinds))}"
            self._reading.problem(host.where, f"host {host.name} has no kind", remedy)
        return None

    def _names_of(self, host: _Host, variable: str) -> tuple[str, ...]:
        """Read `lab_attach` or `lab_watch`: names of networks, none twice."""
        if variable not in host.variables:
            return ()
        names = {network.name for network in self._networks}
        found: list[str] = []
        for entry in self._reading.sequence(host.variables[variable], variable):
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

    def _placed(self, host: _Host, kind: Kind, attach: tuple[str, ...], watch: tuple[str, ...]) -> None:
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

    def _variables(self, host: _Host, kind: Kind, shared: Mapping[str, Item]) -> dict[str, Plain]:
        """Check the role's variables; one that stands in `all` may be meant for another kind."""
        found: dict[str, Plain] = {}
        for name, item in host.variables.items():
            if name.startswith("lab_"):
                self._ours(name, item, host)
            elif name in kind.arguments:
                self._check(item, kind.arguments[name], name)
                found[name] = item.plain()
            elif not name.startswith("ansible_") and shared.get(name) is not item:
                names = suggestion(name, kind.arguments, f"variables of {kind.name}")
                self._reading.problem(item, f"unknown variable {name!r} for {kind.name} {host.name}", names)
        for name, argument in kind.arguments.items():
            if argument.required and name not in found:
                self._reading.problem(
                    host.where, f"{host.name} needs the variable {name!r}", f"kind {kind.name}"
                )
        return found

    def _ours(self, name: str, item: Item, host: _Host) -> None:
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


def _ranged(pattern: str) -> Iterator[str]:
    match = _RANGE.search(pattern)
    if not match:
        yield pattern
        return
    for middle in _between(match[1], match[2], int(match[3] or 1)):
        for rest in _ranged(pattern[match.end() :]):
            yield f"{pattern[: match.start()]}{middle}{rest}"


def _between(first: str, last: str, step: int) -> list[str]:
    if step < 1:
        raise ValueError("the step must be 1 or more")
    if first.isdecimal() != last.isdecimal():
        raise ValueError("one end is a number, the other a letter")
    low, high = (int(first), int(last)) if first.isdecimal() else (ord(first), ord(last))
    if high < low:
        raise ValueError("it ends before it begins")
    if (high - low) // step >= _MAX_HOSTS:
        raise ValueError(f"it names more than {_MAX_HOSTS} hosts")
    numbers = range(low, high + 1, step)
    width = len(first) if first.startswith("0") else 0
    return [f"{it:0{width}d}" if first.isdecimal() else chr(it) for it in numbers]
