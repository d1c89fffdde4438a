"""Which techniques of the ATT&CK table the exercises have steps for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lab import attack


@dataclass(frozen=True, kw_only=True, slots=True)
class Covered:
    """One technique that exercises have steps for."""

    technique: str
    """ATT&CK technique id."""

    name: str
    """Its name."""

    tactics: tuple[str, ...]
    """Short names of the tactics it serves."""

    scenarios: tuple[str, ...]
    """The exercises, sorted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Coverage:
    """What the exercises cover."""

    covered: tuple[Covered, ...]
    """Techniques with at least one step, by id."""

    of_tactic: Mapping[str, tuple[int, int]]
    """Tactic to how many of its techniques for Linux have a step, and how many there are."""


def cover(techniques: Iterable[tuple[str, str]]) -> Coverage:
    """Gather techniques of exercises.

    Args:
        techniques: Pairs of technique id and exercise.
    """
    of: dict[str, set[str]] = {}
    for technique, scenario in techniques:
        of.setdefault(technique, set()).add(scenario)
    table = attack.techniques()
    covered = tuple(
        Covered(technique=it, name=table[it].name, tactics=table[it].tactics, scenarios=tuple(sorted(of[it])))
        for it in sorted(of)
    )
    return Coverage(covered=covered, of_tactic={it: _count(it, of) for it in _tactics()})


def _tactics() -> tuple[str, ...]:
    return tuple(it.shortname for it in attack.tactics().values())


def _count(tactic: str, of: Mapping[str, object]) -> tuple[int, int]:
    possible = [
        it.id for it in attack.techniques().values() if tactic in it.tactics and _on_linux(it.platforms)
    ]
    return sum(it in of for it in possible), len(possible)


def _on_linux(platforms: tuple[str, ...]) -> bool:
    return not platforms or bool({"Linux", "PRE", "Network Devices", "Containers"} & set(platforms))
