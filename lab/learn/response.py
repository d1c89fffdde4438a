"""What a response is graded by, and what a grade is: values alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lab.exercise.respond.aftermath import Aftermath
from lab.exercise.respond.probing import Probe
from lab.exercise.truth import Truth
from lab.learn.grade import Grade
from lab.moment import Moment
from lab.runs.case import Frozen
from lab.runs.response import Acted

Part = Literal[
    "preparation", "identification", "containment", "evidence", "eradication", "recovery", "lessons learned"
]
"""A part of a response. Evidence is taken before eradication; SANS has it within containment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """Evidence that was taken of a node, as its manifest tells and its files confirm."""

    node: str
    """Of which node."""

    at: Moment
    """When the last of it was taken."""

    whole: bool
    """Whether every file is there and has the hash that the manifest gives."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """What a learner's own rules find in one run."""

    run: str
    """The run."""

    same_seed: bool
    """Whether it is the run itself, or one with its seed."""

    true: int
    """Alerts of theirs on the attack."""

    false: int
    """Alerts of theirs on anything else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """All that a response is graded by."""

    run: str
    """Run id."""

    started: Moment
    """When the run began."""

    truth: tuple[Truth, ...]
    """What happened."""

    attackers: frozenset[str]
    """The nodes that the attack comes from."""

    planted: frozenset[str]
    """The ways in that go with a node that is made anew."""

    first_alert: Moment | None
    """When the first alert was raised that is on the attack."""

    acknowledged: Moment | None
    """When somebody first did something about an alert; None when nobody did."""

    case: Frozen
    """What was written down."""

    acts: tuple[Acted, ...]
    """What was done."""

    probes: tuple[Probe, ...]
    """Which ways were open, as they were tried."""

    aftermath: Aftermath | None
    """What was left."""

    ours: frozenset[str] = frozenset()
    """Names of files that tries of ways leave: they are neither the attacker's nor anybody else's."""

    evidence: tuple[Taken, ...] = ()
    """What was secured."""

    shows: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Event id to the steps that it is of; none for an event that is of a try of a way."""

    timeline: Grade | None = None
    """The findings that have a time, as a timeline beside what happened."""

    proofs: tuple[Proof, ...] = ()
    """What rules find that were written since the run."""

    def attack(self) -> tuple[Truth, ...]:
        """Return what the attack did to its victims; what it did at home nobody here can see."""
        return tuple(
            it
            for it in self.truth
            if it.label == "attack"
            and it.occurred
            and any(party.node not in self.attackers for party in (*it.sources, *it.targets))
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One part."""

    part: Part
    """Which."""

    value: float
    """From 0 to 1."""

    told: tuple[str, ...]
    """What it comes from."""

    missed: tuple[str, ...] = ()
    """What is wanting."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """How long it took, in seconds from the first alert on the attack; None for what never came."""

    acknowledge: float | None
    """Until somebody did something about an alert."""

    contain: float | None
    """Until the last way in was shut for good, as a try of it showed."""

    recover: float | None
    """Until all that people need worked again, with every way in shut; 0 when nothing ever failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Floor:
    """What a policy without skill comes to."""

    name: str
    """Which."""

    parts: Mapping[Part, float]
    """Its values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """A response, graded."""

    run: str
    """Run id."""

    parts: tuple[Judged, ...]
    """The seven parts, in their order."""

    reasons: Judged
    """How well was told why: of what was named rightly, the share with a technique that is right."""

    times: Times
    """How long it took."""

    floors: tuple[Floor, ...]
    """Beside which it is to be read."""

    notes: tuple[str, ...] = ()
    """What is to be known of it: a case that was changed since it was closed."""
