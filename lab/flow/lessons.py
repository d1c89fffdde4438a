"""Stages that train models, each frozen before a test is opened, and write their cards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import lab
from lab.errors import WrongInput
from lab.flow.context import Context
from lab.flow.models import model_folder

if TYPE_CHECKING:
    from lab.learn.card import Card, Evaluation, Source, Spread, Transfer, Tried
    from lab.learn.corpora import Corpus, Parted
    from lab.learn.days import Day
    from lab.learn.members import Coder
    from lab.learn.records import Fitted, Wanted
    from lab.learn.tables import Table
    from lab.runs.header import Header

DataSet = Literal["nsl-kdd", "kdd99", "cicids2017"]
"""Published data sets that there are readers for."""

_OWN: Final = "homerange's own"
_FILES: Final = "that of the file"
_LABS: Final = "your own"
_UNSTATED: Final = "none stated by who publishes it"


@dataclass(frozen=True, kw_only=True, slots=True)
class ValueLesson:
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
class RecordLesson:
    """What a model of a published data set is to be made of."""

    data: DataSet
    """Which."""

    train: tuple[Path, ...]
    """Its files."""

    test: tuple[Path, ...] = ()
    """Files that are opened once the model is frozen; empty: the last of the others, or their last rows."""

    lab: tuple[str, ...] = ()
    """Ids of runs whose connections it is tried on, and that are learnt from for the way back."""

    target: float = 0.05
    """Share of benign rows that may be flagged."""

    seeds: int = 5
    """How many times it is trained."""

    coder: Coder = "mlp"
    """What the autoencoder is trained with."""

    name: str
    """What it is to be called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowLesson:
    """What a model of windows is to be made of."""

    kind: Literal["destination-window", "account-window"]
    """Which windows."""

    benign: tuple[str, ...]
    """Ids of runs without an attack."""

    tests: tuple[str, ...] = ()
    """Ids of runs that are opened once the model is frozen."""

    a_day: float = 1.0
    """False alerts a day that are aimed at."""

    name: str
    """What it is to be called."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Learnt:
    """A model that was trained."""

    folder: Path
    """Where it is."""

    card: Card
    """Its card."""


def _free(name: str, context: Context) -> Path:
    """Return the folder of a model that is to be made.

    Raises:
        WrongInput: there is one of that name.
    """
    target = model_folder(name, context)
    if target.exists():
        raise WrongInput(f"there is a model {name!r} already;  lab model forget {name}  removes it")
    return target


def _kept(target: Path, card: Card) -> Learnt:
    """Write a card beside its model, for programs and for people."""
    from lab.files import careful, records
    from lab.learn.cardpage import html, markdown

    records.write(target / "card.json", card)
    careful.replace(target / "card.md", markdown(card).encode())
    careful.replace(target / "card.html", html(card).encode())
    return Learnt(folder=target, card=card)


# -- values ----------------------------------------------------------------------------------------

_VALUES_SPLIT: Final = (
    "By corpus and by family, never at random: each fold is without some whole files of payloads and some"
    " whole families of benign values, since a random split would put neighbours of a row on both sides. The"
    " threshold was chosen on those folds alone; then the model was fitted on all."
)

_VALUES_CANNOT: Final = (
    "what is in the body of a request: access logs do not have it",
    "an injection that is written as an ordinary value, `id=7` in the place of `id=5`",
    "values that are encoded otherwise than by percent signs: base64, JSON inside JSON, UTF-16",
    "attacks of another sort: it knows SQL alone",
)


def learn_values(lesson: ValueLesson, context: Context) -> Learnt:
    """What to learn from -> a model, its threshold frozen before a test is opened, and its card.

    Raises:
        WrongInput: a run has an attack in it, there is too little to hold some out, or the name is taken.
        BadFile: a file cannot be read.
        NotReady: scikit-learn is not installed.
    """
    from lab.detect.description import Description
    from lab.detect.model import write_model
    from lab.learn import card, corpora, values
    from lab.runs import folder

    target = _free(lesson.name, context)
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
    folds = [values.evaluated(it.held) for it in trained]
    frozen = write_model(target, trained[0].model.description, trained[0].arrays)
    opened = [
        *(corpora.attack_file(context.path(it)) for it in lesson.tests),
        *(corpora.benign_file(context.path(it)) for it in lesson.test_benign),
    ]
    tests = [
        values.evaluated([values.judged(one.model, it, parts) for it in opened]) for one in trained if opened
    ]
    warned = [*card.warnings(folds[0], tests[0] if tests else None, values.ORDINARY_RATE, values.HARD_RATE)]
    if not files:
        warned.append("no payloads of others were given: it was trained on those that are made up here alone")
    return _kept(
        target,
        card.Card(
            model=frozen,
            hash=frozen.hash,
            sources=tuple(_corpus(it, parts) for it in every)
            + tuple(_corpus(it, parts, sort="test") for it in opened),
            split=_VALUES_SPLIT,
            notes=(),
            shared=parts.shared,
            disputed=parts.disputed,
            seeds=seeds,
            tried=(_only(folds[0], "two logistic regressions, over characters and over words"),),
            tested=1 if tests else 0,
            target=values.ORDINARY_RATE,
            target_hard=values.HARD_RATE,
            figures_of="test" if tests else "folds",
            **_spreads(tests or folds),
            folds=folds[0],
            test=tests[0] if tests else None,
            at_targets=(),
            an_hour=_an_hour([day.header() for day in runs], sum(it.read for it in visited)),
            base_rates=card.at_base_rates(tests[0] if tests else folds[0]),
            drift=(),
            transfer=(),
            moved=(),
            warnings=tuple(warned),
            cannot=_VALUES_CANNOT,
        ),
    )


def _spreads(of: list[Evaluation]) -> dict[str, Spread | None]:
    from lab.learn.card import spreads

    return dict(spreads(of))


def _only(folds: Evaluation, name: str) -> Tried:
    """Describe a variant that no other was tried beside."""
    from lab.learn.card import Tried

    return Tried(
        name=name,
        hidden_recall=folds.recall_novel.value,
        false_positive_rate=folds.ordinary.value,
        chosen=True,
    )


def _corpus(it: Corpus, parts: Parted, sort: str = "") -> Source:
    from lab.learn.card import Source

    own = "attack" if it.attack else "hard benign" if it.hard else "benign"
    kept = next((len(one.values) for one in parts.corpora if one.name == it.name), 0)
    licence = _OWN if it.name.startswith("made up: ") else _FILES
    return Source(
        name=it.name,
        sort=sort or own,
        read=it.read,
        kept=len(it.values) if sort else kept,
        hash=it.hash,
        licence=licence,
    )


def _an_hour(headers: list[Header], rows: int) -> float | None:
    """Return how many rows come in an hour of those runs."""
    from lab.moment import SECOND

    hours = sum(((it.ended or it.started) - it.started) / SECOND / 3600 for it in headers)
    return rows / hours if hours else None


# -- records ---------------------------------------------------------------------------------------

_RECORDS_SPLIT: Final = (
    "By type of attack, never at random: each fold hides whole types, together with benign rows that nothing"
    " was fitted on. The variant was chosen by what it finds of what its folds did not see, over all seeds;"
    " the threshold on benign rows that no fold and no fit ever had. Only then was the test opened."
)

_RECORDS_CANNOT: Final = (
    "anything in your network: it looks at columns that another program made, of traffic of another time",
    "an attack whose rows are like benign ones: what is not in the columns cannot be found",
)


def learn_records(lesson: RecordLesson, context: Context) -> Learnt:
    """Files of a published data set -> a model, frozen before the test is opened, and its card.

    Raises:
        WrongInput: there are too few benign rows, or the name is taken.
        BadFile: a file is not of that form.
        NotReady: scikit-learn is not installed.
    """
    from lab.detect.description import Description
    from lab.detect.model import write_model
    from lab.learn import card, judging, records, tables

    records.require(lesson.coder)
    target = _free(lesson.name, context)
    read = tables.READERS[lesson.data]
    train, test, how = _split([read(context.path(it)) for it in lesson.train], lesson)
    described = Description(
        name=lesson.name,
        kind="record",
        title=lesson.data,
        level="medium",
        techniques=(),
        tactics=(),
        threshold=0.0,
        weights="",
        version=lab.__version__,
    )
    seeds = tuple(range(1, lesson.seeds + 1))
    wanted = records.Wanted(described=described, target=lesson.target, seeds=seeds, coder=lesson.coder)
    fitted, tried = records.train(train, wanted, context.tell)
    frozen = write_model(target, fitted[0].ensemble.description, fitted[0].arrays)
    if lesson.test:
        test = tables.together([read(context.path(it)) for it in lesson.test])
    tests = _tests(fitted, train, test, context) if test is not None else []
    folds = fitted[0].folds
    shown = tests[0] if tests else None
    twice = int(judging.in_both(train, test).sum()) if test is not None else 0
    notes = [*train.notes, *((test.notes if lesson.test else ()) if test is not None else ())]
    if twice:
        notes.append(
            f"{twice} rows of the test have the values of a row of the training; they count as they are"
        )
    return _kept(
        target,
        card.Card(
            model=frozen,
            hash=frozen.hash,
            sources=tuple(_sources(train, test, apart=bool(lesson.test))),
            split=f"{_RECORDS_SPLIT} {how}".strip(),
            notes=tuple(notes),
            shared=0,
            disputed=0,
            seeds=seeds,
            tried=tried,
            tested=1 if tests else 0,
            target=lesson.target,
            target_hard=None,
            figures_of="test" if tests else "folds",
            **_spreads(tests or [it.folds for it in fitted]),
            folds=folds,
            test=shown,
            at_targets=judging.at_targets(fitted, train, test) if test is not None else (),
            an_hour=None,
            base_rates=card.at_base_rates(shown or folds),
            drift=judging.drift(train, test) if test is not None else (),
            transfer=_transfer(train, lesson, wanted, context),
            moved=judging.moved(fitted[0], test) if test is not None else (),
            warnings=card.warnings(folds, shown, lesson.target, None),
            cannot=_RECORDS_CANNOT,
        ),
    )


def _tests(fitted: tuple[Fitted, ...], train: Table, test: Table, context: Context) -> list[Evaluation]:
    from lab.learn import judging

    context.tell("the model is frozen; the test is opened")
    beside = judging.baselines(train, test, fitted[0].ensemble.encoder, 1)
    return [judging.judged(it, train, test, beside) for it in fitted]


def _transfer(train: Table, lesson: RecordLesson, wanted: Wanted, context: Context) -> tuple[Transfer, ...]:
    """Try what both have in common from the data set to the lab, and back."""
    if not lesson.lab:
        return ()
    from lab.learn import days, transfer
    from lab.runs import folder

    runs = [days.day(folder.find(context.workplace, it)) for it in lesson.lab]
    return transfer.measured(train, transfer.connections(runs), wanted, context.tell)


_TRAINED_SHARE: Final = 0.6
"""How much of a single file is trained on, when there is no other to test on."""


def _split(read: list[Table], lesson: RecordLesson) -> tuple[Table, Table | None, str]:
    """Part files by time: where no test is given, the last file, or the last rows, are the test."""
    from lab.learn.tables import together

    if lesson.test or lesson.data != "cicids2017":
        return together(read), None, ""
    if len(read) > 1:
        how = f"Files are days: the test is {read[-1].name}, the last that was named."
        return together(read[:-1]), together(read[-1:]), how
    (one,) = read
    begin = int(len(one) * _TRAINED_SHARE)
    how = f"One file alone: trained on the first {_TRAINED_SHARE:.0%} of its rows, the others are the test."
    return one.at(slice(begin)), one.at(slice(begin, None)), how


def _sources(train: Table, test: Table | None, *, apart: bool) -> list[Source]:
    from lab.learn.card import Source

    found = []
    for sort, table in (("train", train), ("test", test)):
        if table is None:
            continue
        for name, digest in table.hashes.items():
            part = "" if apart or test is None else f", {len(table)} rows"
            found.append(
                Source(
                    name=f"{name}{part}",
                    sort=sort,
                    read=len(table),
                    kept=len(table),
                    hash=digest,
                    licence=_UNSTATED,
                )
            )
    return found


# -- windows ---------------------------------------------------------------------------------------

_WINDOWS_SPLIT: Final = (
    "By day: each quiet day was scored by a model of the others. The threshold continues the tail of those"
    " scores to the rate of false alerts that is aimed at; then the model was fitted on all days. No attack"
    " was seen."
)

_WINDOWS_CANNOT: Final = {
    "destination-window": (
        "an attack that is no more traffic than there is on a quiet day: one request can be enough",
        "traffic that no sensor sees: inside a host, or on another network",
        "which of many connections are the attack: it looks at all that reach a destination in ten seconds",
    ),
    "account-window": (
        "what is done with the commands of every day, at their hours",
        "what no command is run for: work inside a program, or in memory",
        "who sits at the keyboard: it knows an account by what it did on quiet days",
    ),
}

_WINDOWS: Final[dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]]] = {
    "destination-window": (
        "A destination is reached by far more than on a quiet day",
        ("T1498", "T1499"),
        ("impact",),
    ),
    "account-window": (
        "An account does what it does not do on a quiet day",
        ("T1078",),
        ("defense-evasion",),
    ),
}
"""Title, techniques and tactics of what a kind raises."""


def learn_windows(lesson: WindowLesson, context: Context) -> Learnt:
    """Quiet days -> a model of windows, frozen before other runs are opened, and its card.

    Raises:
        WrongInput: a day has an attack in it, there are too few, or the name is taken.
        NotReady: numpy is not installed.
    """
    from lab.detect.description import Description
    from lab.detect.model import write_model
    from lab.learn import card, days
    from lab.runs import folder

    target = _free(lesson.name, context)
    quiet = [days.quiet(folder.find(context.workplace, it)) for it in lesson.benign]
    title, techniques, tactics = _WINDOWS[lesson.kind]
    described = Description(
        name=lesson.name,
        kind=lesson.kind,
        title=title,
        level="medium",
        techniques=techniques,
        tactics=tactics,
        threshold=0.0,
        weights="",
        version=lab.__version__,
    )
    learnt = days.learn(quiet, described, lesson.a_day)
    frozen = write_model(target, learnt.model.description, learnt.arrays)
    opened = [days.day(folder.find(context.workplace, it)) for it in lesson.tests]
    test = days.tried(learnt, opened) if opened else None
    aim = lesson.a_day / 24 / learnt.an_hour
    return _kept(
        target,
        card.Card(
            model=frozen,
            hash=frozen.hash,
            sources=tuple(_day(it, "train") for it in quiet) + tuple(_day(it, "test") for it in opened),
            split=_WINDOWS_SPLIT,
            notes=(f"{sum(it.hours for it in quiet):.2f} hours of quiet days",),
            shared=0,
            disputed=0,
            seeds=(1,),
            tried=(_only(learnt.held, "one-sided distance"),),
            tested=1 if test else 0,
            target=aim,
            target_hard=None,
            figures_of="test" if test else "folds",
            **_spreads([test or learnt.held]),
            folds=learnt.held,
            test=test,
            at_targets=(),
            an_hour=learnt.an_hour,
            base_rates=card.at_base_rates(test or learnt.held),
            drift=(),
            transfer=(),
            moved=(),
            warnings=card.warnings(learnt.held, test, aim, None),
            cannot=_WINDOWS_CANNOT[lesson.kind],
        ),
    )


def _day(it: Day, sort: str) -> Source:
    from lab.learn.card import Source

    events = sum(map(len, it.batches))
    return Source(name=it.name, sort=sort, read=events, kept=events, hash=it.hash, licence=_LABS)
