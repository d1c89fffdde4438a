"""What a node can be: a role folder's `node.yml` and `meta/argument_specs.yml` -> Kind."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, ClassVar, Final

from lab.files import loader
from lab.files.declared import Fault, Key, read
from lab.files.loader import Item, Plain, Reading

BASES: Final = {"debian": "debian:trixie-slim", "kali": "kalilinux/kali-rolling"}
"""What an image can be built on, and which image that is when a registry answers."""

SUITE: Final = "trixie"
"""The Debian release that is built here when none does."""

BUILT_BASE: Final = f"homerange/base-debian:{SUITE}"
"""The image of that."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Log:
    """A log a node writes."""

    remedy: ClassVar[str] = "write  {source: sshd, path: /var/log/auth.log}"

    source: str
    """Which parser reads it: a module of `lab.telemetry.sources`."""

    path: str
    """Where it is on the node."""

    canary: tuple[str, ...] = ()
    """What makes its writer write a line with `{token}`, as root; empty to add such a line to the file."""

    def faults(self) -> Iterator[Fault]:
        """Find a path that a run's folder cannot mirror."""
        if not self.path.startswith("/") or ".." in self.path.split("/"):
            yield Fault(
                key="path", what=f"{self.path!r} is not a whole path", remedy="write  /var/log/auth.log"
            )


def size(text: str) -> int:
    """Read a number of bytes, `128m` or `1g`.

    Raises:
        ValueError: says what it must be.
    """
    match = re.fullmatch(r"(\d+)([kmg])", text, re.IGNORECASE)
    if not match:
        raise ValueError("a size")
    return int(match[1]) * {"k": 2**10, "m": 2**20, "g": 2**30}[match[2].lower()]


_SIZE: Final = Key(convert=size, remedy="write  128m  or  1g")


@dataclass(frozen=True, kw_only=True, slots=True)
class Tmpfs:
    """A folder in memory."""

    remedy: ClassVar[str] = "write  {path: /run, size: 4m}"

    path: str
    """Where it is."""

    size: Annotated[int, _SIZE]
    """How large it may become, in bytes."""

    @property
    def mount(self) -> str:
        """What an engine is told: `path:options`."""
        return f"{self.path}:rw,nosuid,nodev,size={self.size}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """A vendor's program that no distribution carries: where its files are had."""

    remedy: ClassVar[str] = "write  {image: 'elasticsearch:9.2.0', path: /usr/share/elasticsearch}"

    image: str
    """The vendor's own image, which has them, when a registry answers."""

    path: str
    """The folder they are in, in that image and on the node."""

    artifact: str = ""
    """A zip archive of Maven's that has them as well, as `group:name:version`; empty where there is none."""

    def faults(self) -> Iterator[Fault]:
        """Find a path that is none."""
        if not re.fullmatch(r"(/[\w.-]+)+", self.path) or ".." in self.path.split("/"):
            yield Fault(key="path", what=f"{self.path!r} is no folder", remedy="write  /opt/vendor")


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """How a node that is a SIEM is spoken to, from the node itself."""

    remedy: ClassVar[str] = "write  {product: elasticsearch, port: 9200}"

    product: str
    """Which product it is: a name of `lab.siem`."""

    port: Annotated[int, Key(least=1, most=65535)]
    """Where it answers, on the node's loopback address."""

    search_port: Annotated[int | None, Key(least=1, most=65535)] = None
    """Where its search answers, if that is another port."""

    user: str = ""
    """The account; empty when none is needed."""

    secret: str = ""
    """The file on the node with the password, which the node made for itself; only root reads it."""

    token: str = ""
    """Such a file with a key, for a product that wants one to take events and an account to search them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Handed:
    """A secret of another node that this one is handed when it starts, since it speaks to it."""

    remedy: ClassVar[str] = "write  {of: elasticsearch, path: /etc/homerange/elastic}"

    of: str
    """The kind of the other node: the first of that kind in the lab."""

    path: str
    """The file, on both; beside it, with `.host` behind its name, stands the other node's name."""


LEAST_MEMORY: Final = 192 * 2**20
"""Bytes that a kernel, its lines to the engine and a small server need."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """A kernel of its own, which a node has in place of this machine's."""

    remedy: ClassVar[str] = "write  machine: {memory: 256m}"

    memory: Annotated[int, _SIZE]
    """What it has, in bytes."""

    def faults(self) -> Iterator[Fault]:
        """Find one in which a kernel cannot live."""
        if self.memory < LEAST_MEMORY:
            yield Fault(
                key="memory", what=f"a machine needs {LEAST_MEMORY >> 20}m at least", remedy="write  256m"
            )


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
class NodeFile:
    """A role's `node.yml`: how nodes of its kind run."""

    summary: str = ""
    """One line for people."""

    base: Annotated[str, Key(known=tuple(BASES))] = "debian"
    """Which base its image is built on."""

    command: tuple[str, ...] = ()
    """Arguments of the node's first process."""

    user: str = "root"
    """Who the first process runs as."""

    capabilities: tuple[str, ...] = ()
    """The Linux capabilities it keeps; all others are dropped."""

    memory: Annotated[int, _SIZE] = 128 * 2**20
    """Hard limit, in bytes."""

    memory_share: Annotated[float, Key(least=0, most=1)] = 0.0
    """Share of this machine's memory that the limit grows to where that is more; 0 for never."""

    memory_most: Annotated[int, _SIZE] = 0
    """What it grows to at most, in bytes."""

    cpus: Annotated[float, Key(least=0.01)] = 1.0
    """Limit in processors."""

    processes: Annotated[int, Key(least=1)] = 128
    """Limit of processes and threads."""

    disk: Annotated[int, _SIZE] = 2**30
    """What it may write to its root file system, in bytes."""

    people: str = ""
    """The folder in which a person takes orders and writes down what was done; empty where nobody works."""

    ports: Mapping[str, str] = field(default_factory=dict)
    """Port to the service that listens there."""

    health: tuple[str, ...] = ()
    """A command that ends with 0 when the node is ready; empty when running is enough."""

    logs: Annotated[tuple[Log, ...], Key(entry="log")] = ()
    """The logs to collect."""

    read_only: bool = False
    """Whether its root file system is read-only."""

    tmpfs: tuple[Tmpfs, ...] = ()
    """Folders in memory, writable."""

    host_network: bool = False
    """Whether it shares the host's network; sensors only."""

    machine: Machine | None = None
    """Its own kernel; None to run on this machine's, as a container."""

    program: Program | None = None
    """A vendor's program that it runs."""

    optional: bool = False
    """Whether a lab goes on without it where its program cannot be had."""

    handed: tuple[Handed, ...] = ()
    """Secrets of other nodes that it is given."""

    service: Service | None = None
    """How it is spoken to, when it is a SIEM."""

    ready_within: Annotated[float | None, Key(least=1)] = None
    """Seconds in which it is ready, or counts as broken; None for what is usual."""

    capture: tuple[str, ...] = ()
    """A command that, given an interface, writes packets as pcap to standard output."""

    def faults(self) -> Iterator[Fault]:
        """Find ports that are none, and a machine that cannot be one."""
        for port in self.ports:
            if not port.isdecimal() or not 0 < int(port) < 65536:  # noqa: PLR2004  # the range of ports
                yield Fault(key="ports", what=f"port {port!r} must be a number from 1 to 65535")
        if self.machine and self.host_network:
            yield Fault(key="machine", what="what shares the host's network has no kernel of its own")


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind(NodeFile):
    """What a node is: how its image is made, how it runs, when it is ready, what it logs."""

    name: str
    """The role's name."""

    folder: Path
    """The role's folder."""

    arguments: Mapping[str, Argument] = field(default_factory=dict)
    """The variables a host may set."""


class Kinds:
    """The kinds of node that roles give, each read when it is first asked for."""

    def __init__(self, roles: Mapping[str, Path]) -> None:
        self._roles = roles
        self._known: dict[str, Kind] = {}

    @property
    def names(self) -> frozenset[str]:
        """Name every kind there is."""
        return frozenset(self._roles)

    def find(self, name: str) -> Kind | None:
        """Return a kind; None when there is none of that name.

        Raises:
            BadFile: the role's own files are wrong.
        """
        if name not in self._known and name in self._roles:
            self._known[name] = read_kind(self._roles[name])
        return self._known.get(name)


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
    written = read(reading, root, NodeFile, "node.yml")
    specs = folder / "meta" / "argument_specs.yml"
    arguments = _arguments(specs) if specs.exists() else {}
    told = {it.name: getattr(written, it.name) for it in fields(NodeFile)} | {"memory": _grown(written)}
    return Kind(name=folder.name, folder=folder, arguments=arguments, **told)


def _grown(written: NodeFile) -> int:
    """Return the limit of memory on this machine: what is written, or more where there is more."""
    here = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    share = int(here * written.memory_share) // 2**20 * 2**20
    return max(written.memory, min(share, written.memory_most))


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
