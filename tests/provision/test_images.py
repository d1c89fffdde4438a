"""An image's tag says what went in, and nothing of where or when."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lab.engine.labels import BAKED
from lab.engine.memory import MemoryEngine
from lab.files.workplace import SHIPPED
from lab.inventory.definition import Node, read_inventory
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
