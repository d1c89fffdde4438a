"""What a run really did, written as it happens: append-only, one line per step attempt.

SCORING.md names the fields. Detection never sees this module; import-linter holds that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from lab.engine.trace import Process
from lab.files import records
from lab.moment import SECOND, Moment
from lab.runs.happened import Happened

Label = Literal["attack", "benign", "setup", "cleanup"]
"""What kind of activity a record describes; only `attack` is scored as a step."""

Status = Literal["ran", "refused", "skipped"]
"""Whether the step executed at all."""

DEFAULT_LIMIT: Final = 10 * SECOND
"""Time to detect above which a step's detection counts as late, in nanoseconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Predicate:
    """Which events belong to a step: each named field holds one of the listed values.

    A list-valued event field matches when it shares one value with the list. Text compares exactly.
    """

    where: Mapping[str, tuple[str | int, ...]]
    """ECS field name to the values it may have; all fields must match."""

    joined: tuple[str, ...] = ()
    """Fields. An event that has the same values in all of them as one that matches belongs as well, unless
    what it says of the fields in `where` is something else."""

    lingers: bool = False
    """Whether it is so narrow that what is written just after the interval belongs as well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Party:
    """A node that took part in a step, as it was observed then."""

    node: str
    """The node's name in the inventory."""

    addresses: tuple[str, ...] = ()
    """Its addresses when the step began."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """One attempt of one step, or one phase of other activity."""

    run: str
    """Run id."""

    step: str
    """Step id, unique in the scenario: its place and name, `3-guess-the-password`."""

    attempt: int = 1
    """1 for the first try."""

    name: str
    """The step's name, for people."""

    note: str = ""
    """What the step is modelled on, or why it is done."""

    label: Label
    """Attack, benign, setup or cleanup."""

    action: str = ""
    """Kind of benign action, `browse-shop`; empty unless it is one thing that somebody at work did."""

    suspicious: bool = False
    """Whether that action looks like an attack, and is none."""

    technique: str = ""
    """ATT&CK technique id, `T1110.001`; empty unless the label is attack."""

    tactics: tuple[str, ...] = ()
    """ATT&CK short names of the tactics the step serves, `credential-access`."""

    attack_version: str = ""
    """Version of the ATT&CK table the ids are from."""

    start: Moment
    """First moment of the attempt."""

    end: Moment
    """Last moment of the attempt."""

    status: Status = "ran"
    """Whether it executed."""

    occurred: bool | None = None
    """The result of the independent check; None when there is none, or it could not be made."""

    reason: str = ""
    """Why it was refused or skipped, or what the check found."""

    timed_out: bool = False
    """Whether it was stopped at its limit; the check still decides what it did."""

    exit_code: int | None = None
    """Exit code of the step's own command; never used to decide `occurred`. None when it was stopped."""

    sources: tuple[Party, ...] = ()
    """Nodes the activity came from."""

    targets: tuple[Party, ...] = ()
    """Nodes it was aimed at."""

    users: tuple[str, ...] = ()
    """Accounts involved on the targets."""

    processes: tuple[str, ...] = ()
    """Command lines, as run."""

    started: tuple[Process, ...] = ()
    """The processes that it was, as its nodes' kernels told."""

    evidence: tuple[Predicate, ...] = ()
    """An event belongs to this record when any of these matches it within the interval."""

    wide: tuple[str, ...] = ()
    """Why some of the evidence is wider than what was done; empty when all of it is exact."""

    expected_rules: tuple[str, ...] = ()
    """Rule ids the author expects to fire; shown, never scored."""

    limit: int = DEFAULT_LIMIT
    """Time to detect above which detection is late, in nanoseconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """How far a node's clock may be from this machine's, measured at one moment of the run."""

    node: str
    """The node's name in the inventory."""

    measured: Moment
    """When."""

    offset: int
    """The node's clock minus this machine's, in nanoseconds."""

    bound: int
    """The most the true offset may differ from `offset`, in nanoseconds: half the round trip."""


def read_truth(happened: Happened) -> tuple[Truth, ...]:
    """Read what happened in a run."""
    return records.read_lines(happened.truth, Truth)


def read_clocks(happened: Happened) -> tuple[Clock, ...]:
    """Read how far the nodes' clocks were off."""
    return records.read_lines(happened.clock, Clock)
