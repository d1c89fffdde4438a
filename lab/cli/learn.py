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
    from lab.learn.response import Response
    from lab.score.intervals import Share

app = typer.Typer()


@app.command(epilog="Example:  lab grade 20261125 timeline.csv")
def grade(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, how it begins, or  last .")],
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]",
            help="Your timeline, as YAML or CSV; else your case, or your answers on the page.",
        ),
    ] = None,
    *,
    answers: Annotated[
        bool, typer.Option("--answers", help="Grade what was answered on the page, although there is a case.")
    ] = False,
    hints: Annotated[
        bool, typer.Option("--hints", help="Say where to look for what is missing, and not what it is.")
    ] = False,
    output: AsFormat = Format.TABLE,
) -> None:
    """Compare with what happened what you wrote and did: a timeline, a case with its response, or answers."""
    from lab.flow.learn import Handed
    from lab.pipeline import GRADE

    session = open_session()
    found: Grade | Graded | Response = session.run(
        GRADE, Handed(run="" if run == "last" else run, path=file, answers=answers)
    )
    if output == Format.JSON:
        session.screen.json(found)
    elif file is not None:
        _show_grade(session.screen, cast("Grade", found), hints=hints)
    elif hasattr(found, "times"):
        _show_response(session.screen, cast("Response", found), hints=hints)
    else:
        _show_answers(session.screen, cast("Graded", found))


def _show_response(screen: Screen, found: Response, *, hints: bool) -> None:
    """Show the parts beside the floors, what they come from, and what is wanting."""
    floors = [it.parts for it in found.floors]
    rows = [
        (it.part, f"{it.value:.0%}", *(f"{floor[it.part]:.0%}" for floor in floors)) for it in found.parts
    ]
    screen.table(("part", "yours", *(it.name for it in found.floors)), rows)
    for it in (*found.parts, found.reasons):
        for said in it.told:
            screen.tell(f"{it.part}: {said}")
    times = found.times
    told = {"acknowledged": times.acknowledge, "contained": times.contain, "recovered": times.recover}
    for name, seconds in told.items():
        screen.tell(f"{name}: {'never' if seconds is None else f'{seconds} s after the first alert'}")
    for note in found.notes:
        screen.tell(note)
    if not hints:
        screen.table(
            ("part", "what is wanting"), [(it.part, said) for it in found.parts for said in it.missed]
        )


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
