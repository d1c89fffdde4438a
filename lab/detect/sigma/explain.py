"""Why a rule fires or does not: each of its clauses as a condition of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, Final

from sigma.conditions import ConditionAND, ConditionIdentifier, ConditionNOT, ConditionOR, ConditionSelector
from sigma.conversion.state import ConversionState
from sigma.processing.pipeline import ProcessingPipeline
from sigma.rule import SigmaDetection, SigmaDetectionItem, SigmaRule
from sigma.types import SigmaNull, SigmaRegularExpression, SigmaType

from lab.detect.sigma.backend import EcsBackend, field_mappings, guard, in_words, log_source_of
from lab.detect.sigma.convert import FAULTS, identity_of
from lab.detect.sigma.predicate import EcsColumns
from lab.detect.sigma.read import parsed
from lab.errors import BadFile, NotFound, Problem
from lab.telemetry.conditions import Condition
from lab.telemetry.event import Event
from lab.telemetry.events import Events
from lab.telemetry.matching import Matcher

_NEAREST: Final = 3
"""Events that are shown as the nearest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clause:
    """A part of a rule."""

    search: str
    """The search that it is in, `selection`."""

    words: str
    """What it says: `CommandLine contains 'a' or 'b'`."""

    fields: tuple[str, ...]
    """The ECS fields that it looks at."""

    condition: Condition
    """The same in SQL."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A rule, taken apart."""

    id: str
    """Its id."""

    title: str
    """Its title."""

    log_source: str
    """The log source it asks for."""

    modules: tuple[str, ...]
    """Values of `event.module` of its events."""

    formula: tuple[str, ...]
    """Its conditions: `selection and not filter`."""

    source: Condition
    """What makes an event one of its log source."""

    clauses: tuple[Clause, ...]
    """Its clauses, in the order of the file."""

    whole: Condition
    """All of it."""

    tree: Tree
    """How the clauses are linked."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A condition over clauses: a place among them, or others that are linked."""

    link: str
    """`clause`, `and`, `or`, `not`."""

    place: int = 0
    """Which clause."""

    parts: tuple[Tree, ...] = ()
    """What is linked."""

    def holds(self, clauses: Sequence[AbstractSet[int]], every: AbstractSet[int]) -> AbstractSet[int]:
        """Return for which events it holds.

        Args:
            clauses: For which each clause does.
            every: All events there are.
        """
        if self.link == "clause":
            return clauses[self.place]
        found = [it.holds(clauses, every) for it in self.parts]
        if self.link == "not":
            return every - found[0]
        return reduce(lambda one, other: one & other if self.link == "and" else one | other, found)


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """How a clause fared."""

    clause: Clause
    """The clause."""

    events: int
    """How many events of the log source it holds for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Near:
    """An event that fulfils many clauses."""

    event: Event
    """The event."""

    failing: tuple[int, ...]
    """Places of the clauses that do not hold for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """Why a rule fired or did not."""

    rule: Taken
    """The rule."""

    events: int
    """How many events there are."""

    of_source: int
    """How many are of its log source."""

    matches: int
    """How many it matches."""

    clauses: tuple[Counted, ...]
    """Its clauses."""

    empty: tuple[str, ...]
    """Fields that it looks at and that no event of its log source has."""

    nearest: tuple[Near, ...]
    """Events of its log source that fulfil most clauses and not the rule, the nearest first."""


def take_apart(paths: Iterable[Path], name: str) -> Taken:
    """Find a rule and take it apart.

    Args:
        paths: Where rules are: files and folders.
        name: Its id, its title, or a part of that which no other has.

    Raises:
        NotFound: there is no such rule, or several.
        BadFile: a file is not Sigma, or the rule cannot be evaluated.
    """
    collection, *_ = parsed(paths)
    rules = [it for it in collection.rules if isinstance(it, SigmaRule)]
    exact = [it for it in rules if name.lower() in {identity_of(it).lower(), it.title.lower()}]
    found = exact or [it for it in rules if name.lower() in it.title.lower()]
    if len(found) != 1:
        titles = tuple(sorted(it.title for it in found or rules))[:20]
        raise NotFound("rule" if not found else "single rule", name=name, known=titles)
    try:
        return _taken(found[0])
    except FAULTS as error:
        place = found[0].source
        what = f"cannot be evaluated: {error.args[0] if error.args else error}"
        raise BadFile(
            Problem(path=str(place.path) if place else "", line=(place.line or 0) if place else 0, what=what)
        ) from error


def take_all_apart(paths: Iterable[Path]) -> dict[str, Taken]:
    """Take every rule on single events apart that can be evaluated.

    Args:
        paths: Where rules are: files and folders.

    Returns:
        Id to rule.

    Raises:
        BadFile: a file that is named itself is not Sigma.
    """
    collection, *_ = parsed(paths)
    found: dict[str, Taken] = {}
    for rule in (it for it in collection.rules if isinstance(it, SigmaRule)):
        try:
            found[identity_of(rule)] = _taken(rule)
        except FAULTS:
            continue  # whoever lists rules says why
    return found


def _taken(rule: SigmaRule) -> Taken:
    backend = EcsBackend(ProcessingPipeline() + field_mappings(), EcsColumns())
    source = log_source_of(rule)
    words = [(search, _words(it)) for search, it in _items(rule)]
    backend.fields.clear()
    backend.convert_rule(rule)
    whole = Condition(sql=f"({' OR '.join(rule.get_conversion_result())})", fields=frozenset(backend.fields))
    clauses: list[Clause] = []
    for (search, said), (_, item) in zip(words, _items(rule), strict=True):
        backend.fields.clear()
        sql = backend.convert_condition(item.postprocess(rule.detection), ConversionState())
        condition = Condition(sql=f"({sql})", fields=frozenset(backend.fields))
        clauses.append(
            Clause(search=search, words=said, fields=tuple(sorted(condition.fields)), condition=condition)
        )
    return Taken(
        id=identity_of(rule),
        title=rule.title,
        log_source=in_words(rule),
        modules=source.modules,
        formula=tuple(map(str, rule.detection.condition)),
        source=guard(source, EcsColumns()),
        clauses=tuple(clauses),
        whole=whole,
        tree=_tree(rule),
    )


def _tree(rule: SigmaRule) -> Tree:
    """Return how the clauses of a rule are linked; they are numbered as `_items` gives them."""
    places = {id(item): place for place, (_, item) in enumerate(_items(rule))}
    conditions = [it.parse(postprocess=False) for it in rule.detection.parsed_condition]
    return _linked("or", [_condition_tree(it, rule, places) for it in conditions])


def _condition_tree(node: Any, rule: SigmaRule, places: dict[int, int]) -> Tree:  # noqa: ANN401  # pySigma's nodes
    if isinstance(node, ConditionSelector):
        link = "and" if node.cond_class is ConditionAND else "or"
        chosen = node.resolve_referenced_detections(rule.detection)
        return _linked(link, [_condition_tree(it, rule, places) for it in chosen])
    if isinstance(node, ConditionIdentifier):
        return _detection_tree(rule.detection.detections[node.identifier], places)
    parts = [_condition_tree(it, rule, places) for it in node.args]
    if isinstance(node, ConditionNOT):
        return Tree("not", parts=tuple(parts))
    return _linked("or" if isinstance(node, ConditionOR) else "and", parts)


def _detection_tree(part: SigmaDetection, places: dict[int, int]) -> Tree:
    link = "or" if part.item_linking is ConditionOR else "and"
    return _linked(
        link,
        [
            _detection_tree(it, places) if isinstance(it, SigmaDetection) else Tree("clause", places[id(it)])
            for it in part.detection_items
        ],
    )


def _linked(link: str, parts: Sequence[Tree]) -> Tree:
    return parts[0] if len(parts) == 1 else Tree(link, parts=tuple(parts))


def nearly(rule: Taken, events: Events, matcher: Matcher) -> dict[int, list[int]]:
    """Find the events that a rule would match if one of its clauses were otherwise for them.

    Args:
        rule: The rule.
        events: Where to look.
        matcher: Asks the database.

    Returns:
        Place of a clause to the places of the events that fail by that one alone.
    """
    asked = [rule.source, *(it.condition for it in rule.clauses)]
    ours, *clauses = map(set, matcher.places(events, asked))
    matched = rule.tree.holds(clauses, ours)
    found: dict[int, list[int]] = {}
    for place, it in enumerate(clauses):
        turned = [*clauses[:place], ours - it, *clauses[place + 1 :]]
        if near := (rule.tree.holds(turned, ours) - matched) & ours:
            found[place] = sorted(near)
    return found


def _items(rule: SigmaRule) -> list[tuple[str, SigmaDetectionItem]]:
    """Return every clause of a rule with the search that it is in."""
    return [(name, it) for name, part in rule.detection.detections.items() for it in _leaves(part)]


def _leaves(part: SigmaDetection) -> list[SigmaDetectionItem]:
    found: list[SigmaDetectionItem] = []
    for it in part.detection_items:
        found += _leaves(it) if isinstance(it, SigmaDetection) else [it]
    return found


def _words(item: SigmaDetectionItem) -> str:
    modifiers = [it.__name__.removeprefix("Sigma").removesuffix("Modifier").lower() for it in item.modifiers]
    linked = " and " if "all" in modifiers else " or "
    said = " ".join([item.field or "any value", *(it for it in modifiers if it != "all")])
    patterns = any(isinstance(it, SigmaRegularExpression) for it in item.value)
    values = item.value if patterns else item.original_value or item.value
    return f"{said} {linked.join(map(_written, values))}"


def _written(value: SigmaType) -> str:
    """Write a value as it is in the file."""
    if isinstance(value, SigmaNull):
        return "nothing"
    return repr(str(value.regexp)) if isinstance(value, SigmaRegularExpression) else repr(str(value))


class Explainer:
    """Counts over the events of a run, batch by batch."""

    def __init__(self, rule: Taken) -> None:
        self._rule = rule
        self._matcher = Matcher()
        self._events = 0
        self._of_source = 0
        self._matches = 0
        self._counts: Counter[int] = Counter()
        self._fields = sorted(frozenset(name for it in rule.clauses for name in it.fields))
        self._filled: Counter[str] = Counter()
        self._near: list[Near] = []

    def feed(self, events: Events) -> None:
        """Look at some events."""
        rule = self._rule
        there = [Condition(sql=f'"{it}" IS NOT NULL', fields=frozenset({it})) for it in self._fields]
        asked = [rule.source, rule.whole, *(it.condition for it in rule.clauses), *there]
        ours, whole, *rest = map(set, self._matcher.places(events, asked))
        clauses = [it & ours for it in rest[: len(rule.clauses)]]
        self._events += len(events)
        self._of_source += len(ours)
        self._matches += len(whole)
        self._counts.update({place: len(it) for place, it in enumerate(clauses)})
        self._filled.update(
            {name: len(it & ours) for name, it in zip(self._fields, rest[len(rule.clauses) :], strict=True)}
        )
        self._remember(events, clauses, ours - whole)

    def _remember(self, events: Events, clauses: Sequence[set[int]], others: set[int]) -> None:
        fulfilled = Counter(place for it in clauses for place in it & others)
        best = [place for place, _ in fulfilled.most_common(_NEAREST)]
        for place, event in zip(best, events.at(best), strict=True):
            failing = tuple(number for number, it in enumerate(clauses) if place not in it)
            self._near.append(Near(event=event, failing=failing))
        self._near = sorted(self._near, key=lambda it: len(it.failing))[:_NEAREST]

    def close(self) -> Explanation:
        """Say what came of it."""
        self._matcher.close()
        return Explanation(
            rule=self._rule,
            events=self._events,
            of_source=self._of_source,
            matches=self._matches,
            clauses=tuple(
                Counted(clause=it, events=self._counts[place]) for place, it in enumerate(self._rule.clauses)
            ),
            empty=tuple(it for it in self._fields if self._of_source and not self._filled[it]),
            nearest=tuple(self._near),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdicts:
    """What holds for one event."""

    of_source: bool
    """Whether it is of the rule's log source."""

    fires: bool
    """Whether the rule matches it."""

    clauses: tuple[bool, ...]
    """Which clauses hold."""


def verdicts(rule: Taken, event: Event) -> Verdicts:
    """Say what of a rule holds for one event."""
    matcher = Matcher()
    asked = [rule.source, rule.whole, *(it.condition for it in rule.clauses)]
    of_source, fires, *clauses = map(bool, matcher.places(Events.of([event]), asked))
    matcher.close()
    return Verdicts(of_source=of_source, fires=fires, clauses=tuple(clauses))
