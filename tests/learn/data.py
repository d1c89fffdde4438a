"""A small data set in the form of NSL-KDD, and quiet days, made up for tests."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lab.exercise.truth import Party, Truth
from lab.files import records
from lab.moment import SECOND, Moment
from lab.runs.folder import RunFolder
from lab.runs.header import Header
from lab.telemetry.event import Event
from lab.telemetry.events import Events
from lab.telemetry.store import Store

START = Moment(1_795_587_000_000_000_000)
TYPES = {"neptune": (0, 300), "satan": (1, 60), "back": (2, 40), "pod": (3, 30)}


def rows(chance: np.random.Generator, label: str, count: int) -> Iterable[str]:
    """Give lines of a label: benign rows vary around one place, each attack around another."""
    shift = {"normal": 0.0, "snmpguess": 4.0, "apache2": 0.2}.get(label, 5.0)
    at = TYPES.get(label, (5, 0))[0]
    for _ in range(count):
        numbers = np.abs(chance.normal(size=38)).round(3)
        numbers[at : at + 4] += shift
        flag = "S0" if label == "neptune" else "SF"
        plain = ",".join(map(str, numbers[1:]))
        yield f"{numbers[0]},tcp,http,{flag},{plain},{label},20"


def nsl_kdd(path: Path, seed: int, benign: int = 1200, extra: dict[str, int] | None = None) -> Path:
    """Write a file: benign rows, four types of attacks, and what else is asked for."""
    chance = np.random.default_rng(seed)
    counts = {"normal": benign, **{name: count for name, (_, count) in TYPES.items()}, **(extra or {})}
    lines = [line for name, count in counts.items() for line in rows(chance, name, count)]
    path.write_text("\n".join(chance.permutation(lines)) + "\n", encoding="utf-8")
    return path


def base(number: int, at: float) -> Event:
    """Return what every event has."""
    when = Moment(START + int(at * SECOND))
    return {
        "@timestamp": when, "event.id": f"e{number}", "event.created": when, "event.ingested": when,
        "event.kind": "event", "event.module": "test",
    }  # fmt: skip


def connection(number: int, at: float = 0.0, **more: Any) -> Event:  # noqa: ANN401  # fields of ECS
    """Return the end of a connection."""
    return {
        **base(number, at), "event.type": ("connection", "end"), "source.ip": "10.0.0.9",
        "destination.ip": "10.0.0.1", "destination.port": 80, "source.bytes": 100, "destination.packets": 4,
        **more,
    }  # fmt: skip


def command(number: int, name: str, at: float, user: str = "jane", parent: int | None = None) -> Event:
    """Return a command that was run."""
    return {
        **base(number, at), "host.name": "shop", "user.name": user,
        "process.executable": name, "process.pid": 100 + number,
        **({} if parent is None else {"process.parent.pid": parent}),
    }  # fmt: skip


def run(folder: Path, events: list[Event], truth: Iterable[Truth] = (), minutes: int = 10) -> RunFolder:
    """Write as much of a run as is learnt from."""
    made = RunFolder(folder)
    folder.mkdir(parents=True)
    Store(made.noticed.events).append(Events.of(events))
    made.happened.truth.write_text("".join(f"{records.to_json(it)}\n" for it in truth), encoding="utf-8")
    made.write_header(
        Header(
            id=folder.name, lab="l", scenario="s", summary="", version="0", started=START,
            ended=Moment(START + minutes * 60 * SECOND), state="done",
        )
    )  # fmt: skip
    return made


def visits(seed: int, seconds: int = 600) -> list[Event]:
    """Make a quiet day: a visitor every few seconds."""
    chance = random.Random(seed)
    return [
        connection(number, chance.uniform(0, seconds), **{"source.bytes": chance.randint(200, 4000)})
        for number in range(seconds // 2)
    ]


def flooded(seed: int) -> list[Event]:
    """Make a day with a flood of ten seconds in it."""
    return visits(seed) + [connection(9000 + it, 300 + it / 400) for it in range(4000)]


def step(name: str, node: str, begin: float, end: float) -> Truth:
    """Return a step of an attack on a node, by seconds."""
    return Truth(
        run="r", step=name, name=name, label="attack", technique="T1498",
        start=Moment(START + int(begin * SECOND)),
        end=Moment(START + int(end * SECOND)), targets=(Party(node=node, addresses=(node,)),),
    )  # fmt: skip
