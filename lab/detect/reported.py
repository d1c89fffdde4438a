"""What Suricata raised is an alert as it is. Its alerts arrive as events of the sensor's log."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lab import attack
from lab.detect.alert import RISKS, Alert, Level, facts, identity, in_order
from lab.moment import Moment
from lab.telemetry.event import Event
from lab.telemetry.events import Events

_SID: Final = re.compile(r"\bsid:\s*(\d+)\s*;")
_GID: Final = re.compile(r"\bgid:\s*(\d+)\s*;")

_MESSAGE: Final = re.compile(r'\bmsg:\s*"([^"]*)"')
_TECHNIQUE: Final = re.compile(r"mitre_technique_id\s+(T\d{4}(?:\.\d{3})?)")

_DATASET: Final = "suricata.alert"
"""What its alerts are called among its records."""

_LEVELS: Final[Mapping[int, Level]] = {1: "high", 2: "medium", 3: "low"}
"""Suricata's severities, of which 1 is the most urgent."""


class SuricataDetector:
    """Takes over what a sensor raised."""

    def __init__(self, sensor_rules: str) -> None:
        """Prepare for the alerts of sensors.

        Args:
            sensor_rules: Text of the rules that they run, for the hashes.
        """
        self._hashes = rule_hashes(sensor_rules)

    @property
    def rules(self) -> Mapping[str, str]:
        """`gid:sid` to content hash, of every rule."""
        return self._hashes

    def feed(self, events: Events, now: Moment) -> tuple[Alert, ...]:
        """Take over the alerts among new events.

        What a sensor calls informational (`priority:4` and above) serves correlations alone, as an
        informational rule of Sigma does.
        """
        told = events.at(events.where("event.dataset", [_DATASET]))
        worth = (it for it in told if is_alert(it) and level(it) != "informational")
        return in_order(self._alert(event, now) for event in worth)

    def recall(self, events: Events) -> None:
        """Remember nothing: each alert stands for itself."""

    def close(self) -> None:
        """Nothing is held."""

    def _alert(self, event: Event, now: Moment) -> Alert:
        rule = str(event["rule.id"])
        digest = self._hashes.get(rule, "")
        return Alert(
            id=identity(rule, digest, (event,)),
            engine="suricata",
            rule_id=rule,
            rule_hash=digest,
            title=str(event.get("rule.name", rule)),
            level=level(event),
            risk=RISKS[level(event)],
            techniques=techniques(event),
            tactics=tactics(event),
            **facts((event,), now),
        )


def rule_hashes(text: str) -> dict[str, str]:
    """Return `gid:sid` to the SHA-256 of the rule's line, for each rule of a rule file."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return {_name(line): hashlib.sha256(line.encode()).hexdigest() for line in lines if _SID.search(line)}


@dataclass(frozen=True, kw_only=True, slots=True)
class SensorRule:
    """A rule of a sensor, as far as its text says."""

    id: str
    """`gid:sid`."""

    title: str
    """Its message."""

    techniques: tuple[str, ...]
    """ATT&CK techniques that its metadata names."""


def sensor_rules_of(text: str) -> tuple[SensorRule, ...]:
    """Return the rules of a rule file, in its order."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return tuple(
        SensorRule(
            id=_name(line),
            title=message[1] if (message := _MESSAGE.search(line)) else _name(line),
            techniques=tuple(_TECHNIQUE.findall(line)),
        )
        for line in lines
        if _SID.search(line)
    )


def _name(line: str) -> str:
    gid, sid = _GID.search(line), _SID.search(line)
    return f"{gid[1] if gid else 1}:{sid[1] if sid else 0}"


def is_alert(event: Event) -> bool:
    """Tell whether an event is an alert of Suricata."""
    return event.get("event.dataset") == _DATASET and "rule.id" in event


def level(event: Event) -> Level:
    """Return the level of an alert by its severity."""
    return _LEVELS.get(int(str(event.get("event.severity", 3))), "informational")


def techniques(event: Event) -> tuple[str, ...]:
    """Return the ATT&CK techniques the rule's metadata names."""
    return _listed(event, "threat.technique.id")


def tactics(event: Event) -> tuple[str, ...]:
    """Return the short names of the ATT&CK tactics the rule's metadata names."""
    known = attack.tactics()
    return tuple(sorted(known[it].shortname for it in _listed(event, "threat.tactic.id") if it in known))


def _listed(event: Event, name: str) -> tuple[str, ...]:
    value = event.get(name, ())
    return tuple(sorted(value)) if isinstance(value, tuple) else (str(value),)
