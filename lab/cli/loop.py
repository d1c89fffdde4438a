"""Commands of the loop: edit a rule, score again, ask why, compare, look back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.gating import Gating, Junit, MaxFalse, MinRecall
from lab.cli.options import AsFormat, Format, RunName
from lab.cli.session import open_session

if TYPE_CHECKING:
    from lab.flow.loop import Rescored

app = typer.Typer()


@app.command(epilog="Example:  lab rescore --watch")
def rescore(  # noqa: PLR0913  # its options
    name: RunName = "",
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Do so again whenever a rule is saved, until Ctrl-C.")
    ] = False,
    min_recall: MinRecall = None,
    max_fp: MaxFalse = None,
    to_junit: Junit = None,
    output: AsFormat = Format.TABLE,
) -> None:
    """Score a run by today's rules, and show what is different, verdict by verdict; the run stays."""
    from lab.cli import loop_tables
    from lab.flow.loop import Rescoring
    from lab.pipeline import RESCORE

    gates = Gating.of(min_recall, max_fp, to_junit)
    if watch and gates:
        raise typer.BadParameter("--watch goes on, and gates end; take one of them")
    session = open_session()

    def show(found: Rescored) -> None:
        """Show one score."""
        loop_tables.rescored(session.screen, found, as_json=output == Format.JSON)

    found = session.run(RESCORE, Rescoring(run=name, on_score=show if watch else None))
    if not watch:
        show(found)
        gates.judge(session, [(found.run.header(), found.score)])


@app.command(epilog="Example:  lab why last 3")
def why(  # noqa: PLR0913  # its options
    name: RunName = "",
    step: Annotated[
        str, typer.Argument(metavar="[STEP]", help="Its number, name or id; else all that were missed.")
    ] = "",
    *,
    draft_rule: Annotated[
        bool, typer.Option("--draft-rule", help="Write the beginning of a rule for the step, with its cases.")
    ] = False,
    to: Annotated[
        Path | None, typer.Option("--to", help="The file to write the draft to; its cases go beside it.")
    ] = None,
    near: Annotated[
        bool, typer.Option("--near", help="Count benign events that fail one clause of a rule alone.")
    ] = False,
    output: AsFormat = Format.TABLE,
) -> None:
    """Say why steps were missed, what caused the false alarms, and what to mend, by today's rules."""
    from lab.cli import loop_tables
    from lab.flow.loop import Asking
    from lab.pipeline import WHY

    if to is not None and not draft_rule:
        raise typer.BadParameter("--to goes with --draft-rule")
    session = open_session()
    asked = Asking(run="" if name == "last" else name, step=step, draft=draft_rule, near=near)
    found = session.run(WHY, asked)
    if to is not None and found.draft is not None:
        loop_tables.keep_draft(session.screen, found.draft, session.context.path(to))
        return
    loop_tables.reasons(session.screen, found, as_json=output == Format.JSON)


@app.command(epilog="Example:  lab compare 20261124 20261125")
def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="Ids of runs, or how they begin.")],
    output: AsFormat = Format.TABLE,
) -> None:
    """Compare runs of one exercise, step by step: McNemar's exact test, and each figure's interval."""
    from lab.cli import loop_tables
    from lab.pipeline import COMPARE

    session = open_session()
    found = session.run(COMPARE, tuple(runs))
    loop_tables.contrasts(session.screen, found, as_json=output == Format.JSON)


@app.command(epilog="Example:  lab history mock-breach --chart history.svg")
def history(
    scenario: Annotated[str, typer.Argument(metavar="[SCENARIO]", help="Runs of one alone.")] = "",
    *,
    degraded: Annotated[
        bool, typer.Option("--degraded", help="Also runs that were disturbed; they are marked.")
    ] = False,
    chart: Annotated[
        Path | None, typer.Option("--chart", help="Draw them as a picture, into this SVG file.")
    ] = None,
    output: AsFormat = Format.TABLE,
) -> None:
    """Show your scores, delays and false alarms over time; replays are left out."""
    from lab.cli import loop_tables
    from lab.flow.loop import Past
    from lab.pipeline import HISTORY

    session = open_session()
    found = session.run(HISTORY, Past(scenario=scenario, degraded=degraded))
    if chart is not None:
        from lab.report.trend import trend

        session.context.path(chart).write_text(trend(found), encoding="utf-8")
    loop_tables.history(session.screen, found, as_json=output == Format.JSON)


@app.command(epilog="Example:  lab export last --as navigator --to layer.json")
def export(  # noqa: PLR0913  # its options
    name: RunName = "",
    form: Annotated[
        str,
        typer.Option(
            "--as", help="navigator, attire, timesketch, iris, stix or coverage; of  history  a layer alone."
        ),
    ] = "",
    to: Annotated[Path | None, typer.Option("--to", help="The file to write.")] = None,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", help="Write the whole run, with a label for each event, into this file."),
    ] = None,
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="In a bundle, replace private addresses and secrets.")
    ] = False,
    secret: Annotated[
        list[str] | None, typer.Option("--secret", help="A text that is a secret as well; again for more.")
    ] = None,
) -> None:
    """Write a run for other tools, or all of it as a data set that  lab import  reads back."""
    from lab.flow.exports import FORMATS, Bundling, Export
    from lab.pipeline import BUNDLE, EXPORT

    run = "" if name == "last" else name
    session = open_session()
    if bundle is not None:
        if form or to:
            raise typer.BadParameter("--bundle is a format of its own; leave --as and --to")
        order = Bundling(run=run, to=bundle, replace=replace, secrets=tuple(secret or ()))
        made = session.run(BUNDLE, order)
        session.screen.line(str(session.context.path(bundle)))
        session.screen.tell(
            f"{len(made.files)} files; README.md among them is the card: say there who may use it"
        )
        return
    if replace or secret:
        raise typer.BadParameter("--replace and --secret are for --bundle")
    if form not in FORMATS or to is None:
        raise typer.BadParameter(f"write  --as {'|'.join(FORMATS)} --to FILE,  or  --bundle FILE")
    session.screen.line(str(session.run(EXPORT, Export(run=run, form=form, to=to))))


@app.command(epilog="Example:  lab quiet --hours 72")
def quiet(  # noqa: PLR0913  # its options
    *,
    hours: Annotated[
        float,
        typer.Option(
            "--hours", min=0, max=100_000, help="Play quiet days until people lived so many host-hours."
        ),
    ] = 0.0,
    lab: Annotated[
        list[str] | None,
        typer.Option("--lab", help="A lab to play in; again for several at once; else that of quiet-day."),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="The seed of the first day that is played.")
    ] = 101,
    written_on: Annotated[
        list[int] | None,
        typer.Option(
            "--written-on", help="A seed that rules were written on, to be left out; again for more."
        ),
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(
            "--dataset", help="Measure on labelled logs instead: the AIT log data set v2, or its like."
        ),
    ] = None,
    output: AsFormat = Format.TABLE,
) -> None:
    """Say how seldom rules cry wolf: a bound on false alarms, and what it rests on."""
    from lab.cli import loop_tables
    from lab.flow.quiet import Silence
    from lab.pipeline import QUIET

    session = open_session()
    order = Silence(
        hours=hours,
        labs=tuple(lab or ()),
        first_seed=seed,
        written_on=tuple(written_on or ()),
        dataset=dataset,
    )
    loop_tables.quiet(session.screen, session.run(QUIET, order), as_json=output == Format.JSON)
