"""The words of a score, said once: report, terminal and Markdown use these, JSON the keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Verdict = Literal[
    "not_run", "unverified", "no_effect", "no_telemetry", "telemetry_only", "general", "tactic", "technique"
]
"""SCORING.md's verdicts, from nothing to a detection with the right technique."""

Modifier = Literal["timed_out", "blind", "late", "partial_entity"]
"""What is to be known beside a verdict: of the step, of those who watched, of the detection."""

VERDICTS: Final[Mapping[Verdict, str]] = {
    "technique": "detected",
    "tactic": "detected, tactic only",
    "general": "detected, no tactic",
    "telemetry_only": "missed: no rule fired",
    "no_telemetry": "missed: nothing was seen",
    "no_effect": "no effect",
    "unverified": "not verified",
    "not_run": "not run",
}
"""Verdicts in words."""

MODIFIERS: Final[Mapping[Modifier, str]] = {
    "timed_out": "stopped at its limit",
    "blind": "a source was silent",
    "late": "late",
    "partial_entity": "names only some involved",
}
"""Modifiers in words."""

DETECTED: Final[frozenset[Verdict]] = frozenset({"technique", "tactic", "general"})
"""Verdicts of steps that raised an alert."""

MISSED: Final[frozenset[Verdict]] = frozenset({"telemetry_only", "no_telemetry"})
"""Verdicts of steps that took effect and raised none."""

QUALITY: Final[Mapping[Verdict, float]] = {
    "telemetry_only": 0.25,
    "general": 0.5,
    "tactic": 0.75,
    "technique": 1.0,
}
"""What a verdict is worth in the summary; any other is worth nothing."""
