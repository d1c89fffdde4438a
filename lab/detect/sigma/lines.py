"""Sigma rules over JSON lines that have Sigma's own field names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, Self

from lab.detect.sigma.correlation import Correlator, Match, chained
from lab.detect.sigma.rule import Correlation, Named, WrittenRules
from lab.files import records
from lab.moment import Moment
from lab.telemetry.event import Event, Value
from lab.telemetry.times import moment_in
from lab.telemetry.written import SHAPES, Answered, WrittenMatcher

_HEAD: Final = 100
"""Lines of a file that are looked at to know what its objects are like."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A rule that matched."""

    rule: Named
    """The rule."""

    numbers: tuple[int, ...]
    """Numbers of the lines that made it match, from 1."""

    time: Moment | None
    """When the last of these happened; None where it does not say."""


class LineDetector:
    """All rules of a set, over the lines of one file."""

    def __init__(self, rules: WrittenRules, shapes: Sequence[str]) -> None:
        """Prepare for a file.

        Args:
            rules: The rules.
            shapes: What `shapes_of` says of its head.
        """
        self._rules = rules.rules
        self._ends = ExitStack()
        self._shapes = shapes
        self._matcher = self._ends.enter_context(WrittenMatcher([it.question for it in rules.rules], shapes))
        self._correlators = [Correlator(it) for it in rules.correlations]
        self._chained = frozenset(rule for it in rules.correlations for rule in it.rules)
        self.broken: list[int] = []
        """Numbers of the lines that are no JSON object."""

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the memory back."""
        self._ends.close()

    @property
    def lines(self) -> int:
        """How many lines have been read."""
        return self._matcher.lines

    def hits(self, chunks: Iterable[bytes]) -> Iterator[Hit]:
        """Evaluate all rules, in the order of the lines.

        Args:
            chunks: The file, in pieces of whole lines.
        """
        for answered in self._matcher.answers(chunks):
            if answered.met:
                yield from self._of(answered)
            else:
                self.broken.append(answered.number)

    def _of(self, answered: Answered) -> Iterator[Hit]:
        said = _flat(answered.line, self._shapes)
        time = moment_in(said)
        met = [self._rules[place] for place in answered.met]
        for rule in met:
            if rule.alone:
                yield Hit(rule=rule, numbers=(answered.number,), time=time)
        if not any(rule.id in self._chained for rule in met):
            return
        event: Event = {**said, "@timestamp": time or 0, "event.id": str(answered.number)}
        known = [Match(time=time or 0, order=answered.number, rule=rule.id, events=(event,)) for rule in met]
        for correlation, found in chained(self._correlators, known):
            if correlation.alone:
                yield from (_hit(correlation, it) for it in found)


def _hit(rule: Correlation, match: Match) -> Hit:
    numbers = tuple(int(str(it["event.id"])) for it in match.events)
    return Hit(rule=rule, numbers=numbers, time=Moment(match.time) if match.time else None)


def shapes_of(head: bytes) -> tuple[str, ...]:
    """Say in which objects of its lines a file has its fields.

    Args:
        head: How the file begins.
    """
    found = {"": None}
    for line in head.split(b"\n")[:_HEAD]:
        said = _object(line)
        for shape in SHAPES:
            if isinstance(_at(said, shape), dict):
                found[shape] = None
    return tuple(it for it in SHAPES if it in found)


def fields_of(line: bytes) -> frozenset[str]:
    """Return the names of a line's fields, wherever they lie."""
    said = _object(line)
    return frozenset(
        name for shape in SHAPES if isinstance(found := _at(said, shape), dict) for name in found
    )


def _object(line: bytes | str) -> Mapping[str, object]:
    try:
        return records.from_json(line, dict[str, Any])
    except ValueError:
        return {}


def _at(said: object, pointer: str) -> object:
    for key in pointer.split("/")[1:]:
        said = said.get(key) if isinstance(said, dict) else None
    return said


def _flat(line: str, shapes: Sequence[str]) -> dict[str, Value]:
    """Return the fields of a line under the names that rules use."""
    said = _object(line)
    found: dict[str, Value] = {}
    for shape in reversed(shapes):
        inner = _at(said, shape)
        if isinstance(inner, dict):
            found |= dict(_leaves(inner, ""))
    return found


def _leaves(said: Mapping[str, object], prefix: str) -> Iterator[tuple[str, Value]]:
    for name, value in said.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield f"{prefix}{name}", tuple(str(it) for it in value)
        elif isinstance(value, str | int | float):
            yield f"{prefix}{name}", value
