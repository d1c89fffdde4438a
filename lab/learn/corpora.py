"""What a model of values is trained and tested on: payloads by corpus, benign by family; no row in two."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from lab.detect.features import normal, parameters
from lab.errors import BadFile, Problem, WrongInput
from lab.exercise.truth import read_truth
from lab.files import careful
from lab.learn.made import families, made
from lab.runs.folder import RunFolder
from lab.telemetry.store import Store

_FAMILY: Final = 2500
"""Values that are made of one family."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """Values from one place."""

    name: str
    """A file's name, a family, or a run."""

    attack: bool
    """Whether they are attacks."""

    hard: bool = False
    """Whether they are benign and look like attacks."""

    values: tuple[str, ...]
    """As a model looks at them, each once."""

    read: int
    """How many there were, before what came twice was left out."""

    hash: str
    """SHA-256 of the file; of the values, where there is none."""


def attack_file(path: Path) -> Corpus:
    """Read payloads, one a line; a line that begins with `#` is none.

    Raises:
        BadFile: it is not there, no plain file, or holds none.
    """
    try:
        content = careful.read_bytes(path, most=256 * 2**20)
    except OSError as error:
        raise BadFile(Problem(path=str(path), line=0, what=str(error.strerror or error).lower())) from error
    lines = [it.strip() for it in content.decode("utf-8", "replace").splitlines()]
    values = [it for it in lines if it and not it.startswith("#")]
    if not values:
        raise BadFile(Problem(path=str(path), line=0, what="holds no payload; one a line is wanted"))
    return Corpus(
        name=path.name,
        attack=True,
        values=tuple(dict.fromkeys(map(normal, values))),
        read=len(values),
        hash=hashlib.sha256(content).hexdigest(),
    )


def benign_file(path: Path) -> Corpus:
    """Read benign values, one a line.

    Raises:
        BadFile: as `attack_file`.
    """
    return replace(attack_file(path), attack=False)


def benign_run(run: RunFolder) -> Corpus:
    """Read the values that visitors sent in a run.

    Raises:
        WrongInput: truth marks something in it as an attack, or nobody sent anything.
    """
    attacks = sorted(
        {it.name for it in read_truth(run.happened) if it.label == "attack" and it.status == "ran"}
    )
    if attacks:
        raise WrongInput(
            f"{run.path.name} has an attack in it ({attacks[0]}): a model would learn it as benign;"
            " lab run quiet-day  makes a day without"
        )
    values = [
        it.value
        for batch in Store(run.noticed.events).batches()
        for query in batch.column("url.query")
        for it in parameters(query or "")
    ]
    if not values:
        raise WrongInput(f"no request in {run.path.name} has a parameter")
    texts = tuple(dict.fromkeys(map(normal, values)))
    return Corpus(name=run.path.name, attack=False, values=texts, read=len(values), hash=_hash(texts))


def made_up(seed: int) -> Iterator[Corpus]:
    """Give the values that are made up: payloads, ordinary ones, and hard ones."""
    for it in families():
        values = made(it, _FAMILY, seed)
        texts = tuple(dict.fromkeys(map(normal, values)))
        yield Corpus(
            name=f"made up: {it.name}",
            attack=it.sort == "attack",
            hard=it.sort == "hard",
            values=texts,
            read=len(values),
            hash=_hash(texts),
        )


def _hash(values: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(values).encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Parted:
    """Corpora without shared rows."""

    corpora: tuple[Corpus, ...]
    """Each value in the first of them that has it."""

    shared: int
    """Rows that were left out, since an earlier corpus has them."""

    disputed: int
    """Rows that are in corpora of attacks and in benign ones: left out of both."""


def parted(corpora: Iterable[Corpus]) -> Parted:
    """Leave out of each corpus what an earlier one has, and of all what is called both."""
    every = tuple(corpora)
    sides: Mapping[bool, set[str]] = {
        side: {it for one in every if one.attack == side for it in one.values} for side in (True, False)
    }
    disputed, seen = sides[True] & sides[False], set[str]()
    kept, shared = [], 0
    for one in every:
        values = tuple(it for it in one.values if it not in seen and it not in disputed)
        shared += len(one.values) - len(values) - sum(it in disputed for it in one.values)
        seen.update(values)
        kept.append(
            Corpus(
                name=one.name, attack=one.attack, hard=one.hard, values=values, read=one.read, hash=one.hash
            )
        )
    return Parted(corpora=tuple(it for it in kept if it.values), shared=shared, disputed=len(disputed))
