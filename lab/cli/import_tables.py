"""What imported logs hold, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lab.cli.screen import Screen
    from lab.flow.imports import Brought, Suspect
    from lab.moment import Moment

_SHOWN: Final = 10
"""Suspicious addresses that are shown."""


def brought(screen: Screen, found: Brought, *, as_json: bool) -> None:
    """Show what came of each file, which lines could not be read, and which addresses are suspicious."""
    if as_json:
        screen.json({"run": found.run.path.name, "files": found.files, "suspects": found.suspects})
        return
    rows = [
        (it.name, it.source, str(it.lines), str(it.parsed), str(it.unparsed), _time(it.first), _time(it.last))
        for it in found.files
    ]
    screen.table(("file", "kind", "lines", "parsed", "unparsed", "from", "to"), rows)
    for it in found.files:
        if it.fault:
            screen.tell(f"{it.name} {it.fault}")
        for puzzle in it.puzzles:
            screen.tell(f"{it.name}:{puzzle.line}: {puzzle.why}: {puzzle.text[:80]!r}")
        if it.unparsed > len(it.puzzles):
            screen.tell(f"{it.name}: and {it.unparsed - len(it.puzzles)} more lines that could not be read")
    if found.suspects:
        screen.table(("suspicious address", "alerts", "events", "why"), map(_row, found.suspects[:_SHOWN]))
        if len(found.suspects) > _SHOWN:
            screen.tell(f"and {len(found.suspects) - _SHOWN} more:  lab query suspicious-addresses")
    else:
        screen.tell("no rule names an address")
    said = "imported before, as" if found.again else "imported as"
    screen.tell(f"{said} {found.run.path.name};  lab report {found.run.path.name}  says where its report is")


def _row(it: Suspect) -> tuple[str, ...]:
    reasons = ", ".join(f"{title} ({count})" for title, count in it.reasons)
    return (it.address, str(it.alerts), str(it.evidence), reasons)


def _time(moment: Moment | None) -> str:
    return moment.iso()[:19] if moment is not None else ""
