"""Which alert credits which step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lab.detect.alert import Alert
from lab.files import records
from lab.score.evidence import AttackStep, EventTally, EvidenceKind, Sighting
from lab.score.grading import grade


def distinct_alerts(alerts: Iterable[Alert]) -> tuple[Alert, ...]:
    """Keep the first of the alerts with the same id; sorted by time."""
    first: dict[str, Alert] = {}
    for alert in sorted(alerts, key=lambda it: (it.raised, it.id, records.to_json(it))):
        first.setdefault(alert.id, alert)
    return tuple(first.values())


@dataclass(kw_only=True, slots=True)
class Judged:
    """Steps, alerts and which of them belong together."""

    steps: Sequence[AttackStep]
    """In order."""

    found: EventTally
    """What the events show."""

    alerts: Sequence[Alert]
    """Distinct, in the order in which they were raised."""

    kinds: dict[str, EvidenceKind] = field(default_factory=dict)
    """For each alert what it is about."""

    credits: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """For each alert the places of the steps it credits, rising."""

    touched: set[int] = field(default_factory=set)
    """Places of the steps that some alert has evidence for, even if it counts for another step."""

    def of_kind(self, kind: EvidenceKind) -> tuple[str, ...]:
        """Return the ids of the alerts of one kind, sorted."""
        return tuple(sorted(alert for alert, it in self.kinds.items() if it == kind))

    def crediting(self, place: int) -> list[Alert]:
        """Return the alerts that credit a step, in the order in which they were raised."""
        return [alert for alert in self.alerts if place in self.credits[alert.id]]


def judge(steps: Sequence[AttackStep], alerts: Sequence[Alert], found: EventTally) -> Judged:
    """Say which steps each alert credits, and what each alert is about."""
    judged = Judged(steps=steps, alerts=alerts, found=found)
    owner = _assign(_options(steps, alerts, found))
    for alert in alerts:
        sightings = _sightings(alert, found)
        judged.kinds[alert.id] = _kind_of(alert, sightings)
        judged.credits[alert.id] = tuple(sorted({owner[it.id] for it in sightings if it.steps}))
        judged.touched.update(place for it in sightings for place in it.steps)
    return judged


def _sightings(alert: Alert, found: EventTally) -> list[Sighting]:
    """Return the evidence of an alert; an id that the store does not know is none."""
    return [found.sightings[it] for it in alert.event_ids if it in found.sightings]


def _kind_of(alert: Alert, sightings: Sequence[Sighting]) -> EvidenceKind:
    kinds = {it.kind for it in sightings}
    if "attack" in kinds:
        return "attack"
    return "ignored" if kinds == {"ignored"} and len(sightings) == len(alert.event_ids) else "benign"


_Options = tuple[tuple[int, int], ...]
"""Places of the steps an event fits, each with the best grade of the alerts that rest on it."""


def _options(
    steps: Sequence[AttackStep], alerts: Iterable[Alert], found: EventTally
) -> dict[_Options, list[str]]:
    """Gather evidence events with the same options; in each group the earliest first."""
    best: dict[str, dict[int, int]] = defaultdict(dict)
    for alert in alerts:
        grades: dict[int, int] = {}
        for sighting in _sightings(alert, found):
            for place in sighting.steps:
                if place not in grades:
                    grades[place] = grade(alert, steps[place].record)
                known = best[sighting.id].get(place, 0)
                best[sighting.id][place] = max(known, grades[place])
    groups: dict[_Options, list[str]] = defaultdict(list)
    for event in sorted(best, key=lambda it: (found.sightings[it].moment, it)):
        groups[tuple(sorted(best[event].items()))].append(event)
    return groups


def _assign(groups: Mapping[_Options, Sequence[str]]) -> dict[str, int]:
    """Give each evidence event to one step."""
    matched = match_steps([(options, len(events)) for options, events in groups.items()])
    owner: dict[str, int] = {}
    for (options, events), places in zip(groups.items(), matched, strict=True):
        best = max(options, key=lambda it: (it[1], -it[0]))[0]
        owner.update(dict.fromkeys(events, best))
        owner.update(zip(events, places, strict=False))
    return owner


def match_steps(groups: Sequence[tuple[_Options, int]]) -> list[list[int]]:
    """Give as many steps as possible one event each.

    Args:
        groups: The options of alike events, and how many of these there are.

    Returns:
        For each group the places of the steps that got one of its events, rising.
    """
    if all(len(options) == 1 for options, _ in groups):
        return [[options[0][0]] if count else [] for options, count in groups]
    import networkx as nx  # takes longer to import than a run to score, and few runs need it

    places = 1 + max((place for options, _ in groups for place, _ in options), default=-1)
    graph: nx.Graph[int] = nx.Graph()
    group_of: list[int] = []
    for group, (options, count) in enumerate(groups):
        for _ in range(min(count, len(options))):
            node = places + len(group_of)
            group_of.append(group)
            graph.add_weighted_edges_from((place, node, weight) for place, weight in options)
    matched: list[list[int]] = [[] for _ in groups]
    for place, node in sorted(map(sorted, nx.max_weight_matching(graph, maxcardinality=True))):
        matched[group_of[node - places]].append(place)
    return matched
