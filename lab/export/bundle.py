"""A run in one file that others can use: events, truth, a label for each event, alerts, score, and a card.

A zip of plain files, each named with its hash in `bundle.json`. Reading one trusts none of it: names are
those that are known, sizes are bounded, hashes have to agree, and what a file says is read as a run's own is.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from lab.errors import BadFile, LabError, Problem
from lab.exercise.respond.aftermath import read_aftermath
from lab.exercise.respond.probing import read_probes
from lab.exercise.truth import read_clocks, read_truth
from lab.export.card import card
from lab.export.replacing import Replacing
from lab.files import careful, records
from lab.files.workplace import Workplace
from lab.runs import names
from lab.runs.case import CaseEntry
from lab.runs.folder import RunFolder
from lab.runs.response import Response
from lab.runs.triage import Triage
from lab.score.evidence import EvidenceKind, attack_steps, owned_events
from lab.score.values import Score
from lab.telemetry.events import Events
from lab.telemetry.segments import present_segments
from lab.telemetry.store import Store

MANIFEST: Final = "bundle.json"
LABELS: Final = "labels.jsonl"
CARD: Final = "README.md"

_NEEDED: Final = (names.HEADER, names.LAB, names.TRUTH, names.ALERTS, names.SCORE)
_TEXTS: Final = (
    *_NEEDED,
    *(names.SCENARIO, names.RESULTS, names.CLOCK, names.COLLECTION, names.SENSOR_RULES),
    *(names.TRIAGE, names.CASE, names.PROBES, names.AFTERMATH, names.RESPONSE),
)
"""Files of a run that go into a bundle as they are, but for what is replaced."""

_EVENTS: Final = re.compile(rf"{names.EVENTS}/\d{{8}}-\d{{8}}\.parquet")
_RUN: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,100}")
_LARGEST: Final = 2 * 2**30
"""Bytes that the files of a bundle may have together."""

_CHUNK: Final = 2**20


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What a bundle is: `bundle.json`."""

    format: str
    """`homerange-bundle 1`."""

    run: str
    """Run id."""

    version: str
    """Version of the program that wrote it."""

    replaced: bool
    """Whether addresses and secrets were replaced."""

    files: Mapping[str, str]
    """Name to SHA-256, of every other file."""


_FORMAT: Final = "homerange-bundle 1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """What one event is evidence of."""

    event: str
    """Its `event.id`."""

    label: str
    """`attack`, `setup` for what prepared or tidied up, or `benign`."""

    steps: tuple[str, ...] = ()
    """Ids of the attack steps that it is evidence of."""

    techniques: tuple[str, ...] = ()
    """Their techniques."""


def write_bundle(run: RunFolder, target: Path, replacing: Replacing | None) -> Manifest:
    """Write a run into a bundle.

    Args:
        run: A run that was scored.
        target: The file to make; it must not exist.
        replacing: Replaces addresses and secrets; None leaves them as they are.

    Raises:
        BadFile: the file is there already, or something of the run cannot be read.
    """
    if target.exists():
        raise BadFile(Problem(path=str(target), line=0, what="is there already, and is not replaced"))
    change = replacing.text if replacing else str
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".bundle-") as made:
        folder = Path(made)
        for name in _TEXTS:
            if (run.path / name).exists():
                text = careful.read_bytes(run.path / name).decode("utf-8", "surrogateescape")
                (folder / name).write_bytes(change(text).encode("utf-8", "surrogateescape"))
        _forget_what_was_kept(folder / names.RESPONSE)
        (folder / names.EVENTS).mkdir()
        _copy_events(run, folder / names.EVENTS, change if replacing else None)
        labels = tuple(labels_of(run))
        (folder / LABELS).write_text("".join(records.to_json(it) + "\n" for it in labels), encoding="utf-8")
        counts = Counter(it.label for it in labels)
        text = card(run.header(), records.read(run.score, Score), counts, replaced=replacing is not None)
        (folder / CARD).write_text(text, encoding="utf-8")
        return _packed(folder, target, run, replaced=replacing is not None)


def _forget_what_was_kept(path: Path) -> None:
    """Leave out what taking responses back needs: whole files of nodes, and hashes of passwords."""
    if path.exists():
        lines = [replace(it, kept="") for it in records.read_lines(path, Response)]
        path.unlink()
        records.append(path, lines)


def _copy_events(run: RunFolder, folder: Path, change: Callable[[str], str] | None) -> None:
    if change is not None:
        Store(run.noticed.events).rewrite(folder, change)
        return
    for segment in present_segments(run.noticed.events):
        careful.copy(segment.path, folder / segment.path.name)


def _packed(folder: Path, target: Path, run: RunFolder, *, replaced: bool) -> Manifest:
    files = sorted(it for it in folder.rglob("*") if it.is_file())
    manifest = Manifest(
        format=_FORMAT,
        run=run.header().id,
        version=run.header().version,
        replaced=replaced,
        files={it.relative_to(folder).as_posix(): _digest(it) for it in files},
    )
    (folder / MANIFEST).write_text(records.to_json(manifest, indent=2) + "\n", encoding="utf-8")
    draft = target.with_name(f".{target.name}.draft")
    try:
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
            for it in (folder / MANIFEST, *files):
                told = zipfile.ZipInfo(
                    it.relative_to(folder).as_posix()
                )  # no time: the same run, the same bytes
                told.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(told, it.read_bytes())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return manifest


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def labels_of(run: RunFolder) -> Iterator[Label]:
    """Give each event of a run its label, in the order in which they entered the store."""
    truth = read_truth(run.happened)
    steps = attack_steps(truth)
    events = Events.all_of(tuple(Store(run.noticed.events).batches()))
    owned = owned_events(events, truth=truth, steps=steps, clocks=read_clocks(run.happened))
    of: dict[str, list[int]] = {}
    for place, ids in enumerate(owned.steps):
        for it in ids:
            of.setdefault(it, []).append(place)
    said: Mapping[EvidenceKind, str] = {"attack": "attack", "ignored": "setup", "benign": "benign"}
    for event in events.column("event.id"):
        places = of.get(event, [])
        yield Label(
            event=event,
            label=said[owned.kinds.get(event, "benign")],
            steps=tuple(steps[it].id for it in places),
            techniques=tuple(sorted({steps[it].record.technique for it in places})),
        )


# -- read ------------------------------------------------------------------------------------------


def is_bundle(path: Path) -> bool:
    """Tell whether a file is meant to be a bundle."""
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def read_bundle(path: Path, workplace: Workplace) -> RunFolder:
    """Make a run of a bundle; its score and report are still to be made.

    Raises:
        BadFile: it is no whole bundle, or the run is there already; every problem is named, nothing is kept.
    """
    runs = workplace.folder / names.RUNS
    runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=runs, prefix=".bundle-") as made:
        folder = Path(made) / "run"
        folder.mkdir()
        manifest = _unpacked(path, folder)
        target = runs / manifest.run
        if target.exists():
            what = f"its run is there already, as {target.name}"
            raise BadFile(Problem(path=str(path), line=0, what=what, remedy="move one of them away"))
        _check_contents(path, RunFolder(folder), manifest)
        folder.rename(target)
    return RunFolder(target)


def _unpacked(path: Path, folder: Path) -> Manifest:
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = _manifest(path, archive)
            problems = list(_wrong_names(archive, manifest))
            if not problems:
                problems += _extracted(archive, manifest, folder)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise BadFile(Problem(path=str(path), line=0, what=f"is no whole bundle: {error}")) from error
    if problems:
        raise BadFile(*(Problem(path=str(path), line=0, what=it) for it in problems))
    return manifest


def _manifest(path: Path, archive: zipfile.ZipFile) -> Manifest:
    told = archive.getinfo(MANIFEST)
    if told.file_size > _CHUNK:
        raise BadFile(Problem(path=str(path), line=0, what=f"{MANIFEST} is too large"))
    try:
        found = records.from_json(archive.read(MANIFEST), Manifest)
    except ValueError as error:
        raise BadFile(Problem(path=f"{path}:{MANIFEST}", line=1, what=f"cannot be read: {error}")) from error
    if found.format != _FORMAT or not _RUN.fullmatch(found.run):
        what = f"is not of the format {_FORMAT!r}, or names no run"
        raise BadFile(Problem(path=f"{path}:{MANIFEST}", line=1, what=what))
    return found


def _wrong_names(archive: zipfile.ZipFile, manifest: Manifest) -> Iterator[str]:
    members = Counter(it.filename for it in archive.infolist())
    known = {*_TEXTS, LABELS, CARD}
    for name, count in sorted(members.items()):
        if count > 1:
            yield f"{name!r} is in it {count} times"
        if name != MANIFEST and name not in known and not _EVENTS.fullmatch(name):
            yield f"{name!r} is no file of a run"
    yield from (f"{it} is missing" for it in _NEEDED if it not in members and it != names.ALERTS)
    unnamed = members.keys() ^ {MANIFEST, *manifest.files}
    yield from (f"{it!r} is in the archive or in {MANIFEST}, and not in both" for it in sorted(unnamed))
    if sum(it.file_size for it in archive.infolist()) > _LARGEST:
        yield f"its files have more than {_LARGEST // 2**30} GB"


def _extracted(archive: zipfile.ZipFile, manifest: Manifest, folder: Path) -> Iterable[str]:
    (folder / names.EVENTS).mkdir()
    for name, digest in manifest.files.items():
        found, left = hashlib.sha256(), archive.getinfo(name).file_size
        with archive.open(name) as file, (folder / name).open("xb") as made:
            while left >= 0 and (chunk := file.read(_CHUNK)):
                left -= len(chunk)  # what says less than it holds is cut off, and its hash is wrong
                found.update(chunk)
                made.write(chunk)
        if found.hexdigest() != digest:
            yield f"{name} is not what it was: its SHA-256 is not that in {MANIFEST}"


def _check_contents(path: Path, run: RunFolder, manifest: Manifest) -> None:
    """Read everything once, so that no half of a run is kept."""
    try:
        header = run.header()
        read_truth(run.happened)
        read_clocks(run.happened)
        records.read(run.score, Score)
        records.read_lines(run.path / names.TRIAGE, Triage)
        records.read_lines(run.path / names.CASE, CaseEntry)
        records.read_lines(run.path / names.RESPONSE, Response)
        read_probes(run.happened)
        read_aftermath(run.happened)
        Store(run.noticed.events).count()
        for _ in Store(run.noticed.events).batches():
            pass
    except (LabError, ValueError) as error:
        raise BadFile(
            Problem(path=str(path), line=0, what=f"holds no run that can be read: {error}")
        ) from error
    if header.id != manifest.run:
        what = f"{names.HEADER} is of the run {header.id!r}, and {MANIFEST} of {manifest.run!r}"
        raise BadFile(Problem(path=str(path), line=0, what=what))
