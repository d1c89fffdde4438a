"""The score of a run from its files, for whatever alerts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from lab.detect.alert import Alert
from lab.exercise.truth import Clock, Truth, read_clocks, read_truth
from lab.runs.folder import RunFolder
from lab.score import evidence
from lab.score.measures import score_run
from lab.score.values import Score
from lab.telemetry.event import Event
from lab.telemetry.store import Store
from lab.watch.collection import read_collection


def score_alerts(
    run: RunFolder, alerts: Sequence[Alert], hashes: Mapping[str, str], material: Material | None = None
) -> Score:
    """Score what was, or would have been, raised in a run; nothing is written.

    Args:
        run: The run.
        alerts: The alerts.
        hashes: Rule id to content hash, of every rule that was loaded.
        material: What happened in it, where that was read already.
    """
    header, held = run.header(), material or material_of(run, (alerts,))
    return score_run(
        run=header.id,
        truth=held.truth,
        alerts=alerts,
        events=held.events,
        clocks=held.clocks,
        rules=hashes,
        observed_until=header.ended or header.started,
        blind=read_collection(run.noticed).blind,
        total=held.total,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """What a run is scored by, beside its alerts."""

    truth: tuple[Truth, ...]
    """What happened."""

    clocks: tuple[Clock, ...]
    """How far the nodes' clocks were off."""

    events: Iterable[Event]
    """The events that may be evidence, with the fields that decide; can be read again."""

    total: int
    """How many events there are in all."""


def material_of(run: RunFolder, raised: Iterable[Iterable[Alert]]) -> Material:
    """Read what a run is scored by: the events that may be evidence, and those that alerts rest on."""
    truth, clocks = read_truth(run.happened), read_clocks(run.happened)
    named = {it for them in raised for one in them for it in one.event_ids}
    store = Store(run.noticed.events)
    asked, span = evidence.fields_asked(truth), evidence.span_asked(truth, clocks)
    return Material(
        truth=truth,
        clocks=clocks,
        events=_Again(partial(store.some, asked, span=span, ids=named)),
        total=store.count(),
    )


class _Again:
    """Events that can be read more than once, each time from disk."""

    def __init__(self, read: Callable[[], Iterator[Event]]) -> None:
        self._read = read

    def __iter__(self) -> Iterator[Event]:
        """Read them."""
        return self._read()
