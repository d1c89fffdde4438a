"""What a scenario's file may say: each class is what is written under one of its keys."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final, Literal

from lab.exercise.checks import CHECK_KINDS
from lab.exercise.checks.base import Check
from lab.exercise.steps import STEP_KINDS
from lab.exercise.steps.base import Step
from lab.exercise.truth import DEFAULT_LIMIT
from lab.files.declared import Fault, Key
from lab.files.loader import Item, Plain
from lab.moment import SECOND

_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
_LONGEST: Final = 3600
"""Seconds: no phase and no step is longer, whatever a file says."""

_STEP_TIMEOUT: Final = 120 * SECOND
"""How long a step may take when its author says nothing, in nanoseconds."""

_BENIGN: Final = 30 * SECOND
"""How long people are at work before the attack when the author says nothing, in nanoseconds."""


def duration(text: str) -> int:
    """Read a length of time, `30s` or `2m`, in nanoseconds.

    Raises:
        ValueError: says what it must be.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?", text.strip())
    seconds = float(match[1]) * _UNITS[match[2] or "s"] if match else -1
    if not 0 <= seconds <= _LONGEST:
        raise ValueError(f"a duration up to {_LONGEST} s")
    return int(seconds * SECOND)


MOST_RETRIES: Final = 10
"""Tries beyond the first, whatever a file says."""

MOST_LOOPS: Final = 100
"""Items of a loop, whatever a file says."""

_MOST_STEPS: Final = 500
"""Steps of a scenario."""

_RUN_TIMEOUT: Final = 1800 * SECOND
"""How long all of a run may take when its author says nothing, in nanoseconds."""

_SHORTEST_DAY: Final = 60 * SECOND
"""A day in which its kinds of action cannot fit is a mistake, in nanoseconds."""

_DURATION: Final = Key(convert=duration, remedy="write  30s  or  2m")


@dataclass(frozen=True, kw_only=True, slots=True)
class Revert:
    """How an effect is undone: a command on a node."""

    remedy: ClassVar[str] = "write  {node: bastion, argv: [rm, -f, /tmp/x], user: maria}"

    node: str
    """Where."""

    argv: tuple[str, ...]
    """What."""

    user: str = "root"
    """Who runs it: root on a node may not touch what others own, it has few capabilities."""

    unsure: bool = field(default=False, metadata={"written": False})
    """Whether its exit code does not tell that all is undone."""

    def faults(self) -> Iterator[Fault]:
        """Find that nothing is run."""
        if not self.argv:
            yield Fault(key="argv", what="names no program", remedy=self.remedy)


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What the node must have before a step can run there; else the step is skipped, with the reason."""

    programs: tuple[str, ...] = ()
    """Programs on its path."""

    files: tuple[str, ...] = ()
    """Paths that must be there."""

    capabilities: tuple[str, ...] = ()
    """Linux capabilities that its kind keeps, `NET_RAW`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class People:
    """How the day of those who work in the lab is."""

    remedy: ClassVar[str] = "write  people: {day: 10m, intensity: 2, cast: {desk: administrator}}"

    day: Annotated[int, _DURATION] = 600 * SECOND
    """How long a day and its night take; each kind of action is done once in it."""

    intensity: Annotated[float, Key(least=0, most=10)] = 1.0
    """How busy it is; 1 is something each 12 seconds."""

    pace: Annotated[float, Key(least=0.1, most=10)] = 1.0
    """How long people look and think, as a factor."""

    cast: Mapping[str, str] = field(default_factory=dict)
    """Node to character, for those who are to be another than their node was made for."""

    def faults(self) -> Iterator[Fault]:
        """Find a day that is over at once."""
        if self.day < _SHORTEST_DAY:
            said = f"a day of {self.day / SECOND:g} s is too short"
            yield Fault(key="day", what=said, remedy=f"{_SHORTEST_DAY // SECOND} s at least")


@dataclass(frozen=True, kw_only=True, slots=True)
class StepKeys:
    """What is said of a step, whatever its kind."""

    source: Annotated[str, Key(name="from", remedy="name the node it runs on")]
    """The node it runs on."""

    name: str = ""
    """For people."""

    technique: str = ""
    """ATT&CK technique id, `T1046`; only a pause has none."""

    needs: Needs = field(default_factory=Needs)
    """What the node must have."""

    check: Annotated[Check | None, Key(kinds=CHECK_KINDS)] = None
    """How to see that it had an effect."""

    reverts: Annotated[tuple[Revert, ...], Key(name="revert", single=True)] = ()
    """How to undo it; `none` when there is nothing to undo."""

    repeatable: bool = True
    """Whether doing it once more does no harm; one that is not is never tried again, by `resume` neither."""

    register: str = ""
    """The name under which later steps read its results."""

    when: str = ""
    """A condition, as in Ansible: an expression without braces. The step is skipped when it does not hold."""

    loop: Annotated[Plain, Key(remedy="write a list, or  loop: scan.hosts")] = None
    """What it is done for, one after the other, each as `item`: a list, or an expression that gives one."""

    retries: Annotated[int, Key(least=0, most=MOST_RETRIES)] = 0
    """How often it is tried again while its check finds no effect."""

    delay: Annotated[int, _DURATION] = 0
    """How long to wait before each try."""

    jitter: Annotated[float, Key(least=0, most=1)] = 0.0
    """By which part of it the delay varies, drawn from the scenario's seed."""

    note: str = ""
    """What it is modelled on, or why it is done, for the report."""

    any_order: bool = False
    """Whether it and its neighbours that say so too are done in an order drawn from the seed."""

    chance: Annotated[float, Key(least=0, most=1)] = 1.0
    """How likely it is done at all, drawn from the seed; a decoy that differs from run to run."""

    parallel: bool = False
    """Whether it begins together with the step before it."""

    limit: Annotated[int, _DURATION] = DEFAULT_LIMIT
    """Time to detect above which detection is late."""

    timeout: Annotated[int, _DURATION] = _STEP_TIMEOUT
    """How long it may take."""

    expected_rules: Annotated[tuple[str, ...], Key(name="expect")] = ()
    """Rules its author expects to fire; shown, never scored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepEntry(StepKeys):
    """One step, as written."""

    where: Annotated[Item, Key(here=True)]
    """The entry itself."""

    action: Annotated[Step | None, Key(kinds=STEP_KINDS, inline=True)]
    """What it does: one of the kinds of step."""

    tactic: str = ""
    """ATT&CK short name of the one tactic it serves here; else all those of its technique."""

    def faults(self) -> Iterator[Fault]:
        """Find a name for results that templates could not say, and tries that must not be."""
        if self.register and not self.register.isidentifier():
            said = f"{self.register!r} cannot be a name"
            yield Fault(key="register", what=said, remedy="use letters, digits and _")
        if self.retries and not (self.repeatable and self.check):
            said = "only a step that is repeatable and has a check can be tried again"
            yield Fault(key="retries", what=said, remedy="give it a check, or leave  retries  out")
        if isinstance(self.loop, list) and len(self.loop) > MOST_LOOPS:
            said = f"a loop of {len(self.loop)} is too long"
            yield Fault(key="loop", what=said, remedy=f"{MOST_LOOPS} at most")

    def at(self, key: str) -> Item:
        """Return where a key was written; the step itself when it was not."""
        entries = self.where.value
        return entries.get(key, self.where) if isinstance(entries, dict) else self.where


@dataclass(frozen=True, kw_only=True, slots=True)
class Then:
    """What an intruder does with a way in, once another was lost."""

    remedy: ClassVar[str] = "write  then: {ssh: {target: gateway, user: root, password: .., command: ..}}"

    action: Annotated[Step | None, Key(kinds=STEP_KINDS, inline=True)]
    """What it does: one of the kinds of step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WayEntry:
    """A way that is tried while somebody responds, as written."""

    remedy: ClassVar[str] = "write  {name: .., from: attacker, http: {target: shop, path: /}, shows: lamp}"

    where: Annotated[Item, Key(here=True)]
    """The entry itself."""

    name: str
    """For people."""

    source: Annotated[str, Key(name="from", remedy="name the node it starts on")]
    """The node it starts on."""

    action: Annotated[Step | None, Key(kinds=STEP_KINDS, inline=True)]
    """How it is tried: one of the kinds of step."""

    shows: str
    """A text that is in the answer when the way is open."""

    planted: bool = False
    """Whether it rests on something that goes with a node when that is made anew."""

    once: str = ""
    """The name of the step by which an intruder gets it; from the beginning when empty."""

    then: Then | None = None
    """What the intruder does with it, once another way was lost."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScenarioFile:
    """A scenario, as written."""

    remedy: ClassVar[str] = "see scenarios/ssh-brute-force.yml"

    name: str
    """Its name."""

    steps: Annotated[tuple[StepEntry, ...], Key(entry="step")]
    """In order; none for a day on which nobody attacks."""

    summary: str = ""
    """One line for people."""

    story: str = ""
    """What happens, for people: who does what, and why."""

    look_for: Mapping[str, str] = field(default_factory=dict)
    """Where to look, and for what: a log's name to a sentence."""

    level: Literal["beginner", "intermediate", "advanced"] = "beginner"
    """How much it asks of who watches it."""

    length: Annotated[int, _DURATION] = 0
    """How long a run is expected to take, in nanoseconds; 0 when its author does not say."""

    lab: str = "starter"
    """The inventory it was written for; it may be played in any lab that has its nodes."""

    benign: Annotated[int, _DURATION] = _BENIGN
    """Length of the phase before the first step, in which people are at work and nobody attacks."""

    after: Annotated[int, _DURATION] = 0
    """How long people go on after the last step, before anything is undone."""

    timeout: Annotated[int, _DURATION] = _RUN_TIMEOUT
    """How long all steps together may take; what is left then is not run."""

    seed: int = 0
    """What chance is drawn from; the same seed gives the same pauses, order, decoys, and day of people."""

    people: People = field(default_factory=People)
    """How the day of those who work in the lab is."""

    access: Annotated[tuple[WayEntry, ...], Key(entry="way in")] = ()
    """The ways in that the attacker has, the dearest first; tried while somebody responds."""

    service: Annotated[tuple[WayEntry, ...], Key(entry="service")] = ()
    """What people need, and must go on having while somebody responds."""

    vars: Mapping[str, Plain] = field(default_factory=dict)
    """Values for templates; a text may be a template itself."""

    def faults(self) -> Iterator[Fault]:
        """Find that nothing is done, or far too much."""
        if not self.steps and not self.benign:
            yield Fault(key="steps", what="a scenario without steps needs a benign phase")
        if len(self.steps) > _MOST_STEPS:
            said = f"{len(self.steps)} steps are too many"
            yield Fault(key="steps", what=said, remedy=f"{_MOST_STEPS} at most")
