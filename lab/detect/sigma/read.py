"""Sigma files -> rules, or every problem with its line. pySigma parses; `convert` gives the conditions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

from sigma.collection import SigmaCollection
from sigma.exceptions import SigmaError, SigmaRuleLocation
from sigma.processing.pipeline import ProcessingPipeline

from lab.detect.sigma.compiled import rule_files
from lab.detect.sigma.convert import FAULTS, Conversion, EcsTarget, WrittenTarget
from lab.detect.sigma.rule import RuleSet, Unusable, WrittenRules
from lab.detect.sigma.taxonomy import Source
from lab.errors import BadFile, Problem
from lab.files import loader
from lab.files.loader import Item


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    """What one document of a file says."""

    collection: SigmaCollection
    """Its rules, one unless the file uses `action`."""

    place: SigmaRuleLocation
    """File and line of the document; what pySigma makes of it carries the same."""

    hash: str
    """SHA-256 of the document's text."""


def read_rules(paths: Iterable[Path], pipelines: Iterable[Path] = ()) -> RuleSet:
    """Read Sigma files, and folders of them, for events of ours.

    Args:
        paths: The files and folders. What is wrong in a folder is named among what cannot be used, so that
            one file does not spoil a thousand.
        pipelines: pySigma's pipeline files, applied before ours.

    Raises:
        BadFile: a file that is named itself is not Sigma; every problem of every file is named.
    """
    collection, hashes, unread = parsed(paths)
    found = Conversion(collection, hashes, EcsTarget(read_pipelines(pipelines))).converted()
    return RuleSet(rules=found.rules, correlations=found.correlations, unusable=(*found.unusable, *unread))


def read_written(
    paths: Iterable[Path], source: Source | None, pipelines: Iterable[Path] = ()
) -> WrittenRules:
    """Read Sigma files, and folders of them, for events that have Sigma's own field names.

    Args:
        paths: The files and folders.
        source: The log source of the events; None to find each one's from its fields.
        pipelines: pySigma's pipeline files, applied before.

    Raises:
        BadFile: a file that is named itself is not Sigma; every problem of every file is named.
    """
    collection, hashes, unread = parsed(paths)
    found = Conversion(collection, hashes, WrittenTarget(source, read_pipelines(pipelines))).converted()
    return WrittenRules(
        rules=found.rules,
        correlations=found.correlations,
        unusable=(*found.unusable, *unread),
        elsewhere=found.elsewhere,
    )


def read_pipelines(paths: Iterable[Path]) -> list[ProcessingPipeline]:
    """Read pySigma's pipeline files.

    Raises:
        BadFile: one is none; every problem is named.
    """
    problems: list[Problem] = []
    found: list[ProcessingPipeline] = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
            loader.check_yaml(text, str(path))
            found.append(ProcessingPipeline.from_yaml(text))
        except BadFile as error:
            problems += error.problems
        except (*FAULTS, OSError, UnicodeDecodeError) as error:
            problems.append(Problem(path=str(path), line=0, what=f"is no pipeline of pySigma: {error}"))
    if problems:
        raise BadFile(*problems)
    return found


def parsed(paths: Iterable[Path]) -> tuple[SigmaCollection, dict[str, str], tuple[Unusable, ...]]:
    """Read Sigma files, and folders of them, as pySigma has them.

    Returns:
        The rules, whose references are not resolved yet, the hash of each by its place, and what in the
        folders could not be read.

    Raises:
        BadFile: a file that is named itself is not Sigma; every problem of every file is named.
    """
    named: list[Problem] = []
    below: list[Problem] = []
    found: list[_Read] = []
    for path in paths:
        for file in rule_files(path):
            found += _documents(file, below if path.is_dir() else named)
    if named:
        raise BadFile(*named)
    merged = SigmaCollection.merge([it.collection for it in found], resolve_references=False)
    # A filter changes rules of other files: what a rule means then depends on the filters as well.
    filters = "".join(it.hash for it in found if it.collection.filters)
    hashes = {
        str(it.place): hashlib.sha256((it.hash + filters).encode()).hexdigest() if filters else it.hash
        for it in found
    }
    return merged, hashes, tuple(_unread(below))


def _unread(problems: Iterable[Problem]) -> Iterator[Unusable]:
    """Say once of each file what is wrong in it."""
    for path, several in groupby(sorted(set(problems)), key=lambda it: it.path):
        first, *others = several
        said = [first.what, *(f"line {it.line}: {it.what}" for it in others)]
        why = "; ".join(it.splitlines()[0] for it in said)
        yield Unusable(path=path, line=first.line, title=Path(path).stem, why=why)


def _documents(file: Path, problems: list[Problem]) -> Iterator[_Read]:
    """Read each document of a file by itself, so that it has a line and a hash of its own."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem(path=str(file), line=0, what=f"cannot be read: {error}"))
        return
    if re.search(r"^action\s*:", text, re.MULTILINE):  # these documents are made of one another
        yield from _document(file, 1, text, problems)
        return
    starts = [0, *(mark.end() for mark in re.finditer(r"^---(?=\s)[^\n]*\n?", text, re.MULTILINE)), len(text)]
    for start, end in pairwise(starts):
        document = re.sub(r"^---[^\n]*\n?\Z", "", text[start:end], flags=re.MULTILINE)
        if re.search(r"^[^\s#]", document, re.MULTILINE):
            yield from _document(file, text.count("\n", 0, start) + 1, document, problems)


def _document(file: Path, first: int, text: str, problems: list[Problem]) -> Iterator[_Read]:
    place = SigmaRuleLocation(file, first)
    try:
        root = _checked(file, first, text)
    except BadFile as error:
        problems += error.problems
        return
    try:
        found = SigmaCollection.from_yaml(
            text, collect_errors=True, source=place, collect_filters=True, resolve_references=False
        )
    except FAULTS as error:
        problems.append(_problem(file, first, root, error))
        return
    problems += [_problem(file, first, root, error) for error in found.errors]
    if found.errors:
        return
    yield _Read(collection=found, place=place, hash=hashlib.sha256(text.encode()).hexdigest())


def _checked(file: Path, first: int, text: str) -> Item:
    """Make sure that a text is YAML and a mapping, before pySigma reads it.

    Raises:
        BadFile: it is not, or gives a key twice, of which YAML keeps one in silence.
    """
    reading = loader.Reading(file)
    if re.search(r"^---\s", text, re.MULTILINE):  # documents made of one another
        loader.check_yaml(text, str(file))
        return Item({}, first)
    root = loader.parse("\n" * (first - 1) + text, reading)
    reading.mapping(root, "a rule")
    reading.finish()
    return root


def _problem(file: Path, first: int, root: Item, error: Exception) -> Problem:
    """Place an error: pySigma names its errors for the keys they are about, `SigmaLevelError`."""
    name = type(error).__name__.removeprefix("Sigma").removesuffix("Error")
    keys = [name.lower(), *(word.lower() for word in reversed(re.findall(r"[A-Z][a-z]+", name)))]
    lines = (line for key in [*keys, "correlation", "detection"] if (line := _line(root, key)))
    said = str(error.args[0]) if error.args else type(error).__name__
    expected = isinstance(error, SigmaError)
    what = said if expected else f"is not shaped like a Sigma rule ({said})"
    return Problem(path=str(file), line=next(lines, first), what=what)


def _line(item: Item, key: str) -> int:
    """Find the line of a key, at any depth; 0 when it is nowhere."""
    if not isinstance(item.value, dict):
        return 0
    if key in item.value:
        return item.value[key].line
    return next((line for it in item.value.values() if (line := _line(it, key))), 0)
