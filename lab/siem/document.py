"""What a run noticed, as the documents that a SIEM is sent: events as they are, and alerts in ECS."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal

from lab import attack
from lab.detect.alert import LEVELS, Alert, read_alerts
from lab.files import records
from lab.moment import Moment
from lab.runs.noticed import Noticed
from lab.telemetry.event import ECS_VERSION, FIELDS, FieldType
from lab.telemetry.store import Store
from lab.telemetry.table import Plain

Stream = Literal["events", "alerts", "steps"]
"""The sorts of document: what was noticed, and what was done, which no rule is ever asked about."""

STREAMS: Final[tuple[Stream, ...]] = ("events", "alerts")
"""What was noticed, in the order in which it is sent."""

ALL_STREAMS: Final[tuple[Stream, ...]] = (*STREAMS, "steps")
"""All of them."""

RUN: Final = "homerange.run"
"""The field that says which run a document is of."""

ALERT_FIELDS: Final[dict[str, FieldType]] = {
    "ecs.version": "keyword",
    RUN: "keyword",
    "homerange.engine": "keyword",  # what raised it: sigma, suricata, model
    "homerange.evidence": "keywords",  # `event.id` of the events it rests on
    "homerange.evidence_count": "long",
    "rule.uuid": "keyword",
    "threat.tactic.name": "keywords",
}
"""Fields of documents that events do not have."""

DOCUMENT_FIELDS: Final[dict[str, FieldType]] = {**FIELDS, **ALERT_FIELDS}
"""Every field of every document."""


@dataclass(frozen=True, slots=True)
class Document:
    """One event or alert on its way."""

    stream: Stream
    """What it is."""

    id: str
    """Made of its run and its content: sent twice, it is the same document."""

    time: str
    """When it happened, in ISO 8601 with all nine decimals."""

    host: str
    """The node it is about; empty when it is about several."""

    sort: str
    """The log source, or what raised the alert: `sshd`, `sigma`."""

    body: bytes
    """JSON."""


def documents(noticed: Noticed, run: str, *, events: int = 0, alerts: int = 0) -> Iterator[Document]:
    """Read what a run noticed: first the events, then the alerts, each in an order that stays.

    Args:
        noticed: The run.
        run: Its id.
        events: How many events to leave out, because they were sent.
        alerts: How many alerts to leave out.
    """
    for event in Store(noticed.events).plain(skip=events):
        yield event_document(event, run)
    for alert in islice(read_alerts(noticed), alerts, None):
        yield alert_document(alert, run)


def counted(noticed: Noticed) -> dict[Stream, int]:
    """Count what a run noticed."""
    return {"events": Store(noticed.events).count(), "alerts": len(read_alerts(noticed))}


def event_document(event: Plain, run: str) -> Document:
    """Write an event as it is stored, with its run.

    A message that is the line itself is left out: it is there as `event.original`, and a long text is what
    costs a SIEM most.
    """
    event["ecs.version"] = ECS_VERSION
    event[RUN] = run
    if event.get("message") == event.get("event.original"):
        event.pop("message", None)
    body = records.to_json(event)
    return Document(
        "events",
        name_of(run, str(event["event.id"])),
        str(event["@timestamp"]),
        str(event.get("host.name", "")),
        str(event["event.module"]),
        body.encode(),
    )


def alert_document(alert: Alert, run: str) -> Document:
    """Write an alert in ECS: the rule, its level as a severity, its evidence, who and where."""
    known = {tactic.shortname: name for name, tactic in attack.tactics().items()}
    fields = {
        "@timestamp": alert.first_event,
        "ecs.version": ECS_VERSION,
        "event.kind": "alert",
        "event.id": alert.id,
        "event.created": alert.raised,
        "event.ingested": alert.ingested,
        "event.module": "homerange",
        "event.dataset": "homerange.alert",
        "event.severity": LEVELS.index(alert.level) + 1,
        "log.level": alert.level,
        "message": alert.title,
        "rule.id": alert.rule_id,
        "rule.uuid": alert.rule_id,
        "rule.name": alert.title,
        "rule.version": alert.rule_hash[:12],
        "threat.technique.id": alert.techniques,
        "threat.tactic.id": tuple(known[it] for it in alert.tactics if it in known),
        "threat.tactic.name": alert.tactics,
        "homerange.engine": alert.engine,
        "homerange.evidence": alert.event_ids,
        "homerange.evidence_count": alert.evidence_count,
        RUN: run,
        **alert.entities,
    }
    hosts: Sequence[str] = alert.entities.get("host.name", ())
    return Document(
        "alerts",
        name_of(run, alert.id),
        alert.first_event.iso(),
        hosts[0] if len(hosts) == 1 else "",
        alert.engine,
        records.to_json({name: it for name, it in fields.items() if it != ()}).encode(),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One step of an exercise, for whoever wants it marked beside what was noticed."""

    id: str
    """Its id, with its attempt."""

    name: str
    """Its name."""

    technique: str
    """Its ATT&CK technique."""

    start: Moment
    """When it began."""

    end: Moment
    """When it ended."""

    sources: tuple[str, ...] = ()
    """Nodes it came from."""

    targets: tuple[str, ...] = ()
    """Nodes it was aimed at."""


def step_document(step: Step, run: str) -> Document:
    """Write a step of the exercise."""
    fields = {
        "@timestamp": step.start,
        "ecs.version": ECS_VERSION,
        "event.kind": "state",
        "event.id": step.id,
        "event.module": "homerange",
        "event.dataset": "homerange.step",
        "event.duration": step.end - step.start,
        "message": step.name,
        "threat.technique.id": (step.technique,) if step.technique else (),
        "host.name": step.targets or step.sources,
        RUN: run,
    }
    body = records.to_json({name: it for name, it in fields.items() if it != ()}).encode()
    return Document("steps", name_of(run, f"step {step.id}"), step.start.iso(), "", "step", body)


def name_of(run: str, content: str) -> str:
    """Name a document by its run and what its content is called."""
    return hashlib.sha256(f"{run}\0{content}".encode()).hexdigest()[:32]


def batched(found: Iterable[Document], *, count: int, size: int) -> Iterator[list[Document]]:
    """Gather documents into batches.

    Args:
        found: The documents.
        count: How many a batch has at most.
        size: How many bytes of JSON these have at most; one that is larger is a batch of its own.
    """
    batch: list[Document] = []
    held = 0
    for it in found:
        if batch and (len(batch) >= count or held + len(it.body) > size or it.stream != batch[0].stream):
            yield batch
            batch, held = [], 0
        batch.append(it)
        held += len(it.body)
    if batch:
        yield batch
