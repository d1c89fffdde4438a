"""What a node can be: a role folder's `node.yml` and `meta/argument_specs.yml` -> Kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from lab.files import content, loader
from lab.files.loader import Item, Plain, Reading

BASES: Final = {"debian": "debian:trixie-slim", "kali": "kalilinux/kali-rolling"}
"""What an image can be built on, and which image that is when a registry answers."""

SUITE: Final = "trixie"
"""The Debian release that is built here when none does."""

BUILT_BASE: Final = f"homerange/base-debian:{SUITE}"
"""The image of that."""

_SIZE: Final = re.compile(r"(\d+)([kmg])", re.IGNORECASE)
_UNITS: Final = {"k": 2**10, "m": 2**20, "g": 2**30}


@dataclass(frozen=True, kw_only=True, slots=True)
class Log:
    """A log a node writes."""

    source: str
    """Which parser reads it: a module of `lab.telemetry.sources`."""

    path: str
    """Where it is on the node."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Argument:
    """One variable of a role, as its `argument_specs` declares it."""

    type: str = "str"
    """Ansible's name of the type."""

    elements: str = ""
    """Type of each entry, for a list."""

    choices: tuple[Plain, ...] = ()
    """The values it may have; empty for any."""

    required: bool = False
    """Whether a host must set it."""

    options: Mapping[str, Argument] = field(default_factory=dict)
    """The keys of a dict, or of each dict in a list."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """What a node is: how its image is made, how it runs, when it is ready, what it logs."""

    name: str
    """The role's name."""

    folder: Path
    """The role's folder."""

    summary: str = ""
    """One line for people."""

    base: str = "debian"
    """Which base its image is built on."""

    command: tuple[str, ...] = ()
    """Arguments of the node's first process."""

    user: str = "root"
    """Who the first process runs as."""

    capabilities: tuple[str, ...] = ()
    """The Linux capabilities it keeps; all others are dropped."""

    memory: int = 128 * 2**20
    """Hard limit in bytes."""

    cpus: float = 1.0
    """Limit in processors."""

    processes: int = 128
    """Limit of processes and threads."""

    ports: Mapping[int, str] = field(default_factory=dict)
    """Port to the service that listens there."""

    health: tuple[str, ...] = ()
    """A command that ends with 0 when the node is ready; empty when running is enough."""

    logs: tuple[Log, ...] = ()
    """The logs to collect."""

    read_only: bool = False
    """Whether its root file system is read-only."""

    tmpfs: tuple[str, ...] = ()
    """Folders in memory, writable, `path:options`."""

    host_network: bool = False
    """Whether it shares the host's network; sensors only."""

    capture: tuple[str, ...] = ()
    """A command that, given an interface, writes packets as pcap to standard output."""

    arguments: Mapping[str, Argument] = field(default_factory=dict)
    """The variables a host may set."""


@cache
def _folders() -> dict[str, Path]:
    return content.roles()


def kind_names() -> frozenset[str]:
    """Name every kind there is."""
    return frozenset(_folders())


@cache
def find_kind(name: str) -> Kind | None:
    """Read a kind, once; None when there is none of that name.

    Raises:
        BadFile: the role's own files are wrong.
    """
    folder = _folders().get(name)
    return read_kind(folder) if folder else None


def read_kind(folder: Path) -> Kind:
    """Read one role folder.

    Raises:
        BadFile: `node.yml` or `argument_specs.yml` is wrong; every problem is named.
    """
    root, reading = loader.load(folder / "node.yml")
    found = _from_item(folder, root, reading)
    reading.finish()
    return found


def _from_item(folder: Path, root: Item, reading: Reading) -> Kind:
    entries = reading.mapping(root, "node.yml", _READERS)
    values = {key: _READERS[key](reading, item) for key, item in entries.items() if key in _READERS}
    specs = folder / "meta" / "argument_specs.yml"
    arguments = _arguments(specs) if specs.exists() else {}
    return Kind(name=folder.name, folder=folder, arguments=arguments, **values)  # type: ignore[arg-type]


def _ports(reading: Reading, item: Item) -> dict[int, str]:
    named = reading.mapping(item, "ports")
    for port, service in named.items():
        if not port.isdecimal() or not 0 < int(port) < 65536:  # noqa: PLR2004  # the range of ports
            reading.problem(service, f"port {port!r} must be a number from 1 to 65535")
    return {int(port): reading.text(it, f"port {port}") for port, it in named.items() if port.isdecimal()}


def _logs(reading: Reading, item: Item) -> tuple[Log, ...]:
    return tuple(_log(reading, entry) for entry in reading.sequence(item, "logs"))


def _log(reading: Reading, item: Item) -> Log:
    keys = ("source", "path")
    entries = reading.mapping(item, "a log", keys)
    for missing in (key for key in keys if key not in entries):
        reading.problem(item, f"a log needs {missing!r}", "write  {source: sshd, path: /var/log/auth.log}")
    return Log(**{key: reading.text(entries[key], key) if key in entries else "" for key in keys})


def _memory(reading: Reading, item: Item) -> int:
    match = _SIZE.fullmatch(reading.text(item, "a size"))
    if not match:
        reading.problem(item, "this must be a size", "write  128m  or  1g")
        return 0
    return int(match[1]) * _UNITS[match[2].lower()]


def _tmpfs(reading: Reading, item: Item) -> str:
    entries = reading.mapping(item, "a tmpfs", ("path", "size"))
    if entries.keys() != {"path", "size"}:
        reading.problem(item, "a tmpfs needs path and size", "write  {path: /run, size: 4m}")
        return ""
    size = _memory(reading, entries["size"])
    return f"{reading.text(entries['path'], 'path')}:rw,nosuid,nodev,size={size}"


_READERS: Final[dict[str, Callable[[Reading, Item], object]]] = {
    "summary": lambda reading, item: reading.text(item, "summary"),
    "base": lambda reading, item: reading.choice(item, "base", BASES),
    "command": lambda reading, item: reading.texts(item, "command"),
    "user": lambda reading, item: reading.text(item, "user"),
    "capabilities": lambda reading, item: reading.texts(item, "capabilities"),
    "memory": _memory,
    "cpus": lambda reading, item: float(reading.number(item, "cpus", least=0.01)),
    "processes": lambda reading, item: int(reading.number(item, "processes", least=1)),
    "ports": _ports,
    "health": lambda reading, item: reading.texts(item, "health"),
    "logs": _logs,
    "read_only": lambda reading, item: reading.flag(item, "read_only"),
    "tmpfs": lambda reading, item: tuple(_tmpfs(reading, it) for it in reading.sequence(item, "tmpfs")),
    "host_network": lambda reading, item: reading.flag(item, "host_network"),
    "capture": lambda reading, item: reading.texts(item, "capture"),
}


def _arguments(path: Path) -> dict[str, Argument]:
    root, reading = loader.load(path)
    specs = reading.mapping(root, path.name).get("argument_specs", Item(None, 1))
    main = reading.mapping(specs, "argument_specs").get("main", Item(None, 1))
    options = reading.mapping(main, "main").get("options", Item(None, 1))
    found = _options(reading, options)
    reading.finish()
    return found


def _options(reading: Reading, item: Item) -> dict[str, Argument]:
    return {name: _argument(reading, entry) for name, entry in reading.mapping(item, "options").items()}


def _argument(reading: Reading, item: Item) -> Argument:
    entries = reading.mapping(item, "an option")
    return Argument(
        type=reading.text(entries["type"], "type") if "type" in entries else "str",
        elements=reading.text(entries["elements"], "elements") if "elements" in entries else "",
        choices=tuple(
            it.plain() for it in reading.sequence(entries.get("choices", Item(None, 1)), "choices")
        ),
        required=reading.flag(entries["required"], "required") if "required" in entries else False,
        options=_options(reading, entries.get("options", Item(None, 1))),
    )
