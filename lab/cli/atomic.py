"""Commands for Atomic Red Team: other people's tests, run unmodified."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import click
import typer

from lab.cli.options import AsFormat, Format
from lab.cli.session import open_session
from lab.errors import Stopped

app = typer.Typer(help="Run tests of Atomic Red Team, unmodified, on throw-away nodes.", no_args_is_help=True)

From = Annotated[
    Path | None,
    typer.Option("--from", help="A checkout of Atomic Red Team, or a folder of its YAML; remembered."),
]
Technique = Annotated[str, typer.Argument(metavar="[TECHNIQUE]", help="As T1053.003; all when left out.")]
Platform = Annotated[str, typer.Option("--platform", help="Tests for this one; `any` for all.")]


def _platform(name: str) -> str:
    return "" if name == "any" else name.lower()


@app.command("list", epilog="Example:  lab atomic list --from ~/atomic-red-team")
def list_(
    technique: Technique = "",
    checkout: From = None,
    platform: Platform = "linux",
    output: AsFormat = Format.TABLE,
) -> None:
    """List tests, and why some may not run here."""
    from lab.cli import atomic_tables as tables
    from lab.flow.atomic import Choice
    from lab.pipeline import ATOMIC_LIST

    session = open_session()
    choice = Choice(technique=technique, checkout=checkout, platform=_platform(platform))
    tables.listed(session.screen, session.run(ATOMIC_LIST, choice), as_json=output == Format.JSON)


@app.command(epilog="Example:  lab atomic show T1053.003")
def show(
    technique: Annotated[str, typer.Argument(help="As T1053.003.")],
    test: Annotated[int, typer.Argument(metavar="[TEST]", help="Its number; all when left out.")] = 0,
    checkout: From = None,
    output: AsFormat = Format.TABLE,
) -> None:
    """Show tests of a technique: what they run, need and undo."""
    from lab.cli import atomic_tables as tables
    from lab.flow.atomic import Choice
    from lab.pipeline import ATOMIC_LIST

    session = open_session()
    choice = Choice(technique=technique, number=test, checkout=checkout, platform="")
    tables.shown(session.screen, session.run(ATOMIC_LIST, choice), as_json=output == Format.JSON)


@app.command(epilog="Example:  lab atomic prepare --from ~/atomic-red-team")
def prepare(technique: Technique = "", checkout: From = None, output: AsFormat = Format.TABLE) -> None:
    """Bake what Debian's packages bring for the tests, so that as many as possible run."""
    from lab.cli import atomic_tables as tables
    from lab.flow.atomic import Choice
    from lab.pipeline import ATOMIC_PREPARE

    session = open_session()
    found = session.run(ATOMIC_PREPARE, Choice(technique=technique, checkout=checkout, again=True))
    tables.prepared(session.screen, found, as_json=output == Format.JSON)


@app.command(epilog="Example:  lab atomic run T1053.003 2  or  lab atomic run --all")
def run(  # noqa: PLR0913  # one for each option
    technique: Technique = "",
    test: Annotated[int, typer.Argument(metavar="[TEST]", help="Its number; all when left out.")] = 0,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Run every test that may run.")] = False,
    argument: Annotated[
        list[str] | None, typer.Option("--argument", metavar="NAME=VALUE", help="An input argument.")
    ] = None,
    checkout: From = None,
    platform: Platform = "linux",
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=16, help="Tests at a time.")] = 4,
    resume: Annotated[
        str, typer.Option("--resume", metavar="RUN", help="Go on with a run; `last` for the last one.")
    ] = "",
    navigator: Annotated[
        Path | None, typer.Option("--navigator", help="Write a layer for the ATT&CK Navigator.")
    ] = None,
    output: AsFormat = Format.TABLE,
) -> None:
    """Run tests, each on a new node that is thrown away: effect, telemetry and detection of each."""
    from lab.cli import atomic_tables as tables
    from lab.flow.atomic import Choice
    from lab.pipeline import ATOMIC_RUN

    if not technique and not everything:
        raise click.UsageError("name a technique, or give  --all")
    session = open_session()
    choice = Choice(
        technique=technique,
        number=test,
        arguments=_arguments(argument or ()),
        checkout=checkout,
        platform=_platform(platform),
        jobs=jobs,
        resume=resume,
    )
    found = session.run(ATOMIC_RUN, choice)
    if navigator:
        tables.write_layer(found, session.context.path(navigator))
    tables.outcomes(session.screen, found, as_json=output == Format.JSON)
    if found.run.header().state == "stopped":
        raise typer.Exit(Stopped.exit_code)
    if not any(it.ran for it in found.tests):
        raise typer.Exit(1)


def _arguments(given: list[str] | tuple[str, ...]) -> dict[str, str]:
    wrong = [it for it in given if "=" not in it]
    if wrong:
        raise click.BadParameter(f"{wrong[0]!r} is not NAME=VALUE", param_hint="--argument")
    return dict(it.split("=", 1) for it in given)
