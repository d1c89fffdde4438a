"""The types of a kernel, as it carries them itself: BTF -> the types of a Volatility 3 symbol file. Pure.

The format is described in the kernel's Documentation/bpf/btf.rst; the symbol file's is volatility3's schema
6.2.0. Both are read as a 64-bit processor has them that counts its bytes from the little end.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lab.errors import EngineFault

Described = dict[str, Any]
"""A type, as the symbol file has it."""

_MAGIC: Final = 0xEB9F
_HEADER: Final = struct.Struct("<HBBIIIII")
_TYPE: Final = struct.Struct("<III")

(_INT, _PTR, _ARRAY, _STRUCT, _UNION, _ENUM, _FWD, _TYPEDEF, _VOLATILE, _CONST, _RESTRICT) = range(1, 12)
(_FUNC, _PROTO, _VAR, _SECTION, _FLOAT, _DECL_TAG, _TYPE_TAG, _ENUM64) = range(12, 20)
"""Sorts of types."""

_WITH_FIELDS: Final = {_STRUCT: "struct", _UNION: "union"}
_WITH_NAMES: Final = frozenset({_ENUM, _ENUM64})

_PASSED: Final = frozenset({_TYPEDEF, _VOLATILE, _CONST, _RESTRICT, _TYPE_TAG})
"""Sorts that say something of another type which a symbol file does not tell."""

_ENTRY: Final = {_STRUCT: 12, _UNION: 12, _ENUM: 8, _PROTO: 8, _SECTION: 12, _ENUM64: 12}
"""Bytes of each entry that follows a type."""

_TAIL: Final = {_INT: 4, _ARRAY: 12, _VAR: 4, _DECL_TAG: 4}
"""Bytes that follow a type once."""

_SIGNED, _CHAR, _BOOL = 1, 2, 4
"""Marks of whole numbers."""

_DEEPEST: Final = 64
"""Names of names, at most: a real kernel has four."""

_POINTER: Final = 8
"""Bytes of an address."""


@dataclass(frozen=True, slots=True)
class Types:
    """What a symbol file says of types."""

    base_types: Mapping[str, Described]
    """Numbers."""

    user_types: Mapping[str, Described]
    """Structures and unions, with their fields."""

    enums: Mapping[str, Described]
    """Names for numbers."""


@dataclass(frozen=True, slots=True)
class _Type:
    """One type, as it stands in the file."""

    name: str
    sort: int
    flag: bool
    size: int
    """Its bytes, or the number of the type that it refers to."""

    rest: bytes
    """What follows it."""


def read_types(data: bytes) -> Types:
    """Read the types of a kernel.

    Args:
        data: What it has at `/sys/kernel/btf/vmlinux`.

    Raises:
        EngineFault: it is no BTF.
    """
    try:
        names, types = _parts(data)
        return _Writer(names, types).types()
    except (struct.error, IndexError, ValueError, RecursionError) as error:
        raise EngineFault(doing="reading the kernel's types", said=f"they are not whole: {error}") from error


def _parts(data: bytes) -> tuple[bytes, list[_Type]]:
    magic, _, _, head, types_at, length, names_at, _ = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise ValueError("it does not begin as BTF does")
    names = data[head + names_at :]
    at, end = head + types_at, head + types_at + length
    found = [_Type("void", 0, flag=False, size=0, rest=b"")]
    while at < end:
        name, info, size = _TYPE.unpack_from(data, at)
        at += _TYPE.size
        sort = info >> 24 & 0x1F
        after = _ENTRY.get(sort, 0) * (info & 0xFFFF) + _TAIL.get(sort, 0)
        found.append(_Type(_text(names, name), sort, bool(info >> 31), size, data[at : at + after]))
        at += after
    return names, found


def _text(names: bytes, at: int) -> str:
    return names[at : names.index(b"\0", at)].decode("ascii")


class _Writer:
    """Describes the types of one kernel."""

    def __init__(self, names: bytes, types: list[_Type]) -> None:
        self._names = names
        self._types = types
        self._called = self._named()
        self._base: dict[str, Described] = {
            "void": _number(0, "void", signed=False),
            "pointer": _number(_POINTER, "int", signed=False),
        }

    def _named(self) -> dict[int, str]:
        """Name every type that has fields or constants; of equal names the first one is meant."""
        found: dict[int, str] = {}
        taken: set[tuple[bool, str]] = set()
        for number, it in enumerate(self._types):
            if it.sort in _WITH_FIELDS or it.sort in _WITH_NAMES:
                key = (it.sort in _WITH_NAMES, it.name)
                found[number] = it.name if it.name and key not in taken else f"unnamed_{number}"
                taken.add(key)
        return found

    def types(self) -> Types:
        """Describe all of them."""
        user: dict[str, Described] = {}
        enums: dict[str, Described] = {}
        for number, name in self._called.items():
            it = self._types[number]
            if it.sort in _WITH_NAMES:
                enums[name] = self._enumeration(it)
            else:
                fields = dict(self._fields(it))
                user[name] = {"size": it.size, "fields": fields, "kind": _WITH_FIELDS[it.sort]}
        return Types(self._base, user, enums)

    def _fields(self, it: _Type) -> Iterator[tuple[str, Described]]:
        for place, (name_at, of, where) in enumerate(struct.iter_unpack("<III", it.rest)):
            name = _text(self._names, name_at)
            bits, at = (where >> 24, where & 0xFFFFFF) if it.flag else (0, where)
            described, start = self._described(of), at // 8
            if bits:
                unit = self._size(of) * 8
                start = at // unit * (unit // 8)
                described = {
                    "kind": "bitfield",
                    "bit_position": at - start * 8,
                    "bit_length": bits,
                    "type": described,
                }
            unnamed = {} if name else {"anonymous": True}
            yield name or f"unnamed_field_{place}", {"type": described, "offset": start, **unnamed}

    def _enumeration(self, it: _Type) -> Described:
        constants: dict[str, int] = {}
        for entry in struct.iter_unpack("<III" if it.sort == _ENUM64 else "<II", it.rest):
            value = int.from_bytes(struct.pack(f"<{len(entry) - 1}I", *entry[1:]), "little", signed=it.flag)
            constants[_text(self._names, entry[0])] = value
        base = f"{'s' if it.flag else 'u'}{it.size * 8}"
        self._base[base] = _number(it.size, "int", signed=it.flag)
        return {"size": it.size, "base": base, "constants": constants}

    def _described(self, number: int) -> Described:
        number, it = self._beneath(number)
        found: Described = {"kind": "base", "name": "void"}
        if number in self._called:
            found = {"kind": _WITH_FIELDS.get(it.sort, "enum"), "name": self._called[number]}
        elif it.sort == _PTR:
            found = {"kind": "pointer", "subtype": self._described(it.size)}
        elif it.sort == _ARRAY:
            of, _, count = struct.unpack("<III", it.rest)
            found = {"kind": "array", "count": count, "subtype": self._described(of)}
        elif it.sort in {_INT, _FLOAT}:
            found = {"kind": "base", "name": self._base_type(it)}
        elif it.sort == _FWD:
            found = {"kind": "union" if it.flag else "struct", "name": it.name}
        elif it.sort in {_FUNC, _PROTO}:
            found = {"kind": "function"}
        return found

    def _beneath(self, number: int) -> tuple[int, _Type]:
        """Return the type that one is of, past names and `const`."""
        for _ in range(_DEEPEST):
            it = self._types[number]
            if it.sort not in _PASSED:
                return number, it
            number = it.size
        raise ValueError("a type is of itself")

    def _base_type(self, it: _Type) -> str:
        marks = int.from_bytes(it.rest[3:4], "little")
        kind = "bool" if marks & _BOOL else "char" if it.name.endswith("char") or marks & _CHAR else "int"
        kind = "float" if it.sort == _FLOAT else kind
        self._base[it.name] = _number(it.size, kind, signed=bool(marks & _SIGNED))
        return it.name

    def _size(self, number: int) -> int:
        _, it = self._beneath(number)
        return _POINTER if it.sort == _PTR else it.size


def _number(size: int, kind: str, *, signed: bool) -> Described:
    return {"size": size, "signed": signed, "kind": kind, "endian": "little"}
