"""The beginning of a rule for a step that none was about, with its cases, for a person to finish."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from lab import attack
from lab.moment import Moment
from lab.score.values import StepScore
from lab.telemetry.event import Event

_PARTS: Final = 3
"""Words of a command line, or of an address, that a rule asks for."""

_CASES: Final = 5
"""Cases of each sort that are written."""

_ADDRESS: Final = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?")
"""What belongs to this lab and this run, and into no rule."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A rule to be finished, and its cases."""

    rule: str
    """The rule, in Sigma's YAML."""

    cases: str
    """Its cases, for `lab rules test`."""

    benign: int
    """How many benign events of the run it matches as it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kind:
    """How a rule on one sort of events is written."""

    source: str
    main: tuple[str, str]
    """Sigma's name and ours of the field that says most."""
    beside: tuple[tuple[str, str], ...]
    """Fields that cases have as well."""


_KINDS: Final = {
    "process.command_line": _Kind(
        source="  product: linux\n  category: process_creation\n",
        main=("CommandLine", "process.command_line"),
        beside=(("Image", "process.executable"), ("User", "user.name")),
    ),
    "url.original": _Kind(
        source="  category: webserver\n",
        main=("c-uri", "url.original"),
        beside=(("cs-method", "http.request.method"), ("sc-status", "http.response.status_code")),
    ),
    "dns.question.name": _Kind(
        source="  category: dns\n", main=("query", "dns.question.name"), beside=(("src_ip", "source.ip"),)
    ),
}
"""By the field that events of a sort have."""


def draft(score: StepScore, step: Sequence[Event], benign: Iterable[Event]) -> Draft | None:
    """Begin a rule on the event of a step that is least like benign ones; None where no event says enough.

    Args:
        score: The step's verdict.
        step: The events of the step.
        benign: Benign events of the run.
    """
    others = [it for it in benign if _field(it)]
    words = Counter(word for it in others for word in set(_words(it)))
    fitting = [it for it in step if _field(it) and _rare(it, words)]
    if not fitting:
        return None
    chosen = min(fitting, key=lambda it: (sum(words[word] for word in _rare(it, words)), str(it["event.id"])))
    kind, asked = _KINDS[_field(chosen)], _rare(chosen, words)
    matching = [it for it in step if _matches(it, chosen, asked)]
    alike = [it for it in others if _field(it) == _field(chosen)]
    false = [it for it in alike if _matches(it, chosen, asked)]
    nearest = [it for it in alike if it not in false and _basename(it) == _basename(chosen)] or alike
    return Draft(
        rule=_rule(score, kind, chosen, asked),
        cases=_cases(kind, matching, nearest),
        benign=len(false),
    )


def _field(event: Event) -> str:
    return next((name for name in _KINDS if name in event), "")


def _words(event: Event) -> list[str]:
    """Cut what an event says into words, without what belongs to this run alone."""
    text = _ADDRESS.sub(" ", str(event[_field(event)]))
    return [it for it in re.split(r"[\s'\"=;|&<>()?]+", text) if len(it) > 2]  # noqa: PLR2004  # shorter says nothing


def _rare(event: Event, words: Counter[str]) -> list[str]:
    """Return the words of an event that benign ones have least, in their order."""
    own = list(dict.fromkeys(it for it in _words(event) if not it.startswith("/") or it.count("/") < 3))  # noqa: PLR2004  # a long path is the run's
    rarest = sorted(own, key=lambda it: words[it])[:_PARTS]
    return [it for it in own if it in rarest]


def _matches(event: Event, like: Event, asked: Sequence[str]) -> bool:
    if _field(event) != _field(like):
        return False
    text = str(event[_field(event)]).lower()
    return _basename(event) == _basename(like) and all(it.lower() in text for it in asked)


def _basename(event: Event) -> str:
    return str(event.get("process.executable", "")).rpartition("/")[2]


def _rule(score: StepScore, kind: _Kind, event: Event, asked: Sequence[str]) -> str:
    known = attack.techniques().get(score.technique)
    tactics = known.tactics if known else ()
    lines = [
        f"title: {_quoted(f'To be named: {known.name if known else score.technique}')}",
        f"id: {uuid5(NAMESPACE_URL, f'{score.technique} {asked}')}",
        "status: experimental",
        f"description: {_quoted(_begun(score))}",
        "references:",
        f"  - https://attack.mitre.org/techniques/{score.technique.replace('.', '/')}/",
        f"date: {Moment.now().iso()[:10]}",
        "tags:",
        *(f"  - attack.{it}" for it in tactics),
        f"  - attack.{score.technique.lower()}",
        "logsource:",
        kind.source.rstrip("\n"),
        "detection:",
        "  selection:",
    ]
    if "process.executable" in event:
        lines.append(f"    Image|endswith: {_quoted('/' + _basename(event))}")
    lines.append(f"    {kind.main[0]}|contains|all:")
    lines += [f"      - {_quoted(_plain(it))}" for it in asked]
    lines += [
        "  condition: selection",
        "falsepositives:",
        "  - Unknown; try it on  lab quiet.",
        "level: medium",
        "",
    ]
    return "\n".join(lines)


def _begun(score: StepScore) -> str:
    return f"Begun from the step {score.name!r}. Say what it finds, and why that is no ordinary work."


def _cases(kind: _Kind, matching: Sequence[Event], benign: Sequence[Event]) -> str:
    lists = {"matches": matching[:_CASES], "must_not": benign[:_CASES]}
    lines: list[str] = []
    for name, events in lists.items():
        lines.append(f"{name}:")
        for it in events:
            said = ((ours, it[theirs]) for ours, theirs in (*kind.beside, kind.main) if theirs in it)
            lines.append("  - {" + ", ".join(f"{ours}: {_quoted(value)}" for ours, value in said) + "}")
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Write a text so that nothing in it is a wildcard of Sigma's."""
    return re.sub(r"[*?\\]", r"\\\g<0>", text)


def _quoted(value: Any) -> str:  # noqa: ANN401  # whatever a field holds
    """Write a value as YAML that means just that."""
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace("'", "''").replace("\n", " ") + "'"
