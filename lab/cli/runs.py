"""Commands that play, replay, judge and question runs."""

from __future__ import annotations

import re
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from lab.cli.gating import Gating, Junit, MaxFalse, MinRecall
from lab.cli.options import AsFormat, Format, LabName, RunName
from lab.cli.session import Session, open_session
from lab.errors import LabError, Stopped

if TYPE_CHECKING:
    from lab.flow.play import Order
    from lab.flow.runs import Scored

app = typer.Typer()


class Output(StrEnum):
    """How the answer to a question is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


@app.command(epilog="Example:  lab run ssh-brute-force")
def run(  # noqa: PLR0913  # its options
    scenario: Annotated[str, typer.Argument(help="Name or path of a scenario.")],
    lab: LabName = "",
    *,
    seed: Annotated[
        int | None, typer.Option("--seed", help="What chance is drawn from; else what the file says.")
    ] = None,
    pause: Annotated[
        bool, typer.Option("--pause", help="Wait before each step, and say what it does and where to look.")
    ] = False,
    blind: Annotated[
        bool,
        typer.Option(
            "--blind", help="Show neither steps nor score, before you answered in  lab serve; see  lab grade."
        ),
    ] = False,
    respond: Annotated[
        bool,
        typer.Option(
            "--respond", help="Let the attack go on while you act, see  lab respond,  until  lab case close."
        ),
    ] = False,
    playbook: Annotated[
        str, typer.Option("--playbook", help="What you will go by: CACAO 2.0, handed in before the attack.")
    ] = "",
    within: Annotated[
        float, typer.Option("--within", min=0.1, max=120, help="Minutes that a response has.")
    ] = 20.0,
    siem: Annotated[
        str,
        typer.Option("--siem", help="Send a SIEM what is noticed, while it is; see  lab siem push --help."),
    ] = "",
    repeat: Annotated[
        int, typer.Option("--repeat", min=1, max=100, help="Play it so often in a row; shows the spread.")
    ] = 1,
    seeds: Annotated[
        str, typer.Option("--seeds", help="A seed for each time: 1-5, or 3,8,21; else each the next one.")
    ] = "",
    min_recall: MinRecall = None,
    max_fp: MaxFalse = None,
    to_junit: Junit = None,
    output: AsFormat = Format.TABLE,
) -> None:
    """Run an exercise: benign traffic, then the attack; alerts appear while it runs; then the score."""
    from lab.flow.play import Order
    from lab.pipeline import RUN

    gates = Gating.of(min_recall, max_fp, to_junit)
    chosen = _seeds(seeds, seed, repeat)
    hiding = "--respond" if respond else "--blind" if blind else ""
    if hiding and pause:
        raise typer.BadParameter(f"--pause says what {hiding} hides; take one of them")
    if hiding and (gates or len(chosen) > 1):
        raise typer.BadParameter(f"{hiding} shows no score; take it alone")
    if playbook and not respond:
        raise typer.BadParameter("--playbook is for a run that is responded to: add --respond")
    session = open_session(lab, hide_alerts=blind, hide_steps=bool(hiding), step_by_step=pause)
    if gates or len(chosen) > 1:
        _repeated(session, [Order(scenario=scenario, seed=it, siem=siem) for it in chosen], gates, output)
        return
    order = Order(scenario=scenario, seed=seed, siem=siem, blind=bool(hiding), playbook=playbook)
    if respond:
        order = replace(order, respond=60 * within)
    scored = session.run(RUN, order)
    if not hiding:
        _show(session, scored, output)
        return
    session.screen.line(scored.run.path.name)
    session.screen.tell(_AFTERWARDS[hiding].format(run=scored.run.path.name))
    _end(session, scored)


_AFTERWARDS: Final = {
    "--respond": "lab grade {run}  grades the response",
    "--blind": "answer in  lab serve,  or write down what you saw and then:  lab grade {run} FILE",
}
"""What is said at the end of a run whose score is not shown yet."""


def _seeds(text: str, first: int | None, repeat: int) -> list[int | None]:
    """Return the seed of each run; None for what the scenario says."""
    if not text:
        return [first] if repeat == 1 else [(first or 1) + number for number in range(repeat)]
    if first is not None:
        raise typer.BadParameter("--seed is for one run and --seeds for several; take one of them")
    found: list[int | None] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", part)
        if match is None or int(match[2] or match[1]) - int(match[1]) not in range(100):
            raise typer.BadParameter(f"--seeds {text}: write  1-5  or  3,8,21")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    if repeat not in {1, len(found)}:
        raise typer.BadParameter(f"--repeat {repeat} and {len(found)} seeds do not go together")
    return found


def _repeated(session: Session, orders: list[Order], gates: Gating, output: Format) -> None:
    """Play several runs, show how far they spread, and end with what their gates say."""
    from lab.cli import loop_tables, tables
    from lab.flow.loop import spread_of
    from lab.pipeline import RUN

    played: list[Scored] = []
    for order in orders:
        played.append(session.run(RUN, order))
        if output == Format.TABLE:
            tables.score(session.screen, played[-1], as_json=False)
    if len(played) > 1 or output == Format.JSON:
        found = spread_of(tuple(it.run for it in played), session.context)
        loop_tables.spread(session.screen, found, as_json=output == Format.JSON)
    gates.judge(session, [(it.run.header(), it.score) for it in played])
    for it in played:
        _end(session, it)


def _show(session: Session, scored: Scored, output: Format) -> None:
    """Show the score of a run that took place, and end with what it came to."""
    from lab.cli import tables

    tables.score(session.screen, scored, as_json=output == Format.JSON)
    _end(session, scored)


def _end(session: Session, scored: Scored) -> None:
    """End with what a run came to: a step without effect is a failure, whatever was detected."""
    if scored.run.header().state == "stopped":
        raise typer.Exit(Stopped.exit_code)
    if scored.degraded:
        raise typer.Exit(LabError.exit_code)
    idle = [it for it in scored.score.steps if it.verdict == "no_effect"]
    for it in idle:
        session.screen.fault(f"{it.name}: {it.reason}")
    if idle:
        raise typer.Exit(1)


@app.command(epilog="Example:  lab resume 20261123")
def resume(name: RunName = "", lab: LabName = "", output: AsFormat = Format.TABLE) -> None:
    """Play on a run that was killed or stopped at once: what it owes is undone at its end, as always."""
    from lab.pipeline import RESUME

    session = open_session(lab)
    _show(session, session.run(RESUME, name), output)


@app.command(epilog="Example:  lab clean 20261123")
def clean(name: RunName = "", lab: LabName = "", output: AsFormat = Format.TABLE) -> None:
    """Undo what a run that was killed or stopped at once still owes, and do nothing else."""
    from lab.cli import tables
    from lab.pipeline import CLEAN

    session = open_session(lab)
    tables.score(session.screen, session.run(CLEAN, name), as_json=output == Format.JSON)


@app.command(epilog="Example:  lab watch")
def watch(
    name: Annotated[
        str,
        typer.Argument(metavar="[RUN]", help="One that goes on; else that in the lab, or a new one."),
    ] = "",
    lab: LabName = "",
    every: Annotated[
        float, typer.Option("--every", min=0.5, max=3600, help="Seconds between two lines on what comes in.")
    ] = 5.0,
    seconds: Annotated[
        float, typer.Option("--for", min=0, help="Seconds after which it ends; else Ctrl-C does.")
    ] = 0.0,
) -> None:
    """Watch a run that goes on; without one, the lab while you attack it by hand, and keep a run of that."""
    from lab.cli import tables
    from lab.flow.free import Watching
    from lab.pipeline import WATCH

    session = open_session(lab)
    order = Watching(
        run=name, every=every, seconds=seconds, on_glance=lambda it: session.screen.tell(str(it))
    )
    watched = session.run(WATCH, order)
    session.screen.incidents()
    if watched.own:
        tables.report(session.screen, watched.run, markdown=False)


@app.command(epilog="Example:  lab mark 'guessed the password of maria'")
def mark(text: Annotated[str, typer.Argument(help="What you have just done.")]) -> None:
    """Note what was just done, in the run that goes on; its report has notes and alerts in one timeline."""
    from lab.pipeline import MARK

    session = open_session()
    noted = session.run(MARK, text)
    session.screen.line(f"{noted.time.iso()}  {noted.text}")


@app.command(epilog="Example:  lab scenarios")
def scenarios(output: AsFormat = Format.TABLE) -> None:
    """List the exercises there are: what each does, on which lab, and how you did last time."""
    from lab.cli import tables
    from lab.pipeline import EXERCISES

    session = open_session()
    tables.exercises(session.screen, session.run(EXERCISES, None), as_json=output == Format.JSON)


@app.command(epilog="Example:  lab lint ssh-brute-force")
def lint(
    scenario: Annotated[str, typer.Argument(help="Name or path of a scenario.")],
    inventory: Annotated[
        str, typer.Option("--inventory", help="What it is read against; else the one that it names.")
    ] = "",
    output: AsFormat = Format.TABLE,
) -> None:
    """Read an exercise without a lab: name every problem of it, else show its steps."""
    from lab.cli import tables
    from lab.flow.play import Draft
    from lab.pipeline import LINT

    session = open_session()
    found = session.run(LINT, Draft(scenario=scenario, inventory=inventory))
    tables.scenario(session.screen, found, as_json=output == Format.JSON)


@app.command(epilog="Example:  lab score 20261123 --by embedded,elasticsearch")
def score(
    name: RunName = "",
    by: Annotated[
        str,
        typer.Option(
            "--by",
            help="Whose alerts, by commas: rules, models, both; embedded, and SIEMs that were asked.",
        ),
    ] = "",
    output: AsFormat = Format.TABLE,
) -> None:
    """Score a run again from its files: the same files give the same bytes."""
    from lab.cli import tables
    from lab.flow.runs import choose_eyes
    from lab.pipeline import SCORE

    session = open_session()
    scored = session.run(SCORE, name)
    if by:
        chosen = choose_eyes(scored, tuple(dict.fromkeys(it.strip() for it in by.split(","))))
        tables.eyes(session.screen, scored, chosen, as_json=output == Format.JSON)
        return
    tables.score(session.screen, scored, as_json=output == Format.JSON)


@app.command(epilog="Example:  lab report")
def report(
    name: RunName = "",
    *,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Write the report itself, as Markdown.")
    ] = False,
) -> None:
    """Write the report of a run and say where it is."""
    from lab.cli import tables
    from lab.pipeline import SCORE

    session = open_session()
    tables.report(session.screen, session.run(SCORE, name).run, markdown=markdown)


@app.command(epilog="Example:  lab query failed-logins-by-source --since 10m --chart")
def query(  # noqa: PLR0913  # its options
    question: Annotated[
        str, typer.Argument(help="One SELECT over events, alerts and truth, or a name that --list shows.")
    ] = "",
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--run", help="A run's id, or how it begins, or all; again for more; else the last run."
        ),
    ] = None,
    since: Annotated[
        str, typer.Option("--since", help="Only so long before the last event: 30s, 10m, 2h, 7d.")
    ] = "",
    output: Annotated[Output, typer.Option("--format", help="How to write the answer.")] = Output.TABLE,
    to: Annotated[Path | None, typer.Option("--to", help="The file to write Parquet to.")] = None,
    *,
    listed: Annotated[
        bool, typer.Option("--list", help="List the questions that ship, and ask none.")
    ] = False,
    chart: Annotated[
        bool, typer.Option("--chart", help="Draw the answer: its first number, row by row.")
    ] = False,
) -> None:
    """Ask runs a question in SQL. Nothing can be changed, and no other file can be read."""
    from lab.cli import answers
    from lab.flow.runs import Question
    from lab.pipeline import ASK, QUESTIONS

    session = open_session()
    if listed or not question:
        answers.listed(session.screen, session.run(QUESTIONS, None), as_json=output == Output.JSON)
        return
    if (output is Output.PARQUET) != (to is not None):
        raise typer.BadParameter("--format parquet and --to go together")
    asked = Question(
        text=question, runs=tuple(name or ()), since=_length(since), parquet=output is Output.PARQUET
    )
    found = session.run(ASK, asked)
    if to is not None:
        session.context.path(to).write_bytes(found.answer.parquet)
    elif chart:
        answers.chart(session.screen, found.answer)
    else:
        answers.answer(session.screen, found.answer, output.value)


def _length(text: str) -> float:
    """Read a length of time, `10m`, in seconds."""
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if match is None and text:
        raise typer.BadParameter(f"--since {text}: write  30s, 10m, 2h  or  7d")
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[match[2]] if match else 0


@app.command(epilog="Example:  lab replay ssh-brute-force")
def replay(
    recording: Annotated[str, typer.Argument(help="One that ships with lab, or a run.")] = "ssh-brute-force",
    output: AsFormat = Format.TABLE,
) -> None:
    """Play a recorded run again: its events, today's rules, a new score and report. Needs no engine."""
    from lab.cli import tables
    from lab.pipeline import REPLAY

    session = open_session()
    tables.score(session.screen, session.run(REPLAY, recording), as_json=output == Format.JSON)


@app.command("import", epilog="Example:  lab import /var/log/auth.log* access.log.gz")
def import_(
    files: Annotated[
        list[Path], typer.Argument(help="Files and folders; gzip, xz, bzip2 and zip are unpacked.")
    ],
    source: Annotated[
        str, typer.Option("--as", help="What they are: apache, auditd, syslog ...; else found by content.")
    ] = "",
    host: Annotated[
        str, typer.Option("--host", help="What a host is called where a log does not say.")
    ] = "imported",
    output: AsFormat = Format.TABLE,
) -> None:
    """Read logs, EVTX files and packets of others: a run without truth, with alerts and a report.

    A bundle of  lab export --bundle  becomes the run that it was, with its score.
    """
    from lab.cli import import_tables, tables
    from lab.export.bundle import is_bundle
    from lab.flow.imports import Import
    from lab.pipeline import IMPORT, UNBUNDLE

    session = open_session()
    if len(files) == 1 and is_bundle(session.context.path(files[0])):
        found = session.run(UNBUNDLE, files[0])
        tables.score(session.screen, found.scored, as_json=output == Format.JSON)
        session.screen.tell("its score is the one in the bundle" if found.same else "its score is another")
        raise typer.Exit(0 if found.same else 1)
    order = Import(paths=tuple(files), source=source, host=host)
    brought = session.run(IMPORT, order)
    import_tables.brought(session.screen, brought, as_json=output == Format.JSON)
    if session.context.stop.is_set():
        raise typer.Exit(Stopped.exit_code)


@app.command(epilog="Example:  lab record 20261123 --to recordings/mine")
def record(
    name: RunName = "",
    to: Annotated[Path, typer.Option("--to", help="The folder to make.")] = Path("recording"),
) -> None:
    """Keep what a replay of a run needs: definition, truth and events, without packets."""
    from lab.flow.runs import Recording
    from lab.pipeline import RECORD

    session = open_session()
    session.screen.line(str(session.run(RECORD, Recording(run=name, to=to)).path))
