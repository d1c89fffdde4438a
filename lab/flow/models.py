"""Stages that train models, and say which of them raise alerts."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import lab
from lab.errors import BadFile, NotFound, Problem, WrongInput
from lab.flow.context import Context

if TYPE_CHECKING:
    from lab.detect.model import Description, Model
    from lab.learn.card import Card
    from lab.runs.folder import RunFolder

_FOLDER: Final = "models"
"""The folder below the workplace that holds all models."""

_USED: Final = "in-use"
"""The file in a model's folder that says that it raises alerts."""

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """What a model of SQL injection is to be made of."""

    benign: tuple[str, ...] = ()
    """Ids of runs without an attack."""

    attacks: tuple[Path, ...] = ()
    """Files of payloads, one a line."""

    tests: tuple[Path, ...] = ()
    """Files of payloads that are opened once the model is frozen."""

    test_benign: tuple[Path, ...] = ()
    """Files of benign values that are opened then."""

    seeds: int = 3
    """How many times it is trained."""

    name: str = "sqli"
    """What it is to be called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Learnt:
    """A model that was trained."""

    folder: Path
    """Where it is."""

    card: Card
    """Its card."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A model in the list."""

    folder: str
    """Where it is."""

    model: Description
    """What it is."""

    used: bool
    """Whether it raises alerts."""


def learn_values(lesson: Lesson, context: Context) -> Learnt:
    """What to learn from -> a model, its threshold frozen before a test is opened, and its card.

    Raises:
        WrongInput: a run has an attack in it, there is too little to hold some out, or the name is taken.
        BadFile: a file cannot be read.
        NotReady: scikit-learn is not installed.
    """
    from lab.detect.model import Description, write_model
    from lab.files import careful, records
    from lab.learn import card, corpora, values
    from lab.runs import folder

    target = _folder(lesson.name, context)
    if target.exists():
        raise WrongInput(
            f"there is a model {lesson.name!r} already;  lab model forget {lesson.name}  removes it"
        )
    runs = [folder.find(context.workplace, it) for it in lesson.benign]
    files = [corpora.attack_file(context.path(it)) for it in lesson.attacks]
    visited = [corpora.benign_run(it) for it in runs]
    every = [*files, *visited, *corpora.made_up(1)]
    parts = corpora.parted(every)
    described = Description(
        name=lesson.name,
        kind="http-value",
        title="A value of a request is like SQL injection",
        level="high",
        techniques=("T1190",),
        tactics=("initial-access",),
        threshold=0.0,
        weights="",
        version=lab.__version__,
    )
    seeds = tuple(range(1, lesson.seeds + 1))
    trained = [values.train(parts, described, seed, context.tell) for seed in seeds]
    first = trained[0]
    frozen = write_model(target, first.model.description, first.arrays)
    tests = [
        *(corpora.attack_file(context.path(it)) for it in lesson.tests),
        *(corpora.benign_file(context.path(it)) for it in lesson.test_benign),
    ]
    test_held = tuple(values.judged(first.model, it, parts) for it in tests)
    every_seed = [card.figures(it.held) for it in trained]
    test = card.figures(test_held) if test_held else None
    made = card.Card(
        model=frozen,
        hash=frozen.hash,
        sources=tuple(card.source(it, parts) for it in every),
        shared=parts.shared,
        disputed=parts.disputed,
        seeds=seeds,
        variants=1,
        tested=1 if tests else 0,
        folds=every_seed[0],
        held=first.held,
        recall=card.spread([it.recall.value or 0.0 for it in every_seed]),
        false_positive_rate=card.spread([it.ordinary.value or 0.0 for it in every_seed]),
        test=test,
        test_held=test_held,
        an_hour=_an_hour(runs, sum(it.read for it in visited)),
        base_rates=card.at_base_rates(test or every_seed[0]),
        warnings=card.warnings(every_seed[0], test, own=not files),
    )
    records.write(target / "card.json", made)
    careful.replace(target / "card.md", card.markdown(made).encode())
    return Learnt(folder=target, card=made)


def _an_hour(runs: list[RunFolder], values: int) -> float | None:
    """Return how many values visitors send in an hour of those runs."""
    from lab.moment import SECOND

    headers = [it.header() for it in runs]
    hours = sum(((it.ended or it.started) - it.started) / SECOND / 3600 for it in headers)
    return values / hours if hours else None


def _folder(name: str, context: Context) -> Path:
    if not _NAME.fullmatch(name):
        raise WrongInput(f"{name!r} is no name of a model: small letters, digits and hyphens")
    return context.path(Path(_FOLDER) / name)


def list_models(_: None, context: Context) -> tuple[Kept, ...]:
    """Nothing -> the models of the workplace, by name."""
    from lab.detect.model import DESCRIPTION, describe

    found = sorted(context.path(Path(_FOLDER)).glob(f"*/{DESCRIPTION}"))
    return tuple(
        Kept(folder=str(it.parent), model=describe(it.parent), used=(it.parent / _USED).exists())
        for it in found
    )


def find_model(name: str, context: Context) -> Kept:
    """Name -> a model, read and checked.

    Raises:
        NotFound: there is none.
        BadFile: it is not what it says.
    """
    from lab.detect.model import read_model

    folder = _folder(name, context)
    if not folder.is_dir():
        known = tuple(it.model.name for it in list_models(None, context))
        raise NotFound("model", name=name, known=known, remedy="lab learn sqli  makes one")
    model = read_model(folder)
    if model.description.name != name:
        what = f"is of the model {model.description.name!r}"
        raise BadFile(Problem(path=str(folder), line=0, what=what))
    return Kept(folder=str(folder), model=model.description, used=(folder / _USED).exists())


@dataclass(frozen=True, kw_only=True, slots=True)
class Switch:
    """Whether a model is to raise alerts."""

    name: str
    """The model."""

    used: bool
    """Whether it is to."""


def switch_model(switch: Switch, context: Context) -> Kept:
    """Whether a model is to raise alerts -> the same; it does from the next run, import or replay on."""
    found = find_model(switch.name, context)
    if switch.used:
        (Path(found.folder) / _USED).write_text(f"{found.model.hash}\n", encoding="utf-8")
    else:
        (Path(found.folder) / _USED).unlink(missing_ok=True)
    return find_model(switch.name, context)


def forget_model(name: str, context: Context) -> Path:
    """Name -> the folder that is gone now."""
    folder = _folder(name, context)
    if not folder.is_dir() or folder.is_symlink():
        raise NotFound("model", name=name, known=tuple(it.model.name for it in list_models(None, context)))
    shutil.rmtree(folder)
    return folder


def models_in_use(context: Context) -> tuple[Model, ...]:
    """Return the models that raise alerts.

    Raises:
        BadFile: one is not what it was when it was switched on.
    """
    used = [it for it in list_models(None, context) if it.used]
    if not used:
        return ()
    from lab.detect.model import read_model

    found = []
    for it in used:
        said = (Path(it.folder) / _USED).read_text("utf-8").strip()
        model = read_model(Path(it.folder))
        if model.description.hash != said:
            what, remedy = (
                "is another model than was switched on",
                f"lab model use {it.model.name}  takes it as it is",
            )
            raise BadFile(Problem(path=it.folder, line=0, what=what, remedy=remedy))
        found.append(model)
    return tuple(found)
