"""What a score is: verdicts, modifiers, measures, each with its parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from lab.score.intervals import Rate, Share
from lab.score.vocabulary import Modifier, Verdict


@dataclass(frozen=True, kw_only=True, slots=True)
class Delay:
    """Time to detect over all steps that occurred; a miss is censored at the end of observation."""

    observed: int
    """Steps that were detected."""

    censored: int
    """Steps that were missed."""

    median: float | None
    """Kaplan-Meier median in seconds; None when it was never reached."""

    p90: float | None
    """Kaplan-Meier 90th percentile in seconds; None when it was never reached."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepScore:
    """The verdict of one attack step."""

    step: str
    """Step id."""

    name: str
    """The step's name."""

    technique: str
    """ATT&CK technique id of the step."""

    verdict: Verdict
    """The first verdict that holds, from the worst."""

    modifiers: tuple[Modifier, ...]
    """What is lacking in the detection."""

    reason: str
    """Why this verdict, and what to mend, in one sentence for the learner."""

    events: int
    """How many events satisfied the step's evidence."""

    alerts: tuple[str, ...]
    """Ids of the alerts that credit this step, sorted."""

    rules: tuple[str, ...]
    """Titles of their rules, sorted, no repeats."""

    time_to_detect: float | None
    """Alert raised minus first evidence event, in seconds; None when missed."""

    sensor_delay: float | None
    """Of that: from the first evidence event to its entry in the store, in seconds."""

    evaluation_delay: float | None
    """Of that: from the entry of the completing event to the alert, in seconds.

    What neither explains is the wait for the event that completed the match.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class Floor:
    """What a policy without any skill would score here."""

    policy: Literal["never alerts", "alerts on everything"]
    """Which policy."""

    recall: Share
    """Its recall."""

    precision: Share
    """Its precision."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One term of SCORING.md's 100-point summary."""

    name: str
    """What it measures."""

    weight: int
    """The most it can add, in points."""

    value: float
    """From 0 to 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """The whole score of one run."""

    run: str
    """Run id."""

    rules: Mapping[str, str]
    """Rule id to content hash, of every rule that was loaded."""

    steps: tuple[StepScore, ...]
    """One per attack step, in the order of their start."""

    visibility: Share
    """Steps with telemetry out of steps that occurred."""

    recall: Share
    """Steps alerted out of steps that occurred."""

    precision: Share
    """True out of true and false, over alerts deduplicated by rule, entity and 5 minutes."""

    raw_precision: Share
    """The same without deduplication."""

    false_positives: Rate
    """False alerts (deduplicated) per hour of benign traffic."""

    false_alerts: tuple[str, ...]
    """Ids of the alerts without evidence of an attack that are not ignored, sorted."""

    ignored_alerts: tuple[str, ...]
    """Ids of the alerts whose evidence is all of setup or cleanup, sorted."""

    time_to_detect: Delay
    """Over all steps."""

    steps_before_first_alert: int | None
    """Attack steps that had begun and ended before the first true alert; None without any."""

    floors: tuple[Floor, ...]
    """The two policies without skill, beside which everything is to be read."""

    parts: tuple[Part, ...] = ()
    """What the summary is made of; empty without an attack."""

    summary: float | None
    """SCORING.md's 100-point summary; shown only next to its parts; None without an attack."""
