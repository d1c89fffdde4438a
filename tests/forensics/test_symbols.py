"""What a kernel says of itself becomes a file by which its memory is read."""

from __future__ import annotations

import base64
import json
import lzma
import struct
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.errors import EngineFault
from lab.forensics.btf import read_types
from lab.forensics.symbols import Kernel, symbol_file

NAMES = ["", "int", "char", "task_struct", "pid", "comm", "next", "flag", "mode", "OFF", "ON", "timekeeper"]
AT = {name: sum(len(it) + 1 for it in NAMES[:place]) for place, name in enumerate(NAMES)}


def one(name: str, sort: int, size: int, *rest: int, count: int = 0, flag: bool = False) -> bytes:
    """Write a type: what follows it in words of four bytes."""
    return struct.pack(f"<III{len(rest)}I", AT[name], flag << 31 | sort << 24 | count, size, *rest)


TYPES = [
    one("int", 1, 4, 1 << 24 | 32),
    one("char", 1, 1, 8),
    one("", 3, 0, 2, 1, 16),
    one("", 2, 5),
    one(
        "task_struct", 4, 48,
        AT["pid"], 1, 0, AT["comm"], 3, 32, AT["next"], 4, 192, AT["mode"], 6, 256, AT[""], 9, 320, count=5,
    ),
    one("mode", 6, 4, AT["OFF"], 0, AT["ON"], 1, count=2),
    one("", 5, 4, AT["flag"], 1, 3 << 24 | 5, count=1, flag=True),
    one("pid", 8, 1),
    one("", 10, 7),
    one("timekeeper", 4, 8, AT["pid"], 8, 0, count=1),
]  # fmt: skip


def btf(types: list[bytes]) -> bytes:
    body, names = b"".join(types), b"".join(it.encode() + b"\0" for it in NAMES)
    return struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(body), len(body), len(names)) + body + names


VERSION = "Linux version 6.12.1-cloud (someone) #1 SMP\n"
SYMBOLS = """\
ffffffff91000000 T _text
ffffffff92000040 D init_task
ffffffff91c000e0 R linux_banner
ffffffff92000080 B tk_core
0000000000001000 A per_processor
ffffffffc0000000 t init_module [some]
"""


def made(types: bytes = btf(TYPES), symbols: str = SYMBOLS) -> dict[str, Any]:
    found = symbol_file(Kernel(version=VERSION, types=types, symbols=symbols))
    told: dict[str, Any] = json.loads(lzma.decompress(found))
    return told


def test_types_have_their_fields_where_they_are() -> None:
    types = read_types(btf(TYPES))
    fields = types.user_types["task_struct"]["fields"]
    assert fields["pid"] == {"type": {"kind": "base", "name": "int"}, "offset": 0}
    name = {"kind": "array", "count": 16, "subtype": {"kind": "base", "name": "char"}}
    assert fields["comm"] == {"type": name, "offset": 4}
    pointer = {"kind": "pointer", "subtype": {"kind": "struct", "name": "task_struct"}}
    assert fields["next"] == {"type": pointer, "offset": 24}
    assert fields["mode"] == {"type": {"kind": "enum", "name": "mode"}, "offset": 32}
    nameless = fields["unnamed_field_4"]
    assert nameless == {"type": {"kind": "union", "name": "unnamed_7"}, "offset": 40, "anonymous": True}
    bits = types.user_types["unnamed_7"]["fields"]["flag"]["type"]
    assert (bits["kind"], bits["bit_position"], bits["bit_length"]) == ("bitfield", 5, 3)
    assert types.enums["mode"]["constants"] == {"OFF": 0, "ON": 1}
    assert types.base_types["char"]["kind"] == "char"
    assert types.base_types["int"]["signed"]


def test_addresses_are_those_of_a_kernel_that_was_not_moved() -> None:
    symbols = made()["symbols"]
    assert symbols["_text"]["address"] == 0xFFFFFFFF81000000
    assert symbols["init_task"]["address"] == 0xFFFFFFFF82000040
    assert symbols["per_processor"]["address"] == 0x1000
    assert "init_module" not in symbols


def test_variables_have_the_types_that_the_kernel_does_not_tell() -> None:
    told = made()
    assert told["symbols"]["init_task"]["type"] == {"kind": "struct", "name": "task_struct"}
    clocks = told["symbols"]["tk_core"]["type"]["name"]
    assert told["user_types"][clocks]["fields"]["timekeeper"]["offset"] == 8
    assert "type" not in made(btf(TYPES[:2]))["symbols"]["init_task"], "a type that the kernel has not"


def test_the_banner_is_byte_for_byte_what_memory_has() -> None:
    banner = made()["symbols"]["linux_banner"]
    assert base64.b64decode(banner["constant_data"]) == VERSION.encode() + b"\0"
    assert banner["type"]["count"] == len(VERSION) + 1


def test_volatilitys_own_schema_has_nothing_against_it() -> None:
    found = find_spec("volatility3")  # where it is; it is run as a program, and never imported
    assert found is not None
    assert found.origin is not None
    path = Path(found.origin).parent / "schemas" / "schema-6.2.0.json"
    jsonschema.Draft7Validator(json.loads(path.read_text(encoding="utf-8"))).validate(made())


@pytest.mark.parametrize("symbols", ["", "0000000000000000 T _text\n"])
def test_a_kernel_that_hides_its_addresses_is_no_use(symbols: str) -> None:
    with pytest.raises(EngineFault, match="where its code is"):
        made(symbols=symbols)


@given(st.binary(max_size=200), st.integers(0, len(btf(TYPES))))
def test_damage_is_said_and_nothing_else_happens(noise: bytes, at: int) -> None:
    whole = btf(TYPES)
    for damaged in (whole[:at], whole[:at] + noise, noise):
        with suppress(EngineFault):
            read_types(damaged)
