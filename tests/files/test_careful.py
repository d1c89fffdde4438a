"""A run's folder of somebody else: links are refused, sizes are bounded, nothing outside is touched."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from lab.errors import BadFile
from lab.files import careful, records


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """A record."""

    text: str


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("mine", encoding="utf-8")
    return path


def test_a_draft_that_is_a_link_overwrites_nothing(tmp_path: Path, secret: Path) -> None:
    (tmp_path / ".note.draft").symlink_to(secret)
    (tmp_path / "note").symlink_to(secret)
    records.write(tmp_path / "note", Note(text="new"))
    assert secret.read_text(encoding="utf-8") == "mine"
    assert records.read(tmp_path / "note", Note) == Note(text="new")


def test_nothing_is_added_through_a_link(tmp_path: Path, secret: Path) -> None:
    (tmp_path / "notes").symlink_to(secret)
    with pytest.raises(OSError, match="symbolic link"):
        records.append(tmp_path / "notes", [Note(text="x")])
    assert secret.read_text(encoding="utf-8") == "mine"


def test_what_a_link_leads_to_is_neither_read_nor_copied(tmp_path: Path, secret: Path) -> None:
    (tmp_path / "note").symlink_to(secret)
    for read in (
        lambda: careful.read_bytes(tmp_path / "note"),
        lambda: records.read(tmp_path / "note", Note),
        lambda: records.read_lines(tmp_path / "note", Note),
        lambda: careful.copy(tmp_path / "note", tmp_path / "copy"),
    ):
        with pytest.raises(BadFile, match="is a link"):
            read()
    assert not (tmp_path / "copy").exists()


def test_a_pipe_or_a_folder_is_no_file_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(BadFile, match="is no plain file"):
            careful.read_bytes(tmp_path / name)


def test_a_file_without_end_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(careful.LARGEST + 1)
    with pytest.raises(BadFile, match="bytes, and 536870912 are allowed"):
        careful.read_bytes(tmp_path / "huge")


def test_only_the_end_of_a_file_may_be_torn(tmp_path: Path) -> None:
    path = tmp_path / "notes"
    path.write_bytes(b'{"text":"a"}\n{"text":"b"')
    assert records.read_lines(path, Note) == (Note(text="a"),)
    for middle in (b'{"te', b"\xff\x00\r", b'{"text":"x"}\r{"text":"y"}'):
        path.write_bytes(b'{"text":"a"}\n' + middle + b'\n{"text":"c"}\n')
        with pytest.raises(BadFile, match=r"notes:2: not a Note record"):
            records.read_lines(path, Note)
