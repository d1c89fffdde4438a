"""A manifest is checked and not believed; a body file is read as somebody else's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lab.forensics import bodyfile, manifest
from lab.forensics.manifest import Item, Manifest
from lab.moment import Moment

AT = Moment.parse("2026-11-28T08:00:00Z")


@pytest.fixture
def taken(tmp_path: Path) -> Manifest:
    """Return the manifest of a folder with two files."""
    (tmp_path / "triage.tar").write_bytes(b"one")
    (tmp_path / "disk.raw").write_bytes(b"two")
    items = tuple(manifest.item_of(tmp_path, tmp_path / it, "x", AT) for it in ("disk.raw", "triage.tar"))
    found = Manifest(
        node="shop", kind="webshop", image="i", id="7", addresses=("10.0.0.2",), begun=AT, taken=AT,
        version="1", reconstructed=True, cannot=("memory",), items=items,
    )  # fmt: skip
    manifest.write(tmp_path, found)
    return found


def test_what_was_written_is_read_and_found_whole(tmp_path: Path, taken: Manifest) -> None:
    assert manifest.read(tmp_path) == taken
    assert list(manifest.faults(tmp_path, taken)) == []
    assert taken.items[0].sha256 == "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3"


def test_a_file_that_was_changed_or_removed_is_named(tmp_path: Path, taken: Manifest) -> None:
    (tmp_path / "disk.raw").write_bytes(b"twO")
    (tmp_path / "triage.tar").unlink()
    assert list(manifest.faults(tmp_path, taken)) == ["disk.raw has another hash", "triage.tar is not there"]


@pytest.mark.parametrize("path", ["../disk.raw", "/etc/passwd"])
def test_a_path_that_leads_out_of_the_folder_is_not_followed(
    tmp_path: Path, taken: Manifest, path: str
) -> None:
    (odd,) = (replace(taken.items[0], path=path),)
    assert list(manifest.faults(tmp_path, replace(taken, items=(odd,)))) == [
        f"{path} leads out of the folder"
    ]


def test_a_link_is_no_evidence(tmp_path: Path, taken: Manifest) -> None:
    (tmp_path / "disk.raw").unlink()
    (tmp_path / "disk.raw").symlink_to("/etc/hostname")
    assert list(manifest.faults(tmp_path, taken)) == ["disk.raw is not there"]


def test_a_manifest_that_was_changed_has_another_hash(taken: Manifest) -> None:
    assert replace(taken, node="files").digest != taken.digest
    item = replace(taken.items[0], sha256="0" * 64)
    assert isinstance(item, Item)
    assert replace(taken, items=(item, *taken.items[1:])).digest != taken.digest


LINES = (
    b"0|/etc/passwd|12|r/-rw-r--r--|0|0|900|1|2000|3|0\n"
    b"0|/bin -> usr/bin|13|l/lrwxrwxrwx|0|0|7|1|2001|3|0\n"
    b"half a line|x\n"
    b"0|/a\xff|14|r/-rw-r--r--|0|0|0|1|later|3|0\n"
)


def test_a_body_file_is_read_and_what_is_no_line_is_left_out() -> None:
    assert [(it.path, it.written) for it in bodyfile.read(LINES)] == [("/etc/passwd", 2000), ("/bin", 2001)]


def test_several_nodes_fit_into_one_body_file() -> None:
    first, second = bodyfile.of_node("shop", LINES).splitlines()
    assert first == b"0|shop:/etc/passwd|12|r/-rw-r--r--|0|0|900|1|2000|3|0"
    assert second.startswith(b"0|shop:/bin -> usr/bin|13|")
