"""New events in, alerts out. Rules see each event once; only correlations remember.

Matches of one rule in one batch that name the same entities are one alert with all their evidence.
Nothing is suppressed between batches: two steps of an attack that trigger the same rule twenty
seconds apart are each found by it, and the score counts noise after deduplication anyway.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypedDict

from lab.detect import reported
from lab.detect.alert import ENTITY_FIELDS, MAX_EVIDENCE, Alert
from lab.detect.sigma.correlation import Correlator, Match
from lab.detect.sigma.predicate import lower
from lab.detect.sigma.rule import Correlation, Rule, RuleSet
from lab.moment import Moment
from lab.telemetry.event import Event
from lab.telemetry.sql import Matcher

OWN_RULES: Final = Path(__file__).parent / "rules"
"""The rules that ship with the program."""

Entities = tuple[tuple[str, tuple[str, ...]], ...]
"""Each entity field with the values it has in the evidence."""


class _Facts(TypedDict):
    """The part of an alert that its evidence decides."""

    first_event: Moment
    ingested: Moment
    raised: Moment
    entities: Mapping[str, tuple[str, ...]]
    event_ids: tuple[str, ...]
    evidence_count: int


class Detector:
    """All rules, over a stream of events."""

    def __init__(self, rules: RuleSet, suricata_hashes: Mapping[str, str]) -> None:
        self._rules = rules.rules
        self._correlators = [Correlator(rule) for rule in rules.correlations]
        self._suricata = suricata_hashes
        self._matcher = Matcher()
        self._arrived = 0

    @property
    def hashes(self) -> Mapping[str, str]:
        """Rule id to content hash, of every rule that is loaded."""
        own = {rule.id: rule.hash for rule in self._rules}
        own |= {it.rule.id: it.rule.hash for it in self._correlators}
        return dict(sorted((own | dict(self._suricata)).items()))

    def feed(self, events: Sequence[Event], now: Moment) -> tuple[Alert, ...]:
        """Evaluate all rules on new events.

        Args:
            events: What has just entered the store, with `event.ingested` set.
            now: The moment that counts as the one the alerts are raised at.
        """
        matches = self._matches(events)
        alerts = [
            alert for rule in self._rules if rule.alerts for alert in _alerts(rule, matches[rule.id], now)
        ]
        known = [match for rule in self._rules for match in matches[rule.id]]
        for correlator in self._correlators:
            found = correlator.feed(known)
            known += found
            if correlator.rule.alerts:
                alerts += [_alert(correlator.rule, match.events, now) for match in found]
        alerts += [self._from_suricata(event, now) for event in events if reported.is_alert(event)]
        return tuple(sorted(alerts, key=lambda alert: (alert.first_event, alert.rule_id, alert.id)))

    def _matches(self, events: Sequence[Event]) -> dict[str, list[Match]]:
        """Ask the database those rules that could match at all, about those events they could match."""
        known = texts_of(events)
        asked = [rule for rule in self._rules if could_match(rule, known)]
        modules = {module for rule in asked for module in rule.modules}
        rows = [place for place, event in enumerate(events) if event.get("event.module") in modules]
        if rows:
            self._matcher.load([events[row] for row in rows])
        found = {rule.id: self._matcher.matches(rule.where) if rule in asked else [] for rule in self._rules}
        arrived = self._arrived
        self._arrived += len(events)
        return {
            rule: [_match(rule, events[rows[place]], arrived + rows[place]) for place in places]
            for rule, places in found.items()
        }

    def _from_suricata(self, event: Event, now: Moment) -> Alert:
        rule = str(event["rule.id"])
        digest = self._suricata.get(rule, "")
        evidence = (event,)
        return Alert(
            id=_identity(rule, digest, evidence),
            engine="suricata",
            rule_id=rule,
            rule_hash=digest,
            title=str(event.get("rule.name", rule)),
            level=reported.level(event),
            techniques=reported.techniques(event),
            tactics=reported.tactics(event),
            **_facts(evidence, now),
        )


def own_detector(sensor_rules: str) -> Detector:
    """Make a detector with the rules that ship with the program.

    Args:
        sensor_rules: Text of the rules that the lab's sensors run.

    Raises:
        BadFile: a rule cannot be read.
    """
    from lab.detect.sigma.read import read_rules

    return Detector(read_rules([OWN_RULES]), reported.rule_hashes(sensor_rules))


def texts_of(events: Iterable[Event]) -> dict[str, str]:
    """Return all that the events of each module say, in lower case as the database writes it."""
    found: dict[str, list[str]] = defaultdict(list)
    for event in events:
        said = found[str(event.get("event.module"))]
        for value in event.values():
            said += value if isinstance(value, tuple) else (str(value),)
    return {module: lower("\n".join(said)) for module, said in found.items()}


def could_match(rule: Rule, texts: Mapping[str, str]) -> bool:
    """Tell whether a rule needs asking: are there events of its modules, with one of its clues?"""
    said = [texts[module] for module in rule.modules if module in texts]
    return any(not rule.clues or any(clue in text for clue in rule.clues) for text in said)


def _match(rule: str, event: Event, order: int) -> Match:
    return Match(time=_time(event), order=order, rule=rule, events=(event,))


def _alerts(rule: Rule, matches: Iterable[Match], now: Moment) -> list[Alert]:
    """Make one alert for all matches that name the same entities."""
    cases: dict[Entities, list[Event]] = defaultdict(list)
    for match in matches:
        cases[tuple(_entities(match.events).items())] += match.events
    return [_alert(rule, tuple(events), now) for events in cases.values()]


def _alert(rule: Rule | Correlation, events: tuple[Event, ...], now: Moment) -> Alert:
    ordered = tuple(sorted(events, key=_time))
    return Alert(
        id=_identity(rule.id, rule.hash, ordered),
        engine="sigma",
        rule_id=rule.id,
        rule_hash=rule.hash,
        title=rule.title,
        level=rule.level,
        techniques=rule.techniques,
        tactics=rule.tactics,
        **_facts(ordered, now),
    )


def _facts(events: tuple[Event, ...], now: Moment) -> _Facts:
    """Collect what an alert says of its evidence."""
    return {
        "first_event": Moment(_time(events[0])),
        "ingested": Moment(max(int(str(event["event.ingested"])) for event in events)),
        "raised": now,
        "entities": _entities(events),
        "event_ids": tuple(str(event["event.id"]) for event in events[:MAX_EVIDENCE]),
        "evidence_count": len(events),
    }


def _time(event: Event) -> int:
    return int(str(event["@timestamp"]))


def _entities(events: Sequence[Event]) -> dict[str, tuple[str, ...]]:
    """Return who and where: each entity field with its values."""
    found = {name: sorted({str(it[name]) for it in events if name in it}) for name in ENTITY_FIELDS}
    return {name: tuple(values) for name, values in found.items() if values}


def _identity(rule: str, digest: str, events: tuple[Event, ...]) -> str:
    """Name an alert by its content, so that the same rule on the same evidence is the same alert."""
    parts = (rule, digest, *(str(event["event.id"]) for event in events))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
