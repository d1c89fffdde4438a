"""Ten thousand run folders, answers and segments that are damaged somehow: a message, never a traceback."""

from __future__ import annotations

import csv
import io
import random
import shutil
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

import pytest

from lab.ask.bounded import Answer
from lab.cli import answers
from lab.cli.screen import Screen
from lab.detect.alert import read_alerts
from lab.errors import LabError
from lab.exercise.truth import read_clocks, read_truth
from lab.files.workplace import SHIPPED, Workplace
from lab.flow.context import Context, run_stages
from lab.pipeline import REPLAY, SCORE
from lab.runs.folder import RunFolder, find_recording
from lab.telemetry.store import Store
from lab.watch.collection import read_collection

SEED: Final = 20261125

READERS: Final[dict[str, Callable[[RunFolder], object]]] = {
    "run.json": lambda run: run.header(),
    "truth.jsonl": lambda run: read_truth(run.happened),
    "alerts.jsonl": lambda run: read_alerts(run.noticed),
    "clock.jsonl": lambda run: read_clocks(run.happened),
    "collection.json": lambda run: read_collection(run.noticed),
}

PIECES: Final = (
    *(b"\x00", b"\xff", b"\n", b"\r", b'"', b"{", b"}", b"[", b"null", b"-1", b"1e999", b"\\ud800"),
    *(b"9" * 400, b"[" * 2000, b"\xe2\x80\xae", b"2026-13-45T99:99:99Z", b"NaN", b"true", b"{}", b"[]"),
)


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run with alerts: the recording that ships, replayed."""
    context = Context(workplace=Workplace(tmp_path), connect=_nothing)
    run_stages(REPLAY, "ssh-brute-force", context)
    return find_recording(Workplace(tmp_path), "")


def _nothing() -> NoReturn:
    """No engine is asked."""
    raise AssertionError


def damaged(chance: random.Random, content: bytes) -> bytes:
    """Damage bytes somewhere, once or a few times."""
    found = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 3, 10))):
        place = chance.randrange(len(found) + 1)
        end = min(len(found), place + chance.choice((0, 1, 4, 60)))
        found[place:end] = chance.choice((b"", *PIECES, bytes([chance.randrange(256)])))
        if chance.random() < 0.05:
            del found[place:]
    return bytes(found)


def test_damaged_records_are_named(run: RunFolder) -> None:
    chance = random.Random(SEED)
    whole = {name: (run.path / name).read_bytes()[:6000] for name in READERS}
    for _ in range(8000):
        name = chance.choice(sorted(READERS))
        (run.path / name).write_bytes(damaged(chance, whole[name]))
        with suppress(LabError):
            READERS[name](run)


def test_damaged_segments_are_named(run: RunFolder) -> None:
    chance = random.Random(SEED)
    (segment,) = run.noticed.events.glob("*.parquet")
    whole = segment.read_bytes()
    for _ in range(500):
        segment.write_bytes(damaged(chance, whole))
        with suppress(LabError):
            deque(Store(run.noticed.events).events(), maxlen=0)


def test_damaged_runs_are_scored_or_refused(run: RunFolder, tmp_path: Path) -> None:
    chance = random.Random(SEED)
    names = [it.relative_to(run.path) for it in run.path.rglob("*") if it.is_file()]
    context = Context(workplace=Workplace(tmp_path), connect=_nothing)
    for _ in range(60):
        broken = tmp_path / "broken"
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(run.path, broken)
        name = chance.choice(names)
        (broken / name).write_bytes(damaged(chance, (broken / name).read_bytes()))
        with suppress(LabError):
            run_stages(SCORE, str(broken), context)


def test_answers_reach_no_terminal_and_no_spreadsheet_raw(capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(SEED)
    texts = ("\x1b[31m", "=1+1", "[/]", "@x", "\u202e", "a\nb", "-1", "\x07", "x" * 50, "", "|y", "\t")
    values: tuple[object, ...] = (*texts, None, 1, -1.5, True, ["\x1b"], {"a": "\x1b"})
    for _ in range(1440):
        width = chance.randrange(1, 4)
        columns = tuple(f"{chance.choice(texts)}{place}" for place in range(width))
        rows = tuple(tuple(chance.choice(values) for _ in range(width)) for _ in range(2))
        for form in ("csv", "table", "json"):
            answers.answer(Screen(), Answer(columns=columns, rows=rows), form)
            out = capsys.readouterr().out
            assert not set(out) & set("\x1b\x07\u202e"), (form, out)
            if form == "csv":
                cells = [cell for line in csv.reader(io.StringIO(out)) for cell in line]
                assert not [it for it in cells if it[:1] in {"=", "@", "|"}], out


def test_the_recording_is_whole() -> None:
    assert find_recording(SHIPPED, "ssh-brute-force").header().state == "done"
