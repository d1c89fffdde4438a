"""Models that raise alerts beside the rules: loaded without running anything, scored here, explained exactly.

A model is a folder: `model.json` says what it is and by which hash its weights go, `weights.npz` has the
numbers. numpy, which they need, comes with the extra `learn`.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from lab.detect import features, windows
from lab.detect.alert import FACT_FIELDS, RISKS, Alert, entities_of, facts, identity, in_order, time_of
from lab.detect.description import FORMAT, Description
from lab.detect.ensemble import Ensemble
from lab.errors import BadFile, NotReady, Problem
from lab.files import careful, records
from lab.moment import SECOND, Moment
from lab.telemetry.event import Event
from lab.telemetry.events import Events

DESCRIPTION: Final = "model.json"
WEIGHTS: Final = "weights.npz"

_LARGEST: Final = 64 * 2**20
"""Bytes that weights may take, packed or not."""

_SHAPES: Final[Mapping[str, Mapping[str, int]]] = {
    "http-value": {"characters": features.CHARACTERS, "tokens": features.TOKENS, "bias": 2},
    "destination-window": dict.fromkeys(("middle", "scale"), len(windows.Traffic.features)),
    "account-window": dict.fromkeys(("middle", "scale"), len(windows.Deeds.features)) | windows.TABLES,
}
"""Arrays of a model by its kind, and how many numbers each has."""

_SHOWN: Final = 5
"""Features that are named with an alert."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A value, scored."""

    score: float
    """Log-odds that it is an attack."""

    moved: tuple[tuple[str, float], ...]
    """The features that spoke for it most, each with its share of the score."""


class Model:
    """A model, ready to score."""

    def __init__(self, description: Description, arrays: Mapping[str, Any]) -> None:
        """Take a model.

        Args:
            description: What it is.
            arrays: `characters` and `tokens`, a weight for each bucket, and `bias`, one number of each.
        """
        self.description = description
        self._characters = arrays["characters"].tolist()
        self._tokens = arrays["tokens"].tolist()
        self._bias = [float(it) for it in arrays["bias"]]
        self._known: dict[str, float] = {}

    def score(self, value: str) -> float:
        """Return the log-odds that a value is an attack: those of its worst window."""
        return self.score_normal(features.normal(value))

    def score_normal(self, text: str) -> float:
        """Return the same of a value that is as `features.normal` makes it."""
        known = self._known.get(text)
        if known is None:
            known = max(self._of(it) for it in features.windows(text))
            if len(self._known) < _REMEMBERED:
                self._known[text] = known
        return known

    def explain(self, value: str) -> Scored:
        """Return the score of a value, and what moved it: exact, since both halves are sums."""
        worst = max(features.windows(features.normal(value)), key=self._of)
        shares: dict[str, float] = {}
        for grams, weights in self._halves(worst):
            for gram in grams:
                said = gram.replace("\x1f", "").replace("\x02", "^").replace("\x03", "$")
                shares[said] = shares.get(said, 0.0) + weights[features.bucket(gram, len(weights))] / (
                    2 * math.sqrt(len(grams))
                )
        most = sorted(shares.items(), key=lambda it: -it[1])[:_SHOWN]
        return Scored(self._of(worst), tuple((name, round(share, 3)) for name, share in most if share > 0))

    def _halves(self, text: str) -> tuple[tuple[frozenset[str], Sequence[float]], ...]:
        return (features.characters(text), self._characters), (features.tokens(text), self._tokens)

    def _of(self, text: str) -> float:
        total = 0.0
        for (grams, weights), bias in zip(self._halves(text), self._bias, strict=True):
            size = len(weights)
            total += bias + sum(weights[features.bucket(it, size)] for it in grams) / math.sqrt(len(grams))
        return total / 2


_FIELDS: Final = FACT_FIELDS | {"url.query"}
"""What a model of values looks at, and what its alerts are made of."""

_REMEMBERED: Final = 50_000
"""Values whose score is remembered: the same come again and again."""


class ModelDetector:
    """Raises what a model of values finds."""

    def __init__(self, model: Model) -> None:
        """Take a model.

        Args:
            model: It.
        """
        self._model = model

    @property
    def rules(self) -> Mapping[str, str]:
        """Its id and hash, where a rule has its own."""
        said = self._model.description
        return {said.rule: said.hash}

    def feed(self, events: Events, now: Moment) -> tuple[Alert, ...]:
        """Score the values of new requests; what names the same is one alert with all its evidence."""
        found: dict[tuple[tuple[str, tuple[str, ...]], ...], list[tuple[Event, str]]] = {}
        places = [at for at, it in enumerate(events.column("url.query")) if it]
        for event in events.only(_FIELDS).at(places) if places else ():
            value = self._worst(event)
            if value is not None:
                found.setdefault(tuple(sorted(entities_of([event]).items())), []).append((event, value))
        return in_order(self._alert(them, now) for them in found.values())

    def recall(self, events: Events) -> None:
        """Remember nothing: each value stands for itself."""

    def close(self) -> None:
        """Nothing is held."""

    def _worst(self, event: Event) -> str | None:
        """Return the value of a request that is most like an attack; None when none is enough."""
        values = [it.value for it in features.parameters(str(event["url.query"]))]
        scored = [(self._model.score(it), it) for it in values]
        most = max(scored, default=None)
        return most[1] if most and most[0] >= self._model.description.threshold else None

    def _alert(self, found: Sequence[tuple[Event, str]], now: Moment) -> Alert:
        worst = max((value for _, value in found), key=self._model.score)
        why = self._model.explain(worst)
        return raised(self._model.description, [event for event, _ in found], why, now)


class WindowModel:
    """A model of windows, ready to score."""

    def __init__(self, description: Description, arrays: Mapping[str, Any]) -> None:
        """Take a model.

        Args:
            description: What it is.
            arrays: `middle` and `scale` of each feature, and what its sort of windows has seen.
        """
        self.description = description
        self.sort = windows.sort_of(description.kind, arrays)
        self._middle, self._scale = arrays["middle"].tolist(), arrays["scale"].tolist()

    def explain(self, values: Sequence[float]) -> Scored:
        """Return how far a window is above what is usual, and what moved it: exact, since it is a sum."""
        total, shares = windows.distance(values, self._middle, self._scale)
        return Scored(total, windows.unlike(self.sort.features, shares, _SHOWN))


class WindowDetector:
    """Raises what a model of windows finds, as soon as a window is far enough from what is usual."""

    def __init__(self, model: WindowModel) -> None:
        """Take a model.

        Args:
            model: It.
        """
        self._model = model
        self._windows = windows.Windows(model.sort)
        self._quiet: dict[windows.Key, int] = {}

    @property
    def rules(self) -> Mapping[str, str]:
        """Its id and hash, where a rule has its own."""
        said = self._model.description
        return {said.rule: said.hash}

    def feed(self, events: Events, now: Moment) -> tuple[Alert, ...]:
        """Add new events to their windows; a window raises once, and keeps those that follow it quiet."""
        return in_order(self._fed(events, now))

    def recall(self, events: Events) -> None:
        """Add events that were looked at before a restart, and raise nothing."""
        for _ in self._fed(events, Moment(0)):
            pass

    def close(self) -> None:
        """Nothing is held."""

    def _fed(self, events: Events, now: Moment) -> Iterator[Alert]:
        for _, it in self._windows.add(events):
            if it.start < self._quiet.get(it.key, it.start):
                continue
            why = self._model.explain(it.window.values())
            if why.score >= self._model.description.threshold:
                self._quiet[it.key] = it.start + _QUIET * self._model.sort.seconds * SECOND
                yield raised(self._model.description, sorted(it.events, key=time_of), why, now)


_QUIET: Final = 3
"""Windows, the one that raised included, in which the same destination or account raises nothing more."""


def raised(said: Description, events: Sequence[Event], why: Scored, now: Moment) -> Alert:
    """Make the alert of a model."""
    return Alert(
        id=identity(said.rule, said.hash, events),
        engine="model",
        rule_id=said.rule,
        rule_hash=said.hash,
        title=said.title,
        level=said.level,
        risk=RISKS[said.level],
        techniques=said.techniques,
        tactics=said.tactics,
        score=round(why.score, 3),
        moved=why.moved,
        **facts(events, now),
    )


def detector_of(model: Model | WindowModel) -> ModelDetector | WindowDetector:
    """Return what raises what a model finds."""
    return ModelDetector(model) if isinstance(model, Model) else WindowDetector(model)


def write_model(folder: Path, model: Description, arrays: Mapping[str, Any]) -> Description:
    """Write a model into a folder, and return what it is, its weights' hash included."""
    packed = io.BytesIO()
    numpy().savez_compressed(packed, **arrays)
    folder.mkdir(parents=True, exist_ok=True)
    described = replace(model, weights=hashlib.sha256(packed.getvalue()).hexdigest())
    careful.replace(folder / WEIGHTS, packed.getvalue())
    records.write(folder / DESCRIPTION, described)
    return described


def read_model(folder: Path) -> Model | WindowModel | Ensemble:
    """Read a model from a folder that may be somebody else's; nothing in it is run.

    Raises:
        BadFile: it is no model, or its weights are not those that it names.
        NotReady: numpy is not installed.
    """
    described = describe(folder)
    path = folder / WEIGHTS
    packed = careful.read_bytes(path, most=_LARGEST)
    if hashlib.sha256(packed).hexdigest() != described.weights:
        raise BadFile(Problem(path=str(path), line=0, what=f"is not what {DESCRIPTION} says: another hash"))
    try:
        return _made(described, _arrays(packed, _SHAPES.get(described.kind)))
    except (ValueError, KeyError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise BadFile(Problem(path=str(path), line=0, what=f"holds no weights: {error}")) from error


def _made(described: Description, arrays: Mapping[str, Any]) -> Model | WindowModel | Ensemble:
    """Return a model of its kind.

    Raises:
        ValueError, KeyError: its arrays do not fit together.
    """
    if described.kind == "http-value":
        return Model(described, arrays)
    return Ensemble(described, arrays) if described.kind == "record" else WindowModel(described, arrays)


def _arrays(packed: bytes, shapes: Mapping[str, int] | None) -> dict[str, Any]:
    """Read weights; pickled ones are refused, and those of another shape.

    Args:
        packed: The file.
        shapes: The arrays that have to be there, and how many numbers each has; None where that depends on
            what the model was trained on.

    Raises:
        ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile: they are none.
    """
    np = numpy()
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        if sum(it.file_size for it in archive.infolist()) > _LARGEST:
            raise ValueError(f"more than {_LARGEST >> 20} MB")
    with np.load(io.BytesIO(packed), allow_pickle=False) as held:
        arrays = {name: held[name] for name in shapes or held.files}
    for name, found in arrays.items():
        right = shapes is None or found.shape == (shapes[name],)
        if (
            not right
            or found.dtype.kind not in ("f" if shapes else "fi")
            or not bool(np.isfinite(found).all())
        ):
            raise ValueError(f"{name} is of another shape, or has what is no number")
    return arrays


def describe(folder: Path) -> Description:
    """Read what a model is.

    Raises:
        BadFile: it is no model.
    """
    found = records.read(folder / DESCRIPTION, Description)
    if found.format != FORMAT:
        raise BadFile(
            Problem(path=str(folder / DESCRIPTION), line=0, what=f"is not of the format {FORMAT!r}")
        )
    return found


def numpy() -> Any:  # noqa: ANN401  # a module
    """Return numpy.

    Raises:
        NotReady: it is not installed.
    """
    try:
        import numpy as np
    except ModuleNotFoundError as error:
        raise NotReady("models need numpy", remedy="pip install 'homerange[learn]'  brings it") from error
    return np
