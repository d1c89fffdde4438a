"""Commands that act against an attack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from lab.cli.options import AsFormat, Format, LabName
from lab.cli.session import open_session

if TYPE_CHECKING:
    from lab.cli.screen import Screen
    from lab.exercise.respond.base import Action
    from lab.exercise.respond.lock import Door
    from lab.runs.response import Response

app = typer.Typer(
    help="Act against an attack: each act is looked at, written down, and can be taken back.",
    no_args_is_help=True,
)

_Node = Annotated[str, typer.Argument(help="Which node.")]
_Run = Annotated[str, typer.Option("--run", help="The run it is an answer to; else the last in the lab.")]


@app.command(epilog="Example:  lab respond isolate gateway --network outside")
def isolate(
    node: _Node,
    *,
    network: Annotated[
        list[str] | None, typer.Option("--network", help="Only this network; may be repeated.")
    ] = None,
    run: _Run = "",
    lab: LabName = "",
    output: AsFormat = Format.TABLE,
) -> None:
    """Take a node off its networks; undone, it has the same addresses again."""
    from lab.exercise.respond.isolate import Isolate

    _carry_out(Isolate(node=node, network=tuple(network or ())), run, lab, output)


@app.command(epilog="Example:  lab respond block shop --address attacker")
def block(
    node: _Node,
    *,
    address: Annotated[str, typer.Option("--address", help="An address, or the node that has it.")],
    run: _Run = "",
    lab: LabName = "",
    output: AsFormat = Format.TABLE,
) -> None:
    """Block an address on a node, by a route that leads nowhere."""
    from lab.exercise.respond.block import Block

    _carry_out(Block(node=node, address=address), run, lab, output)


@app.command(epilog="Example:  lab respond lock gateway --user jens")
def lock(  # noqa: PLR0913  # its options
    node: _Node,
    *,
    user: Annotated[str, typer.Option("--user", help="The account.")],
    door: Annotated[
        list[str] | None,
        typer.Option("--door", help="Only password, key or session; may be repeated. Else all three."),
    ] = None,
    run: _Run = "",
    lab: LabName = "",
    output: AsFormat = Format.TABLE,
) -> None:
    """Lock an account: its password, its keys, and what it has open."""
    from lab.exercise.respond.lock import DOORS, Lock

    doors = cast("tuple[Door, ...]", tuple(door or DOORS))
    _carry_out(Lock(node=node, user=user, door=doors), run, lab, output)


@app.command(epilog="Example:  lab respond kill shop --program /tmp/.centreon_module")
def kill(  # noqa: PLR0913  # its options
    node: _Node,
    *,
    user: Annotated[
        str, typer.Option("--user", help="All that an account runs; of root its sessions alone.")
    ] = "",
    process: Annotated[
        int, typer.Option("--process", min=0, help="A process, by its number inside the node.")
    ] = 0,
    program: Annotated[str, typer.Option("--program", help="A program, by its file or its name.")] = "",
    run: _Run = "",
    lab: LabName = "",
    output: AsFormat = Format.TABLE,
) -> None:
    """End processes: of an account, of a program, or one by its number."""
    from lab.exercise.respond.kill import Kill

    _carry_out(Kill(node=node, user=user, process=process, program=program), run, lab, output)


@app.command(epilog="Example:  lab respond remove gateway /root/.ssh/authorized_keys --line intruder")
def remove(  # noqa: PLR0913  # its options
    node: _Node,
    path: Annotated[list[str], typer.Argument(help="Files or folders, as whole paths.")],
    *,
    line: Annotated[str, typer.Option("--line", help="Remove only the lines that have this in them.")] = "",
    run: _Run = "",
    lab: LabName = "",
    output: AsFormat = Format.TABLE,
) -> None:
    """Remove files or folders, or lines of files; undone, they are as they were."""
    from lab.exercise.respond.remove import Remove

    _carry_out(Remove(node=node, path=tuple(path), line=line), run, lab, output)


@app.command(epilog="Example:  lab respond restore shop")
def restore(node: _Node, *, run: _Run = "", lab: LabName = "", output: AsFormat = Format.TABLE) -> None:
    """Make a node anew from its baked image; undone, it is what it was before."""
    from lab.exercise.respond.restore import Restore

    _carry_out(Restore(node=node), run, lab, output)


@app.command(epilog="Example:  lab respond undo")
def undo(
    act: Annotated[
        str, typer.Argument(metavar="[ACT]", help="An act's id, or how it begins; else the last that stands.")
    ] = "",
    *,
    run: _Run = "",
    lab: LabName = "",
    output: AsFormat = Format.TABLE,
) -> None:
    """Take an act back."""
    from lab.flow.respond import TakingBack
    from lab.pipeline import TAKE_BACK

    session = open_session(lab)
    _show(session.screen, session.run(TAKE_BACK, TakingBack(id=act, run=run)), output)


_Values = Annotated[
    list[str] | None, typer.Option("--set", help="A variable's value: node=gateway; may be repeated.")
]
_Playbook = Annotated[
    str, typer.Argument(help="A playbook: its name or path; ssh, web-shell, exfiltration ship.")
]


@app.command(epilog="Example:  lab respond plan ssh --set node=gateway")
def plan(
    playbook: _Playbook,
    *,
    values: _Values = None,
    run: _Run = "",
    lab: LabName = "",
    output: AsFormat = Format.TABLE,
) -> None:
    """Hand in the playbook that you mean to go by: CACAO 2.0, read, and kept by its hash."""
    from lab.flow.respond import Following
    from lab.pipeline import HAND_IN

    session = open_session(lab)
    following = Following(playbook=playbook, values=_set(values), run=run)
    _show(session.screen, session.run(HAND_IN, following), output)


@app.command(epilog="Example:  lab respond follow web-shell --set node=shop")
def follow(playbook: _Playbook, *, values: _Values = None, run: _Run = "", lab: LabName = "") -> None:
    """Carry out a playbook: each of its actions in order; what is for a person is said."""
    from lab.flow.respond import Followed, Following
    from lab.pipeline import FOLLOW

    session = open_session(lab)
    following = Following(playbook=playbook, values=_set(values), run=run, on_step=session.screen.line)
    done: Followed = session.run(FOLLOW, following)
    for it in done.failed:
        session.screen.fault(it)
    if done.failed:
        raise typer.Exit(1)


def _set(values: list[str] | None) -> dict[str, str]:
    """Read values of variables."""
    parted = [it.partition("=") for it in values or ()]
    if wrong := [name for name, sign, _ in parted if not sign]:
        raise typer.BadParameter(f"--set {wrong[0]}: write  name=value")
    return {name: value for name, _, value in parted}


def _carry_out(action: Action, run: str, lab: str, output: Format) -> None:
    from lab.flow.respond import Answering
    from lab.pipeline import RESPOND

    session = open_session(lab)
    _show(session.screen, session.run(RESPOND, Answering(action=action, run=run)), output)


def _show(screen: Screen, done: Response, output: Format) -> None:
    if output == Format.JSON:
        screen.json(done)
    else:
        screen.line(f"{done.id}  {done.said}")
