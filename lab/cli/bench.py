"""Commands that measure `lab` beside others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lab.cli.options import AsFormat, Format
from lab.cli.session import open_session

app = typer.Typer(
    name="bench",
    help="Measure lab beside others, on this machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def _bench() -> None:
    """Make `up` a command of `bench` and not `bench` itself."""


@app.command("up", epilog="Example:  lab bench up --nodes 6,50 --rounds 5 --to bench")
def bench_up(
    nodes: Annotated[str, typer.Option("--nodes", help="How many, separated by commas.")] = "6,50",
    rounds: Annotated[int, typer.Option("--rounds", min=1, max=50, help="How often each runs.")] = 5,
    to: Annotated[Path | None, typer.Option("--to", help="A folder for the figures and a picture.")] = None,
    output: AsFormat = Format.TABLE,
) -> None:
    """Time `lab up` and `lab down` beside the bare engine, Docker Compose and containerlab, where present."""
    from lab.cli import tables
    from lab.flow.bench import Measurement
    from lab.pipeline import BENCH_UP

    session = open_session()
    contest = session.run(BENCH_UP, Measurement(nodes=nodes, rounds=rounds, to=to))
    tables.contest(session.screen, contest, as_json=output == Format.JSON)


@app.command("detect", epilog="Example:  lab bench detect sigma/rules --rules 122,1000 --to bench")
def bench_detect(  # noqa: PLR0913  # each is an option
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH...]", help="Sigma files, and folders of them; else all rules in use."),
    ] = None,
    events: Annotated[str, typer.Option("--events", help="How many, separated by commas.")] = "200000",
    rules: Annotated[str, typer.Option("--rules", help="How many, separated by commas.")] = "122",
    rounds: Annotated[int, typer.Option("--rounds", min=1, max=50, help="How often each runs.")] = 3,
    *,
    to: Annotated[Path | None, typer.Option("--to", help="A folder for the figures and a picture.")] = None,
    output: AsFormat = Format.TABLE,
) -> None:
    """Time `lab detect` beside rsigma and Zircolite, where present: same rules, same events."""
    from lab.flow.bench import RaceOrder
    from lab.pipeline import BENCH_DETECT

    session = open_session()
    order = RaceOrder(events=events, rules=rules, rounds=rounds, paths=tuple(paths or ()), to=to)
    result = session.run(BENCH_DETECT, order)
    if output == Format.JSON:
        session.screen.json(result)
        return
    rows = [
        (
            it.contender,
            f"{it.events}",
            f"{it.rules}",
            "failed" if it.failed else f"{it.median:.2f} s",
            f"{it.memory:.0f} MB",
            f"{it.matches}",
        )
        for it in result.figures
    ]
    right = ("events", "rules", "median", "memory", "matches")
    session.screen.table(("contender", *right), rows, right=right)
    for rule in result.differing:
        session.screen.line(f"contenders differ on rule {rule}")
