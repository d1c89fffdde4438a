"""Rules that were converted before are not converted again: to start pySigma takes longer than to use them.

What was made is kept in the user's cache folder, under a name that says all it was made of: the files with
their paths, what they were converted for, and the versions of what converts. Whatever is wrong with a kept
file, the rules are converted again.

When some rules of a set were edited, they alone are converted, and take their places in the set as it was
before: who tries a rule over and over waits for that rule. A change of which others may notice, because it is
of a correlation, of a filter or of a name, has all converted.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Final, TypeVar

import lab
from lab.detect.sigma.rule import RuleSet, WrittenRules
from lab.detect.sigma.taxonomy import Source
from lab.errors import BadFile, LabError
from lab.files import cache, careful, records

_Rules = TypeVar("_Rules", RuleSet, WrittenRules)

_NO_RULES: Final = frozenset(
    {"deprecated", "documentation", "other", "regression_data", "tests", "unsupported"}
)
"""Folders of a checkout of SigmaHQ without rules that are in use."""

TESTS: Final = ".test.yml"
"""How the name of a file of cases ends, `lab.detect.sigma.trials`: it is none of rules."""

_MOST: Final = 40
"""Sets of rules that are kept; those used least recently are removed."""

_FEW: Final = 20
"""Files that may have changed for the rest to be taken as it was."""

_NOTICED: Final = re.compile(r"^(?:correlation|filter|action)\s*:", re.MULTILINE)
"""What in a file makes its documents depend on others, or others on them."""

_NAMES: Final = re.compile(r"^(?:id|name|title)\s*:.*$", re.MULTILINE)
"""What others may refer to a rule by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Head:
    """What is remembered of a file, to tell later whether it alone has to be converted again."""

    digest: str
    names: tuple[str, ...]
    alone: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Last:
    """The set of rules that was made last of some paths."""

    digest: str
    heads: Mapping[str, _Head]


def rules_of(paths: Iterable[Path], pipelines: Iterable[Path] = ()) -> RuleSet:
    """Read rules for events of ours.

    Args:
        paths: Sigma files, and folders of them.
        pipelines: What users want made of rules before: pySigma's pipeline files.

    Raises:
        BadFile: a file is not Sigma; every problem of every file is named.
    """
    given, before = tuple(paths), tuple(pipelines)

    def convert() -> RuleSet:
        """Start pySigma for it."""
        from lab.detect.sigma.read import read_rules

        made = _mended(given, before) or read_rules(given, before)
        _remember(given, before)
        return made

    return _kept("ours", given, before, RuleSet, convert)


def written_rules_of(
    paths: Iterable[Path], source: Source | None, pipelines: Iterable[Path] = ()
) -> WrittenRules:
    """Read rules for events that have Sigma's own field names.

    Args:
        paths: Sigma files, and folders of them.
        source: The log source of the events; None to find each one's from its fields.
        pipelines: What users want made of rules before: pySigma's pipeline files.

    Raises:
        BadFile: a file is not Sigma; every problem of every file is named.
    """
    given, before = tuple(paths), tuple(pipelines)

    def convert() -> WrittenRules:
        """Start pySigma for it."""
        from lab.detect.sigma.read import read_written

        return read_written(given, source, before)

    return _kept(f"written {source}", given, before, WrittenRules, convert)


def rule_files(path: Path) -> list[Path]:
    """Return a file, or the rules below a folder.

    What is hidden is left out, as are files of cases, and of a checkout of SigmaHQ what is there for its own
    sake: tests, and rules that its authors have withdrawn.
    """
    if not path.is_dir():
        return [path]
    left = _NO_RULES if (path / "rules").is_dir() else frozenset[str]()
    found = (it for it in path.rglob("*") if it.suffix in {".yml", ".yaml"} and it.is_file())
    kept = (it for it in found if not it.name.endswith(TESTS))
    return sorted(it for it in kept if not _is_left_out(it.relative_to(path).parts, left))


def _is_left_out(parts: tuple[str, ...], left: frozenset[str]) -> bool:
    return parts[0] in left or any(it.startswith(".") for it in parts)


def _kept(
    what: str,
    paths: tuple[Path, ...],
    pipelines: tuple[Path, ...],
    kind: type[_Rules],
    convert: Callable[[], _Rules],
) -> _Rules:
    try:
        digest = _digest(what, paths, pipelines)
    except OSError:  # whoever reads the rules says which file it is
        return convert()
    file = folder_of_kept() / f"{digest}.json"
    try:
        found = records.from_json(careful.read_bytes(file), kind)
        os.utime(file)
    except (OSError, ValueError, LabError):
        found = convert()
        _keep(file, records.to_json(found).encode())
    return found


def _made_of(what: str, paths: tuple[Path, ...], pipelines: tuple[Path, ...]) -> Iterator[bytes]:
    yield what.encode()
    yield from (
        it.encode() for it in (lab.__version__, metadata.version("pysigma"), metadata.version("duckdb"))
    )
    for it in sorted(Path(__file__).parent.glob("*.py")):  # also a developer's changes make them anew
        about = it.stat()
        yield f"{it.name} {about.st_size} {about.st_mtime_ns}".encode()
    for file in (file for path in paths for file in rule_files(path)):
        yield str(file).encode("utf-8", "surrogateescape")
        yield hashlib.sha256(file.read_bytes()).digest()
    for file in pipelines:
        yield b"pipeline"
        yield hashlib.sha256(file.read_bytes()).digest()


def _digest(what: str, paths: tuple[Path, ...], pipelines: tuple[Path, ...]) -> str:
    return hashlib.sha256(b"\0".join(_made_of(what, paths, pipelines))).hexdigest()


def _mended(paths: tuple[Path, ...], pipelines: tuple[Path, ...]) -> RuleSet | None:
    """Convert the rules that were edited since the set was made last; None where that is not all there is."""
    try:
        last = records.from_json(careful.read_bytes(_last(paths, pipelines)), _Last)
        known = records.from_json(careful.read_bytes(folder_of_kept() / f"{last.digest}.json"), RuleSet)
        heads = _heads(paths)
    except (OSError, ValueError, LabError):
        return None
    edited = [it for it in heads if heads[it] != last.heads.get(it)]
    if heads.keys() != last.heads.keys() or len(edited) > _FEW:
        return None
    if any(not heads[it].alone or heads[it].names != last.heads[it].names for it in edited):
        return None
    from lab.detect.sigma.read import read_rules

    try:
        fresh = {it.id: it for it in read_rules([Path(it) for it in edited], pipelines).rules}
    except BadFile:
        return None  # the whole set says what is wrong with it
    if fresh.keys() != {it.id for it in known.rules if it.path in edited}:
        return None
    rules = tuple(replace(fresh[it.id], alone=it.alone) if it.id in fresh else it for it in known.rules)
    return replace(known, rules=rules)


def _last(paths: tuple[Path, ...], pipelines: tuple[Path, ...]) -> Path:
    """Return where it is kept what was made last of some paths, whatever is in them."""
    parts = ("last", *map(str, paths), "pipelines", *map(str, pipelines))
    named = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
    return folder_of_kept() / f"last-{named}.json"


def _heads(paths: tuple[Path, ...]) -> dict[str, _Head]:
    found: dict[str, _Head] = {}
    for file in (file for path in paths for file in rule_files(path)):
        content = file.read_bytes()
        text = content.decode("utf-8", "replace")
        found[str(file)] = _Head(
            digest=hashlib.sha256(content).hexdigest(),
            names=tuple(_NAMES.findall(text)),
            alone=not _NOTICED.search(text),
        )
    return found


def _remember(paths: tuple[Path, ...], pipelines: tuple[Path, ...]) -> None:
    """Keep of which files a set was made."""
    try:
        last = _Last(digest=_digest("ours", paths, pipelines), heads=_heads(paths))
    except OSError:
        return
    _keep(_last(paths, pipelines), records.to_json(last).encode())


def folder_of_kept() -> Path:
    """Return where converted rules are kept."""
    return cache.kept("rules")


def _keep(file: Path, content: bytes) -> None:
    """Keep what was made; where that cannot be, nothing is lost but time."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        careful.replace(file, content)
        oldest = sorted(file.parent.glob("*.json"), key=lambda it: it.stat().st_mtime)
        for it in oldest[:-_MOST]:
            it.unlink(missing_ok=True)
    except (OSError, LabError):
        return
