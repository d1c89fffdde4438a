"""A layer for the ATT&CK Navigator: which techniques were tried, and how many of their tests were detected.

The format is MITRE's, layer version 4.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lab import attack
from lab.score.values import Score, StepScore
from lab.score.vocabulary import DETECTED, MISSED, QUALITY, VERDICTS

_VERSIONS: Final = {"navigator": "5.1.0", "layer": "4.5"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """One test of a technique."""

    technique: str
    """ATT&CK technique id."""

    name: str
    """For people."""

    occurred: bool
    """Whether it had its effect."""

    detected: bool
    """Whether an alert was raised on it."""


def layer(name: str, tests: Iterable[Tried]) -> dict[str, object]:
    """Make the layer; a technique scores the percentage of its tests that took effect and were detected."""
    of: dict[str, list[Tried]] = {}
    for it in tests:
        of.setdefault(it.technique, []).append(it)
    return {
        **_head(name, "Tests of Atomic Red Team: the share of those with an effect that was detected."),
        "gradient": {"colors": ["#c0392b", "#f4d03f", "#27ae60"], "minValue": 0, "maxValue": 100},
        "techniques": [_technique(it, found) for it, found in sorted(of.items())],
    }


def library_layer(techniques: Mapping[str, tuple[str, ...]]) -> dict[str, object]:
    """Make the layer of what exercises cover: technique to their names, and how many there are."""
    found = [
        {"techniqueID": it, "enabled": True, "score": len(names), "comment": ", ".join(names)}
        for it, names in sorted(techniques.items())
    ]
    return {
        **_head("homerange exercises", "Techniques that exercises have steps for, and how many do."),
        "gradient": {"colors": ["#d6eaf8", "#1b4f72"], "minValue": 0, "maxValue": 5},
        "techniques": found,
    }


def run_layer(name: str, scores: Sequence[Score]) -> dict[str, object]:
    """Make the layer of one run, or of many: a technique scores how well its steps were detected, on average.

    Args:
        name: What the layer is called.
        scores: The scores; steps that did not occur count for nothing.
    """
    of: dict[str, list[StepScore]] = {}
    for it in (step for score in scores for step in score.steps if step.verdict in DETECTED | MISSED):
        of.setdefault(it.technique, []).append(it)
    found = [
        {
            "techniqueID": technique,
            "enabled": True,
            "score": round(100 * sum(QUALITY.get(it.verdict, 0) for it in steps) / len(steps)),
            "comment": "; ".join(sorted({f"{it.name}: {VERDICTS[it.verdict]}" for it in steps})),
        }
        for technique, steps in sorted(of.items())
    ]
    return {
        **_head(
            name, "How well steps were detected: 100 is the right technique, 25 events alone, 0 nothing."
        ),
        "gradient": {"colors": ["#c0392b", "#f4d03f", "#27ae60"], "minValue": 0, "maxValue": 100},
        "techniques": found,
    }


def _head(name: str, description: str) -> dict[str, object]:
    return {
        "name": name,
        "versions": {"attack": attack.version().partition(".")[0], **_VERSIONS},
        "domain": "enterprise-attack",
        "description": description,
    }


def _technique(technique: str, tests: list[Tried]) -> dict[str, object]:
    took = [it for it in tests if it.occurred]
    said = "; ".join(f"{it.name}: {'detected' if it.detected else 'missed'}" for it in took)
    found: dict[str, object] = {"techniqueID": technique, "enabled": True, "comment": said or "no effect"}
    if took:
        found["score"] = round(100 * sum(it.detected for it in took) / len(took))
    return found
