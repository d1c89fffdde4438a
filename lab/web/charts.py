"""Pictures as shapes for templates: bars over time, the nodes of a lab, a line over runs. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lab.moment import Moment
from lab.runs.header import LabRecord
from lab.telemetry.lookup import Bars

WIDTH: Final = 1200
"""Width of the bars' picture, in its own units."""

HEIGHT: Final = 90
"""Height of its bars."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One bar of events over time."""

    x: float
    """Left edge."""

    width: float
    """Width."""

    height: float
    """Height; at least visible where there is one event."""

    count: int
    """How many events."""

    start: Moment
    """From when on."""

    end: Moment
    """Until before when."""


def bars_drawn(bars: Bars) -> tuple[Bar, ...]:
    """Draw how many events there were when."""
    most = max(bars.counts, default=0) or 1
    width = WIDTH / max(1, len(bars.counts))
    return tuple(
        Bar(
            x=round(place * width, 2),
            width=round(max(1.0, width - 1), 2),
            height=round(max(2.0, HEIGHT * count / most), 2) if count else 0,
            count=count,
            start=Moment(bars.start + place * bars.width),
            end=Moment(bars.start + (place + 1) * bars.width),
        )
        for place, count in enumerate(bars.counts)
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Spot:
    """A node in the picture of a lab."""

    name: str
    """Its name."""

    kind: str
    """Its kind."""

    x: float
    """Middle, across."""

    y: float
    """Middle, down."""

    addresses: tuple[str, ...]
    """Its addresses."""

    networks: tuple[str, ...]
    """Its networks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """Traffic between two nodes."""

    first: Spot
    """Where it comes from."""

    second: Spot
    """Where it goes to."""

    count: int
    """How many events tell of it."""

    width: float
    """How thick its line is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A lab as it is: nodes on a ring, lines where there is traffic."""

    spots: tuple[Spot, ...]
    """Nodes."""

    links: tuple[Link, ...]
    """Traffic."""


def picture(lab: LabRecord | None, traffic: Iterable[tuple[str, str, int]]) -> Picture:
    """Draw a lab.

    Args:
        lab: Its nodes; none where there is no lab.
        traffic: Source address, destination address, number of events.
    """
    nodes = lab.nodes if lab else ()
    spots = tuple(
        Spot(
            name=it.name,
            kind=it.kind,
            x=round(300 + 230 * math.cos(2 * math.pi * place / max(1, len(nodes)) - math.pi / 2), 1),
            y=round(170 + 125 * math.sin(2 * math.pi * place / max(1, len(nodes)) - math.pi / 2), 1),
            addresses=tuple(it.addresses.values()),
            networks=tuple(it.addresses),
        )
        for place, it in enumerate(nodes)
    )
    of = {address: spot for spot in spots for address in spot.addresses}
    counts: dict[tuple[str, str], int] = {}
    for source, target, count in traffic:
        if source in of and target in of and of[source] is not of[target]:
            pair = of[source].name, of[target].name
            counts[pair] = counts.get(pair, 0) + count
    named = {it.name: it for it in spots}
    links = tuple(
        Link(first=named[a], second=named[b], count=count, width=round(1 + math.log10(count + 1), 1))
        for (a, b), count in sorted(counts.items())
    )
    return Picture(spots=spots, links=links)


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """Values over runs, as a line."""

    name: str
    """What is measured."""

    points: str
    """Corners, as SVG has them."""

    dots: tuple[tuple[float, float, str], ...]
    """Each value: across, down, in words."""

    last: str
    """The latest value."""


def lines(series: Mapping[str, Sequence[float | None]], labels: Sequence[str]) -> tuple[Line, ...]:
    """Draw shares, from 0 to 1, run by run; a run without a value leaves a gap."""
    step = 660 / max(1, len(labels) - 1)
    drawn = []
    for name, values in series.items():
        dots = tuple(
            (round(20 + step * place, 1), round(90 - 80 * value, 1), f"{labels[place]}: {value:.0%}")
            for place, value in enumerate(values)
            if value is not None
        )
        points = " ".join(f"{x},{y}" for x, y, _ in dots)
        last = next((f"{it:.0%}" for it in reversed(values) if it is not None), "\N{EN DASH}")
        drawn.append(Line(name=name, points=points, dots=dots, last=last))
    return tuple(drawn)
