"""Which events belong to which records of truth: by when they happened and by what they say.

An event belongs to a record when one of the record's predicates holds for it, and when it happened
within the record's interval. A node's clock is known only within bounds: over all measurements of a
run its offset lies between the lowest `offset - bound` and the highest `offset + bound`. So the
interval is moved by the offset and widened by the bound; a node that was never measured has neither.
A server writes of the end of a connection when the client is gone already, so what is exact lingers.

At each moment few records are under way. Time is cut where one begins or ends, and an event is
compared only with those of its slice, so a run with 100,000s of events is scored in seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, cast

from lab.exercise.truth import Clock, Predicate, Truth
from lab.files import records
from lab.moment import SECOND, Moment
from lab.telemetry.event import Event, Value

EvidenceKind = Literal["attack", "ignored", "benign"]
"""What an event is evidence of; `ignored` is setup or cleanup."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AttackStep:
    """One attack step: those of its attempts that got furthest.

    An attempt that took effect goes before one that ran, and that before one that did not run. A
    failed attempt of a step that succeeded later is still an attack: who raises an alert on it is
    right, but it is not the step.
    """

    id: str
    """Step id."""

    attempts: tuple[Truth, ...]
    """In order of time; never empty, and all got equally far."""

    start: Moment
    """When the first of all attempts began."""

    @property
    def record(self) -> Truth:
        """The last of the attempts, which stands for the step."""
        return self.attempts[-1]

    @property
    def ran(self) -> bool:
        """Whether it executed."""
        return self.record.status == "ran"

    @property
    def occurred(self) -> bool:
        """Whether a check found its effect; what nobody checked does not count."""
        return self.ran and self.record.occurred is True


@dataclass(kw_only=True, slots=True)
class StepEvents:
    """What the events show of one step."""

    events: int = 0
    """How many belong to it."""

    first: tuple[Moment, Moment] | None = None
    """When the first of them happened, by this machine's clock, and when it entered the store."""

    datasets: set[str] = field(default_factory=set)
    """Which logs they are from."""

    def add(self, event: Event, moment: Moment) -> None:
        """Count one more."""
        stored = event.get("event.ingested")
        times = (moment, Moment(stored) if isinstance(stored, int) else moment)
        self.first = times if self.first is None else min(self.first, times)
        self.events += 1
        self.datasets.add(str(event.get("event.dataset", "no log by name")))


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """One event on which an alert rests."""

    id: str
    """Its `event.id`."""

    moment: Moment
    """When it happened, by this machine's clock."""

    kind: EvidenceKind
    """What it is evidence of."""

    steps: tuple[int, ...]
    """Places of the steps that occurred and may have left it, rising."""


@dataclass(kw_only=True, slots=True)
class EventTally:
    """What one pass over all events found."""

    seen: tuple[StepEvents, ...]
    """For each step, in the order of the steps."""

    sightings: dict[str, Sighting] = field(default_factory=dict)
    """The wanted events by id."""

    kinds: Counter[EvidenceKind] = field(default_factory=Counter)
    """How many events are of each kind."""

    shared: Counter[tuple[int, ...]] = field(default_factory=Counter)
    """How many events belong to just these of the steps that occurred."""


def attack_steps(truth: Iterable[Truth]) -> tuple[AttackStep, ...]:
    """Gather the attempts of each attack step; in the order of their start."""
    attempts: dict[str, list[Truth]] = defaultdict(list)
    for record in truth:
        if record.label == "attack":
            attempts[record.step].append(record)
    steps = [_step(name, found) for name, found in attempts.items()]
    return tuple(sorted(steps, key=lambda step: (step.start, step.id)))


def _step(name: str, found: Sequence[Truth]) -> AttackStep:
    furthest = max(map(_reached, found))
    best = sorted((it for it in found if _reached(it) == furthest), key=_when)
    return AttackStep(id=name, attempts=tuple(best), start=min(it.start for it in found))


def _when(record: Truth) -> tuple[Moment, Moment, int, str]:
    """Order attempts by time; the text comes last, so that even a tie never falls to chance."""
    return record.start, record.end, record.attempt, records.to_json(record)


def _reached(record: Truth) -> int:
    if record.status != "ran":
        return 0
    return 2 if record.occurred else 1


def tally_events(  # noqa: PLR0913  # the records of a run, each by its name
    events: Iterable[Event],
    *,
    truth: Iterable[Truth],
    steps: Sequence[AttackStep],
    clocks: Iterable[Clock],
    wanted: Collection[str],
    total: int = 0,
) -> EventTally:
    """Look at every event, once; twice where some are joined to others.

    What fits an attack is an attack, also where setup or cleanup fits as well; what fits none of them
    is benign, or background.

    Args:
        events: All events of the run; no iterator, for they may be read twice.
        truth: All records of the run.
        steps: Its attack steps.
        clocks: How far the nodes' clocks were off.
        wanted: Ids of the events to return one by one.
        total: How many events there are, those included that happened when nothing was done and are not
            given; all are given when 0.
    """
    acts = [it for it in truth if it.status == "ran" and it.label != "benign"]
    owners = _owners(acts, steps)
    attack = [record.label == "attack" for record in acts]
    index = EvidenceIndex(acts, clocks)
    index.learn(events)
    found = EventTally(seen=tuple(StepEvents() for _ in steps))
    for event in events:
        places = index.records_of(event)
        kind: EvidenceKind = (
            "benign" if not places else "attack" if any(attack[it] for it in places) else "ignored"
        )
        found.kinds[kind] += 1
        wants = event["event.id"] in wanted
        if not (wants or kind == "attack"):
            continue
        moment = index.moment_of(event)
        owning = sorted({step for it in places if (step := owners[it]) is not None})
        for step in owning:
            found.seen[step].add(event, moment)
        occurred = tuple(step for step in owning if steps[step].occurred)
        if occurred:
            found.shared[occurred] += 1
        if wants:
            name = str(event["event.id"])
            found.sightings[name] = Sighting(id=name, moment=moment, kind=kind, steps=occurred)
    found.kinds["benign"] += max(0, total - found.kinds.total())
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Owned:
    """Which events are of what was done."""

    steps: tuple[tuple[str, ...], ...]
    """For each attack step, in the order of the steps, the ids of its events, in order of time."""

    kinds: Mapping[str, EvidenceKind]
    """What each event that is not benign is evidence of, by id."""


def owned_events(
    events: Iterable[Event],
    *,
    truth: Iterable[Truth],
    steps: Sequence[AttackStep],
    clocks: Iterable[Clock],
) -> Owned:
    """Say which events are of which step, by id.

    Args:
        events: Events; no iterator, for they may be read twice.
        truth: All records of the run.
        steps: Its attack steps.
        clocks: How far the nodes' clocks were off.
    """
    acts = [it for it in truth if it.status == "ran" and it.label != "benign"]
    owners, index = _owners(acts, steps), EvidenceIndex(acts, clocks)
    index.learn(events)
    found: list[list[tuple[Moment, str]]] = [[] for _ in steps]
    kinds: dict[str, EvidenceKind] = {}
    for event in events:
        places = index.records_of(event)
        if not places:
            continue
        name = str(event["event.id"])
        kinds[name] = "attack" if any(acts[it].label == "attack" for it in places) else "ignored"
        for step in {owner for it in places if (owner := owners[it]) is not None}:
            found[step].append((index.moment_of(event), name))
    return Owned(steps=tuple(tuple(name for _, name in sorted(it)) for it in found), kinds=kinds)


def fields_asked(truth: Iterable[Truth]) -> frozenset[str]:
    """Return the fields of events that decide what they are evidence of."""
    predicates = [it for record in truth for it in record.evidence]
    named = {name for it in predicates for name in (*it.where, *it.joined)}
    return frozenset({"@timestamp", "event.id", "event.ingested", "event.dataset", "host.name", *named})


def span_asked(truth: Iterable[Truth], clocks: Iterable[Clock]) -> tuple[int, int] | None:
    """Return from when to when events may be evidence, by the clocks of nodes; None when never."""
    acts = [it for it in truth if it.status == "ran" and it.label != "benign"]
    known = (_TRUE, *skews(clocks).values())
    if not acts:
        return None
    first = min(it.start for it in acts) + min(it.low for it in known)
    return first, max(it.end for it in acts) + max(it.high for it in known) + LINGERS + 1


def _owners(acts: Iterable[Truth], steps: Sequence[AttackStep]) -> list[int | None]:
    """Return for each record the place of the step that it is a counted attempt of."""
    places = {step.id: place for place, step in enumerate(steps)}
    found: list[int | None] = []
    for record in acts:
        place = places.get(record.step)
        found.append(place if place is not None and record in steps[place].attempts else None)
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Skew:
    """How far a node's clock may have been from this machine's during the run."""

    low: int = 0
    """The least it may have been ahead, in nanoseconds."""

    high: int = 0
    """The most."""

    @property
    def middle(self) -> int:
        """The offset to reckon with."""
        return (self.low + self.high) // 2


_TRUE: Final = Skew()


def skews(clocks: Iterable[Clock]) -> Mapping[str, Skew]:
    """Join the measurements of each node; a clock may drift, so the widest bounds count."""
    found: dict[str, Skew] = {}
    for clock in clocks:
        low, high = clock.offset - clock.bound, clock.offset + clock.bound
        known = found.get(clock.node, Skew(low=low, high=high))
        found[clock.node] = Skew(low=min(low, known.low), high=max(high, known.high))
    return found


LINGERS: Final = 2 * SECOND
"""How long after its end what is exact of a step may still be written, in nanoseconds."""

_Fields = tuple[tuple[str, frozenset[str | int]], ...]
"""What a predicate asks of an event: fields and the values they may have."""


class _Test:
    """A predicate, ready to ask."""

    def __init__(self, predicate: Predicate) -> None:
        self.fields: _Fields = tuple((name, frozenset(it)) for name, it in predicate.where.items())
        self.joined = predicate.joined
        self.lingers = predicate.lingers
        self.links: set[tuple[Value | None, ...]] = set()
        """Values of the joined fields that events which match have."""

    def holds(self, event: Event) -> bool:
        """Tell whether an event matches, or is joined to one that does."""
        if all(_among(event.get(name), values) for name, values in self.fields):
            return True
        return bool(self.links) and self._is_linked(event)

    def _is_linked(self, event: Event) -> bool:
        if tuple(event.get(name) for name in self.joined) not in self.links:
            return False
        said = [(event.get(name), values) for name, values in self.fields]
        return all(value is None or _among(value, values) for value, values in said)

    def link(self, event: Event) -> None:
        """Remember what else an event that matches stands for."""
        values = tuple(event.get(name) for name in self.joined)
        if None not in values and all(_among(event.get(name), it) for name, it in self.fields):
            self.links.add(values)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Slices:
    """Time as one node's clock shows it, cut where a record begins or ends."""

    cuts: tuple[int, ...]
    """First moments of the slices, rising."""

    under_way: tuple[tuple[int, ...], ...]
    """For each slice the places of the records that go on in it."""

    def at(self, moment: int) -> tuple[int, ...]:
        """Return the records under way."""
        place = bisect_right(self.cuts, moment) - 1
        return self.under_way[place] if place >= 0 else ()


class EvidenceIndex:
    """Finds the records of an event quickly."""

    def __init__(self, acts: Sequence[Truth], clocks: Iterable[Clock]) -> None:
        self._acts = tuple(acts)
        self._tests = tuple(tuple(map(_Test, record.evidence)) for record in acts)
        self._joining = any(test.joined for tests in self._tests for test in tests)
        self._skews = skews(clocks)
        self._slices: dict[str, _Slices] = {}

    def learn(self, events: Iterable[Event]) -> None:
        """Look at all events once, for those that others are joined to."""
        if not self._joining:
            return
        for event in events:
            for _, test in self._asked(event):
                if test.joined:
                    test.link(event)

    def records_of(self, event: Event) -> tuple[int, ...]:
        """Return the places of the records that an event belongs to, rising."""
        found: set[int] = set()
        for place, test in self._asked(event):
            if place not in found and test.holds(event):
                found.add(place)
        return tuple(sorted(found))

    def _asked(self, event: Event) -> Iterator[tuple[int, _Test]]:
        """Yield the predicates of the records that were under way, or just were."""
        host, stamp = str(event.get("host.name", "")), _stamp(event)
        slices = self._slices.get(host) or self._cut(host)
        over = stamp - self._skews.get(host, _TRUE).high
        for place in slices.at(stamp):
            late = over > self._acts[place].end
            yield from ((place, test) for test in self._tests[place] if test.lingers or not late)

    def moment_of(self, event: Event) -> Moment:
        """Return when an event happened, by this machine's clock."""
        return Moment(_stamp(event) - self._skews.get(str(event.get("host.name", "")), _TRUE).middle)

    def _cut(self, host: str) -> _Slices:
        skew = self._skews.get(host, _TRUE)
        spans = [(it.start + skew.low, it.end + skew.high + LINGERS + 1) for it in self._acts]
        cuts = tuple(sorted({end for span in spans for end in span}))
        under_way = tuple(
            tuple(place for place, (first, after) in enumerate(spans) if first <= cut < after) for cut in cuts
        )
        return self._slices.setdefault(host, _Slices(cuts=cuts, under_way=under_way))


def _stamp(event: Event) -> int:
    return cast("int", event["@timestamp"])


def _among(value: Value | None, values: frozenset[str | int]) -> bool:
    if isinstance(value, tuple):
        return not values.isdisjoint(value)
    return value in values
