"""The command that takes evidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import AsFormat, Format, LabName
from lab.cli.session import open_session

if TYPE_CHECKING:
    from lab.cli.session import Session
    from lab.flow.evidence import Secured, Symbols

app = typer.Typer()


_SYMBOLS = "symbols"
"""Asks for a symbol file; as a name of a node it cannot be asked for here."""


@app.command(epilog="Examples:  lab evidence gateway --e01   lab evidence symbols")
def evidence(  # noqa: PLR0913  # its options
    node: Annotated[
        str,
        typer.Argument(
            help="Which node; one that stopped has a disk alone. `symbols`: no node, but the file by which "
            "Volatility 3 reads the memory of machines."
        ),
    ],
    *,
    disk: Annotated[bool, typer.Option("--disk/--no-disk", help="Make an image of its disk.")] = True,
    e01: Annotated[bool, typer.Option("--e01", help="Make it in the Expert Witness format as well.")] = False,
    yara: Annotated[
        Path | None, typer.Option("--yara", help="Look for these rules in its files and in its memory.")
    ] = None,
    run: Annotated[str, typer.Option("--run", help="The run it is of; else the last in the lab.")] = "",
    lab: LabName = "",
    output: AsFormat = Format.TABLE,
) -> None:
    """Take evidence of a node from outside: memory, triage, files and times, disk; before it is changed."""
    from lab.flow.evidence import Securing
    from lab.pipeline import EVIDENCE

    session = open_session(lab)
    if node == _SYMBOLS:
        _make_symbols(session, output)
        return
    securing = Securing(node=node, run=run, disk=disk, e01=e01, rules=yara)
    done: Secured = session.run(EVIDENCE, securing)
    if output == Format.JSON:
        session.screen.json(done.manifest)
        return
    session.screen.line(str(done.folder))
    rows = [(it.path, it.what, str(it.size), it.sha256) for it in done.manifest.items]
    session.screen.table(("file", "what", "bytes", "sha256"), rows, spare=("sha256",))
    for it in done.manifest.cannot:
        session.screen.tell(f"cannot hold {it}")


def _make_symbols(session: Session, output: Format) -> None:
    from lab.pipeline import SYMBOLS

    made: Symbols = session.run(SYMBOLS, None)
    if output == Format.JSON:
        session.screen.json(made)
        return
    session.screen.line(str(made.path))
    session.screen.tell(f"vol -s {made.folder} -f FOLDER/memory.elf linux.pslist  reads with it")
