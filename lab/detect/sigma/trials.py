"""Cases beside a rule: events that it has to match, and events that it must not.

`NAME.test.yml` beside `NAME.yml` has two lists, `matches` and `must_not`. A case is an event, a mapping of
the field names that the rule uses, or a list of events in their order, for a correlation; `@timestamp` says
when one happened. A rule matches a case when it matches on any of its events.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab.detect.sigma.compiled import TESTS, rule_files, written_rules_of
from lab.detect.sigma.lines import LineDetector
from lab.detect.sigma.rule import WrittenRules
from lab.detect.sigma.taxonomy import ANY
from lab.errors import BadFile, Problem
from lab.files.loader import Item, load

_LISTS: Final = {"matches": True, "must_not": False}


@dataclass(frozen=True, kw_only=True, slots=True)
class Wrong:
    """A case that turned out otherwise than it says."""

    line: int
    """Its line in the file of cases."""

    what: str
    """What was wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """How a file of rules fared on its cases."""

    path: str
    """The file of cases; that of the rules where there is none."""

    cases: int
    """How many cases there are."""

    wrong: tuple[Wrong, ...] = ()
    """Those that turned out otherwise."""


def try_cases(paths: Iterable[Path]) -> tuple[Tried, ...]:
    """Try rules on the cases beside them.

    Args:
        paths: Sigma files, and folders of them.

    Raises:
        BadFile: a file of cases or of rules is wrong; every problem is named.
    """
    problems: list[Problem] = []
    found: list[Tried] = []
    for file in (it for path in paths for it in rule_files(path)):
        cases = file.with_name(f"{file.stem}{TESTS}")
        if not cases.exists():
            found.append(Tried(path=str(file), cases=0))
            continue
        try:
            found.append(_tried(file, cases))
        except BadFile as error:
            problems += error.problems
    if problems:
        raise BadFile(*problems)
    return tuple(found)


def _tried(file: Path, path: Path) -> Tried:
    root, reading = load(path)
    told: list[tuple[int, bool, list[Any]]] = []
    lists = reading.mapping(root, "a file of cases", _LISTS)
    for name, item in lists.items():
        if name not in _LISTS:
            continue
        told += ((case.line, _LISTS[name], _events(case)) for case in reading.sequence(item, name))
    reading.finish()
    rules = written_rules_of([file], ANY)
    if rules.unusable:
        raise BadFile(*(Problem(path=it.path, line=it.line, what=it.why) for it in rules.unusable))
    wrong = (
        Wrong(line=line, what="was not matched" if wanted else "was matched")
        for line, wanted, events in told
        if _fires(rules, events) != wanted
    )
    return Tried(path=str(path), cases=len(told), wrong=tuple(wrong))


def _events(case: Item) -> list[Any]:
    plain = case.plain()
    return plain if isinstance(plain, list) else [plain]


def _fires(rules: WrittenRules, events: Sequence[Any]) -> bool:
    lines = "".join(json.dumps(it, default=str) + "\n" for it in events)
    with LineDetector(rules, ("",)) as detector:
        return any(True for _ in detector.hits([lines.encode()]))
