"""Why a step of an attack was not detected as what it was: the rung of the ladder, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from lab.detect.reported import SensorRule
from lab.detect.sigma.rule import Named, RuleSet
from lab.exercise.truth import Truth
from lab.runs import names
from lab.score.evidence import AttackStep
from lab.score.values import StepScore
from lab.score.vocabulary import DETECTED
from lab.telemetry.events import Events
from lab.watch.collection import Collection
from lab.why.causes import Cause, Diagnosis, is_far, nearest_first

Rung = Literal[
    "scenario",
    "sensor",
    "silence",
    "parsing",
    "no rule",
    "rule",
    "tags",
    "late",
    "entity",
    "elsewhere",
    "nothing",
]
"""Where on the ladder from what was done to an alert with the right technique a step fell off."""

_SHOWN: Final = 3
"""Causes, and events, that are shown of a step."""

_SENSOR: Final = "sensor rule "
"""How the place of a rule begins that a sensor has."""

_TELLING: Final = (
    *("process.command_line", "process.executable", "url.original", "dns.question.name", "rule.name"),
    *("user.name", "source.ip", "destination.ip", "destination.port", "event.action", "event.outcome"),
)
"""Fields that a rule could use, the most telling first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Usable:
    """An event that a rule could use."""

    id: str
    """Its `event.id`."""

    log: str
    """Which log it is of."""

    says: tuple[tuple[str, str], ...]
    """Fields and values that tell it from others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Why:
    """The reason for the verdict of one step."""

    step: str
    """Step id."""

    name: str
    """Its name."""

    technique: str
    """Its technique."""

    verdict: str
    """Its verdict."""

    rung: Rung
    """Where it fell off; `nothing` when it was detected as what it was."""

    why: str
    """The reason, in one sentence."""

    mend: str
    """The nearest thing to a remedy."""

    causes: tuple[Cause, ...] = ()
    """Why rules on this technique said nothing, the nearest first."""

    usable: tuple[Usable, ...] = ()
    """Events that a rule could use."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """What is known of a run beside its steps."""

    collection: Collection
    """What was watched, and how well."""

    rules: RuleSet
    """The rules."""

    sensor_rules: tuple[SensorRule, ...]
    """The rules that the lab's sensors had."""

    raised: frozenset[str]
    """`gid:sid` of those that were raised in the run."""

    technique_of_unusable: Mapping[str, frozenset[str]]
    """Path of a rule that cannot be used to the techniques that its text names."""

    modules: frozenset[str]
    """Values of `event.module` that the run's events have."""


def why(step: AttackStep, score: StepScore, events: Events, known: Known, diagnosis: Diagnosis) -> Why:
    """Say why a step has its verdict.

    Args:
        step: The step.
        score: Its verdict.
        events: Its events.
        known: What is known of the run.
        diagnosis: Asks rules about those events.
    """
    if score.verdict in {"not_run", "unverified", "no_effect"}:
        mend = "the exercise is at fault, and no detection: see what it needs"
        return _why(score, "scenario", score.reason, mend)
    if score.verdict == "no_telemetry":
        return _unseen(step, score, known)
    if score.verdict == "technique":
        return _detected(score)
    found = _of_rules(step.record, score, known, diagnosis)
    return replace(found, usable=tuple(_usable(events)[:_SHOWN]))


def _of_rules(record: Truth, score: StepScore, known: Known, diagnosis: Diagnosis) -> Why:
    """Say which rule should have told, and why it did not."""
    causes = _causes(record, known, diagnosis)
    if score.verdict in DETECTED:
        tag = f"attack.{score.technique.lower()}"
        mend = f"tag one of them {tag}, if that is what it finds; or write a rule that finds this alone"
        return _why(score, "tags", score.reason, mend, causes)
    if causes and not is_far(causes[0]):
        return _why(score, "rule", f"{causes[0].rule!r}: {causes[0].why}", _mend(causes[0]), causes)
    if "count for another step" in score.reason:
        return _why(score, "elsewhere", score.reason, "a rule that fires on this step alone would credit it")
    reason = f"no rule on {score.technique} looks at such events"
    if causes:
        reason += f"; the nearest is {causes[0].rule!r}: {causes[0].why}"
    return _why(score, "no rule", reason, "lab why --draft-rule  writes a beginning of one")


def _mend(cause: Cause) -> str:
    if cause.path.startswith(_SENSOR):
        return "what sensors run is theirs from the next  lab up  on;  lab rules add-suricata  adds to it"
    return f"edit {cause.path}, then  lab rescore"


def _why(score: StepScore, rung: Rung, reason: str, mend: str, causes: Sequence[Cause] = ()) -> Why:
    return Why(
        step=score.step,
        name=score.name,
        technique=score.technique,
        verdict=score.verdict,
        rung=rung,
        why=reason,
        mend=mend,
        causes=tuple(causes[:_SHOWN]),
    )


def _detected(score: StepScore) -> Why:
    if "late" in score.modifiers:
        parts = {
            "until the first event was stored": score.sensor_delay,
            "from the last event to the alert": score.evaluation_delay,
        }
        said = ", ".join(f"{name} {value:.2f} s" for name, value in parts.items() if value is not None)
        reason = f"{score.reason}: {said}; the rest is the wait for the event that completed the match"
        return _why(
            score, "late", reason, "a rule that needs fewer events, or a shorter window, fires sooner"
        )
    if "partial_entity" in score.modifiers:
        mend = "a rule on an event that names them, or a correlation that groups by them, would name them"
        return _why(score, "entity", score.reason, mend)
    return _why(score, "nothing", score.reason, "nothing is to be mended")


def _unseen(step: AttackStep, score: StepScore, known: Known) -> Why:
    """Name the sensor that did not see a step."""
    silent = [
        it
        for it in known.collection.blind
        if "blind" in score.modifiers and it.start <= max(a.end for a in step.attempts)
    ]
    if silent:
        said = "; ".join(sorted({str(it) for it in silent}))
        return _why(score, "silence", said, "find out what stopped it:  lab logs  shows the sensor's own log")
    hosts = _hosts(step)
    broken = [it for it in known.collection.logs if it.host in hosts and (it.unparsed or it.dropped)]
    if broken:
        said = "; ".join(
            f"{it.host}:{it.path} had {it.unparsed} lines that could not be parsed, and {it.dropped} dropped"
            for it in broken
        )
        return _why(
            score,
            "parsing",
            said,
            'look at them:  lab query "SELECT * FROM events WHERE \\"event.kind\\" = \'pipeline_error\'"',
        )
    watched = {it.host for it in known.collection.logs}
    dark = sorted(hosts - watched)
    if dark:
        said = f"no log of {', '.join(dark)} is collected, and no sensor told of what it sent"
    else:
        said = (
            f"the logs of {', '.join(sorted(hosts))} are collected, and none of them writes of such a thing"
        )
    said += "" if "suricata" in known.modules else "; no network sensor told anything at all"
    return _why(score, "sensor", said, "a sensor that sees it has to be added, or moved")


def _hosts(step: AttackStep) -> set[str]:
    return {party.node for it in step.attempts for party in (*it.sources, *it.targets)}


def _causes(record: Truth, known: Known, diagnosis: Diagnosis) -> tuple[Cause, ...]:
    """Ask every rule that is about a step's technique, or expected to be."""
    named: list[Named] = [*known.rules.rules, *known.rules.correlations]
    wanted = [it.id for it in named if _about(it, record)]
    found = [cause for it in wanted for cause in _asked(it, diagnosis)]
    found += _of_sensors(record, known)
    found += [
        Cause(rule=it.title, path=it.path, fault="unusable", why=f"it cannot be evaluated: {it.why}")
        for it in known.rules.unusable
        if _kin(known.technique_of_unusable.get(it.path, frozenset()), record.technique)
    ]
    return nearest_first(dict.fromkeys(found))


def _asked(name: str, diagnosis: Diagnosis) -> Iterator[Cause]:
    """Ask a rule; where it matches and only serves correlations, ask those instead."""
    cause = diagnosis.of(name)
    if cause is None:
        return
    above = diagnosis.above(name)
    if cause.fault != "lacking" or not above:
        yield cause
        return
    yield from (found for it in above if diagnosis.alerts(it) and (found := diagnosis.of(it)))


def _of_sensors(record: Truth, known: Known) -> list[Cause]:
    """Name the rules of sensors on a technique that were silent in the whole run."""
    return [
        Cause(
            rule=it.title,
            path=f"{_SENSOR}{it.id}",
            fault="lacking",
            why=f"no sensor raised it in the whole run;  {names.SENSOR_RULES}  has its text",
        )
        for it in known.sensor_rules
        if it.id not in known.raised and _kin(it.techniques, record.technique)
    ]


def _about(rule: Named, record: Truth) -> bool:
    return rule.id in record.expected_rules or _kin(rule.techniques, record.technique)


def _kin(techniques: Sequence[str] | frozenset[str], wanted: str) -> bool:
    """Tell whether one is the technique, its parent or a sub-technique of it."""
    parent = wanted.partition(".")[0]
    return any(
        it in {wanted, parent} or (wanted == parent and it.startswith(f"{parent}.")) for it in techniques
    )


def _usable(events: Events) -> list[Usable]:
    """Return the events that say most, one of each sort."""
    found: dict[tuple[str, ...], Usable] = {}
    for event in events:
        says = tuple((name, str(event[name])) for name in _TELLING if name in event)
        log = str(event.get("event.dataset", ""))
        found.setdefault(
            (log, *(value for _, value in says[:2])), Usable(id=str(event["event.id"]), log=log, says=says)
        )
    return sorted(found.values(), key=_telling)


def _telling(usable: Usable) -> tuple[int, str]:
    """Order by the most telling field that an event has."""
    names = [name for name, _ in usable.says]
    return min((_TELLING.index(it) for it in names), default=len(_TELLING)), usable.id
