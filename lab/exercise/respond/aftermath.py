"""What is left when somebody has responded: looked for on the nodes, and not asked of anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.engine.outside import Difference
from lab.files import records
from lab.moment import Moment
from lab.runs.happened import Happened


@dataclass(frozen=True, kw_only=True, slots=True)
class Artefact:
    """Something that the attack put on a node of its victims."""

    step: str
    """Id of the step that did."""

    node: str
    """Where."""

    path: str
    """Which file."""

    contains: str = ""
    """What it put into it; empty when all of the file is its own."""

    gone: bool | None = None
    """Whether it is there no more; None when nobody could look."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Again:
    """A step of the attack that was played once more, after the response."""

    step: str
    """Its id."""

    name: str
    """Its name."""

    occurred: bool
    """Whether it had its effect again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Aftermath:
    """How the lab was once the response was over: `aftermath.json`."""

    at: Moment
    """When that was looked at."""

    artefacts: tuple[Artefact, ...]
    """What the attack had put there."""

    before: Mapping[str, tuple[Difference, ...]] = field(default_factory=dict)
    """Node to what was not as in its image when the run began."""

    after: Mapping[str, tuple[Difference, ...]] = field(default_factory=dict)
    """Node to what was not when the response was over."""

    again: tuple[Again, ...] = ()
    """The steps by which the attacker came in, played once more."""


def read_aftermath(happened: Happened) -> Aftermath | None:
    """Read what was left; None for a run in which nobody was to respond, or that was killed."""
    return records.read(happened.aftermath, Aftermath) if happened.aftermath.exists() else None
