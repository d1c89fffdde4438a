"""The command that evaluates rules on files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import AsFormat, Format
from lab.cli.session import open_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from lab.cli.screen import Screen
    from lab.flow.detect import Found, Look

app = typer.Typer()

_SHOWN = 5
"""Reasons why rules cannot be evaluated that are told one by one."""


@app.command(epilog="Example:  lab detect events.json --rules sigma/rules/linux --as linux/process_creation")
def detect(  # noqa: PLR0913  # each is an option
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Files and folders; archives are unpacked.")
    ],
    rules: Annotated[
        list[Path] | None,
        typer.Option("--rules", help="Sigma files, or folders of them; again for more; else those of lab."),
    ] = None,
    source: Annotated[
        str,
        typer.Option(
            "--as",
            help="What the files are: linux/process_creation, windows/security, webserver, or a log that lab "
            "reads, as auth; else found by content.",
        ),
    ] = "",
    pipeline: Annotated[
        list[Path] | None,
        typer.Option("--pipeline", help="A processing pipeline of pySigma, applied before; again for more."),
    ] = None,
    *,
    fail_on: Annotated[
        str,
        typer.Option(
            "--fail-on", help="End with 1 when a rule of this level, or above, matches: low, high ..."
        ),
    ] = "",
    output: AsFormat = Format.TABLE,
) -> None:
    """Evaluate Sigma rules on files, without a run or a lab: one line for each match."""
    from lab.detect.alert import LEVELS
    from lab.flow.detect import Detection
    from lab.rulework import DETECT

    if fail_on and fail_on not in LEVELS:
        raise typer.BadParameter(f"--fail-on {fail_on}: write  {', '.join(LEVELS)}")
    session = open_session()
    order = Detection(
        paths=tuple(files),
        rules=tuple(rules or ()),
        source=source,
        pipelines=tuple(pipeline or ()),
        on_match=_writer(session.screen, as_json=output == Format.JSON),
    )
    look: Look = session.run(DETECT, order)
    _sum_up(session.screen, look)
    if fail_on and set(look.levels) & set(LEVELS[LEVELS.index(fail_on) :]):
        raise typer.Exit(1)


def _writer(screen: Screen, *, as_json: bool) -> Callable[[Found], None]:
    def write(found: Found) -> None:
        """Write one match, in one line."""
        if as_json:
            screen.json(found, indent=0)
            return
        time = found.time.iso() if found.time is not None else "-"
        tags = " ".join(it.removeprefix("attack.") for it in found.tags)
        screen.line(f"{time}  {found.level:13}  {found.file}:{found.event}  {found.title}  {tags}".rstrip())

    return write


def _sum_up(screen: Screen, look: Look) -> None:
    others = f"; for other log sources: {look.elsewhere}" if look.elsewhere else ""
    screen.tell(f"events: {look.events}; matches: {look.matches}; rules: {look.rules}{others}")
    if look.unusable:
        screen.tell(f"rules that cannot be evaluated: {len(look.unusable)}")
        for it in look.unusable[:_SHOWN]:
            screen.tell(f"    {it.path}:{it.line}: {it.title}: {it.why}")
        if len(look.unusable) > _SHOWN:
            screen.tell("    and others; all of them:  lab rules check PATH")
