"""Stages on the rules themselves: which there are, what they say, whether they are right."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from lab.errors import BadFile, NotFound, Problem
from lab.files import careful, records
from lab.flow.context import Context

if TYPE_CHECKING:
    from lab.detect.sigma.explain import Explanation, Taken
    from lab.detect.sigma.lint import Doubt
    from lab.detect.sigma.products import Language
    from lab.detect.sigma.rule import Correlation, Rule, RuleSet, Unusable
    from lab.detect.sigma.trials import Tried
    from lab.telemetry.event import Event

_REMEMBERED: Final = "rules.json"
"""The file of a workplace that says where the user's rules are."""

Product = Literal["elasticsearch", "opensearch", "splunk", "duckdb"]
"""What rules are written for."""

_LANGUAGES: Final[dict[str, tuple[Language, Language]]] = {
    "elasticsearch": ("lucene", "esql"),
    "opensearch": ("lucene", "ppl"),
    "splunk": ("spl", "spl"),
}
"""The languages of a product: for rules on single events, and for correlations."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Remembered:
    """Where the user's rules are."""

    paths: tuple[str, ...] = ()
    """Files and folders, from the workplace."""

    suricata: tuple[str, ...] = ()
    """Files of rules for Suricata, from the workplace."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Added:
    """What came of rules that were added."""

    path: Path
    """Where they are."""

    known: bool
    """Whether they were added before."""

    rules: RuleSet
    """What of them can be used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Covered:
    """A technique, as far as rules and logs see it."""

    technique: str
    """Its id."""

    name: str
    """Its name."""

    rules: int
    """Rules that name it and can be evaluated."""

    seen_by: tuple[str, ...]
    """Logs that those rules look at; of a run, those that it has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Which rule to look at, and on what."""

    rule: str
    """Its id, or a part of its title."""

    run: str = ""
    """A run's id, or how it begins; else the last run."""

    event: str = ""
    """Id of the event that it is to be explained on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Explained:
    """A rule that was explained."""

    run: str
    """The run; empty where there is none."""

    explanation: Explanation
    """How its clauses fared on all events."""

    event: Event | None = None
    """The event that was asked about."""

    holds: tuple[bool, ...] = ()
    """Which clauses hold for that event."""

    of_source: bool = False
    """Whether that event is of the rule's log source."""

    fires: bool = False
    """Whether the rule matches that event."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversion:
    """Which rules to write, and for what."""

    paths: tuple[Path, ...]
    """Sigma files, and folders of them."""

    product: Product
    """What for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A rule in the language of a product."""

    id: str
    """The rule's id."""

    title: str
    """Its title."""

    query: str
    """The query; empty where there is none."""

    why: str = ""
    """Why there is none."""


def remembered(context: Context) -> tuple[Path, ...]:
    """Return where the user's Sigma rules are: what `lab rules add` was told, in that order."""
    return _there(_remembered(context).paths, context)


def sensor_additions(context: Context) -> str:
    """Return the text of the user's rules for Suricata."""
    files = _there(_remembered(context).suricata, context)
    return "\n".join(it.read_text(encoding="utf-8").strip() for it in files)


def _remembered(context: Context) -> Remembered:
    file = context.path(Path(_REMEMBERED))
    if not file.exists():
        return Remembered()
    try:
        return records.from_json(careful.read_bytes(file), Remembered)
    except ValueError as error:
        what = f"is not what  lab rules add  writes: {error}"
        remedy = "remove it, and add the rules again"
        raise BadFile(Problem(path=str(file), line=0, what=what, remedy=remedy)) from error


def _there(texts: tuple[str, ...], context: Context) -> tuple[Path, ...]:
    paths = tuple(context.path(Path(it)) for it in texts)
    gone = [it for it in paths if not it.exists()]
    if gone:
        what = "was added as rules and is not there any more"
        remedy = "bring it back, or  lab rules remove PATH"
        raise BadFile(*(Problem(path=str(it), line=0, what=what, remedy=remedy) for it in gone))
    return paths


def rule_paths(context: Context) -> tuple[Path, ...]:
    """Return where all rules are: ours, and the user's."""
    from lab.detect.detector import OWN_RULES

    return (OWN_RULES, *remembered(context))


def add_rules(path: Path, context: Context) -> Added:
    """Where rules are -> what of them can be used; they are used from now on, as they are then.

    Raises:
        BadFile: it is not there, or holds no rule.
    """
    from lab.detect.sigma.compiled import rules_of

    place = context.path(path)
    if not place.exists():
        raise BadFile(Problem(path=str(path), line=0, what="is not there"))
    rules = rules_of([place])
    if not (rules.rules or rules.correlations):
        problems = (Problem(path=it.path, line=it.line, what=it.why) for it in rules.unusable)
        raise BadFile(Problem(path=str(path), line=0, what="holds no rule that can be used"), *problems)
    before = remembered(context)
    if place not in before:
        _remember(replace(_remembered(context), paths=_texts((*before, place), context)), context)
    return Added(path=place, known=place in before, rules=rules)


def remove_rules(path: Path, context: Context) -> Path:
    """Where rules are -> the same; they are not used any more, and stay where they are.

    Raises:
        NotFound: they were never added.
    """
    known, place = _remembered(context), context.path(path)
    kept = replace(
        known,
        paths=tuple(it for it in known.paths if context.path(Path(it)) != place),
        suricata=tuple(it for it in known.suricata if context.path(Path(it)) != place),
    )
    if kept == known:
        raise NotFound("rules", name=str(path), known=(*known.paths, *known.suricata))
    _remember(kept, context)
    return place


def _texts(paths: tuple[Path, ...], context: Context) -> tuple[str, ...]:
    folder = context.path(Path())
    return tuple(str(it.relative_to(folder) if it.is_relative_to(folder) else it) for it in paths)


def _remember(known: Remembered, context: Context) -> None:
    content = records.to_json(known, indent=2) + "\n"
    careful.replace(context.path(Path(_REMEMBERED)), content.encode())


def remember_suricata(path: Path, context: Context) -> Path:
    """Rules that Suricata has checked -> the same; sensors have them from their next bake on."""
    known, place = _remembered(context), context.path(path)
    texts = _texts((place,), context)
    if texts[0] not in known.suricata:
        _remember(replace(known, suricata=(*known.suricata, *texts)), context)
    return place


def read_all_rules(paths: tuple[Path, ...], context: Context) -> RuleSet:
    """Where rules are, or nowhere for all -> the rules."""
    from lab.detect.sigma.compiled import rules_of

    return rules_of([context.path(it) for it in paths] or rule_paths(context))


def find_rule(name: str, context: Context) -> tuple[Rule | Correlation, str]:
    """Id or title -> the rule, and its text.

    Raises:
        NotFound: there is no such rule, or several; says which there are.
    """
    known = read_all_rules((), context)
    every: list[Rule | Correlation] = [*known.rules, *known.correlations]
    exact = [it for it in every if name.lower() in {it.id.lower(), it.title.lower()}]
    found = exact or [it for it in every if name.lower() in it.title.lower()]
    if len(found) != 1:
        raise NotFound(
            "single rule" if found else "rule",
            name=name,
            known=tuple(sorted(it.title for it in found))[:20],
            remedy="lab rules list  shows them all",
        )
    return found[0], Path(found[0].path).read_text(encoding="utf-8")


def check_rules(paths: tuple[Path, ...], context: Context) -> tuple[tuple[Doubt, ...], tuple[Unusable, ...]]:
    """Where rules are -> what is doubtful in them, and what cannot be evaluated."""
    from lab.detect.sigma.compiled import rules_of
    from lab.detect.sigma.lint import lint

    places = [context.path(it) for it in paths] or list(rule_paths(context))
    return lint(places), rules_of(places).unusable


def try_rules(paths: tuple[Path, ...], context: Context) -> tuple[Tried, ...]:
    """Where rules are -> how they fared on the cases that lie beside them.

    Raises:
        BadFile: a file of cases is wrong; every problem is named.
    """
    from lab.detect.sigma.trials import try_cases

    return try_cases([context.path(it) for it in paths] or list(rule_paths(context)))


def cover(run: str, context: Context) -> tuple[Covered, ...]:
    """A run, or none -> techniques with the rules on them, and the logs that would show them."""
    from lab import attack

    known = read_all_rules((), context)
    there = _modules(run, context) if run else None
    usable: Counter[str] = Counter()
    logs: dict[str, set[str]] = {}
    modules = {it.id: set(it.modules) for it in known.rules}
    for it in known.correlations:
        modules[it.id] = set().union(*(modules.get(rule, set()) for rule in it.rules))
    for rule in (*known.rules, *known.correlations):
        for technique in rule.techniques:
            usable[technique] += 1
            logs.setdefault(technique, set()).update(modules[rule.id])
    seen = {it: found if there is None else found & there for it, found in logs.items()}
    return tuple(
        Covered(
            technique=it.id,
            name=it.name,
            rules=usable[it.id],
            seen_by=tuple(sorted(seen.get(it.id, ()))),
        )
        for it in sorted(attack.techniques().values(), key=lambda one: one.id)
    )


def _modules(run: str, context: Context) -> set[str]:
    from lab.runs import folder
    from lab.telemetry.store import Store

    found = folder.find(context.workplace, run)
    modules: set[str] = set()
    for events in Store(found.noticed.events).in_order():
        modules |= {str(it) for it in events.column("event.module") if it}
    return modules


def explain_rule(asked: Asked, context: Context) -> Explained:
    """Which rule, and on what -> clause by clause how it fared.

    Raises:
        NotFound: there is no such rule, run or event.
        BadFile: the rule cannot be evaluated at all.
    """
    from lab.detect.sigma.explain import Explainer, take_apart
    from lab.runs import folder
    from lab.telemetry.store import Store

    rule = take_apart(rule_paths(context), asked.rule)
    there = bool(asked.run or folder.list_runs(context.workplace))
    run = folder.find(context.workplace, asked.run) if there else None
    explainer = Explainer(rule)
    wanted: Event | None = None
    if run is not None:
        for events in Store(run.noticed.events).in_order():
            explainer.feed(events)
            if asked.event:
                wanted = wanted or next(iter(events.at(events.where("event.id", [asked.event]))), None)
    explanation = explainer.close()
    name = run.path.name if run else ""
    if not asked.event:
        return Explained(run=name, explanation=explanation)
    if wanted is None:
        raise NotFound(
            "event", name=asked.event, remedy="an alert's evidence has ids, and  lab query  shows them"
        )
    return _on_event(Explained(run=name, explanation=explanation, event=wanted), rule, wanted)


def _on_event(explained: Explained, rule: Taken, event: Event) -> Explained:
    from lab.detect.sigma.explain import verdicts

    found = verdicts(rule, event)
    return replace(explained, holds=found.clauses, of_source=found.of_source, fires=found.fires)


def convert_rules(conversion: Conversion, context: Context) -> tuple[Written, ...]:
    """Which rules, and for what -> each in that language, or why not."""
    from lab.detect.sigma.products import translate, written_in_duckdb
    from lab.detect.sigma.read import read_rules

    paths = [context.path(it) for it in conversion.paths]
    rules = read_rules(paths)
    titles = {it.id: it.title for it in (*rules.rules, *rules.correlations)}
    refused = tuple(Written(id="", title=it.title, query="", why=it.why) for it in rules.unusable)
    if conversion.product == "duckdb":
        found = written_in_duckdb(paths, rules)
    else:
        index = "homerange" if conversion.product == "splunk" else "logs-homerange.events-default"
        languages = dict.fromkeys(_LANGUAGES[conversion.product])
        found = [it for language in languages for it in translate(paths, language, rules, index=index)]
    return (
        *(Written(id=it.id, title=titles.get(it.id, ""), query=it.query, why=it.why) for it in found),
        *refused,
    )
