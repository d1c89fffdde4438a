"""What a run is, and the lab it was run in: values, and what their files hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from lab.moment import Moment

FREE: Final = "free"
"""The scenario of a run in which a person attacks by hand."""

State = Literal["running", "done", "degraded", "stopped"]
"""Whether all of a run took place; `degraded` when it did, but was disturbed, or a source was silent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What a run is: `run.json`."""

    id: str
    """`20261123-215358-ssh-brute-force`."""

    lab: str
    """The lab's name."""

    scenario: str
    """The scenario's name."""

    summary: str
    """The scenario's summary."""

    story: str = ""
    """What happens in it, for people, as the scenario's author tells it."""

    version: str
    """Version of this program."""

    seed: int = 0
    """What chance was drawn from: pauses, order, decoys, and the day of people."""

    started: Moment
    """When it began."""

    ended: Moment | None = None
    """When the last event had been evaluated; None while it runs, or when it was killed."""

    state: State = "running"
    """Whether all of it took place."""

    blind: bool = False
    """Whether whoever plays it wants to see nothing of what is done until they have answered."""

    replay_of: str = ""
    """The recorded run this is a replay of; empty for a real run."""

    rules: Mapping[str, str] = field(default_factory=dict)
    """Rule id to content hash of every rule that was loaded."""

    @property
    def judged(self) -> bool:
        """Whether it was an exercise in a lab, so that it is known what was an attack."""
        return bool(self.lab) and self.scenario != FREE


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeRecord:
    """A node in `lab.json`."""

    name: str
    """Its name."""

    kind: str
    """Its kind."""

    image: str
    """Its image."""

    addresses: Mapping[str, str]
    """Network to address."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabRecord:
    """The lab as it was when the run began: `lab.json`."""

    lab: str
    """Its name."""

    nodes: tuple[NodeRecord, ...]
    """Its nodes."""
