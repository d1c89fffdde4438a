"""What a look for an effect found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a check found."""

    occurred: bool | None
    """Whether the effect is there; None when nobody could look."""

    said: str
    """What was seen, for a person."""
