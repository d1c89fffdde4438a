"""Texts of which one occurs in every event that can match a rule, each with the field it occurs in.

To look for hundreds of texts at once costs no more than for one, so that rules are asked of few events.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from sigma.conditions import (
    ConditionAND,
    ConditionFieldEqualsValueExpression,
    ConditionOR,
    ConditionValueExpression,
)
from sigma.types import (
    SigmaExpansion,
    SigmaString,
)

from lab.telemetry.event import FIELDS

Clue = tuple[str, str]
"""A field, and an ASCII text in lower case."""

_NONE: Final = frozenset[Clue]()


def clues_in(condition: object, anything: str) -> frozenset[Clue]:
    """Find texts of which one occurs, in any case, in every event that fulfils a condition.

    Args:
        condition: What pySigma made of the condition.
        anything: The field that keywords are looked for in.

    Returns:
        The clues; none when nothing can be said.
    """
    match condition:
        case ConditionAND(args=args):
            known = [clues for it in args if (clues := clues_in(it, anything))]
            return max(known, key=lambda clues: min(len(text) for _, text in clues), default=_NONE)
        case ConditionOR(args=args):
            return either(clues_in(it, anything) for it in args)
        case ConditionFieldEqualsValueExpression(field=field, value=value) if FIELDS.get(field) != "date":
            return _clues_of(field, value)
        case ConditionValueExpression(value=value):
            return _clues_of(anything, value)
        case _:
            return _NONE


def _clues_of(field: str, value: object) -> frozenset[Clue]:
    match value:
        case SigmaExpansion(values=values):
            return either(_clues_of(field, it) for it in values)
        case SigmaString():
            plain = [part for part in value.iter_parts() if isinstance(part, str)]
            found = [text.lower() for part in plain for text in re.findall(r"[\x20-\x7e]+", part)]
            return frozenset({(field, max(found, key=len))}) if found else _NONE
        case _:
            return _NONE


def either(alternatives: Iterable[frozenset[Clue]]) -> frozenset[Clue]:
    """Join the texts of alternatives; none when one of these says nothing."""
    found = list(alternatives)
    return _NONE.union(*found) if all(found) else _NONE
