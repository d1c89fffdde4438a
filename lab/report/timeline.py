"""The timeline: steps, events and alerts on one axis of seconds. Beside `lab.bench.up`, it alone has plotly.

The figure has no colours of its own. Each trace says in `meta` what it shows (its role), and the
page's script gives it that role's colour from the style sheet: one palette for light, dark and print.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from plotly.offline import get_plotlyjs

from lab.detect.alert import LEVELS, Alert, Level
from lab.exercise.truth import Truth
from lab.moment import Moment
from lab.report.story import DETECTED, MISSED, Bucket, Story
from lab.score.values import Verdict
from lab.text import visible

Plot = dict[str, object]
"""A part of a figure, in plotly's own schema."""

SYMBOLS: Final[Mapping[Level, str]] = {
    "informational": "circle-open",
    "low": "circle",
    "medium": "square",
    "high": "diamond",
    "critical": "star",
}
"""Marker of each level, so that level does not hang on colour alone."""

_SOURCE_COLOURS: Final = 6
"""Colours of the style sheet for log sources; a seventh source begins again."""

_LONGEST_LABEL: Final = 48
"""Characters of a step's name beside its bar; the rest is in the table."""

_LANE: Final = 26
"""Height of a lane in pixels."""

_GAP: Final = 40
"""Pixels above each row, for its title."""

_FOOT: Final = 48
"""Pixels below the rows, for the axis."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """One entry of the legend."""

    role: str
    """What the traces carry in `meta`."""

    label: str
    """What it means."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """A figure and its legend."""

    figure: Plot
    """Traces and layout."""

    keys: tuple[Key, ...]
    """The legend, in order."""


@cache
def plotly_script() -> str:
    """Return plotly's own script, with its licence notice, as the package bundles it."""
    return str(get_plotlyjs())


def script_json(value: object) -> str:
    r"""Write JSON that may stand inside a script element.

    Everything but ASCII is escaped, U+2028 among it, and so are the characters that could end the
    element or begin a comment in it.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


def label(text: str) -> str:
    """Make a text harmless for plotly, which reads a small part of HTML in labels and hover texts."""
    return html.escape(visible(text))


def draw(story: Story) -> Timeline:
    """Draw a run."""
    rows = (_steps(story), _events(story), _alerts(story))
    used = [row for row in rows if row.lanes]
    traces = [trace for place, row in enumerate(used, 1) for trace in _placed(row.traces, place)]
    roles = list(dict.fromkeys(_role(trace) for trace in traces if not trace["meta"]["quiet"]))  # type: ignore[index]
    labels = {role: name for row in used for role, name in row.labels.items()}
    keys = tuple(Key(role=role, label=labels[role]) for role in roles)
    return Timeline(figure={"data": traces, "layout": _layout(story, used)}, keys=keys)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    """One of the three rows."""

    title: str
    """What stands above it."""

    lanes: Sequence[str]
    """Labels of its lanes, from the top."""

    traces: Sequence[Plot]
    """What is drawn in it; y counts lanes."""

    labels: Mapping[str, str]
    """Role to what the legend calls it."""


def _placed(traces: Iterable[Plot], place: int) -> Iterable[Plot]:
    axis = "y" if place == 1 else f"y{place}"
    return ({**trace, "xaxis": "x", "yaxis": axis} for trace in traces)


def _meta(role: str, *, quiet: bool = False) -> Plot:
    """Say what a trace shows; a quiet one has no place in the legend and goes on a narrow screen."""
    return {"role": role, "quiet": quiet}


def _role(trace: Plot) -> str:
    meta = trace["meta"]
    return str(meta["role"]) if isinstance(meta, dict) else ""


# -- steps ---------------------------------------------------------------------------------------

_STEP_LABELS: Final = {
    "benign": "benign traffic",
    "detected": "step, detected",
    "missed": "step, missed",
    "void": "step without effect",
    "cleanup": "clean-up",
}


def _steps(story: Story) -> _Row:
    """One lane per attack step, one for benign traffic above, one for clean-up below."""
    others = [it for it in story.truth if it.label in {"benign", "cleanup"}]
    kinds = {it.label for it in others}
    first = int("benign" in kinds)
    names = [_number(place, step.verdict) for place, step in enumerate(story.score.steps, 1)]
    lanes = [*(["benign"] * first), *names, *(["undo"] * ("cleanup" in kinds))]
    placed = [(it, len(lanes) - 1 if it.label == "cleanup" else 0) for it in others]
    attacks = [(it, first + n - 1) for it in story.truth if (n := story.number(it.step))]
    return _Row(
        title="Steps",
        lanes=lanes,
        traces=[*_bars(story, [*placed, *attacks]), *_names(story, attacks)],
        labels=_STEP_LABELS,
    )


def _number(place: int, verdict: Verdict) -> str:
    """Number a step; a missed one is marked, so that a miss does not hang on colour alone."""
    return f"{place} ✕" if verdict in MISSED else str(place)


def _bars(story: Story, placed: Sequence[tuple[Truth, int]]) -> list[Plot]:
    found: list[Plot] = []
    for role in _STEP_LABELS:
        mine = [(it, lane) for it, lane in placed if _step_role(story, it) == role]
        if mine:
            found.append(_bar(story, role, mine))
    return found


def _step_role(story: Story, record: Truth) -> str:
    number = story.number(record.step)
    if number is None:
        return record.label
    verdict = story.score.steps[number - 1].verdict
    return "detected" if verdict in DETECTED else "missed" if verdict in MISSED else "void"


def _bar(story: Story, role: str, mine: Sequence[tuple[Truth, int]]) -> Plot:
    return {
        "type": "bar",
        "orientation": "h",
        "meta": _meta(role),
        "base": [story.seconds(it.start) for it, _ in mine],
        "x": [story.seconds(it.end) - story.seconds(it.start) for it, _ in mine],
        "y": [lane for _, lane in mine],
        "width": 0.56,
        "hoverinfo": "text",
        "hovertext": [_step_hover(story, it, role) for it, _ in mine],
        "textposition": "none",
        "marker": {
            "pattern": {"shape": "/" if role == "missed" else ""},
            "line": {"width": 0 if role == "benign" else 2},  # two pixels show even the shortest step
            "opacity": 0.6 if role == "benign" else 1,  # the phase alone shows through the whole
        },
    }


def _step_hover(story: Story, it: Truth, role: str) -> str:
    number = story.number(it.step)
    name = f"{number}. {it.name}" if number else it.name
    span = f"{story.seconds(it.start):+.1f} to {story.seconds(it.end):+.1f} s"
    lines = (label(name), _STEP_LABELS[role], span, f"{it.start.clock()} to {it.end.clock()} UTC")
    return "<br>".join(lines)


def _names(story: Story, attacks: Sequence[tuple[Truth, int]]) -> list[Plot]:
    """Write each step's name beside its bar, on the side that has room."""
    if not attacks:
        return []
    middle = story.seconds(story.ended) / 2
    early = [story.seconds(it.start) < middle for it, _ in attacks]
    return [
        {
            "type": "scatter",
            "mode": "text",
            "meta": _meta("muted", quiet=True),
            "x": [
                story.seconds(it.end if soon else it.start)
                for (it, _), soon in zip(attacks, early, strict=True)
            ],
            "y": [lane for _, lane in attacks],
            "text": [_beside(it.name, early=soon) for (it, _), soon in zip(attacks, early, strict=True)],
            "textposition": ["middle right" if soon else "middle left" for soon in early],
            "hoverinfo": "skip",
        }
    ]


def _beside(name: str, *, early: bool) -> str:
    shown = name if len(name) <= _LONGEST_LABEL else f"{name[:_LONGEST_LABEL]}…"
    return f"  {label(shown)}" if early else f"{label(shown)}  "


# -- events --------------------------------------------------------------------------------------


def _events(story: Story) -> _Row:
    """One lane per log source; a bar per second."""
    sources = list(story.totals)
    roles = {source: f"source{place % _SOURCE_COLOURS}" for place, source in enumerate(sources)}
    highest = max((it.count for it in story.buckets), default=1)
    traces = [
        _density(story, [it for it in story.buckets if it.source == source], place, roles[source], highest)
        for place, source in enumerate(sources)
    ]
    labels: dict[str, str] = {}
    for source, role in roles.items():
        labels[role] = f"{labels[role]}, {visible(source)}" if role in labels else f"{visible(source)} events"
    return _Row(
        title=f"Events per second, log scale to {highest}",
        lanes=[label(source) for source in sources],
        traces=traces,
        labels=labels,
    )


def _density(story: Story, mine: Sequence[Bucket], lane: int, role: str, highest: int) -> Plot:
    scale = 0.84 / math.log1p(highest)
    return {
        "type": "bar",
        "meta": _meta(role),
        "x": [it.second + 0.5 for it in mine],
        "base": [lane + 0.42] * len(mine),
        "y": [-round(math.log1p(it.count) * scale, 3) for it in mine],
        "width": 1,
        "hoverinfo": "text",
        "hovertext": [_bucket_hover(story, it) for it in mine],
        "textposition": "none",
        "marker": {"line": {"width": 0}},
    }


def _bucket_hover(story: Story, bucket: Bucket) -> str:
    begun = Moment(story.started + bucket.second * 10**9)
    events = f"{bucket.count} event{'' if bucket.count == 1 else 's'} in one second"
    return f"{label(bucket.source)}<br>{events}<br>{bucket.second:+d} s, {begun.clock()[:8]} UTC"


# -- alerts --------------------------------------------------------------------------------------


def _alerts(story: Story) -> _Row:
    """One lane per level that was raised, the most urgent on top."""
    levels = [level for level in reversed(LEVELS) if any(it.level == level for it in story.alerts)]
    return _Row(
        title="Alerts, by level",
        lanes=[{"informational": "info"}.get(level, level) for level in levels],
        traces=[_markers(story, level, lane) for lane, level in enumerate(levels)],
        labels={f"level-{level}": f"{level} alert" for level in levels},
    )


def _markers(story: Story, level: Level, lane: int) -> Plot:
    mine = [it for it in story.alerts if it.level == level]
    return {
        "type": "scatter",
        "mode": "markers",
        "meta": _meta(f"level-{level}"),
        "x": [story.seconds(it.raised) for it in mine],
        "y": [lane] * len(mine),
        "hoverinfo": "text",
        "hovertext": [_alert_hover(story, it) for it in mine],
        "marker": {"symbol": SYMBOLS[level], "size": 11, "line": {"width": 1}},
    }


def _alert_hover(story: Story, alert: Alert) -> str:
    numbers = ", ".join(str(story.number(it.step)) for it in story.credited(alert))
    whose = {"false": "false alarm", "ignored": "set-up or clean-up", "true": f"step {numbers}"}
    moment = f"{story.seconds(alert.raised):+.1f} s, {alert.raised.clock()} UTC"
    return "<br>".join((label(alert.title), f"{alert.level}, {whose[story.standing(alert)]}", moment))


# -- layout --------------------------------------------------------------------------------------


def _layout(story: Story, rows: Sequence[_Row]) -> Plot:
    height = sum(_GAP + _LANE * len(row.lanes) for row in rows)
    layout: Plot = {
        "height": height + _FOOT,
        "margin": {"l": 64, "r": 8, "t": 0, "b": _FOOT},
        "barmode": "overlay",
        "hovermode": "closest",
        "showlegend": False,
        "hoverlabel": {"align": "left"},
        "annotations": [],
        "xaxis": _time_axis(story, len(rows)),
    }
    titles: list[Plot] = []
    top = 0
    for place, row in enumerate(rows, 1):
        upper, lower = top + _GAP, top + _GAP + _LANE * len(row.lanes)
        layout[f"yaxis{place if place > 1 else ''}"] = _lanes(row, 1 - lower / height, 1 - upper / height)
        titles.append(_title(row.title, 1 - upper / height))
        top = lower
    layout["annotations"] = titles
    return layout


def _time_axis(story: Story, rows: int) -> Plot:
    end = max([story.seconds(story.ended), 1.0, *(story.seconds(it.raised) for it in story.alerts)])
    return {
        "type": "linear",
        "range": [-end * 0.01, end * 1.01],
        "anchor": f"y{rows}" if rows > 1 else "y",
        "title": {"text": "seconds since the start"},
        "zeroline": False,
        "showspikes": True,
        "spikemode": "across",
        "spikethickness": 1,
        "spikedash": "dot",
    }


def _lanes(row: _Row, low: float, high: float) -> Plot:
    count = len(row.lanes)
    return {
        "type": "linear",
        "domain": [max(0, low), min(1, high)],
        "range": [count - 0.5, -0.5],
        "tickmode": "array",
        "tickvals": list(range(count)),
        "ticktext": list(row.lanes),
        "fixedrange": True,
        "zeroline": False,
        "showgrid": True,
    }


def _title(text: str, y: float) -> Plot:
    return {
        "text": f"<b>{text}</b>",
        "x": 0,
        "xref": "x domain",
        "xanchor": "left",
        "y": y,
        "yref": "paper",
        "yanchor": "bottom",
        "yshift": 4,
        "showarrow": False,
    }
