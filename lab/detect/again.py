"""A run that is over, looked at again and again with rules that change: only what changed is asked again.

The same alerts as those of the run itself, had it had these rules: matches are found for all events at
once, and then taken in the batches in which the events came, as live. An alert counts as raised when its
batch had entered the store.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Self

from lab.detect.alert import Alert, read_alerts
from lab.detect.reported import SuricataDetector, sensor_rules_of
from lab.detect.sigma.correlation import Correlator, Match, chained
from lab.detect.sigma.detector import SigmaDetector
from lab.detect.sigma.rule import RuleSet
from lab.files import careful
from lab.moment import Moment
from lab.runs.noticed import Noticed
from lab.telemetry.event import Event
from lab.telemetry.events import Events
from lab.telemetry.store import Store


class Again:
    """The events of a run, and what each rule matched in them."""

    def __init__(self, batches: Iterable[Events], sensor_rules: str, models: Iterable[Alert] = ()) -> None:
        """Take the events of a run.

        Args:
            batches: All of them; they are held in memory.
            sensor_rules: Text of the rules that its sensors had.
            models: What models raised in it: rules that are edited change nothing of that.
        """
        self._models = tuple(models)
        self._events = Events.all_of(tuple(batches)).by_arrival()
        self._sensor = SuricataDetector(sensor_rules)
        self.sensor_rules = sensor_rules_of(sensor_rules)
        self._batches = tuple(_batches(self._events))
        self._known: dict[str, list[Match]] = {}

    @classmethod
    def of(cls, noticed: Noticed) -> Self:
        """Take a run as it is kept."""
        path = noticed.sensor_rules
        text = careful.read_bytes(path).decode("utf-8", "replace") if path.exists() else ""
        models = (it for it in read_alerts(noticed) if it.engine == "model")
        return cls(Store(noticed.events).batches(), text, models)

    @property
    def events(self) -> Events:
        """All events, in the order in which they entered the store."""
        return self._events

    def matched(self, rules: RuleSet) -> dict[str, list[Event]]:
        """Return of each rule and correlation the events it matched, whether it raises anything or not."""
        self._ask(rules)
        found = {it.id: self._known[it.hash] for it in rules.rules}
        every = sorted((match for them in found.values() for match in them), key=lambda it: it.order)
        for rule, matches in chained(map(Correlator, rules.correlations), every):
            found[rule.id] = matches
        return {name: [event for it in them for event in it.events] for name, them in found.items()}

    def hashes(self, rules: RuleSet) -> dict[str, str]:
        """Return rule id to content hash, of all that is looked for."""
        named = (*rules.rules, *rules.correlations)
        models = {it.rule_id: it.rule_hash for it in self._models}
        return dict(sorted(({it.id: it.hash for it in named} | dict(self._sensor.rules) | models).items()))

    def alerts(self, rules: RuleSet) -> tuple[Alert, ...]:
        """Return what a set of rules raises on the run.

        Args:
            rules: Those whose content is as it was are not asked again.
        """
        self._ask(rules)
        detector = SigmaDetector(rules)
        raised: list[Alert] = []
        for batch, found in sorted(self._by_batch(rules).items()):
            raised += detector.raised(
                {it.id: found[it.id] for it in rules.rules}, self._batches[batch].moment
            )
        detector.close()
        return (*raised, *self._of_sensors(), *self._models)

    def _by_batch(self, rules: RuleSet) -> dict[int, dict[str, list[Match]]]:
        ends = [it.begin + it.count for it in self._batches]
        found: dict[int, dict[str, list[Match]]] = defaultdict(lambda: defaultdict(list))
        for rule in rules.rules:
            for match in self._known[rule.hash]:
                found[bisect_right(ends, match.order)][rule.id].append(match)
        return found

    def _ask(self, rules: RuleSet) -> None:
        new = tuple(it for it in rules.rules if it.hash not in self._known)
        if new:
            detector = SigmaDetector(RuleSet(rules=new, correlations=(), unusable=()))
            found = detector.matches(self._events)
            detector.close()
            self._known.update({it.hash: found[it.id] for it in new})

    def _of_sensors(self) -> list[Alert]:
        return [
            alert
            for it in self._batches
            for alert in self._sensor.feed(self._events.part(it.begin, it.count), it.moment)
        ]


@dataclass(frozen=True, slots=True)
class _Batch:
    """Events that entered the store at one moment."""

    moment: Moment
    begin: int
    count: int


def _batches(events: Events) -> Iterator[_Batch]:
    begin = 0
    for moment, same in groupby(events.column("event.ingested")):
        count = len(list(same))
        yield _Batch(Moment(moment), begin, count)
        begin += count
