"""Ansible's groups: an inventory in YAML -> hosts, each with its groups and its variables.

Groups, children, host ranges, `group_vars` and `host_vars` beside the file, and the order in which
variables win follow Ansible's own plugins; `ansible-inventory --list` gives the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from lab.errors import BadFile
from lab.files import loader
from lab.files.loader import Item, Reading

_RANGE: Final = re.compile(r"\[([0-9]+|[a-z]):([0-9]+|[a-z])(?::([0-9]+))?\]")
_MAX_HOSTS: Final = 1000
_EVERYBODY: Final = "all"
_ENDINGS: Final = ("", ".yml", ".yaml", ".json")
"""What a file of variables may end with, in the order in which Ansible looks."""


@dataclass(slots=True)
class Group:
    """A group, from all places that tell of it."""

    name: str
    where: Item
    parents: set[str] = field(default_factory=set)
    variables: dict[str, Item] = field(default_factory=dict)


@dataclass(slots=True)
class Host:
    """A host, from all places that tell of it."""

    name: str
    where: Item
    groups: list[str] = field(default_factory=list)
    variables: dict[str, Item] = field(default_factory=dict)


class Groups:
    """One inventory and the files of variables beside it."""

    def __init__(self, reading: Reading, root: Item, beside: Path) -> None:
        self._reading = reading
        self._beside = beside
        self._groups = {_EVERYBODY: Group(name=_EVERYBODY, where=Item(None, 1))}
        self._files: dict[Path, dict[str, Item]] = {}
        self.hosts: dict[str, Host] = {}
        for name, item in reading.mapping(root, "an inventory").items():
            self._group(name, item, "", ())
        self._refuse_circles()

    def shared(self) -> Mapping[str, Item]:
        """Return the variables that every host has."""
        return {**self._groups[_EVERYBODY].variables, **self._file("group_vars", _EVERYBODY)}

    def of(self, host: Host) -> tuple[Group, ...]:
        """Return every group a host is in, in the order in which their variables win: the last one wins."""
        names = {ancestor for name in host.groups for ancestor in (name, *self._ancestors(name))}
        return tuple(sorted((self._groups[name] for name in names - {_EVERYBODY}), key=self._weight))

    def variables(self, host: Host) -> dict[str, Item]:
        """Return what a host's variables are."""
        groups = self.of(host)
        found = dict(self._groups[_EVERYBODY].variables)
        for group in groups:
            found |= group.variables
        for name in (_EVERYBODY, *(group.name for group in groups)):
            found |= self._file("group_vars", name)
        return {**found, **host.variables, **self._file("host_vars", host.name)}

    def _group(self, name: str, item: Item, parent: str, inside: tuple[str, ...]) -> None:
        if name in inside:
            self._circle(name, item)
            return
        group = self._groups.setdefault(name, Group(name=name, where=item))
        if parent:
            group.parents.add(parent)
        entries = self._reading.mapping(item, f"group {name}", ("hosts", "vars", "children"))
        group.variables |= self._reading.mapping(entries.get("vars", Item(None, 1)), "vars")
        for pattern, entry in self._reading.mapping(entries.get("hosts", Item(None, 1)), "hosts").items():
            self._members(name, pattern, entry)
        for child, entry in self._reading.mapping(entries.get("children", Item(None, 1)), "children").items():
            self._group(child, entry, name, (*inside, name))

    def _members(self, group: str, pattern: str, entry: Item) -> None:
        own = self._reading.mapping(entry, f"host {pattern}")
        try:
            names = list(_ranged(pattern))
        except ValueError as error:
            self._reading.problem(entry, f"host range {pattern!r}: {error}", "write  student[01:30]")
            return
        for name in names:
            host = self.hosts.setdefault(name, Host(name=name, where=entry))
            host.groups.append(group)
            host.variables |= own

    def _ancestors(self, name: str) -> set[str]:
        found: set[str] = set()
        waiting = set(self._groups[name].parents)
        while waiting:
            found |= waiting
            waiting = {parent for it in waiting for parent in self._groups[it].parents} - found
        return found

    def _refuse_circles(self) -> None:
        for name, group in self._groups.items():
            if name in self._ancestors(name):
                self._circle(name, group.where)
                group.parents.clear()

    def _circle(self, name: str, where: Item) -> None:
        self._reading.problem(where, f"group {name} is inside itself", "a group has other groups as children")

    def _weight(self, group: Group) -> tuple[int, float, str]:
        """Sort as Ansible does: by depth, by `ansible_group_priority`, by name."""
        asked = group.variables.get("ansible_group_priority", Item(1, 1))
        priority = self._reading.number(asked, "ansible_group_priority", least=-(2**31))
        return (self._depth(group.name), priority, group.name)

    def _depth(self, name: str) -> int:
        parents = self._groups[name].parents
        return 0 if name == _EVERYBODY else 1 + max((self._depth(it) for it in parents), default=0)

    def _file(self, folder: str, name: str) -> dict[str, Item]:
        """Read the variables beside the inventory, of a group or of a host."""
        base = self._beside / folder
        path = next((it for ending in _ENDINGS if (it := base / f"{name}{ending}").exists()), None)
        if path is None or not path.resolve().is_relative_to(base.resolve()):
            return {}
        if path not in self._files:
            self._files[path] = {}
            for file in sorted(_files(path)):
                self._files[path] |= self._read(file)
        return self._files[path]

    def _read(self, path: Path) -> Mapping[str, Item]:
        try:
            item, reading = loader.load(path)
            found = reading.mapping(item, path.name)
            reading.finish()
        except BadFile as error:
            self._reading.problems += error.problems
            return {}
        return found


def _files(path: Path) -> Iterator[Path]:
    """Yield a file, or the files of variables in a folder; hidden ones and backups are none."""
    if not path.is_dir():
        yield path
        return
    for entry in path.iterdir():
        if entry.name.startswith(".") or entry.name.endswith("~"):
            continue
        if entry.is_dir() or entry.suffix in _ENDINGS:
            yield from _files(entry)


def _ranged(pattern: str) -> Iterator[str]:
    """Give the host names of a pattern such as `student[01:30]`, both ends included."""
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
