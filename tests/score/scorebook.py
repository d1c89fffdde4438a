"""Small runs to score, written by hand: seconds instead of moments, one letter instead of a hash."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar, cast

from lab.detect.alert import Alert
from lab.exercise.truth import Clock, Party, Predicate, Truth
from lab.moment import SECOND, Moment
from lab.score.measures import score_run
from lab.score.values import Score
from lab.telemetry.event import Event

START: Final = Moment.parse("2026-01-01T00:00:00Z")
"""Second 0 of every run."""

_Record = TypeVar("_Record", Truth, Alert, Clock)

_PLAIN: Final = ("label", "technique", "status", "occurred", "reason", "attempt")
"""Fields of a record that a case says as they are."""


def at(seconds: float) -> Moment:
    """Return a moment of a run."""
    return Moment(START + round(seconds * SECOND))


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What there is to score."""

    truth: tuple[Truth, ...] = ()
    alerts: tuple[Alert, ...] = ()
    events: tuple[Event, ...] = ()
    clocks: tuple[Clock, ...] = ()
    until: Moment = START

    def score(self) -> Score:
        """Score it, from iterators that can be read only once."""
        return score_run(
            run="a run",
            truth=iter(self.truth),
            alerts=iter(self.alerts),
            events=iter(self.events),
            clocks=iter(self.clocks),
            rules={"b": "2", "a": "1"},
            observed_until=self.until,
        )

    def shifted(self, by: int) -> Run:
        """Return the same run some nanoseconds later, by every clock."""
        return Run(
            truth=tuple(_moved(it, by, "start", "end") for it in self.truth),
            alerts=tuple(_moved(it, by, "first_event", "ingested", "raised") for it in self.alerts),
            events=tuple(_later(it, by, "@timestamp", "event.ingested") for it in self.events),
            clocks=tuple(_moved(it, by, "measured") for it in self.clocks),
            until=Moment(self.until + by),
        )

    def with_clock(self, node: str, ahead: int) -> Run:
        """Return the same run with one node's clock further ahead, as its events and measurements show."""
        events = (_later(it, ahead if it.get("host.name") == node else 0, "@timestamp") for it in self.events)
        clocks = (replace(it, offset=it.offset + ahead) if it.node == node else it for it in self.clocks)
        return replace(self, events=tuple(events), clocks=tuple(clocks))


def _moved(record: _Record, by: int, *names: str) -> _Record:
    return replace(record, **{name: Moment(getattr(record, name) + by) for name in names})  # type: ignore[arg-type]  # of any of the three


def _later(event: Event, by: int, *names: str) -> Event:
    return {**event, **{name: Moment(cast("int", event[name]) + by) for name in names if name in event}}


def read_run(raw: Mapping[str, Any]) -> Run:
    """Read a run of a case."""
    events = tuple(map(_event, raw.get("events", ())))
    times = {str(event["event.id"]): cast("Moment", event["event.ingested"]) for event in events}
    return Run(
        truth=tuple(map(_truth, raw.get("truth", ()))),
        alerts=tuple(_alert(it, times) for it in raw.get("alerts", ())),
        events=events,
        clocks=tuple(map(_clock, raw.get("clocks", ()))),
        until=at(raw.get("until", 100)),
    )


def _truth(raw: Mapping[str, Any]) -> Truth:
    where = raw.get("where", [])
    record = Truth(
        run="a run",
        step=raw["step"],
        name=raw["step"],
        label="attack",
        start=at(raw["start"]),
        end=at(raw["end"]),
        tactics=tuple(raw.get("tactics", ())),
        occurred=True,
        sources=_parties(raw.get("sources", {})),
        targets=_parties(raw.get("targets", {})),
        users=tuple(raw.get("users", ())),
        evidence=tuple(map(_predicate, where if isinstance(where, list) else [where])),
        limit=round(raw.get("limit", 10) * SECOND),
    )
    return replace(record, **{name: raw[name] for name in _PLAIN if name in raw})


def _parties(raw: Mapping[str, list[str]]) -> tuple[Party, ...]:
    return tuple(Party(node=node, addresses=tuple(addresses)) for node, addresses in raw.items())


def _predicate(raw: Mapping[str, Any]) -> Predicate:
    listed = {name: it if isinstance(it, list) else [it] for name, it in raw.items()}
    return Predicate(where={name: tuple(values) for name, values in listed.items()})


def _event(raw: Mapping[str, Any]) -> Event:
    fields = {name: tuple(it) if isinstance(it, list) else it for name, it in raw.items() if "." in name}
    moment = at(raw["at"])
    stored = at(raw["stored"]) if "stored" in raw else moment
    return {"event.id": raw["id"], "@timestamp": moment, "event.ingested": stored, **fields}


def _alert(raw: Mapping[str, Any], times: Mapping[str, Moment]) -> Alert:
    known = [times[it] for it in raw["events"] if it in times]
    return Alert(
        id=raw["id"],
        engine="sigma",
        rule_id=raw.get("rule", "rule"),
        rule_hash="",
        title=raw.get("title", "A rule"),
        level="high",
        techniques=tuple(raw.get("techniques", ())),
        tactics=tuple(raw.get("tactics", ())),
        first_event=min(known, default=at(raw["raised"])),
        ingested=max(known, default=at(raw["raised"])),
        raised=at(raw["raised"]),
        entities={name: tuple(values) for name, values in raw.get("entities", {}).items()},
        event_ids=tuple(raw["events"]),
        evidence_count=len(raw["events"]),
    )


def _clock(raw: Mapping[str, Any]) -> Clock:
    return Clock(
        node=raw["node"],
        measured=START,
        offset=round(raw.get("offset", 0) * SECOND),
        bound=round(raw.get("bound", 0) * SECOND),
    )


SHOWN: Final[Mapping[str, Callable[[Score], object]]] = {
    "verdicts": lambda it: {step.step: step.verdict for step in it.steps},
    "order": lambda it: [step.step for step in it.steps],
    "modifiers": lambda it: {step.step: list(step.modifiers) for step in it.steps if step.modifiers},
    "credits": lambda it: {step.step: list(step.alerts) for step in it.steps},
    "events": lambda it: {step.step: step.events for step in it.steps},
    "delays": lambda it: {step.step: step.time_to_detect for step in it.steps},
    "parts": lambda it: {step.step: [step.sensor_delay, step.evaluation_delay] for step in it.steps},
    "reasons": lambda it: {step.step: step.reason for step in it.steps},
    "visibility": lambda it: f"{it.visibility.hits} of {it.visibility.total}",
    "recall": lambda it: f"{it.recall.hits} of {it.recall.total}",
    "precision": lambda it: f"{it.precision.hits} of {it.precision.total}",
    "raw_precision": lambda it: f"{it.raw_precision.hits} of {it.raw_precision.total}",
    "false_positives": lambda it: it.false_positives.count,
    "benign_seconds": lambda it: round(it.false_positives.hours * 3600, 6),
    "false_alerts": lambda it: list(it.false_alerts),
    "ignored_alerts": lambda it: list(it.ignored_alerts),
    "detected": lambda it: [it.time_to_detect.observed, it.time_to_detect.censored],
    "median": lambda it: it.time_to_detect.median,
    "p90": lambda it: it.time_to_detect.p90,
    "before_first_alert": lambda it: it.steps_before_first_alert,
    "floor_recall": lambda it: [f"{floor.recall.hits} of {floor.recall.total}" for floor in it.floors],
    "floor_precision": lambda it: [
        f"{floor.precision.hits} of {floor.precision.total}" for floor in it.floors
    ],
    "summary": lambda it: None if it.summary is None else round(it.summary, 6),
}
"""What a case may expect, and where a score has it."""
