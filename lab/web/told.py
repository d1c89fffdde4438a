"""What `lab why` and `lab grade` say as JSON, as far as pages show it.

The values themselves are those of `lab.why` and `lab.learn`. To import them is to load what reads rules, and
that takes more memory than all of this server. So a process of its own is asked (`apart`), and these say what
is read of its answer; a test compares their fields.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """Why one rule said nothing, as `lab why` tells it."""

    rule: str
    """Its title."""

    path: str
    """Its file."""

    why: str
    """The reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why a step was missed."""

    step: str
    """Its id."""

    name: str
    """Its name."""

    technique: str
    """Its technique."""

    rung: str
    """Where it fell off."""

    why: str
    """The reason."""

    mend: str
    """The nearest thing to a remedy."""

    causes: tuple[Cause, ...] = ()
    """Rules that said nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FalseAlarm:
    """What caused false alarms."""

    rule: str
    """The rule's title."""

    count: int
    """How many."""

    who: str
    """Who caused them."""

    action: str
    """Doing what."""

    apart: str
    """What would tell them apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NearMiss:
    """Benign events that one clause alone kept from an alert."""

    rule: str
    """The rule's title."""

    clause: str
    """The clause."""

    count: int
    """How many."""

    example: str
    """Id of one of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reasons:
    """What `lab why` says."""

    steps: tuple[Reason, ...] = ()
    """Steps that were missed."""

    false_alarms: tuple[FalseAlarm, ...] = ()
    """False alarms."""

    near_misses: tuple[NearMiss, ...] = ()
    """Near misses."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A share of something."""

    hits: int
    """How many."""

    total: int
    """Of how many."""

    value: float | None = None
    """The share."""

    low: float | None = None
    """Lower end of its interval."""

    high: float | None = None
    """Upper end of its interval."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One answer beside truth."""

    alert: str
    """Id of the alert."""

    title: str
    """Its rule."""

    said: str
    """What was answered; empty for nothing."""

    right: str
    """What is right."""

    verdict_right: bool
    """Whether that was answered."""

    reason: str
    """The reason that was given."""

    reason_right: bool | None
    """Whether it is right; None where it does not count."""

    why: str
    """What happened."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Graded:
    """All answers beside truth, as `lab grade` tells it."""

    run: str
    """Run id."""

    verdicts: Share
    """Right dispositions, of all alerts that count."""

    reasons: Share
    """Right reasons, of the right dispositions for which one counts."""

    answered: Share
    """Alerts that were answered."""

    floor: Share
    """What "all are attacks" would have given."""

    answers: tuple[Judged, ...] = ()
    """Each answer."""
