"""The symbol file by which Volatility 3 reads the memory of a kernel, made of what the kernel says of itself.

Debian's package of debug information is 283 MB; the kernel carries its types as BTF and its addresses as
`/proc/kallsyms`. What neither has is the type of a variable: those that Volatility asks for stand below.
"""

from __future__ import annotations

import base64
import lzma
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import lab
from lab.errors import EngineFault
from lab.files import records
from lab.forensics.btf import Described, Types, read_types

_LINKED_AT: Final = 0xFFFFFFFF81000000
"""Where the code of a kernel for x86-64 begins before it is moved (Documentation/arch/x86/x86_64/mm.rst)."""

_KERNEL: Final = 0xFFFFFFFF80000000
"""Addresses below are no addresses: offsets in the memory of each processor."""


def _struct(name: str) -> Described:
    return {"kind": "struct", "name": name}


def _pointer(to: Described) -> Described:
    return {"kind": "pointer", "subtype": to}


def _base(name: str) -> Described:
    return {"kind": "base", "name": name}


_CLOCKS: Final = "clocks_of_the_kernel"
"""Our name of the type of `tk_core`, which has none: a lock's number, and the clocks behind it."""

_VARIABLES: Final[Mapping[str, Described]] = {
    "cap_last_cap": _base("int"),
    "ftrace_ops_list": _pointer(_struct("ftrace_ops")),
    "idt_table": {"kind": "array", "count": 256, "subtype": _struct("gate_struct")},
    "init_mm": _struct("mm_struct"),
    "init_net": _struct("net"),
    "init_pid_ns": _struct("pid_namespace"),
    "init_task": _struct("task_struct"),
    "iomem_resource": _struct("resource"),
    "keyboard_notifier_list": _struct("atomic_notifier_head"),
    "log_buf": _pointer(_base("char")),
    "log_buf_len": _base("unsigned int"),
    "mod_tree": _struct("mod_tree_root"),
    "module_kset": _pointer(_struct("kset")),
    "modules": _struct("list_head"),
    "net_namespace_list": _struct("list_head"),
    "prb": _pointer(_struct("printk_ringbuffer")),
    "prog_idr": _struct("idr"),
    "socket_file_ops": _struct("file_operations"),
    "sockfs_dentry_operations": _struct("dentry_operations"),
    "tk_core": _struct(_CLOCKS),
    "tty_drivers": _struct("list_head"),
    "vmemmap_base": _base("long unsigned int"),
}
"""Variables of Linux 6 to their types, of those that Volatility 3's plugins look into."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kernel:
    """What a kernel says of itself."""

    version: str
    """What it has at `/proc/version`: its banner."""

    types: bytes
    """Its BTF."""

    symbols: str
    """What root reads at `/proc/kallsyms`."""

    @property
    def release(self) -> str:
        """Its release, `6.12.0-cloud-amd64`."""
        return self.version.split()[2]


def symbol_file(kernel: Kernel) -> bytes:
    """Write the symbol file of a kernel: JSON, compressed as Volatility reads it (xz).

    Raises:
        EngineFault: the kernel did not say enough.
    """
    types = read_types(kernel.types)
    found = {
        "metadata": _metadata(kernel),
        "base_types": types.base_types,
        "user_types": {**types.user_types, **_clocks(types)},
        "enums": types.enums,
        "symbols": dict(_symbols(kernel, types)),
    }
    return lzma.compress(records.to_json(found).encode(), preset=1)


def _metadata(kernel: Kernel) -> dict[str, Any]:
    def source(name: str, content: bytes) -> dict[str, str]:
        """Say where something came from, by its hash."""
        digest = sha256(content).hexdigest()
        return {"kind": "symtab", "name": name, "hash_type": "sha256", "hash_value": digest}

    return {
        "format": "6.2.0",
        "producer": {"name": "homerange", "version": lab.__version__},
        "linux": {
            "symbols": [source("kallsyms", kernel.symbols.encode())],
            "types": [source("vmlinux", kernel.types)],
        },
    }


def _clocks(types: Types) -> Mapping[str, Described]:
    clocks = types.user_types.get("timekeeper")
    if clocks is None:
        return {}
    held = {"type": _struct("timekeeper"), "offset": 8}
    return {_CLOCKS: {"size": clocks["size"] + 8, "fields": {"timekeeper": held}, "kind": "struct"}}


def _symbols(kernel: Kernel, types: Types) -> Iterator[tuple[str, dict[str, Any]]]:
    addresses = dict(_addresses(kernel.symbols))
    if "_text" not in addresses or not addresses["_text"]:
        raise EngineFault(doing="reading the kernel's addresses", said="it tells nobody where its code is")
    moved = addresses["_text"] - _LINKED_AT
    known = {*types.user_types, _CLOCKS}
    for name, address in addresses.items():
        said: dict[str, Any] = {"address": address - moved if address >= _KERNEL else address}
        described = _VARIABLES.get(name)
        if described is not None and _of(described) in {*known, *types.base_types}:
            said["type"] = described
        if name == "linux_banner":
            banner = kernel.version.rstrip("\n").encode() + b"\n\0"
            said["type"] = {"kind": "array", "count": len(banner), "subtype": _base("char")}
            said["constant_data"] = base64.b64encode(banner).decode()
        yield name, said


def _of(described: Described) -> str:
    """Return the name of the type that a type is of in the end."""
    return str(described["name"]) if "name" in described else _of(described["subtype"])


def _addresses(said: str) -> Iterator[tuple[str, int]]:
    """Read the kernel's own symbols; those of its modules are not at one place in each start."""
    for line in said.splitlines():
        words = line.split()
        if len(words) == 3:  # noqa: PLR2004  # address, sort, name; of a module's there are four
            yield words[2], int(words[0], 16)
