"""Commands of a case."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import AsFormat, Format, RunName
from lab.cli.session import open_session

if TYPE_CHECKING:
    from lab.cli.screen import Screen
    from lab.flow.case import Told

app = typer.Typer(
    help="Keep a case of a run: what was found out and noted, until it is closed and graded.",
    no_args_is_help=True,
)

_Run = Annotated[str, typer.Option("--run", help="A run's id; else the last with an open case.")]
_When = Annotated[
    str, typer.Option("--time", help="When: +63 (seconds since the run began), 12:01:03, or a whole moment.")
]


@app.command("open", epilog="Example:  lab case open 20261128 --alert 3f9c")
def open_case(
    run: RunName = "",
    *,
    alert: Annotated[
        list[str] | None, typer.Option("--alert", help="An alert's id, or how it begins; may be repeated.")
    ] = None,
    output: AsFormat = Format.TABLE,
) -> None:
    """Open the case of a run, with the alerts that it begins with."""
    from lab.flow.case import Opening
    from lab.pipeline import CASE_OPEN

    session = open_session()
    told: Told = session.run(CASE_OPEN, Opening(run=run, alerts=tuple(alert or ())))
    _show(session.screen, told, "opened", output)


@app.command(epilog="Example:  lab case note 'asked the developer: it was not he'")
def note(
    text: Annotated[str, typer.Argument(help="What is to be remembered.")],
    *,
    when: _When = "",
    run: _Run = "",
    output: AsFormat = Format.TABLE,
) -> None:
    """Write a note into the open case."""
    from lab.flow.case import Telling
    from lab.pipeline import CASE_TELL

    session = open_session()
    _show(session.screen, session.run(CASE_TELL, Telling(run=run, text=text, when=when)), "noted", output)


@app.command(epilog="Example:  lab case finding --host shop --technique T1505.003 --event 8a1c 'a web shell'")
def finding(  # noqa: PLR0913  # what a finding says
    text: Annotated[str, typer.Argument(metavar="[TEXT]", help="What happened, in words.")] = "",
    *,
    host: Annotated[str, typer.Option("--host", help="The node it was on.")] = "",
    account: Annotated[str, typer.Option("--account", help="The account it was under.")] = "",
    address: Annotated[str, typer.Option("--address", help="The address it came from or went to.")] = "",
    technique: Annotated[str, typer.Option("--technique", help="The technique of ATT&CK: T1110.001.")] = "",
    when: _When = "",
    event: Annotated[
        list[str] | None, typer.Option("--event", help="The id of an event that shows it; may be repeated.")
    ] = None,
    run: _Run = "",
    output: AsFormat = Format.TABLE,
) -> None:
    """Write into the open case what was found out, with the events that show it."""
    from lab.flow.case import Telling
    from lab.pipeline import CASE_TELL

    session = open_session()
    telling = Telling(
        run=run, text=text, when=when, finding=True, host=host, account=account, address=address,
        technique=technique, events=tuple(event or ()),
    )  # fmt: skip
    _show(session.screen, session.run(CASE_TELL, telling), "found", output)


@app.command(epilog="Example:  lab case close 'contained; the key was replaced'")
def close(
    text: Annotated[str, typer.Argument(metavar="[TEXT]", help="Last words.")] = "",
    *,
    run: _Run = "",
    output: AsFormat = Format.TABLE,
) -> None:
    """Close the open case: what it has is frozen and graded; an attack that goes on ends."""
    from lab.flow.case import Telling
    from lab.pipeline import CASE_CLOSE

    session = open_session()
    told: Told = session.run(CASE_CLOSE, Telling(run=run, text=text))
    _show(session.screen, told, "closed", output)
    if output == Format.TABLE:
        session.screen.tell(f"lab grade {told.run.path.name}  grades it, once the run is over")


@app.command(epilog="Example:  lab case report 20261128 --to case.md")
def report(
    run: RunName = "",
    *,
    to: Annotated[Path | None, typer.Option("--to", help="The file to write; else it is shown.")] = None,
) -> None:
    """Write the case as Markdown: findings, response, notes."""
    from lab.files import careful
    from lab.pipeline import CASE_REPORT

    session = open_session()
    text = session.run(CASE_REPORT, run)
    if to is None:
        session.screen.pass_on(1, text.encode())
    else:
        careful.replace(session.context.path(to), text.encode())


def _show(screen: Screen, told: Told, what: str, output: Format) -> None:
    if output == Format.JSON:
        screen.json(told.entry)
    else:
        screen.line(f"{told.run.path.name}  {what}  {told.entry.id}")
