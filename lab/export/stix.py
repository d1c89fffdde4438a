"""A run as a STIX 2.1 bundle: the techniques that were seen, as sightings on what was observed.

Ids follow from what they name, so the same run gives the same bundle. The specification is OASIS's.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID, uuid5

from lab.detect.alert import Alert
from lab.export.material import Material, technique_name
from lab.moment import Moment
from lab.score.values import StepScore

_SPACE: Final = UUID("5a2d6f0c-6c0e-5f5b-8f4e-0d9f6f6c3f11")
"""The namespace of our ids."""

_OBSERVABLES: Final = UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
"""The namespace that STIX gives ids of observables."""

_Object = dict[str, Any]


def stix(material: Material) -> _Object:
    """Write a sighting for each step that was detected; what was missed was not seen, and is not told."""
    header = material.header
    stamp = _time(header.started)
    raised = {it.id: it for it in material.alerts}
    lab = _object("identity", header.lab, stamp, name=f"homerange lab {header.lab}", identity_class="system")
    found: dict[str, _Object] = {lab["id"]: lab}
    for _, step in material.steps():
        alerts = [raised[it] for it in step.alerts if it in raised]
        if not alerts:
            continue
        for it in _sighting(header.id, step, alerts, stamp, lab["id"]):
            found.setdefault(it["id"], it)
    return {
        "type": "bundle",
        "id": f"bundle--{uuid5(_SPACE, header.id)}",
        "objects": list(found.values()),
    }


def _sighting(run: str, step: StepScore, alerts: list[Alert], stamp: str, lab: str) -> list[_Object]:
    first, last = min(it.first_event for it in alerts), max(it.raised for it in alerts)
    pattern = _object(
        "attack-pattern",
        step.technique,
        stamp,
        name=technique_name(step.technique),
        external_references=[{"source_name": "mitre-attack", "external_id": step.technique}],
    )
    seen = _observables(alerts)
    times = {"first_seen": _time(first), "last_seen": _time(last), "count": len(alerts)}
    told = _object(
        "sighting",
        f"{run} {step.step}",
        stamp,
        description=f"{step.name}: {', '.join(step.rules)}",
        sighting_of_ref=pattern["id"],
        where_sighted_refs=[lab],
        **times,
    )
    if not seen:  # a list in STIX is never empty
        return [pattern, told]
    observed = _object(
        "observed-data",
        f"{run} {step.step} observed",
        stamp,
        first_observed=_time(first),
        last_observed=_time(last),
        number_observed=max(1, sum(it.evidence_count for it in alerts)),
        object_refs=[it["id"] for it in seen],
    )
    return [pattern, *seen, observed, {**told, "observed_data_refs": [observed["id"]]}]


def _observables(alerts: list[Alert]) -> list[_Object]:
    addresses = {
        it
        for alert in alerts
        for name in ("source.ip", "destination.ip")
        for it in alert.entities.get(name, ())
    }
    users = {it for alert in alerts for it in alert.entities.get("user.name", ())}
    return [
        *(_observable("ipv6-addr" if ":" in it else "ipv4-addr", "value", it) for it in sorted(addresses)),
        *(_observable("user-account", "account_login", it) for it in sorted(users)),
    ]


def _observable(kind: str, name: str, value: str) -> _Object:
    """Make an observable; its id is made of what identifies it, as the specification wants."""
    named = uuid5(_OBSERVABLES, f'{{"{name}":"{value}"}}')
    return {"type": kind, "spec_version": "2.1", "id": f"{kind}--{named}", name: value}


def _object(kind: str, named: str, stamp: str, **rest: object) -> _Object:
    return {
        "type": kind,
        "spec_version": "2.1",
        "id": f"{kind}--{uuid5(_SPACE, f'{kind} {named}')}",
        "created": stamp,
        "modified": stamp,
        **rest,
    }


def _time(moment: Moment) -> str:
    return moment.iso()[:23] + "Z"
