"""The ATT&CK table this program carries: which techniques there are, and which tactics they serve.

`techniques.json` is MITRE's; its licence stands beside it in LICENSE.txt. `withdrawn.json` names ids of
before July 2020, when many techniques became sub-techniques (MITRE's own crosswalk), and some that were
dropped since.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lab.files import records


@dataclass(frozen=True, kw_only=True, slots=True)
class Tactic:
    """Why an adversary does something."""

    id: str
    """`TA0006`."""

    shortname: str
    """`credential-access`, as Sigma tags write it."""

    name: str
    """`Credential Access`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Technique:
    """How an adversary does it."""

    id: str
    """`T1110.001`."""

    name: str
    """`Password Guessing`."""

    tactics: tuple[str, ...]
    """Short names of the tactics it serves."""

    platforms: tuple[str, ...] = ()
    """Where it is seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Table:
    name: str
    version: str
    licence: str
    tactics: tuple[Tactic, ...]
    techniques: tuple[Technique, ...]


@cache
def _table() -> _Table:
    return records.read(Path(__file__).with_name("techniques.json"), _Table)


@cache
def techniques() -> dict[str, Technique]:
    """Return every technique and sub-technique by its id."""
    return {technique.id: technique for technique in _table().techniques}


@cache
def tactics() -> dict[str, Tactic]:
    """Return every tactic by its id."""
    return {tactic.id: tactic for tactic in _table().tactics}


@cache
def withdrawn() -> dict[str, str]:
    """Return ids that ATT&CK has withdrawn, each with the one that took its place; empty for none."""
    return records.read(Path(__file__).with_name("withdrawn.json"), dict[str, str])


def version() -> str:
    """Return the version of ATT&CK the table is from, such as `18.1`."""
    return _table().version
