"""How one gets on, as a picture: recall, precision, false alarms and delays, run by run."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from lab.score.series import Taken

_WIDTH: Final = 720
_HEIGHT: Final = 130
_LEFT: Final = 170
_COLOURS: Final = ("#2563a8", "#2f7d32", "#b3541e", "#6b3fa0")


def trend(runs: Sequence[Taken]) -> str:
    """Draw runs from left to right, a strip for each figure, as SVG."""
    strips: tuple[tuple[str, list[float | None]], ...] = (
        ("recall", [it.recall.value for it in runs]),
        ("precision", [it.precision.value for it in runs]),
        ("false alarms per hour", [it.false_positives.value for it in runs]),
        ("median delay, s", [it.delay for it in runs]),
    )
    height = _HEIGHT * len(strips) + 40
    drawn = "".join(
        _strip(name, values, runs, place, _COLOURS[place]) for place, (name, values) in enumerate(strips)
    )
    span = f"{runs[0].run} to {runs[-1].run}" if runs else "no run so far"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" role="img"'
        f' font-family="sans-serif" font-size="12"><title>{escape(span)}</title>'
        f'<rect width="100%" height="100%" fill="white"/>{drawn}'
        f'<text x="{_LEFT}" y="{height - 12}" fill="#444">{escape(span)}</text></svg>\n'
    )


def _strip(name: str, values: Sequence[float | None], runs: Sequence[Taken], place: int, colour: str) -> str:
    known = [it for it in values if it is not None]
    top = max([*known, 1.0]) if place < 2 else max(known, default=1.0) or 1.0  # noqa: PLR2004  # shares go to 1
    base = _HEIGHT * (place + 1)
    step = (_WIDTH - _LEFT - 30) / max(1, len(runs) - 1)
    points = [
        (_LEFT + step * number, base - 15 - (_HEIGHT - 45) * value / top, value, run)
        for number, (value, run) in enumerate(zip(values, runs, strict=True))
        if value is not None
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}">'
        f"<title>{escape(run.run)}: {value:.2f}</title></circle>"
        for x, y, value, run in points
    )
    last = f"{points[-1][2]:.2f}" if points else "-"
    return (
        f'<text x="10" y="{base - 55}" fill="#222">{escape(name)}</text>'
        f'<text x="10" y="{base - 38}" fill="{colour}" font-size="16">{last}</text>'
        f'<text x="{_LEFT - 8}" y="{base - 12}" text-anchor="end" fill="#777">0</text>'
        f'<text x="{_LEFT - 8}" y="{base - _HEIGHT + 34}" text-anchor="end" fill="#777">{top:g}</text>'
        f'<line x1="{_LEFT}" y1="{base - 15}" x2="{_WIDTH - 20}" y2="{base - 15}" stroke="#ccc"/>'
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>{dots}'
    )
