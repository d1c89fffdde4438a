"""An image's tag says what went in, and nothing of where or when."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest

from lab.engine.engine import Engine
from lab.engine.labels import BAKED
from lab.engine.memory import MemoryEngine
from lab.errors import EngineFault, NoBase
from lab.files.workplace import SHIPPED
from lab.inventory.definition import Node, read_inventory
from lab.inventory.kind import BUILT_BASE
from lab.provision import images
from tests.support import KINDS


@pytest.fixture
def bastion() -> Node:
    node = read_inventory(SHIPPED.find("inventories", "starter"), KINDS).node("bastion")
    assert node is not None
    return node


def tag(node: Node) -> str:
    return images.recipes([node], SHIPPED)[node.name].tag


def moved(node: Node, folder: Path, change: Callable[[Path], object] = lambda _folder: None) -> Node:
    """Copy a node's role elsewhere, perhaps with a change."""
    shutil.copytree(node.kind.folder, folder / node.kind.name)
    change(folder / node.kind.name)
    return replace(node, kind=replace(node.kind, folder=folder / node.kind.name))


def _touch(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        os.utime(path, (0, 0))
        path.chmod(0o700)
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_bytes(b"x")


def test_the_same_files_give_the_same_tag_on_any_machine(bastion: Node, tmp_path: Path) -> None:
    assert tag(moved(bastion, tmp_path, _touch)) == tag(bastion)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "tasks" / "main.yml").write_text("[]"),
        lambda folder: (folder / "files" / "new").write_text(""),
        lambda folder: (folder / "node.yml").unlink(),
    ],
    ids=["a file changed", "a file more", "a file less"],
)
def test_other_files_give_another_tag(
    bastion: Node, tmp_path: Path, change: Callable[[Path], object]
) -> None:
    assert tag(moved(bastion, tmp_path, change)) != tag(bastion)


def test_other_variables_and_another_base_give_another_tag(bastion: Node) -> None:
    other = replace(bastion, variables={**bastion.variables, "sshd_port": 2222})
    rebased = replace(bastion, kind=replace(bastion.kind, base="kali"))
    assert len({tag(bastion), tag(other), tag(rebased)}) == 3


def test_nodes_that_are_alike_share_an_image_and_it_is_missing_once(bastion: Node) -> None:
    recipes = images.recipes([bastion, replace(bastion, name="twin")], SHIPPED)
    engine = MemoryEngine()
    assert recipes["bastion"].tag == recipes["twin"].tag
    assert [it.tag for it in images.missing(recipes.values(), engine)] == [tag(bastion)]
    _bake(engine, tag(bastion))
    assert images.missing(recipes.values(), engine) == ()


def test_images_that_nothing_needs_are_old(bastion: Node) -> None:
    engine = MemoryEngine()
    common = "homerange/common-debian:000000000000"
    for made in (tag(bastion), "homerange/sshd:000000000000", "homerange/used:000000000000", common):
        _bake(engine, made)
    needed = images.recipes([bastion], SHIPPED).values()
    old = [it.tag for it in images.unused(needed, {"homerange/used:000000000000"}, engine, SHIPPED)]
    assert old == [common, "homerange/sshd:000000000000"]
    assert len(images.unused((), (), engine, SHIPPED)) == 4


def _bake(engine: MemoryEngine, made: str) -> None:
    with engine.open_baking("scratch:latest", lab="x", role="x") as bench:
        engine.commit(bench, made, {BAKED: made.rpartition(":")[2]})


def test_an_unknown_kind_is_none() -> None:
    assert KINDS.find("nothing-of-the-sort") is None


def baker(engine: Engine) -> images.Baker:
    return images.Baker(
        lab="x", engine=engine, workplace=SHIPPED, tell=lambda _line: None, stop=threading.Event()
    )


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place for a mmdebstrap of our own, and no other."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "mmdebstrap"


def scripted(program: Path, text: str) -> None:
    program.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    program.chmod(0o755)


class Reading(MemoryEngine):
    """An engine that reads an archive to its end, and may say that it is none."""

    def load_root(self, archive: IO[bytes], tag: str) -> None:
        """Read it."""
        if archive.read() != b"tar":
            raise EngineFault(doing=f"loading {tag}", said="unexpected EOF")
        super().load_root(archive, tag)


def test_a_base_is_built_where_no_registry_answers(bastion: Node, program: Path) -> None:
    scripted(program, "printf tar")
    engine = Reading()
    assert baker(engine)._base(bastion.kind.base) == (  # noqa: SLF001  # what is baked on it needs Ansible
        "debian", BUILT_BASE, "Debian trixie, built on this machine",
    )  # fmt: skip
    assert engine.image_labels(BUILT_BASE) == {}


@pytest.mark.parametrize("output", ["", "printf half;", "printf tar;"])
def test_a_base_that_cannot_be_built_says_why_and_leaves_nothing(output: str, program: Path) -> None:
    scripted(program, f"{output} echo 'no mirror in reach' >&2; exit 1")
    engine = Reading()
    with pytest.raises(NoBase, match="no mirror in reach"):
        baker(engine)._base("debian")  # noqa: SLF001
    assert engine.image_labels(BUILT_BASE) is None


def test_an_archive_that_the_engine_refuses_is_the_engines_fault(program: Path) -> None:
    scripted(program, "printf odd")
    with pytest.raises(EngineFault, match="unexpected EOF"):
        baker(Reading())._base("debian")  # noqa: SLF001


def shaped(flags: int, blocks: int) -> Callable[[Path], SimpleNamespace]:
    """Make a `statvfs` of our own."""
    return lambda _path: SimpleNamespace(f_flag=flags, f_bavail=blocks, f_frsize=4096)


@pytest.mark.parametrize(
    ("flags", "blocks", "used"),
    [(0, 2**20, True), (os.ST_NODEV, 2**20, False), (os.ST_NOEXEC, 2**20, False), (0, 1000, False)],
)
def test_a_base_is_built_in_memory_where_that_is_allowed_and_has_room(
    flags: int, blocks: int, *, used: bool, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(program, 'echo "$TMPDIR" >&2; exit 1')
    monkeypatch.setattr("os.statvfs", shaped(flags, blocks))
    monkeypatch.setenv("TMPDIR", "/elsewhere")
    monkeypatch.setattr("os.sysconf", lambda _name: 2**16)
    with pytest.raises(NoBase, match="/dev/shm" if used else "/elsewhere"):
        baker(Reading())._base("debian")  # noqa: SLF001


def test_a_system_without_such_memory_builds_elsewhere(
    program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(program, "printf tar")
    monkeypatch.setattr("lab.provision.images._MEMORY", program.parent / "not-there")
    assert baker(Reading())._base("debian")[1] == BUILT_BASE  # noqa: SLF001
