"""What every page of ours is written on: the report of a run, and the screen of `lab serve`.

Logs are written by an attacker. Nothing reaches a page but through `finalize`: every text is made visible
and then escaped. Knows neither runs nor scores, so that whoever serves pages need not load what reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lab import attack
from lab.detect.alert import Level
from lab.score.vocabulary import DETECTED, MISSED, MODIFIERS, VERDICTS, Verdict
from lab.text import visible

TEMPLATES: Final = Path(__file__).parent / "templates"
"""Where the templates and the style sheet of all pages are."""

_SIGNS: Final = {"detected": "✓", "missed": "✕", "void": "\N{EN DASH}"}

NO_VALUE: Final = "\N{EN DASH}"
"""What is shown where there is no value."""

_LEVEL_SIGNS: Final[Mapping[Level, str]] = {
    "informational": "○",
    "low": "●",
    "medium": "■",
    "high": "◆",
    "critical": "★",
}
"""The shapes of `timeline.MARKS`, as characters."""

_LONGEST_LINE: Final = 1000
"""Characters of a log line that are shown: a flood of long ones must not make a page too large to open."""

_TECHNIQUE: Final = re.compile(r"T\d{4}(\.\d{3})?")


def html_environment(*folders: Path) -> Environment:
    """Make what fills templates of HTML: strict, escaping, and with the words that all pages share.

    Args:
        folders: Where more templates are; those of the report are found as well.
    """
    made = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    equip(made)
    return made


def style() -> str:
    """Read the style sheet that all pages share."""
    return (TEMPLATES / "report.css").read_text(encoding="utf-8")


def harmless(value: object) -> object:
    """Show what a reader would not see; jinja2 escapes the result, unless it is our own markup."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def equip(made: Environment) -> None:
    """Give templates the words that all of them may use."""
    made.filters.update(
        seconds=seconds,
        percent=percent,
        verdict=VERDICTS.__getitem__,
        modifier=MODIFIERS.__getitem__,
        role=role,
        sign=lambda verdict: _SIGNS[role(verdict)],
        level_sign=_LEVEL_SIGNS.__getitem__,
        technique=_technique,
        link=_link,
        shortened=_shortened,
    )


def role(verdict: Verdict) -> str:
    """Say what a verdict comes to: `detected`, `missed`, or `void` for what does not count."""
    return "detected" if verdict in DETECTED else "missed" if verdict in MISSED else "void"


def seconds(value: float | None) -> str:
    """Write a length of time."""
    return NO_VALUE if value is None else f"{value:.1f} s"


def percent(value: float | None) -> str:
    """Write a share."""
    return NO_VALUE if value is None else f"{value:.0%}"


def _technique(identity: str) -> str:
    """Name a technique; one that the table lacks has no name."""
    found = attack.techniques().get(identity)
    return found.name if found else ""


def _link(identity: str) -> str:
    """Return the page of a technique at MITRE; nothing for what is no technique's id."""
    if not _TECHNIQUE.fullmatch(identity):
        return ""
    return f"https://attack.mitre.org/techniques/{identity.replace('.', '/')}/"


def _shortened(line: str) -> str:
    """Cut a line that is too long to show, and say so."""
    rest = len(line) - _LONGEST_LINE
    return line if rest <= 0 else f"{line[:_LONGEST_LINE]}… ({rest} characters more)"
