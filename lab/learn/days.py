"""Trains models of windows on quiet days alone: what is usual is learnt, and the threshold extrapolated.

Whole days are held out, each from a model of the others. Quiet days are minutes or hours long, and one false
alarm a day is aimed at: the tail of the held-out windows' scores is continued to that rate, as it falls.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from statistics import fmean, pstdev
from typing import Any, Final

from lab.detect import windows
from lab.detect.description import Description
from lab.detect.model import WindowModel, numpy
from lab.errors import WrongInput
from lab.exercise.truth import Truth, read_truth
from lab.learn.card import Baseline, Evaluation, Group, curve, evaluation
from lab.moment import SECOND
from lab.runs.folder import RunFolder
from lab.score.intervals import share
from lab.telemetry.events import Events
from lab.telemetry.store import Store

_FEWEST: Final = 2
"""Days that are needed: one to learn from, one to be held out."""

_LEAST_SCALE: Final = 0.3
"""Least spread of a feature, in its own logarithmic units: what never varied may vary a little."""

_TAIL: Final = 0.1
"""Share of the windows whose scores are the tail."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Day:
    """A run without an attack, or one that a model is tried on."""

    name: str
    """The run's id."""

    hours: float
    """How long it was."""

    batches: tuple[Events, ...]
    """Its events."""

    truth: tuple[Truth, ...]
    """What was really done."""

    hash: str
    """SHA-256 of its events' ids."""

    @property
    def attacks(self) -> tuple[Truth, ...]:
        """The steps of an attack that ran."""
        return tuple(it for it in self.truth if it.label == "attack" and it.status == "ran")


def day(run: RunFolder) -> Day:
    """Read a run."""
    header = run.header()
    batches = tuple(Store(run.noticed.events).batches())
    ids = hashlib.sha256()
    for it in batches:
        ids.update("\0".join(it.column("event.id")).encode())
    return Day(
        name=run.path.name,
        hours=((header.ended or header.started) - header.started) / SECOND / 3600,
        batches=batches,
        truth=tuple(read_truth(run.happened)),
        hash=ids.hexdigest(),
    )


def quiet(run: RunFolder) -> Day:
    """Read a run that is to be learnt from.

    Raises:
        WrongInput: truth marks something in it as an attack.
    """
    found = day(run)
    if found.attacks:
        raise WrongInput(
            f"{found.name} has an attack in it ({found.attacks[0].name}): a model would learn it as benign;"
            " lab run quiet-day  makes a day without"
        )
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Learnt:
    """A model of windows, and what is known of it from the days that were held out."""

    model: WindowModel
    """Fitted on all days."""

    arrays: Mapping[str, Any]
    """Its weights."""

    held: Evaluation
    """Each day, by the model of the others."""

    an_hour: float
    """Windows in an hour."""

    usual: tuple[float, ...]
    """The highest value of each feature on quiet days."""


_Rows = Sequence[tuple[float, ...]]


def learn(days: Sequence[Day], described: Description, a_day: float) -> Learnt:
    """Learn what is usual.

    Args:
        days: Runs without an attack.
        described: What the model is to be; the threshold is filled in.
        a_day: False alerts a day that are aimed at.

    Raises:
        WrongInput: there are too few days, or nothing happens in one.
        NotReady: numpy is not installed.
    """
    np = numpy()
    if len(days) < _FEWEST:
        raise WrongInput(f"{len(days)} quiet day: at least {_FEWEST} are wanted, since each is held out once")
    noted = [_noted(it) for it in days] if described.kind == "account-window" else [{} for _ in days]
    rows = [_rows(it, described.kind, _merged(_without(noted, at))) for at, it in enumerate(days)]
    for it, found in zip(days, rows, strict=True):
        if not found:
            raise WrongInput(f"nothing in {it.name} is in a window of {described.kind}")
    scores = []
    for at, found in enumerate(rows):
        middle, scale = _usual(list(chain.from_iterable(_without(rows, at))))
        scores.append([windows.distance(it, middle, scale)[0] for it in found])
    hours = sum(it.hours for it in days)
    threshold = _threshold(sorted(chain.from_iterable(scores)), hours, a_day)
    middle, scale = _usual(list(chain.from_iterable(rows)))
    arrays = {"middle": np.array(middle, float), "scale": np.array(scale, float), **_merged(noted)}
    final = replace(described, threshold=round(threshold, 4))
    groups = [
        Group(name=it.name, sort="benign", flagged=share(sum(one >= threshold for one in found), len(found)))
        for it, found in zip(days, scores, strict=True)
    ]
    every = list(chain.from_iterable(rows))
    return Learnt(
        model=WindowModel(final, arrays),
        arrays=arrays,
        held=evaluation(groups),
        an_hour=len(every) / hours,
        usual=tuple(map(max, zip(*every, strict=True))),
    )


def _without(them: Sequence[Any], at: int) -> list[Any]:
    return [it for place, it in enumerate(them) if place != at]


def _rows(of: Day, kind: str, seen: Mapping[str, Any]) -> _Rows:
    return [values for _, _, values in windows.filled(windows.sort_of(kind, seen), of.batches)]


def _noted(of: Day) -> dict[str, Any]:
    """Note what was done on a day, in tables of what was seen."""
    np = numpy()
    found = {name: np.zeros(size, np.float32) for name, size in windows.TABLES.items()}
    sort = windows.Deeds(found)
    for batch in of.batches:
        for event in batch.at(sort.places(batch)):
            key = sort.key(event)
            if key is None:
                continue
            name, parent = str(event["process.executable"]), sort.parent(event)
            for table, words in windows.noted(key[1], name, parent):
                found[table][windows.place(*words)] = 1
            found["hours"][int(str(event["@timestamp"])) // (3600 * SECOND) % windows.HOURS] = 1
    return found


def _merged(tables: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Put tables together: how many days have seen each thing."""
    every = list(tables)
    return {name: sum(it[name] for it in every) for name in (every[0] if every else {})}


def _usual(rows: _Rows) -> tuple[list[float], list[float]]:
    """Return the mean and the spread of each feature."""
    columns = list(zip(*rows, strict=True))
    return [fmean(it) for it in columns], [max(_LEAST_SCALE, pstdev(it)) for it in columns]


def _threshold(scores: Sequence[float], hours: float, a_day: float) -> float:
    """Return the score that so many benign windows a day reach, if their tail goes on as it falls."""
    above = scores[int(len(scores) * (1 - _TAIL)) :]
    begin = above[0]
    falls = fmean(it - begin for it in above) or _LEAST_SCALE
    a_day_above = len(above) / hours * 24
    return max(begin + falls * math.log(max(1.0, a_day_above / a_day)), scores[-1] + 1e-6)


def tried(learnt: Learnt, days: Sequence[Day]) -> Evaluation:
    """Say what a frozen model makes of runs: how many windows of each step it flags, and of all others."""
    model, sort = learnt.model, learnt.model.sort
    flagged: dict[tuple[str, bool], list[bool]] = {}
    scores, sides = [], []
    alone: list[list[tuple[bool, bool]]] = [[] for _ in sort.features]
    for it in days:
        for key, start, values in windows.filled(sort, it.batches):
            step = _step(it, key, start, sort.seconds)
            score = model.explain(values).score
            flagged.setdefault((step or it.name, bool(step)), []).append(score >= model.description.threshold)
            scores.append(score)
            sides.append(bool(step))
            for column, value, most in zip(alone, values, learnt.usual, strict=True):
                column.append((value > most, bool(step)))
    groups = [
        Group(name=name, sort="novel attack" if attack else "benign", flagged=share(sum(found), len(found)))
        for (name, attack), found in flagged.items()
    ]
    baselines = [
        _alone(f"{name} alone, above all that quiet days have", found)
        for name, found in zip(sort.features, alone, strict=True)
    ]
    return evaluation(groups, baselines=baselines, curve=curve(scores, sides))


def _alone(name: str, found: Sequence[tuple[bool, bool]]) -> Baseline:
    attacks, benign = ([hit for hit, attack in found if attack == side] for side in (True, False))
    return Baseline(
        name=name,
        accuracy=fmean(hit == attack for hit, attack in found) if found else None,
        recall=fmean(attacks) if attacks else None,
        false_positive_rate=fmean(benign) if benign else None,
        recall_novel=fmean(attacks) if attacks else None,
    )


def _step(of: Day, key: windows.Key, start: int, seconds: int) -> str | None:
    """Return the step that a window is of: one that went on then, on that address or that host."""
    end = start + seconds * SECOND
    for it in of.attacks:
        named = {one for party in it.targets for one in (party.node, *party.addresses)}
        if key[0] in named and it.start < end and it.end >= start:
            return it.step
    return None
