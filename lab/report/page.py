"""A story as report.html and report.md.

Logs are written by an attacker. Nothing reaches a page but through `finalize`: in HTML every text
is made visible and then escaped; in Markdown it is escaped, or becomes code where that is safer.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lab import attack
from lab.files import careful
from lab.report import paper, timeline
from lab.report.story import SHOWN_ALERTS, Story, duration
from lab.runs.folder import RunFolder
from lab.score.intervals import Rate, Share
from lab.score.values import Floor
from lab.score.vocabulary import VERDICTS
from lab.text import visible

_SHOWN_ENTITIES: Final = 12
"""Values of an entity that are shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Measure:
    """One line of the table of measures."""

    name: str
    """What is measured."""

    value: str
    """How much."""

    interval: str = ""
    """The 95 % interval."""

    n: str = ""
    """Over how many."""

    floors: tuple[str, ...] = ()
    """The same for each policy without skill; empty where that says nothing."""


def write_report(run: RunFolder, story: Story) -> Path:
    """Write report.html and report.md into a run's folder; readers see the old or the new, never half.

    Returns:
        The path of report.html.

    Raises:
        OSError: the folder cannot be written to.
    """
    _replace(run.report_text, _markdown(story))
    return _replace(run.report, _html(story))


def _replace(path: Path, text: str) -> Path:
    careful.replace(path, text.encode())
    return path


# -- HTML ----------------------------------------------------------------------------------------


def _html(story: Story) -> str:
    made = paper.html_environment()
    made.filters["duration"] = duration
    script = (paper.TEMPLATES / "report.js").read_text(encoding="utf-8")
    return made.get_template("report.html.j2").render(
        _contents(story),
        drawn=timeline.draw(story),
        newline=Markup("\n"),  # between our lines; one that a log brings is shown as what it is
        script=Markup(script),  # noqa: S704  # our own
        style=Markup(paper.style()),  # noqa: S704  # our own
        policy=_policy(script),
    )


def _policy(script: str) -> str:
    """Allow this script by its hash, inline styles, which place labels, and nothing else."""
    return (
        f"default-src 'none'; script-src 'sha256-{_sha256(script)}'; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


# -- Markdown ------------------------------------------------------------------------------------


class _Safe(str):
    """Text that is Markdown already."""

    __slots__ = ()


_MEANING: Final = re.compile(r"[\\`*_{}\[\]<>&|~#!$]|^[-+](?=\s|$)|^\d+(?=[.)](?:\s|$))")
"""What Markdown may read as more than text, wherever we place a text; never at the start of a line."""

_LINKED: Final = re.compile(r"@|://|www\.|(?:mailto|xmpp):", re.IGNORECASE)
"""What GitHub turns into a link or a mention, also when escaped; such text is shown as code."""


def _markdown(story: Story) -> str:
    made = Environment(  # Markdown is escaped by `finalize`; HTML entities would show in code
        loader=FileSystemLoader(paper.TEMPLATES),
        autoescape=False,  # noqa: S701
        undefined=StrictUndefined,
        finalize=_as_text,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    paper.equip(made)
    made.filters["duration"] = duration
    made.filters.update(cell=as_cell, code=_as_code, fenced=_fenced)
    made.filters["verdict"] = lambda verdict: _Safe(VERDICTS[verdict])
    return made.get_template("report.md.j2").render(_contents(story))


def _as_text(value: object) -> object:
    """Escape a text, or show it as code when escaping would not hold."""
    if not isinstance(value, str) or isinstance(value, _Safe):
        return value
    shown = visible(value)
    if _LINKED.search(shown) or shown != shown.strip():
        return _as_code(shown)
    return _Safe(_MEANING.sub(_escaped, shown))


def _escaped(match: re.Match[str]) -> str:
    found = match[0]
    return f"{found}\\" if found[0].isdigit() else f"\\{found}"


def _as_code(value: object) -> _Safe:
    """Write a code span whose fence is longer than any run of backticks inside."""
    shown = visible(str(value))
    if not shown:
        return _Safe()
    fence = "`" * (_longest_run(shown) + 1)
    # A span of spaces alone is shown as it is; any other loses one space at both its ends.
    edge = " " if shown.strip(" ") and (shown[0] in "` " or shown[-1] in "` ") else ""
    return _Safe(f"{fence}{edge}{shown}{edge}{fence}")


def as_cell(value: object) -> object:
    """Write a text for a table; a bar inside code would end the cell, so it is shown by its number."""
    text = _as_text(value)
    if isinstance(text, str) and text.startswith("`"):
        return _Safe(text.replace("|", r"\x7c"))
    return text


def _fenced(lines: Iterable[str]) -> _Safe:
    """Write lines as a block of code."""
    shown = [visible(line) for line in lines]
    fence = "`" * max(3, 1 + max(map(_longest_run, shown), default=0))
    return _Safe("\n".join((f"{fence}text", *shown, fence)))


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


# -- both ----------------------------------------------------------------------------------------


def _contents(story: Story) -> dict[str, object]:
    shown = enumerate(story.entries[:SHOWN_ALERTS], 1)
    places = {alert.id: place for place, entry in shown for alert in entry.alerts}
    return {
        "story": story,
        "score": story.score,
        "measures": _measures(story),
        "commands": _commands(story),
        "places": places,
        "places_of": lambda alerts: sorted({places[it] for it in alerts if it in places}),
        "shown_alerts": SHOWN_ALERTS,
        "attack_version": attack.version(),
        "shown_entities": _SHOWN_ENTITIES,
    }


def _measures(story: Story) -> tuple[_Measure, ...]:
    score, delay = story.score, story.score.time_to_detect
    steps = f"{delay.observed} of {delay.observed + delay.censored} steps detected"
    return (
        _share("Visibility", score.visibility),
        _share("Recall", score.recall, [it.recall for it in _floors(story)]),
        _share("Precision", score.precision, [it.precision for it in _floors(story)]),
        _share("Precision, repeats counted", score.raw_precision),
        _rate("False alarms per hour", score.false_positives),
        _Measure(name="Time to detect, median", value=paper.seconds(delay.median), n=steps),
        _Measure(name="Time to detect, 90th percentile", value=paper.seconds(delay.p90), n=steps),
        _Measure(name="Steps done before the first alert", value=_count(score.steps_before_first_alert)),
    )


def _floors(story: Story) -> tuple[Floor, ...]:
    """Return the floors in the order of the table's columns."""
    return tuple(sorted(story.score.floors, key=lambda it: it.policy != "never alerts"))


def _share(name: str, share: Share, floors: Iterable[Share] = ()) -> _Measure:
    return _Measure(
        name=name,
        value=paper.percent(share.value),
        interval="" if share.low is None else f"{paper.percent(share.low)} to {paper.percent(share.high)}",
        n=f"{share.hits} of {share.total}",
        floors=tuple(paper.percent(it.value) for it in floors),
    )


def _rate(name: str, rate: Rate) -> _Measure:
    return _Measure(
        name=name,
        value=paper.NO_VALUE if rate.value is None else f"{rate.value:.1f}",
        interval="" if rate.low is None or rate.high is None else f"{rate.low:.1f} to {rate.high:.1f}",
        n=f"{rate.count} in {duration(rate.hours * 3600)}",
    )


def _count(value: int | None) -> str:
    return paper.NO_VALUE if value is None else str(value)


def _commands(story: Story) -> tuple[str, ...]:
    """Say how to do this again, and how to judge it again."""
    if not story.judged:
        return (f"lab query suspicious-addresses --run {shlex.quote(visible(story.run))}", "lab query --list")
    again = [("replay", story.run)] if story.replay else [("up", story.lab), ("run", story.scenario)]
    return tuple(f"lab {verb} {shlex.quote(visible(it))}" for verb, it in (*again, ("score", story.run)))
