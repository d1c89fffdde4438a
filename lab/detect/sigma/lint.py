"""What is doubtful in rules: pySigma's validators, but for those that would ask the network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from sigma.rule import SigmaRule
from sigma.validation import SigmaValidator
from sigma.validators.base import SigmaValidationIssue
from sigma.validators.core import validators

from lab import attack
from lab.detect.sigma.read import parsed

_ASK_THE_NETWORK: Final = frozenset({"attacktag", "d3_fendtag"})
"""Validators that fetch what they compare with; ATT&CK is compared with our own copy instead."""

_OLD: Final = frozenset({"tlpv1_tag", "tlpv2_tag"})
"""Validators that want one version of the traffic light protocol, where `tlptag` takes either."""


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Doubt:
    """Something doubtful in a rule."""

    path: str
    """The file."""

    line: int
    """Line of the rule's first word."""

    title: str
    """The rule's title."""

    severity: str
    """How bad pySigma takes it to be: low, medium, high."""

    what: str
    """What it is."""


def lint(paths: Iterable[Path]) -> tuple[Doubt, ...]:
    """Look rules through.

    Args:
        paths: Sigma files, and folders of them.

    Raises:
        BadFile: a file that is named itself is not Sigma; every problem of every file is named.
    """
    collection, _, unread = parsed(paths)
    chosen = (it for name, it in validators.items() if name not in _ASK_THE_NETWORK | _OLD)
    found = [Doubt(path=it.path, line=it.line, title=it.title, severity="high", what=it.why) for it in unread]
    checker = SigmaValidator(chosen)
    rules = [it for it in collection.rules if isinstance(it, SigmaRule)]
    for issue in checker.validate_rules(iter(rules)):
        found += _doubts(issue)
    known = {it.lower() for it in attack.techniques()} | {it.shortname for it in attack.tactics().values()}
    for rule in collection:
        for tag in rule.tags:
            name = tag.name.lower().replace("_", "-")
            if tag.namespace == "attack" and name[:1] not in {"g", "s"} and name not in known:
                found.append(_doubt(rule, "medium", f"ATT&CK {attack.version()} has no {tag.name}"))
    return tuple(sorted(set(found)))


def _doubts(issue: SigmaValidationIssue) -> list[Doubt]:
    own = [it.name for it in fields(issue) if it.name not in {"rules", "severity", "description"}]
    details = ", ".join(f"{name.replace('_', ' ')} {getattr(issue, name)}" for name in own)
    what = issue.description + (f": {details}" if details else "")
    return [_doubt(rule, issue.severity.name.lower(), what) for rule in issue.rules]


def _doubt(rule: object, severity: str, what: str) -> Doubt:
    place = getattr(rule, "source", None)
    return Doubt(
        path=str(place.path) if place else "",
        line=(place.line or 0) if place else 0,
        title=str(getattr(rule, "title", "")),
        severity=severity,
        what=" ".join(what.split()),
    )
