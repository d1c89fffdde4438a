"""Models: loaded without running anything, scored as they were trained, explained exactly."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lab.detect import features
from lab.detect.description import Description
from lab.detect.model import DESCRIPTION, WEIGHTS, Model, ModelDetector, read_model, write_model
from lab.errors import BadFile
from lab.moment import Moment
from lab.telemetry.event import Event
from lab.telemetry.events import Events

NOW = Moment(1_795_587_000_000_000_000)

DESCRIBED = Description(
    name="sqli", kind="http-value", title="A value is like SQL injection", level="high",
    techniques=("T1190",), tactics=("initial-access",), threshold=1.0, weights="", version="0",
)  # fmt: skip


def arrays(**weights: float) -> dict[str, Any]:
    """Return weights that know some runs of characters, and nothing else."""
    found = {
        "characters": np.zeros(features.CHARACTERS, np.float32),
        "tokens": np.zeros(features.TOKENS, np.float32),
        "bias": np.zeros(2, np.float32),
    }
    for gram, weight in weights.items():
        found["characters"][features.bucket(gram, features.CHARACTERS)] = weight
    return found


def read(folder: Path) -> Model:
    """Read a model of values."""
    model = read_model(folder)
    assert isinstance(model, Model)
    return model


def request(number: int, query: str | None, **more: str) -> Event:
    at = NOW + number
    event: Event = {
        "@timestamp": at, "event.id": f"e{number}", "event.created": at, "event.ingested": at,
        "event.module": "apache", "event.kind": "event", "source.ip": "10.0.0.1", "host.name": "shop",
    }  # fmt: skip
    return {**event, **more, **({} if query is None else {"url.query": query})}


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    written = write_model(tmp_path / "sqli", DESCRIBED, arrays(union=3.0, **{"'": 2.0}))
    model = read(tmp_path / "sqli")
    assert model.description == written
    assert model.score("a lamp") == 0
    assert model.score("1' ") > model.score("1") == 0


@pytest.mark.parametrize(
    "value", ["%27", "%2527", "%252527", "'", "%27%20"], ids=["once", "twice", "three", "plain", "blank"]
)
def test_a_value_is_decoded_as_often_as_it_was_encoded(tmp_path: Path, value: str) -> None:
    write_model(tmp_path / "m", DESCRIBED, arrays(**{"'": 9.0}))
    assert read(tmp_path / "m").score(value) > 1


def test_an_explanation_is_the_sum_it_says(tmp_path: Path) -> None:
    write_model(tmp_path / "m", DESCRIBED, arrays(**{"'": 8.0, "or": 4.0}))
    model = read(tmp_path / "m")
    found = model.explain("x' or y")
    assert {name for name, _ in found.moved} == {"'", "or"}
    assert sum(share for _, share in found.moved) == pytest.approx(found.score, abs=0.01)
    assert found.score == pytest.approx(model.score("x' or y"))


def test_what_stands_around_an_attack_does_not_drown_it(tmp_path: Path) -> None:
    write_model(tmp_path / "m", DESCRIBED, arrays(**{"'": 9.0, " or ": 9.0, "--": 9.0}))
    model = read(tmp_path / "m")
    attack = "1' or 1=1 -- "
    alone = model.score(attack)
    assert model.score("a quiet lamp for the table " * 20 + attack) > alone * 0.4
    assert model.score(attack * 3) >= alone * 0.9


def test_an_alert_says_which_model_why_and_on_what(tmp_path: Path) -> None:
    written = write_model(tmp_path / "m", DESCRIBED, arrays(**{"'": 20.0}))
    detector = ModelDetector(read(tmp_path / "m"))
    events = [request(1, "q=lamp"), request(2, "q=l%27amp&x=1"), request(3, None), request(4, "a='&b='")]
    (alert,) = detector.feed(Events.of(events), NOW)
    assert (alert.engine, alert.rule_id, alert.rule_hash) == ("model", "model:sqli", written.hash)
    assert alert.event_ids == ("e2", "e4")
    assert alert.moved[0][0] == "'"
    assert alert.score is not None
    assert alert.score >= written.threshold
    assert detector.rules == {"model:sqli": written.hash}


def test_those_who_are_others_have_alerts_of_their_own(tmp_path: Path) -> None:
    write_model(tmp_path / "m", DESCRIBED, arrays(**{"'": 20.0}))
    detector = ModelDetector(read(tmp_path / "m"))
    events = [request(1, "q='"), request(2, "q='", **{"source.ip": "10.0.0.2"})]
    assert len(detector.feed(Events.of(events), NOW)) == 2


class Bomb:
    """Runs when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        """Open a file, when it is unpickled."""
        return open, ("/tmp/homerange-was-here", "w")  # type: ignore[return-value]


def packed(**files: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, content in files.items():
            archive.writestr(f"{name}.npy", content)
    return made.getvalue()


def array(held: object, **how: bool) -> bytes:
    made = io.BytesIO()
    np.save(made, held, **how)  # type: ignore[arg-type]
    return made.getvalue()


def of_size(size: int, value: float = 0.0) -> bytes:
    return array(np.full(size, value, np.float32))


GOOD = {"characters": of_size(features.CHARACTERS), "tokens": of_size(features.TOKENS), "bias": of_size(2)}


@pytest.mark.parametrize(
    "weights",
    [
        b"",
        b"PK\x03\x04 no zip",
        pickle.dumps(Bomb()),
        packed(**{**GOOD, "characters": array(np.array([Bomb()], dtype=object), allow_pickle=True)}),
        packed(**{**GOOD, "bias": of_size(3)}),
        packed(**{**GOOD, "bias": of_size(2, float("nan"))}),
        packed(**{**GOOD, "tokens": array(np.zeros(features.TOKENS, np.int64))}),
        packed(characters=GOOD["characters"]),
    ],
    ids=[
        "nothing",
        "torn",
        "a pickle",
        "a pickle inside",
        "another shape",
        "no number",
        "whole numbers",
        "a part",
    ],
)
def test_what_is_no_weights_is_refused_and_nothing_is_run(tmp_path: Path, weights: bytes) -> None:
    import hashlib
    from dataclasses import replace

    from lab.files import records

    folder = tmp_path / "m"
    folder.mkdir()
    (folder / WEIGHTS).write_bytes(weights)
    records.write(folder / DESCRIPTION, replace(DESCRIBED, weights=hashlib.sha256(weights).hexdigest()))
    with pytest.raises(BadFile, match="holds no weights"):
        read_model(folder)
    assert not Path("/tmp/homerange-was-here").exists()


def test_weights_that_were_changed_are_refused(tmp_path: Path) -> None:
    write_model(tmp_path / "m", DESCRIBED, arrays())
    (tmp_path / "m" / WEIGHTS).write_bytes(packed(**GOOD))
    with pytest.raises(BadFile, match="another hash"):
        read(tmp_path / "m")


def test_another_threshold_is_another_model() -> None:
    from dataclasses import replace

    assert replace(DESCRIBED, threshold=2.0).hash != DESCRIBED.hash
