"""Logs of others: every line is counted, content comes in once, and nothing hostile breaks it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import resource
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from lab.detect.alert import Alert
from lab.detect.detector import detectors
from lab.errors import BadFile
from lab.moment import Moment
from lab.runs.noticed import Noticed
from lab.telemetry import inputs
from lab.telemetry.inputs import LONGEST_LINE, Inputs
from lab.telemetry.sources import SOURCES
from lab.telemetry.store import Store
from lab.watch.importing import Imported, Importer, look_at, read_imports, wanted
from tests.support import SAMPLES, Case, by_name, cases

OPENSSH: Final = SAMPLES / "loghub" / "openssh.log"
EVTX: Final = SAMPLES / "evtx" / "security.evtx"


def no_packets(_: Path, _name: str) -> Iterator[bytes]:
    """Read no packets."""
    yield from ()


def brought(folder: Path, *paths: Path, source: str = "", stop_after: int = 0) -> tuple[Imported, ...]:
    """Import files into a run."""
    with closing(Inputs()) as found:
        importer = Importer(noticed=Noticed(folder), host="imported", packets=no_packets)
        if stop_after:
            importer.progress = lambda _name, _share: importer.stop.set()
        return importer.run(wanted(found, paths, source))


def lines_of(folder: Path) -> list[int]:
    return sorted(int(str(it["homerange.line"])) for it in Store(folder / "events"))


_AWKWARD: Final = ("unparsed", "hostile", "headless", "continued", "hostile-name")
"""Cases of lines that are not what they seem."""

PLAIN: Final = [it for it in cases("telemetry") if not it.name.endswith(_AWKWARD)]


@pytest.mark.parametrize(
    "case", [it for it in cases("telemetry") if not it.name.endswith(_AWKWARD)], ids=by_name
)
def test_a_log_is_known_by_what_it_holds(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "anything"
    path.write_text("\n".join(case.raw["lines"]) + "\n", encoding="utf-8")
    (found,) = brought(tmp_path / "run", path)
    assert found.source == {"sshd": "syslog"}.get(case.raw["source"], case.raw["source"])


def test_every_line_is_an_event_or_one_that_says_why_not(tmp_path: Path) -> None:
    path = tmp_path / "auth.log"
    path.write_bytes(OPENSSH.read_bytes() + b"\nno syslog at all\n\xff\xfe\x00 broken\n")
    (found,) = brought(tmp_path / "run", path)
    count = len(path.read_bytes().splitlines())
    assert (found.lines, found.parsed + found.unparsed) == (count, Store(tmp_path / "run" / "events").count())
    assert found.unparsed == 2
    assert [it.text for it in found.puzzles] == ["no syslog at all", "\\xff\\xfe\x00 broken"]
    assert found.source == "syslog"
    assert found.first is not None


def test_times_of_a_file_its_reading_and_its_storing_are_told_apart(tmp_path: Path) -> None:
    before = Moment.now()
    brought(tmp_path / "run", OPENSSH)
    for event in Store(tmp_path / "run" / "events"):
        created, ingested = (int(str(event[it])) for it in ("event.created", "event.ingested"))
        assert int(str(event["@timestamp"])) < before <= created <= ingested
        assert event["log.file.path"] == str(OPENSSH)
        assert event["host.name"] == "LabSZ"


def packed_zip(raw: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("var/log/auth.log", raw)
    return file.getvalue()


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, packed_zip])
def test_packed_or_not_is_the_same_content(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    raw = OPENSSH.read_bytes()
    (tmp_path / "packed").write_bytes(pack(pack(raw)))
    (tmp_path / "plain").write_bytes(raw)
    (found,) = brought(tmp_path / "run", tmp_path / "plain", tmp_path / "packed")
    (again,) = brought(tmp_path / "run", tmp_path / "packed")
    assert found == again
    assert Store(tmp_path / "run" / "events").count() == len(raw.splitlines())


def test_a_folder_is_read_whole_and_what_is_no_log_is_named(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "a.log").write_bytes(OPENSSH.read_bytes())
    (logs / "picture").write_bytes(random.Random(1).randbytes(5000))
    (logs / "link").symlink_to("/etc/shadow")
    with closing(Inputs()) as found:
        files = wanted(found, [logs])
    assert [it.given.name for it in files] == [str(logs / "a.log")]
    assert [it.path for it in found.refused] == [str(logs / "picture")]


def test_what_is_not_there_is_said_all_at_once(tmp_path: Path) -> None:
    with closing(Inputs()) as found, pytest.raises(BadFile) as caught:
        wanted(found, [tmp_path / "a", tmp_path / "b"])
    assert len(caught.value.problems) == 2


def test_an_import_that_was_stopped_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "CHUNK", 20_000)
    monkeypatch.setattr(inputs, "_PIECE", 5000)
    run = tmp_path / "run"
    brought(run, OPENSSH, stop_after=1)
    some = lines_of(run)
    assert [it.whole for it in read_imports(Noticed(run))] == [False]
    (found,) = brought(run, OPENSSH)
    assert read_imports(Noticed(run)) == (found,)
    total = len(OPENSSH.read_bytes().splitlines())
    assert 0 < len(some) < total
    assert lines_of(run) == list(range(1, total + 1))
    assert found.lines == total


def test_what_is_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    (tmp_path / "cut.gz").write_bytes(gzip.compress(OPENSSH.read_bytes())[:2500])
    (found,) = brought(tmp_path / "run", tmp_path / "cut.gz")
    assert found.parsed > 100
    assert "as far as it goes" in found.fault


def test_a_bomb_is_stopped(tmp_path: Path) -> None:
    line = b"Dec 10 06:55:46 LabSZ sshd[24200]: Invalid user webmaster from 173.234.31.186\n"
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb") as file:
        for _ in range(120):
            file.write(line * 10_000)
    (found,) = brought(tmp_path / "run", path)
    assert "bomb" in found.fault
    assert found.lines * len(line) <= max(64 * 2**20, 250 * path.stat().st_size)


def test_a_zip_of_many_small_bombs_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "many.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(100):
            archive.writestr(f"{number}.log", b"\n" * 2**20)
    with closing(Inputs()) as found, pytest.raises(BadFile, match="bomb"):
        wanted(found, [path])


def test_a_line_of_ten_megabytes_is_cut_and_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "long.log"
    head = b"Dec 10 06:55:46 LabSZ app: "
    path.write_bytes(head + b"x" * 10_000_000 + b"\n" + head + b"after\n")
    (found,) = brought(tmp_path / "run", path, source="syslog")
    events = list(Store(tmp_path / "run" / "events"))
    assert sum(len(str(it["event.original"])) for it in events) >= 10_000_000
    assert events[-1]["message"] == "after"
    assert found.unparsed == 10


def test_a_file_that_vanishes_or_shrinks_is_said_to(tmp_path: Path) -> None:
    path = tmp_path / "auth.log"
    path.write_bytes(OPENSSH.read_bytes())
    with closing(Inputs()) as found:
        files = wanted(found, [path])
        path.write_bytes(OPENSSH.read_bytes()[:1000])
        importer = Importer(noticed=Noticed(tmp_path / "run"), host="x", packets=no_packets)
        (shrunk,) = importer.run(files)
    assert "shorter" in shrunk.fault
    with closing(Inputs()) as found:
        files = wanted(found, [path])
        path.unlink()
        (_, gone) = importer.run(files)
    assert "as far as it goes" in gone.fault
    assert gone.lines == 0


def test_an_evtx_file_is_read_record_by_record(tmp_path: Path) -> None:
    (found,) = brought(tmp_path / "run", EVTX)
    events = list(Store(tmp_path / "run" / "events"))
    assert (found.source, found.lines, found.unparsed) == ("windows", 7, 0)
    assert {it["event.code"] for it in events} == {"5152", "5156"} or len(events) == 7
    assert all(it["winlog.channel"] == "Security" for it in events)


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_evtx_file_gives_what_it_can(seed: int, tmp_path: Path) -> None:
    raw = bytearray(EVTX.read_bytes())
    chance = random.Random(seed)
    for _ in range(200):
        raw[chance.randrange(8, len(raw))] = chance.randrange(256)
    path = tmp_path / "damaged.evtx"
    path.write_bytes(bytes(raw)[: chance.randrange(100, len(raw))])
    (found,) = brought(tmp_path / "run", path)
    assert found.fault or found.lines >= 0
    assert found.parsed + found.unparsed == Store(tmp_path / "run" / "events").count()


@pytest.mark.parametrize("kind", sorted(SOURCES))
def test_noise_of_any_sort_is_kept_line_by_line(kind: str, tmp_path: Path) -> None:
    chance = random.Random(kind)
    path = tmp_path / "noise"
    path.write_bytes(
        b"".join(chance.randbytes(chance.randrange(80)).replace(b"\n", b"") + b"\n" for _ in range(3000))
    )
    (found,) = brought(tmp_path / "run", path, source=kind)
    assert found.lines == 3000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2 * 2**20


def test_alerts_are_those_of_what_happened_whatever_the_order_of_files(tmp_path: Path) -> None:
    lines = OPENSSH.read_bytes().splitlines(keepends=True)
    half = len(lines) // 2
    (tmp_path / "a.log").write_bytes(b"".join(lines[half:]))
    (tmp_path / "b.log").write_bytes(b"".join(lines[:half]))
    found = []
    for order in (("a.log", "b.log"), ("b.log", "a.log")):
        noticed = Noticed(tmp_path / "-".join(order))
        brought(noticed.folder, *(tmp_path / it for it in order))
        raised: list[Alert] = []
        look_at(noticed, detectors(""), raised.append)
        found.append([(it.title, it.first_event) for it in raised])
    assert found[0] == found[1] != []


@pytest.mark.parametrize("length", [LONGEST_LINE - 1, LONGEST_LINE, LONGEST_LINE + 1])
def test_only_a_line_that_is_too_long_is_cut(length: int, tmp_path: Path) -> None:
    path = tmp_path / "long.log"
    path.write_bytes(b"a\n" + b"x" * length + b"\nb\n")
    (found,) = brought(tmp_path / "run", path, source="syslog")
    assert found.lines == (4 if length > LONGEST_LINE else 3)
