"""Rules in the languages of other products, by the backends that pySigma's project keeps for them.

What is ours is the way onto our events: the fields of a log source in ECS, the condition that picks its
events, and what makes a comparison without regard to case, which Sigma wants and Lucene cannot do: each
field of text has a second one, `.caseless`, that the server fills with the same text in lower case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, cast

from sigma.conditions import ConditionAND, ConditionOR
from sigma.conversion.base import Backend
from sigma.correlations import SigmaCorrelationRule, SigmaExtendedCorrelationCondition
from sigma.processing.pipeline import ProcessingItem, ProcessingPipeline
from sigma.processing.transformations import AddConditionTransformation, FieldMappingTransformation
from sigma.processing.transformations.base import DetectionItemTransformation
from sigma.rule import SigmaDetection, SigmaDetectionItem, SigmaRule
from sigma.types import SigmaCasedString, SigmaNumber, SigmaRegularExpression, SigmaString, SigmaType

from lab.detect.sigma.backend import EcsBackend, Means, field_mappings
from lab.detect.sigma.convert import FAULTS, identity_of
from lab.detect.sigma.fields import CASELESS, has_caseless
from lab.detect.sigma.lucene import lower, translated
from lab.detect.sigma.predicate import QueryColumns
from lab.detect.sigma.read import parsed
from lab.detect.sigma.rule import RuleSet
from lab.detect.sigma.sources import LOG_SOURCES, LogSource
from lab.errors import NotReady
from lab.telemetry.event import FIELDS

_Linking = type[ConditionAND] | type[ConditionOR]

Language = Literal["lucene", "esql", "ppl", "spl", "duckdb"]
"""Elasticsearch's and OpenSearch's query strings; ES|QL; OpenSearch's piped language; Splunk's; SQL."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Translation:
    """A rule or correlation in another language, or why it cannot be said there."""

    id: str
    """Sigma's UUID."""

    language: Language
    """The language."""

    query: str = ""
    """The query; empty where there is none."""

    fields: tuple[str, ...] = ()
    """The ECS fields that it compares, sorted."""

    why: str = ""
    """Why there is none."""


def translate(paths: Iterable[Path], language: Language, rules: RuleSet, *, index: str) -> list[Translation]:
    """Write rules in another language.

    Args:
        paths: Where the rules are: files and folders.
        language: Which.
        rules: What the embedded engine made of the same files; what that could not use is left out.
        index: What the rules ask, for languages in which a query says so.

    Raises:
        BadFile: a file is not Sigma; every problem of every file is named.
    """
    collection, *_ = parsed(paths)
    collection.resolve_rule_references()
    wanted = {it.id for it in rules.rules} | {it.id for it in rules.correlations}
    chosen = [it for it in collection.rules if identity_of(it) in wanted]
    translator = _Translator(language, _backend(language, index))
    return [translator.translated(it) for it in chosen if _speaks(language, it)]


def written_in_duckdb(paths: Iterable[Path], rules: RuleSet) -> list[Translation]:
    """Write rules on single events as questions for `lab query`.

    Args:
        paths: Where the rules are: files and folders.
        rules: What the embedded engine made of the same files; what that could not use is left out.

    Raises:
        BadFile: a file is not Sigma; every problem of every file is named.
    """
    collection, *_ = parsed(paths)
    collection.resolve_rule_references()
    wanted = {it.id for it in rules.rules}
    backend = EcsBackend(field_mappings(), QueryColumns())
    found: list[Translation] = []
    for rule in (it for it in collection.rules if isinstance(it, SigmaRule) and identity_of(it) in wanted):
        backend.convert_rule(rule)
        where = " OR ".join(rule.get_conversion_result())
        query = f"SELECT * FROM events WHERE {where}"  # noqa: S608 -- conditions are SQL by contract
        found.append(Translation(id=identity_of(rule), language="duckdb", query=query))
    why = "a correlation is no question in SQL here;  lab detect  evaluates it"
    found += (Translation(id=it.id, language="duckdb", why=why) for it in rules.correlations)
    return found


def _speaks(language: Language, rule: SigmaRule | SigmaCorrelationRule) -> bool:
    """Tell whether a language is used for a rule: Lucene for single events, the others for what they can."""
    return (language == "lucene") != isinstance(rule, SigmaCorrelationRule) or language == "spl"


def _beyond(rule: SigmaRule | SigmaCorrelationRule) -> str:
    """Say what in a correlation pySigma's backends write as something else than it means."""
    if isinstance(rule, SigmaRule):
        return ""
    if any(isinstance(it.rule, SigmaCorrelationRule) for it in rule.referenced_rules):
        return "a correlation of correlations has no query in one piece"
    if isinstance(rule.condition, SigmaExtendedCorrelationCondition):
        return "a condition of rules has no query that keeps their order"
    return ""


class _Translator:
    """Writes rules in one language; a rule that several correlations are about is converted once."""

    def __init__(self, language: Language, backend: Backend) -> None:
        self._language = language
        self._backend = backend
        self._done: dict[str, list[str]] = {}

    def translated(self, rule: SigmaRule | SigmaCorrelationRule) -> Translation:
        """Write one, or say why that cannot be."""
        name = identity_of(rule)
        if why := _beyond(rule):
            return Translation(id=name, language=self._language, why=why)
        try:
            found = self._converted(rule)
        except FAULTS as error:
            said = str(error.args[0]) if error.args else type(error).__name__
            return Translation(id=name, language=self._language, why=said.splitlines()[0])
        fields = tuple(sorted(_fields(rule))) if isinstance(rule, SigmaRule) else ()
        if unknown := sorted(set(fields) - FIELDS.keys()):
            why = (
                f"no event there has the field {unknown[0]!r};  lab detect  looks for it in winlog.event_data"
            )
            return Translation(id=name, language=self._language, why=why)
        joined = found[0] if len(found) == 1 else " OR ".join(f"({it})" for it in found)
        return Translation(id=name, language=self._language, query=joined, fields=fields)

    def _converted(self, rule: SigmaRule | SigmaCorrelationRule) -> list[str]:
        name = identity_of(rule)
        if name not in self._done:
            self._done[name] = [str(it) for it in self._convert(rule)]
        return self._done[name]

    def _convert(self, rule: SigmaRule | SigmaCorrelationRule) -> list[Any]:
        if isinstance(rule, SigmaRule):
            self._backend.convert_rule(rule)  # returns nothing for a rule that only serves correlations
            return rule.get_conversion_result()
        for it in rule.referenced_rules:
            self._converted(it.rule)
        return self._backend.convert_correlation_rule(rule)


def _backend(language: Language, index: str) -> Backend:
    pipeline = _PIPELINES[language](index)
    try:
        return _made(language, pipeline, index)
    except ModuleNotFoundError as error:
        raise NotReady(
            f"pySigma's backend {error.name} is not installed",
            remedy="pip install 'homerange[siem]'  brings those of all SIEMs",
        ) from error


def _made(language: Language, pipeline: ProcessingPipeline, index: str) -> Backend:
    if language == "lucene":
        from lab.detect.sigma.negation import NegatingLuceneBackend

        return NegatingLuceneBackend(pipeline)
    if language == "esql":
        from sigma.backends.elasticsearch.elasticsearch_esql import ESQLBackend

        return ESQLBackend(pipeline)
    if language == "ppl":
        from sigma.backends.opensearch.opensearch_ppl import OpenSearchPPLBackend

        return OpenSearchPPLBackend(pipeline, custom_logsource=cast("Any", index))
    from sigma.backends.splunk.splunk import SplunkBackend

    return SplunkBackend(pipeline)


# -- onto our events -----------------------------------------------------------------------------


@dataclass
class _Spelled(DetectionItemTransformation):
    """Compares text with what was written in lower case, and writes regular expressions as Lucene does."""

    regular: bool

    def apply_detection_item(self, detection_item: SigmaDetectionItem) -> SigmaDetection | None:
        """Give each sort of value of an item an item of its own."""
        text = FIELDS.get(detection_item.field or "") in {"keyword", "keywords"}
        if not text or not detection_item.value:
            return None
        sorts: dict[str, list[SigmaType]] = {}
        for value in detection_item.value:
            name, written = self._spelled(cast("str", detection_item.field), value)
            sorts.setdefault(name, []).append(written)
        linking, negated = detection_item.value_linking, detection_item.negated
        items: list[Any] = [
            SigmaDetectionItem(field=name, modifiers=[], value=values, value_linking=linking, negated=negated)
            for name, values in sorts.items()
        ]
        return SigmaDetection(items, item_linking=_opposite(linking) if negated else linking)

    def _spelled(self, name: str, value: SigmaType) -> tuple[str, SigmaType]:
        if isinstance(value, SigmaRegularExpression) and self.regular:
            flags = "".join(SigmaRegularExpression.sigma_to_re_flag[flag] for flag in value.flags)
            expression, caseless = translated(str(value.regexp), flags)
            return name + CASELESS * (caseless and has_caseless(name)), SigmaRegularExpression(expression)
        if isinstance(value, SigmaCasedString) and self.regular:
            return name, _plain(value)  # the field itself minds case
        if isinstance(value, SigmaString) and not isinstance(value, SigmaCasedString):
            return name + CASELESS * has_caseless(name), _lower(value)
        return name, value


def _plain(text: SigmaCasedString) -> SigmaString:
    found = SigmaString()
    found.s, found.original = text.s, text.original
    return found


def _lower(text: SigmaString) -> SigmaString:
    """Write a text in lower case; what stands for other characters stays."""
    found = SigmaString()
    found.s = [lower(it) if isinstance(it, str) else it for it in text.s]
    found.original = lower(text.original or "")
    return found


def _opposite(linking: _Linking) -> _Linking:
    """Link what is negated: not one of them is none of them."""
    return ConditionAND if linking is ConditionOR else ConditionOR


@dataclass
class _Keywords(DetectionItemTransformation):
    """Looks for numbers among keywords as it does for words: anywhere in the line."""

    def apply_detection_item(self, detection_item: SigmaDetectionItem) -> None:
        """Write each number as a text."""
        if detection_item.field is None:
            detection_item.value = [_as_text(it) for it in detection_item.value]


def _as_text(value: SigmaType) -> SigmaType:
    return SigmaString(str(value.number)) if isinstance(value, SigmaNumber) else value


@dataclass
class _Named:
    """Fields that a rule compares."""

    names: set[str] = field(default_factory=set)

    def look(self, detection: SigmaDetection | SigmaDetectionItem) -> None:
        """Go through what a rule looks for."""
        if isinstance(detection, SigmaDetectionItem):
            self.names.add((detection.field or "").removesuffix(CASELESS))
            return
        for it in detection.detection_items:
            self.look(it)


def _fields(rule: SigmaRule) -> set[str]:
    named = _Named()
    for detection in rule.detection.detections.values():
        named.look(detection)
    return named.names & FIELDS.keys()


def _mapped(source: LogSource, extra: Mapping[str | None, str | list[str]]) -> Iterable[ProcessingItem]:
    """Put the rules of one log source onto our events."""
    conditions: dict[str, int | str | list[str]] = {"event.module": list(source.modules)}
    if source.begins:
        name, beginnings = source.begins
        conditions[name] = [f"{it}*" for it in beginnings]
    for transformation in (
        FieldMappingTransformation({**source.fields, **extra}),
        AddConditionTransformation(conditions),
    ):
        yield ProcessingItem(transformation=transformation, rule_conditions=[Means(source)])


def _onto_events(*, regular: bool) -> list[ProcessingItem]:
    keywords: Mapping[str | None, str | list[str]] = {None: "event.original"}
    mapped = [item for source in LOG_SOURCES for item in _mapped(source, keywords)]
    spelled = ProcessingItem(transformation=_Spelled(regular=regular))
    return [ProcessingItem(transformation=_Keywords()), *mapped, spelled]


def _lucene(_: str) -> ProcessingPipeline:
    return ProcessingPipeline(name="homerange", items=_onto_events(regular=True))


def _asking(index: str) -> ProcessingPipeline:
    from sigma.processing.transformations import SetStateTransformation

    state = ProcessingItem(transformation=SetStateTransformation("index", index))
    return ProcessingPipeline(name="homerange", items=[state, *_onto_events(regular=False)])


def _splunk(_: str) -> ProcessingPipeline:
    mapped = [item for source in LOG_SOURCES for item in _mapped(source, {})]
    return ProcessingPipeline(name="homerange", items=mapped)


_PIPELINES: Final = {"lucene": _lucene, "esql": _asking, "ppl": _asking, "spl": _splunk}
