"""False alarms, and those to come: who caused them at work, and what would have told them apart."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from lab.detect.alert import Alert
from lab.detect.sigma.explain import Taken, nearly
from lab.exercise.truth import Truth
from lab.moment import SECOND, Moment
from lab.runs.header import LabRecord
from lab.telemetry.event import Event
from lab.telemetry.events import Events
from lab.telemetry.matching import Matcher

_TELLING: Final = (
    *("process.interactive", "process.parent.executable", "process.entry_leader.entry_meta.type"),
    *("process.working_directory", "user.name", "user_agent.original", "http.request.method", "url.path"),
    *("http.response.status_code", "homerange.auth.method", "destination.port", "event.outcome", "source.ip"),
)
"""Fields by which benign events may differ from an attack's, the soundest first: an address says least."""

_SLACK: Final = 2 * SECOND
"""How long before or after what somebody did its events may be written, in nanoseconds."""

_SELECTIVE: Final = 0.01
"""A clause says something of an event when it holds for less than this part of its log source's events."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FalseAlarm:
    """False alarms of one rule with one cause."""

    rule: str
    """The rule's title."""

    count: int
    """How many there were."""

    first: Moment
    """When the first of them happened."""

    who: str
    """The node of whoever caused it; empty where nobody did anything then."""

    action: str
    """What was done: `read shadow`; empty where nobody did anything then."""

    suspicious: bool
    """Whether that looks like an attack, and is none."""

    apart: str
    """What of the events tells them from those of the attack, as a clause; empty where nothing does."""


def false_alarms(
    alerts: Sequence[Alert],
    *,
    false: Iterable[str],
    truth: Iterable[Truth],
    lab: LabRecord,
    events: Mapping[str, Event],
) -> tuple[FalseAlarm, ...]:
    """Say what caused each false alarm.

    Args:
        alerts: All alerts.
        false: Ids of the false ones.
        truth: What really happened.
        lab: The lab as it was.
        events: The evidence of alerts, by id.
    """
    wrong, acts = set(false), [it for it in truth if it.label == "benign" and it.action]
    node_of = {address: it.name for it in lab.nodes for address in it.addresses.values()}
    right: dict[str, list[Event]] = defaultdict(list)
    grouped: dict[tuple[str, str, str], list[Alert]] = defaultdict(list)
    suspicious: set[str] = set()
    for alert in alerts:
        if alert.id not in wrong:
            right[alert.rule_id] += [events[it] for it in alert.event_ids if it in events]
            continue
        act = act_of(alert, acts, node_of)
        grouped[alert.rule_id, act.sources[0].node if act else "", act.name if act else ""].append(alert)
        if act and act.suspicious:
            suspicious.add(act.name)
    found = [
        FalseAlarm(
            rule=them[0].title,
            count=len(them),
            first=min(it.first_event for it in them),
            who=who,
            action=action,
            suspicious=action in suspicious,
            apart=_apart([events[it] for one in them for it in one.event_ids if it in events], right[rule]),
        )
        for (rule, who, action), them in grouped.items()
    ]
    return tuple(sorted(found, key=lambda it: (-it.count, it.rule, it.who, it.action)))


def act_of(alert: Alert, acts: Sequence[Truth], node_of: Mapping[str, str]) -> Truth | None:
    """Find what somebody did there and then: the shortest act that the alert lies in.

    Args:
        alert: The alert.
        acts: What people did.
        node_of: Address to the node that has it.
    """
    named = {
        node_of.get(it, it) for name in ("host.name", "source.ip") for it in alert.entities.get(name, ())
    }
    near = [
        it
        for it in acts
        if it.start - _SLACK <= alert.first_event <= it.end + _SLACK
        and {one.node for one in it.sources} & named
    ]
    return min(near, key=lambda it: (it.end - it.start, it.start, it.step), default=None)


def _apart(benign: Sequence[Event], attack: Sequence[Event]) -> str:
    """Find the field that tells benign evidence from that of attacks, and say it as a clause."""
    for name in _TELLING:
        ours = {it.get(name) for it in benign}
        theirs = {it.get(name) for it in attack}
        if ours == {None} or (attack and ours & theirs) or len(ours) > 3:  # noqa: PLR2004  # a list that long is no clause
            continue
        values = " or ".join(sorted(map(str, ours - {None})))
        held = f"holds for all {len(benign)} of its events"
        beside = f" and for none of {len(attack)} of the attack" if attack else "; it fired on no attack here"
        return f"not {name}: {values} ({held}{beside})"
    return ""


@dataclass(frozen=True, kw_only=True, slots=True)
class NearMiss:
    """Benign events that one clause alone kept from an alert."""

    rule: str
    """The rule's title."""

    clause: str
    """The clause that they fail, with the search that it is in."""

    count: int
    """How many events."""

    example: str
    """Id of one of them."""


def near_misses(
    rules: Iterable[Taken], batches: Iterable[Events], others: AbstractSet[str], matcher: Matcher
) -> tuple[NearMiss, ...]:
    """Count benign events that fail one clause of a rule alone, where another clause says something of them.

    Args:
        rules: The rules.
        batches: The events of a run.
        others: Ids of events that are not benign.
        matcher: Asks the database.
    """
    counts: Counter[tuple[str, int]] = Counter()
    examples: dict[tuple[str, int], str] = {}
    known = {it.id: it for it in rules if len(it.clauses) > 1}
    for events in batches:
        ids = [str(it) for it in events.column("event.id")]
        for rule in known.values():
            telling = _telling(rule, events, matcher)
            for place, rows in nearly(rule, events, matcher).items():
                said = set().union(*(it for other, it in telling.items() if other != place))
                near = [row for row in rows if row in said and ids[row] not in others]
                counts[rule.id, place] += len(near)
                if near:
                    examples.setdefault((rule.id, place), ids[near[0]])
    found = [
        NearMiss(
            rule=known[rule].title,
            clause=f"{known[rule].clauses[place].search}: {known[rule].clauses[place].words}",
            count=count,
            example=examples[rule, place],
        )
        for (rule, place), count in counts.items()
        if count
    ]
    return tuple(sorted(found, key=lambda it: (-it.count, it.rule, it.clause)))


def _telling(rule: Taken, events: Events, matcher: Matcher) -> dict[int, set[int]]:
    """Return of each clause that holds for few events which those are."""
    ours, *clauses = map(set, matcher.places(events, [rule.source, *(it.condition for it in rule.clauses)]))
    return {
        place: held & ours for place, held in enumerate(clauses) if len(held & ours) < _SELECTIVE * len(ours)
    }
