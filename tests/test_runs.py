"""The end of a run is written also when no room is left for anything else."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import pytest

from lab.files import records
from lab.files.workplace import Workplace
from lab.moment import Moment
from lab.runs import folder
from lab.runs.header import Header


@pytest.fixture
def header() -> Header:
    return Header(id="x", lab="l", scenario="s", summary="", version="0", started=Moment(1))


def test_a_full_disk_leaves_room_for_how_a_run_ended(
    tmp_path: Path, header: Header, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = folder.create(Workplace(tmp_path), "s", Moment(1))
    run.write_header(header)
    write = records.write

    def full(path: Path, record: object) -> None:
        if (run.path / ".reserve").exists():
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, record)

    monkeypatch.setattr(records, "write", full)
    run.write_header(replace(header, ended=Moment(2), state="stopped"))
    assert run.header().state == "stopped"


def test_a_run_that_ended_keeps_no_room(tmp_path: Path, header: Header) -> None:
    run = folder.create(Workplace(tmp_path), "s", Moment(1))
    run.write_header(replace(header, ended=Moment(2), state="done"))
    assert [it.name for it in run.path.iterdir()] == ["run.json"]
