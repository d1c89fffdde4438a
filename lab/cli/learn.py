"""Commands for learners."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from lab.cli.options import AsFormat, Format
from lab.cli.session import open_session

if TYPE_CHECKING:
    from lab.cli.screen import Screen
    from lab.learn.answers import Graded
    from lab.learn.coverage import Coverage
    from lab.learn.grade import Grade
    from lab.score.intervals import Share

app = typer.Typer()


@app.command(epilog="Example:  lab grade 20261125 timeline.csv")
def grade(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or how it begins.")],
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="Your timeline, as YAML or CSV; else your answers on the page."
        ),
    ] = None,
    *,
    hints: Annotated[
        bool, typer.Option("--hints", help="Say where to look for what is missing, and not what it is.")
    ] = False,
    output: AsFormat = Format.TABLE,
) -> None:
    """Compare with what happened what you wrote of a run: a timeline, or what you answered in  lab serve."""
    from lab.flow.learn import Handed
    from lab.pipeline import GRADE

    session = open_session()
    found: Grade | Graded = session.run(GRADE, Handed(run=run, path=file))
    if output == Format.JSON:
        session.screen.json(found)
    elif file is None:
        _show_answers(session.screen, cast("Graded", found))
    else:
        _show_grade(session.screen, cast("Grade", found), hints=hints)


def _show_answers(screen: Screen, found: Graded) -> None:
    parts = {
        "alerts answered": found.answered,
        "dispositions right": found.verdicts,
        "reasons right, of those": found.reasons,
        "floor: all called attacks": found.floor,
    }
    rows = [(name, _percent(it), f"{it.hits} of {it.total}") for name, it in parts.items()]
    screen.table(("measure", "", ""), rows)
    wrong = [
        it for it in found.answers if it.said and not (it.verdict_right and it.reason_right in {True, None})
    ]
    told = [(it.title, it.said, it.right, it.reason or "-", it.why) for it in wrong]
    screen.table(("alert", "answered", "right", "reason", "what happened"), told)


def _show_grade(screen: Screen, found: Grade, *, hints: bool) -> None:
    parts = {
        "steps found (recall)": found.recall,
        "entries that are steps (precision)": found.precision,
        "techniques named": found.techniques,
        "pairs in the right order": found.order,
        "indicators that are right": found.indicators,
        "indicators of all steps that are named": found.indicators_named,
    }
    rows = [(name, _percent(it), f"{it.hits} of {it.total}") for name, it in parts.items()]
    off = "-" if found.off is None else f"{found.off} s"
    screen.table(("measure", "", ""), [*rows, ("times off by, median", off, "")])
    if hints:
        screen.table(("hint",), [(it.hint,) for it in found.missed])
        return
    screen.table(("", "step or entry", "technique", "why"), _explained(found))


def _explained(found: Grade) -> Iterator[tuple[str, str, str, str]]:
    for it in found.found:
        said = f"line {it.noted.line}, {it.off} s off"
        other = "" if it.same_technique else ", under another technique"
        yield "found", it.step, it.technique, said + other
    for missed in found.missed:
        yield "missed", missed.step, missed.technique, f"at +{missed.since:.0f}: {missed.why}"
    for wrong in found.mistaken:
        name = wrong.noted.what or f"line {wrong.noted.line}"
        yield "no step", name, wrong.noted.technique or "-", wrong.why


def _percent(it: Share) -> str:
    return "-" if it.value is None else f"{it.value:.0%}"


@app.command(epilog="Example:  lab coverage --navigator layer.json")
def coverage(
    *,
    navigator: Annotated[
        Path | None, typer.Option("--navigator", help="Write a layer for the ATT&CK Navigator.")
    ] = None,
    output: AsFormat = Format.TABLE,
) -> None:
    """Show which techniques of ATT&CK the exercises have steps for."""
    from lab.files import records
    from lab.pipeline import COVERAGE
    from lab.report.navigator import library_layer

    session = open_session()
    found: Coverage = session.run(COVERAGE, None)
    if navigator:
        layer = library_layer({it.technique: it.scenarios for it in found.covered})
        records.write(session.context.path(navigator), layer)
    if output == Format.JSON:
        session.screen.json(found)
        return
    rows = [(it.technique, it.name, ", ".join(it.tactics), ", ".join(it.scenarios)) for it in found.covered]
    session.screen.table(("technique", "name", "tactics", "exercises"), rows, spare=("tactics",))
    for tactic, (have, there) in found.of_tactic.items():
        session.screen.tell(f"{tactic}: {have} of {there} techniques for Linux")
    session.screen.tell(f"{len(found.covered)} techniques of ATT&CK have a step")
