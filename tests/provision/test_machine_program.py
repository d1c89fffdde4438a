"""What runs a machine in its container: what it hands the kernel, and how it passes names on."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from lab.files.workplace import SHIPPED

FILES = SHIPPED.roles()["machine"] / "files"


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("machine", FILES / "machine.py")
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def members(archive: bytes) -> Iterator[tuple[str, int, bytes]]:
    """Read an archive as the kernel does: Documentation/driver-api/early-userspace/buffer-format.rst."""
    at = 0
    while True:
        assert archive[at : at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * it : at + 14 + 8 * it], 16) for it in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = archive[at + 110 : at + 110 + length - 1].decode()
        at += (110 + length + 3) // 4 * 4
        if name == "TRAILER!!!":
            return
        yield name, mode, archive[at : at + size]
        at += (size + 3) // 4 * 4


def test_the_kernel_unpacks_what_it_is_handed(program: ModuleType) -> None:
    files = {"lab/hosts": b"127.0.0.1 x\n", "lab/empty": b"", "lab/odd": bytes(range(256))}
    found = {name: (mode, content) for name, mode, content in members(program.archive(files))}
    assert found.pop("lab") == (0o40755, b"")
    assert found == {name: (0o100644, content) for name, content in files.items()}


class Networks:
    """Two networks, one with a way out."""

    all = (
        {"mac": "02:00:00:00:00:01", "address": "10.0.0.2/26", "via": "10.0.0.1"},
        {"mac": "02:00:00:00:00:02", "address": "10.0.1.2/26", "via": ""},
    )


ASKED = {
    "memory": 256 << 20,
    "user": "1000",
    "read_only": True,
    "tmpfs": ["/run:rw,size=4096"],
    "command": ["a", ""],
}


def test_its_first_program_is_told_what_the_node_is(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "guest.pl").write_text("1;")
    monkeypatch.setattr(program, "IMAGE", tmp_path)
    monkeypatch.setattr("os.environ", {"PATH": "/bin", "HOME": "/root", "WORD": "given"})
    told = program.settings(ASKED, Networks())
    assert told["lab/command"] == b"1000\0a\0"
    assert told["lab/networks"] == b"02:00:00:00:00:01 10.0.0.2/26 10.0.0.1\n02:00:00:00:00:02 10.0.1.2/26 \n"
    assert told["lab/environment"] == b"PATH=/bin\0WORD=given"
    assert told["lab/tmpfs"] == b"/run rw,size=4096\n"
    assert told["lab/root"] == b"ro"


@pytest.mark.parametrize("accelerated", [True, False])
def test_tables_of_five_levels_are_off_without_kvm(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, *, accelerated: bool
) -> None:
    monkeypatch.setattr(program.Path, "exists", lambda _self: accelerated)
    argv = program.arguments(ASKED, Networks())
    assert argv[argv.index("-accel") + 1].startswith("kvm" if accelerated else "tcg")
    assert argv[argv.index("-cpu") + 1] == ("host" if accelerated else "max,la57=off")
    assert argv[argv.index("-m") + 1] == "256M"
    assert sum(it.startswith("virtio-net-pci") for it in argv) == 2


def test_answers_for_names_go_to_who_asked(program: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = socket.socketpair()
    with here, there, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as resolver:
        resolver.bind(("127.0.0.1", 0))
        resolver.settimeout(5)
        monkeypatch.setattr(program, "RESOLVER", resolver.getsockname())
        names = program.Names.__new__(program.Names)
        names.line, names.held, names.asked, names.number = here, b"", {}, 0
        names.asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with names.asking:
            for of, number, question in ((1, b"\x11\x11", b"one"), (2, b"\x11\x11", b"two")):
                told = number + question
                there.sendall(of.to_bytes(2, "big") + len(told).to_bytes(2, "big") + told)
            names.hear()
            asked = [resolver.recvfrom(512) for _ in range(2)]
            for question, sender in reversed(asked):
                resolver.sendto(question.upper(), sender)
                names.answer()
            resolver.sendto(b"\xff\xffnobody asked that", asked[0][1])
            names.answer()
        there.settimeout(5)
        assert there.recv(512) == b"\0\2\0\5\x11\x11TWO" + b"\0\1\0\5\x11\x11ONE"


@pytest.mark.parametrize("name", ["guest.pl", "reach.pl"])
def test_what_carries_commands_is_perl(name: str) -> None:
    ran = subprocess.run(["perl", "-cw", FILES / name], capture_output=True, text=True, check=False)
    assert ran.stderr.strip() == f"{FILES / name} syntax OK"
