"""What a model is, in words and numbers: `model.json`."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Literal

from lab.detect.alert import Level
from lab.files import records

FORMAT: Final = "homerange-model 1"
"""The format of a model's folder."""

Kind = Literal["http-value", "record", "destination-window", "account-window"]
"""What a model looks at: values of HTTP parameters, records of a published data set, what reaches a
destination in a window of time, what an account does on a host in one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Description:
    """What a model is: `model.json`."""

    format: str = FORMAT
    """Its format."""

    name: str
    """What it is called: `sqli`."""

    kind: Kind
    """What it looks at."""

    title: str
    """What its alerts say."""

    level: Level
    """How urgent they are."""

    techniques: tuple[str, ...]
    """ATT&CK ids that they name."""

    tactics: tuple[str, ...]
    """Tactics that they name."""

    threshold: float
    """Score from which on an alert is raised; frozen before any test was looked at."""

    weights: str
    """SHA-256 of `weights.npz`."""

    inputs: tuple[str, ...] = ()
    """What its weights stand for, in their order; empty where that is fixed by its kind."""

    version: str
    """Version of this program that trained it."""

    @property
    def hash(self) -> str:
        """What it is, all in one: weights, threshold, and what it looks at."""
        return hashlib.sha256(records.to_json(self).encode()).hexdigest()

    @property
    def rule(self) -> str:
        """What stands in an alert where a rule has its id."""
        return f"model:{self.name}"
