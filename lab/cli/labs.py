"""Commands that build, look at, enter and remove labs."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Annotated, cast

import typer

from lab.cli.options import AsFormat, Format, Inventory, LabArgument, LabName
from lab.cli.session import Session, open_session
from lab.errors import LabError, Leak

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lab.provision.receipt import Receipt

app = typer.Typer()

_CHUNK = 65536

_WATCH_EVERY = 1.0
"""Seconds between two looks of `--watch`."""


@app.command(epilog="Example:  lab up starter")
def up(
    inventory: Inventory = "",
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, and change nothing.")] = False,
    output: AsFormat = Format.TABLE,
) -> None:
    """Build a lab: images, networks, nodes; wait until all are ready; prove that it is isolated."""
    from lab.cli import tables
    from lab.pipeline import UP

    if dry_run:
        plan(inventory, output)
        return
    session = open_session()
    proof = session.run(UP, inventory)
    tables.nodes(session.screen, proof.running, as_json=output == Format.JSON)
    tables.walls_in_short(session.screen, proof)


@app.command(epilog="Example:  lab plan starter --format json")
def plan(inventory: Inventory = "", output: AsFormat = Format.TABLE) -> None:
    """Show what `lab up` would change, and why. Changes nothing."""
    from lab.cli import tables
    from lab.pipeline import PLAN

    session = open_session()
    tables.plan(session.screen, session.run(PLAN, inventory).plan, as_json=output == Format.JSON)


@app.command(epilog="Example:  lab verify")
def verify(lab: LabArgument = "", output: AsFormat = Format.TABLE) -> None:
    """Attack the walls of a lab from inside every node; end with 1 if something gets through."""
    from lab.cli import tables
    from lab.pipeline import VERIFY

    session = open_session(lab)
    proof = session.run(VERIFY, lab)
    tables.walls(session.screen, proof, as_json=output == Format.JSON)
    if proof.holes:
        raise typer.Exit(Leak.exit_code)


@app.command(epilog="Example:  lab reset bastion")
def reset(
    nodes: Annotated[
        list[str] | None, typer.Argument(metavar="[NODE]...", help="Which nodes; all when none is named.")
    ] = None,
    lab: LabName = "",
    output: AsFormat = Format.TABLE,
) -> None:
    """Take nodes back to their baked state. The other nodes and the networks are not touched."""
    from lab.cli import tables
    from lab.pipeline import RESET

    session = open_session(lab)
    proof = session.run(RESET, tuple(nodes or ()))
    tables.nodes(session.screen, proof.running, as_json=output == Format.JSON)
    tables.walls_in_short(session.screen, proof)


@app.command("ls", epilog="Example:  lab ls --format json")
def list_labs(output: AsFormat = Format.TABLE) -> None:
    """List every lab on this machine."""
    from lab.cli import tables
    from lab.pipeline import LABS

    session = open_session()
    tables.labs(session.screen, session.run(LABS, None), as_json=output == Format.JSON)


@app.command(epilog="Example:  lab status --format json")
def status(
    lab: LabArgument = "",
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
    output: AsFormat = Format.TABLE,
) -> None:
    """Show the nodes: kind, health, addresses, uptime, use of processors and memory, image and its base."""
    from lab.cli import tables

    _show_nodes(lab, tables.status, watch=watch, output=output)


@app.command(epilog="Example:  lab top")
def top(lab: LabArgument = "", output: AsFormat = Format.TABLE) -> None:
    """Show what uses this machine most, until Ctrl-C; through a pipe, once."""
    from lab.cli import tables

    _show_nodes(lab, tables.top, watch=sys.stdout.isatty() and output == Format.TABLE, output=output)


def _show_nodes(lab: str, show: Callable[..., None], *, watch: bool, output: Format) -> None:
    from lab.pipeline import STATUS

    session = open_session(lab)
    while True:
        found = session.run(STATUS, lab)
        if watch and output == Format.TABLE:
            session.screen.clear()
        show(session.screen, found, as_json=output == Format.JSON)
        if not watch:
            return
        session.context.pause(_WATCH_EVERY)


@app.command(epilog="Example:  lab logs bastion --source sshd --follow")
def logs(  # noqa: PLR0913  # one for each option
    node: Annotated[str, typer.Argument(help="Which node.")],
    *,
    source: Annotated[str, typer.Option("--source", help="Only this log: its source, or `console`.")] = "",
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=100_000, help="How many.")] = 20,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    lab: LabName = "",
    output: AsFormat = Format.TABLE,
) -> None:
    """Show the ends of a node's logs: what it writes to files, and what its first process writes."""
    from lab.cli import tables
    from lab.flow.labs import LogChoice
    from lab.pipeline import FOLLOW_LOGS, LOGS

    session = open_session(lab)
    choice = LogChoice(node=node, source=source, lines=lines)
    if follow:
        for line in session.run(FOLLOW_LOGS, choice):
            tables.log_line(session.screen, line, as_json=output == Format.JSON)
        return
    tables.logs(session.screen, session.run(LOGS, choice), as_json=output == Format.JSON)


@app.command(epilog="Example:  lab prune --dry-run")
def prune(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also images that inventories need.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List them, and remove nothing.")] = False,
    output: AsFormat = Format.TABLE,
) -> None:
    """Remove baked images that no node uses and no inventory, shipped or in this folder, needs."""
    from lab.cli import tables
    from lab.flow.labs import Pruning
    from lab.pipeline import PRUNE

    session = open_session()
    old = session.run(PRUNE, Pruning(everything=everything, dry_run=dry_run))
    tables.images(session.screen, old, removed=not dry_run, as_json=output == Format.JSON)


@app.command(
    "exec",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example:  lab exec attacker -- nmap -sn bastion",
)
def run_command(
    node: Annotated[str, typer.Argument(help="Which node.")],
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="What to run there.")],
    lab: LabName = "",
) -> None:
    """Run a command on a node, with what is piped in; end with its exit code.

    What it leaves in the background ends with it.
    """
    raise typer.Exit(_run_there(open_session(lab), node, tuple(command)))


@app.command(epilog="Example:  lab shell attacker")
def shell(node: Annotated[str, typer.Argument(help="Which node.")], lab: LabName = "") -> None:
    """Open a shell on a node; what is piped in is run as a script. What it started ends with it."""
    from lab.pipeline import SHELL

    session = open_session(lab)
    if sys.stdin is not None and sys.stdin.isatty():
        raise typer.Exit(session.run(SHELL, node))
    raise typer.Exit(_run_there(session, node, ("bash", "-s")))


def _run_there(session: Session, node: str, argv: tuple[str, ...]) -> int:
    from lab.flow.labs import NodeCommand
    from lab.pipeline import EXEC

    command = NodeCommand(node=node, argv=argv, stdin=_piped_in(), hear=session.screen.pass_on)
    return int(session.run(EXEC, command))


def _piped_in() -> Iterator[bytes]:
    """Yield what is piped in, as it comes; a terminal is not read, since it has a shell for that."""
    if isinstance(sys.stdin, io.TextIOWrapper) and not sys.stdin.isatty():
        while chunk := cast("io.BufferedReader", sys.stdin.buffer).read1(_CHUNK):
            yield chunk


@app.command(epilog="Example:  lab down starter")
def down(
    name: LabArgument = "",
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every lab on this machine.")] = False,
    output: AsFormat = Format.TABLE,
) -> None:
    """Remove a lab by its labels alone, and prove that nothing is left."""
    from lab.cli import tables
    from lab.flow.labs import Removal
    from lab.pipeline import DOWN

    session = open_session()
    receipts = session.run(DOWN, Removal(name=name, everything=everything))
    tables.receipts(session.screen, receipts, as_json=output == Format.JSON)
    end_with_leftovers(session, receipts)


def end_with_leftovers(session: Session, receipts: Sequence[Receipt]) -> None:
    """End with an error when something is left of a lab that was removed."""
    if left := [trace for receipt in receipts for trace in receipt.left]:
        session.screen.fault(f"{len(left)} traces are left; lab doctor  says more")
        raise typer.Exit(LabError.exit_code)
