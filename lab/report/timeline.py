"""The timeline: steps, events and alerts on one axis of seconds, as shapes for a template. Pure.

Across, a shape is placed in percent of the axis, so one drawing serves every width; down, in pixels. A
shape has no colour of its own but a role, to which the style sheet gives one: one palette for light,
dark and print.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lab.detect.alert import LEVELS, Alert, Level
from lab.exercise.truth import Truth
from lab.moment import SECOND, Moment
from lab.report.answer import LANES, Answered
from lab.report.story import Bucket, Story
from lab.score.vocabulary import DETECTED, MISSED, Verdict

MARKS: Final[Mapping[Level, str]] = {
    "informational": "M-4.5,0a4.5,4.5 0 1,0 9,0a4.5,4.5 0 1,0 -9,0z",
    "low": "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0z",
    "medium": "M-5,-5h10v10h-10z",
    "high": "M0,-7L7,0L0,7L-7,0z",
    "critical": "M0,-8L2,-2.6L7.6,-2.5L3.2,1L4.7,6.5L0,3.3L-4.7,6.5L-3.2,1L-7.6,-2.5L-2,-2.6z",
}
"""Outline of each level's mark around its middle, so that level does not hang on colour alone."""

_SOURCE_COLOURS: Final = 6
"""Colours of the style sheet for log sources; a seventh source begins again."""

_LONGEST_LABEL: Final = 48
"""Characters of a step's name beside its bar; the rest is in the table."""

_LANE: Final = 26
"""Height of a lane in pixels."""

_GAP: Final = 40
"""Pixels above each row, for its title."""

_FOOT: Final = 44
"""Pixels below the rows, for the axis."""

_BASE: Final = 0.42 * _LANE
"""Pixels from the middle of a lane down to where bars of events stand."""

_BAR: Final = 14
"""Height of a step's bar in pixels."""

_MOST_BARS: Final = 360
"""Bars of one log source: a long run has wider ones, so that a page stays small."""

_TICKS: Final = 8
"""About how many times are written below the axis."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Key:
    """One entry of the legend."""

    role: str
    """What its shapes carry."""

    label: str
    """What it means."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """Something that lasted, or a number of events."""

    role: str
    """What it is."""

    left: float
    """Where it begins, in percent."""

    width: float
    """How long it is, in percent."""

    top: float
    """Its upper edge, in pixels."""

    height: float
    """In pixels."""

    words: tuple[str, ...]
    """What is said when it is pointed at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """Something that happened at one moment."""

    role: str
    """What it is."""

    outline: str
    """Its shape, as an SVG path around its middle."""

    left: float
    """Where its middle is, in percent."""

    top: float
    """And in pixels."""

    words: tuple[str, ...]
    """What is said when it is pointed at."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Name:
    """The name of a step beside its bar."""

    text: str
    """As shown."""

    left: float
    """Where it begins or ends, in percent."""

    top: float
    """Its middle, in pixels."""

    after: bool
    """Whether it stands to the right of that place."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """One line of a row."""

    label: str
    """What stands before it."""

    middle: float
    """In pixels."""

    line: float
    """Where its line is, in pixels: below bars that grow from it, else through its middle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One of the four rows."""

    title: str
    """What stands above it."""

    top: float
    """Where its first lane begins, in pixels."""

    lanes: tuple[Lane, ...]
    """From the top."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A time below the axis."""

    left: float
    """In percent."""

    label: str
    """Seconds since the start."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeline:
    """Everything that is drawn."""

    height: int
    """In pixels."""

    foot: int
    """Where the axis is, in pixels."""

    rows: tuple[Row, ...]
    """From the top; those without lanes are left out."""

    bars: tuple[Bar, ...]
    """Steps, events, and the response."""

    marks: tuple[Mark, ...]
    """Alerts."""

    names: tuple[Name, ...]
    """Of steps."""

    ticks: tuple[Tick, ...]
    """From left to right."""

    keys: tuple[Key, ...]
    """The legend, in order."""


def draw(story: Story) -> Timeline:
    """Draw a run."""
    axis = _Axis(story)
    counted = _counted(story, axis)
    labels = (_step_lanes(story), list(story.totals), _levels(story), _answer_lanes(story))
    titles = ("Steps", _events_title(counted, axis), "Alerts, by level", "Response")
    rows: list[Row] = []
    foot = 0
    tops: list[float] = []
    for title, lanes in zip(titles, labels, strict=True):
        tops.append(foot + _GAP)
        if lanes:
            rows.append(_row(title, foot + _GAP, lanes, growing=lanes is labels[1]))
            foot += _GAP + _LANE * len(lanes)
    bars = (
        *_step_bars(story, axis, tops[0]),
        *_event_bars(story, axis, counted, tops[1]),
        *_answer_bars(story, axis, tops[3]),
    )
    marks = _alert_marks(story, axis, tops[2])
    return Timeline(
        height=foot + _FOOT,
        foot=foot,
        rows=tuple(rows),
        bars=bars,
        marks=marks,
        names=_step_names(story, axis, tops[0]),
        ticks=axis.ticks(),
        keys=_legend(story, {*(it.role for it in bars), *(it.role for it in marks)}),
    )


class _Axis:
    """Where a moment is, from left to right."""

    def __init__(self, story: Story) -> None:
        ends = [story.seconds(story.ended), 1.0, *(story.seconds(it.raised) for it in story.alerts)]
        ends += [story.seconds(it.end) for it in story.answer]
        self.end = max(ends)
        self._first = -self.end * 0.01
        self._span = self.end * 1.02
        self.step = max(1, math.ceil(self.end / _MOST_BARS))
        """Seconds that one bar of events stands for."""

    def left(self, seconds: float) -> float:
        """Return where a moment is, in percent; what lies outside the axis is put at its edge."""
        return round(min(100.0, max(0.0, (seconds - self._first) / self._span * 100)), 3)

    def width(self, begin: float, end: float) -> float:
        """Return how long something is, in percent."""
        return round(self.left(end) - self.left(begin), 3)

    def ticks(self) -> tuple[Tick, ...]:
        """Choose round times."""
        rough = self.end / _TICKS
        magnitude = 10 ** math.floor(math.log10(rough))
        step = next(it * magnitude for it in (1, 2, 5, 10) if it * magnitude >= rough)
        count = int(self.end // step) + 1
        return tuple(Tick(left=self.left(n * step), label=f"{n * step:g}") for n in range(count))


def _row(title: str, top: float, labels: Sequence[str], *, growing: bool) -> Row:
    lanes = (_lane(label, _middle(top, place), growing=growing) for place, label in enumerate(labels))
    return Row(title=title, top=top, lanes=tuple(lanes))


def _lane(label: str, middle: float, *, growing: bool) -> Lane:
    return Lane(label=label, middle=middle, line=round(middle + (_BASE if growing else 0), 1))


def _middle(top: float, lane: int) -> float:
    return top + _LANE * (lane + 0.5)


def _legend(story: Story, drawn: set[str]) -> tuple[Key, ...]:
    """Name what was drawn: steps, then logs, then levels, then the response."""
    labels = {**_STEP_LABELS, **_source_labels(story), **_LEVEL_LABELS, **_ANSWER_LABELS}
    return tuple(Key(role=role, label=label) for role, label in labels.items() if role in drawn)


# -- steps ---------------------------------------------------------------------------------------

_STEP_LABELS: Final = {
    "benign": "benign traffic",
    "detected": "step, detected",
    "missed": "step, missed",
    "void": "step without effect",
    "cleanup": "clean-up",
}


def _step_lanes(story: Story) -> list[str]:
    """List one lane per attack step, one for benign traffic above, one for clean-up below."""
    kinds = {it.label for it in story.truth}
    names = [_number(place, step.verdict) for place, step in enumerate(story.score.steps, 1)]
    return [*(["benign"] * ("benign" in kinds)), *names, *(["undo"] * ("cleanup" in kinds))]


def _number(place: int, verdict: Verdict) -> str:
    """Number a step; a missed one is marked, so that a miss does not hang on colour alone."""
    return f"{place} ✕" if verdict in MISSED else str(place)


def _lane_of(story: Story, record: Truth) -> int | None:
    """Return the lane of a record; None for what is not drawn."""
    first = int(any(it.label == "benign" for it in story.truth))
    number = story.number(record.step)
    if number:
        return first + number - 1
    lanes = {"benign": 0, "cleanup": first + len(story.score.steps)}
    return lanes.get(record.label)


def _step_bars(story: Story, axis: _Axis, top: float) -> tuple[Bar, ...]:
    placed = [(it, lane) for it in story.truth if (lane := _lane_of(story, it)) is not None]
    return tuple(_step_bar(story, axis, it, _middle(top, lane)) for it, lane in placed)


def _step_bar(story: Story, axis: _Axis, record: Truth, middle: float) -> Bar:
    begin, end = story.seconds(record.start), story.seconds(record.end)
    return Bar(
        role=_step_role(story, record),
        left=axis.left(begin),
        width=axis.width(begin, end),
        top=middle - _BAR / 2,
        height=_BAR,
        words=_step_words(story, record),
    )


def _step_role(story: Story, record: Truth) -> str:
    number = story.number(record.step)
    if number is None:
        return record.label
    verdict = story.score.steps[number - 1].verdict
    return "detected" if verdict in DETECTED else "missed" if verdict in MISSED else "void"


def _step_words(story: Story, it: Truth) -> tuple[str, ...]:
    number = story.number(it.step)
    return (
        f"{number}. {it.name}" if number else it.name,
        _STEP_LABELS[_step_role(story, it)],
        f"{story.seconds(it.start):+.1f} to {story.seconds(it.end):+.1f} s",
        f"{it.start.clock()} to {it.end.clock()} UTC",
    )


def _step_names(story: Story, axis: _Axis, top: float) -> tuple[Name, ...]:
    """Write each step's name beside its bar, on the side that has room."""
    attempts: dict[str, list[Truth]] = {}
    for it in story.truth:
        if story.number(it.step):
            attempts.setdefault(it.step, []).append(it)
    return tuple(
        _step_name(story, axis, it, _middle(top, _lane_of(story, it[0]) or 0)) for it in attempts.values()
    )


def _step_name(story: Story, axis: _Axis, attempts: list[Truth], middle: float) -> Name:
    """Write the name behind the last attempt, or before the first where there is more room."""
    name, begin, end = attempts[0].name, attempts[0].start, max(it.end for it in attempts)
    early = story.seconds(begin) < axis.end / 2
    text = name if len(name) <= _LONGEST_LABEL else f"{name[:_LONGEST_LABEL]}…"
    left = axis.left(story.seconds(end if early else begin))
    return Name(text=text, left=left, top=middle, after=early)


# -- events --------------------------------------------------------------------------------------


def _source_role(place: int) -> str:
    return f"source{place % _SOURCE_COLOURS}"


def _source_labels(story: Story) -> dict[str, str]:
    labels: dict[str, str] = {}
    for place, source in enumerate(story.totals):
        role = _source_role(place)
        labels[role] = f"{labels[role]}, {source}" if role in labels else f"{source} events"
    return labels


_Counted = Mapping[tuple[str, int], int]
"""Source and place of a bar to how many events it stands for."""


def _counted(story: Story, axis: _Axis) -> _Counted:
    """Count events of each source and bar."""
    found: Counter[tuple[str, int]] = Counter()
    for it in story.buckets:
        if it.source in story.totals:
            found[it.source, it.second // axis.step] += it.count
    return found


def _events_title(counted: _Counted, axis: _Axis) -> str:
    highest = max(counted.values(), default=1)
    span = "second" if axis.step == 1 else f"{axis.step} seconds"
    return f"Events per {span}, log scale to {highest}"


def _event_bars(story: Story, axis: _Axis, counted: _Counted, top: float) -> tuple[Bar, ...]:
    """Draw one bar per source and second; its height is on a log scale."""
    scale = 0.84 * _LANE / math.log1p(max(counted.values(), default=1))
    places = {source: place for place, source in enumerate(story.totals)}
    return tuple(
        _event_bar(story, axis, Bucket(source=source, second=part * axis.step, count=count),
                   place=places[source], top=top, scale=scale)
        for (source, part), count in sorted(counted.items())
    )  # fmt: skip


def _event_bar(  # noqa: PLR0913  # what a bar is made of
    story: Story, axis: _Axis, it: Bucket, *, place: int, top: float, scale: float
) -> Bar:
    height = round(math.log1p(it.count) * scale, 1)
    return Bar(
        role=_source_role(place),
        left=axis.left(it.second),
        width=axis.width(it.second, it.second + axis.step),
        top=round(_middle(top, place) + _BASE - height, 1),
        height=height,
        words=_bucket_words(story, axis, it),
    )


def _bucket_words(story: Story, axis: _Axis, it: Bucket) -> tuple[str, ...]:
    begun = Moment(story.started + it.second * SECOND)
    span = "one second" if axis.step == 1 else f"{axis.step} seconds"
    events = f"{it.count} event{'' if it.count == 1 else 's'} in {span}"
    return (it.source, events, f"{it.second:+d} s, {begun.clock()[:8]} UTC")


# -- alerts --------------------------------------------------------------------------------------

_LEVEL_LABELS: Final = {f"level-{level}": f"{level} alert" for level in reversed(LEVELS)}


def _raised_levels(story: Story) -> list[Level]:
    """List the levels that were raised, the most urgent first."""
    return [level for level in reversed(LEVELS) if any(it.level == level for it in story.alerts)]


def _levels(story: Story) -> list[str]:
    return [{"informational": "info"}.get(level, level) for level in _raised_levels(story)]


def _alert_marks(story: Story, axis: _Axis, top: float) -> tuple[Mark, ...]:
    lanes = {level: lane for lane, level in enumerate(_raised_levels(story))}
    return tuple(
        Mark(
            role=f"level-{it.level}",
            outline=MARKS[it.level],
            left=axis.left(story.seconds(it.raised)),
            top=_middle(top, lanes[it.level]),
            words=_alert_words(story, it),
        )
        for it in story.alerts
    )


def _alert_words(story: Story, alert: Alert) -> tuple[str, ...]:
    numbers = ", ".join(str(story.number(it.step)) for it in story.credited(alert))
    whose = {
        "false": "false alarm",
        "ignored": "set-up or clean-up",
        "true": f"step {numbers}",
        "unknown": "not judged",
    }
    moment = f"{story.seconds(alert.raised):+.1f} s, {alert.raised.clock()} UTC"
    return (alert.title, f"{alert.level}, {whose[story.standing(alert)]}", moment)


# -- response --------------------------------------------------------------------------------------

_ANSWER_LABELS: Final = {"acts": "response", "case": "case", "files": "files written"}

_SHORTEST: Final = 0.4
"""Percent of the axis that an act is drawn with at least: most take a second."""


def _answer_lanes(story: Story) -> list[str]:
    there = {it.lane for it in story.answer}
    return [lane for lane in LANES if lane in there]


def _answer_bars(story: Story, axis: _Axis, top: float) -> tuple[Bar, ...]:
    lanes = {lane: place for place, lane in enumerate(_answer_lanes(story))}
    return tuple(_answer_bar(story, axis, it, _middle(top, lanes[it.lane])) for it in story.answer)


def _answer_bar(story: Story, axis: _Axis, it: Answered, middle: float) -> Bar:
    begin, end = story.seconds(it.start), story.seconds(it.end)
    when = f"{begin:+.1f} s, {it.start.clock()} UTC"
    return Bar(
        role=it.lane,
        left=axis.left(begin),
        width=max(_SHORTEST, axis.width(begin, end)),
        top=middle - _BAR / 2,
        height=_BAR,
        words=(*(word for word in it.words if word), when),
    )
