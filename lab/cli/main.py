"""The command line: parse, call the pipeline, print, exit code. No decisions are made here."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer

from lab.errors import LabError, Leak, NotReady

if TYPE_CHECKING:  # heavy imports wait until a command needs them, so that `lab --help` is quick
    from collections.abc import Callable

    from lab.cli.screen import Screen
    from lab.engine.nodes import SeenNode
    from lab.pipeline import Means, Stage

app = typer.Typer(
    name="lab",
    help="Build a security home lab, attack it, see what was detected and why the rest was missed.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with:  lab demo",
)

_LONGEST = 3600
"""Seconds a command on a node may take."""

_WATCH_EVERY = 1.0
"""Seconds between two looks of `--watch`."""

_INTERRUPTED = 130
"""What a shell expects of a program that Ctrl-C ended."""


class Format(StrEnum):
    """How a command writes its data."""

    TABLE = "table"
    JSON = "json"


class Output(StrEnum):
    """How the answer to a question is written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


AsFormat = Annotated[Format, typer.Option("--format", help="How to write the data.")]
LabName = Annotated[str, typer.Option("--lab", help="Which lab; found when only one runs.")]
LabArgument = Annotated[str, typer.Argument(metavar="[LAB]", help="Which lab; found when only one runs.")]
RunName = Annotated[
    str, typer.Argument(metavar="[RUN]", help="A run's id, or how it begins; else the last run.")
]
Inventory = Annotated[str, typer.Argument(metavar="[INVENTORY]", help="Name or path of an inventory.")]


@dataclass(frozen=True, slots=True)
class _Desk:
    """What a handler works with."""

    screen: Screen
    means: Means

    def execute(self, stages: tuple[Stage, ...], value: object) -> Any:  # noqa: ANN401  # the last stage's value
        """Hand a value through the stages."""
        from lab.pipeline import execute

        return execute(stages, value, self.means)


def _desk(lab: str = "") -> _Desk:
    from lab.cli.screen import Screen
    from lab.pipeline import Means

    screen = Screen()
    return _Desk(screen, Means(lab_name=lab, tell=screen.tell, on_alert=screen.alert, timed=screen.stage))


def _version(*, wanted: bool) -> None:
    if wanted:
        from lab import __version__

        sys.stdout.write(f"lab {__version__}\n")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _options(
    context: typer.Context,
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=lambda wanted: _version(wanted=wanted), is_eager=True, help="Show it."
        ),
    ] = False,
) -> None:
    del version
    if context.invoked_subcommand is None:
        sys.stdout.write(f"{context.get_help()}\n")


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
    desk = _desk()
    proof = desk.execute(UP, inventory)
    tables.nodes(desk.screen, proof.running, as_json=output == Format.JSON)
    tables.walls_in_short(desk.screen, proof)


@app.command(epilog="Example:  lab plan starter --format json")
def plan(inventory: Inventory = "", output: AsFormat = Format.TABLE) -> None:
    """Show what `lab up` would change, and why. Changes nothing."""
    from lab.cli import tables
    from lab.pipeline import PLAN

    desk = _desk()
    tables.plan(desk.screen, desk.execute(PLAN, inventory).plan, as_json=output == Format.JSON)


@app.command(epilog="Example:  lab verify")
def verify(lab: LabArgument = "", output: AsFormat = Format.TABLE) -> None:
    """Attack the walls of a lab from inside every node; end with 1 if something gets through."""
    from lab.cli import tables
    from lab.pipeline import VERIFY, find_lab

    desk = _desk(lab)
    proof = desk.execute(VERIFY, find_lab(desk.means))
    tables.walls(desk.screen, proof, as_json=output == Format.JSON)
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

    desk = _desk(lab)
    proof = desk.execute(RESET, tuple(nodes or ()))
    tables.nodes(desk.screen, proof.running, as_json=output == Format.JSON)
    tables.walls_in_short(desk.screen, proof)


@app.command("ls", epilog="Example:  lab ls --format json")
def list_labs(output: AsFormat = Format.TABLE) -> None:
    """List every lab on this machine."""
    from lab.cli import tables
    from lab.provision import status

    desk = _desk()
    tables.labs(desk.screen, status.labs(desk.means.engine), as_json=output == Format.JSON)


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

    desk = _desk(lab)
    while True:
        found = desk.execute(STATUS, lab)
        if watch and output == Format.TABLE:
            desk.screen.clear()
        show(desk.screen, found, as_json=output == Format.JSON)
        if not watch:
            return
        desk.means.pause(_WATCH_EVERY)


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
    from lab.pipeline import find_node
    from lab.provision import status

    desk = _desk(lab)
    found = find_node(node, desk.means)
    if follow:
        for line in status.follow_logs(found, desk.means.engine, source=source, lines=lines):
            tables.log_line(desk.screen, line, as_json=output == Format.JSON)
        return
    tails = status.read_logs(found, desk.means.engine, source=source, lines=lines)
    tables.logs(desk.screen, tails, as_json=output == Format.JSON)


@app.command(epilog="Example:  lab prune --dry-run")
def prune(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also images that inventories need.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List them, and remove nothing.")] = False,
    output: AsFormat = Format.TABLE,
) -> None:
    """Remove baked images that no node uses and no inventory, shipped or in this folder, needs."""
    from lab import pipeline
    from lab.cli import tables

    desk = _desk()
    old = pipeline.old_images(desk.means, everything=everything)
    if not dry_run:
        pipeline.remove_images(old, desk.means)
    tables.images(desk.screen, old, removed=not dry_run, as_json=output == Format.JSON)


@app.command(epilog="Example:  lab run ssh-brute-force")
def run(
    scenario: Annotated[str, typer.Argument(help="Name or path of a scenario.")],
    lab: LabName = "",
    output: AsFormat = Format.TABLE,
) -> None:
    """Run an exercise: benign traffic, then the attack; alerts appear while it runs; then the score."""
    from lab.cli import tables
    from lab.pipeline import RUN

    desk = _desk(lab)
    scored = desk.execute(RUN, scenario)
    tables.score(desk.screen, scored, as_json=output == Format.JSON)


@app.command(epilog="Example:  lab score 20261123")
def score(run: RunName = "", output: AsFormat = Format.TABLE) -> None:
    """Score a run again from its files: the same files give the same bytes."""
    from lab.cli import tables
    from lab.pipeline import SCORE
    from lab.runs import folder

    desk = _desk()
    scored = desk.execute(SCORE, folder.find(run))
    tables.score(desk.screen, scored, as_json=output == Format.JSON)


@app.command(epilog="Example:  lab report")
def report(
    run: RunName = "",
    *,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Write the report itself, as Markdown.")
    ] = False,
) -> None:
    """Write the report of a run and say where it is."""
    from lab.cli import tables
    from lab.pipeline import SCORE
    from lab.runs import folder

    desk = _desk()
    scored = desk.execute(SCORE, folder.find(run))
    tables.report(desk.screen, scored.run, markdown=markdown)


@app.command(epilog='Example:  lab query "SELECT \\"host.name\\", count(*) FROM events GROUP BY 1"')
def query(
    sql: Annotated[str, typer.Argument(help="One SELECT over the tables events, alerts and truth.")],
    run: Annotated[str, typer.Option("--run", help="A run's id, or how it begins; else the last run.")] = "",
    output: Annotated[Output, typer.Option("--format", help="How to write the answer.")] = Output.TABLE,
) -> None:
    """Ask a run a question in SQL. Nothing can be changed, and no other file can be read."""
    from lab.ask.query import query as ask
    from lab.cli import tables
    from lab.runs import folder

    desk = _desk()
    tables.answer(desk.screen, ask(folder.find(run).path, sql), output.value)


@app.command(
    "exec",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog="Example:  lab exec attacker -- nmap -sn bastion",
)
def execute(
    node: Annotated[str, typer.Argument(help="Which node.")],
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...", help="What to run there.")],
    lab: LabName = "",
) -> None:
    """Run a command on a node and end with its exit code."""
    from lab.pipeline import find_node

    desk = _desk(lab)
    raise typer.Exit(_run_there(desk, find_node(node, desk.means), tuple(command)))


def _run_there(desk: _Desk, node: SeenNode, argv: tuple[str, ...], stdin: bytes = b"") -> int:
    ran = desk.means.engine.execute(node, argv, user="root", stdin=stdin, timeout=_LONGEST)
    sys.stdout.buffer.write(ran.stdout)
    sys.stdout.flush()
    sys.stderr.buffer.write(ran.stderr)
    return ran.code


@app.command(epilog="Example:  lab shell attacker")
def shell(node: Annotated[str, typer.Argument(help="Which node.")], lab: LabName = "") -> None:
    """Open a shell on a node; what is piped in is run as a script."""
    from lab.pipeline import find_node

    desk = _desk(lab)
    found = find_node(node, desk.means)
    if sys.stdin.isatty():
        raise typer.Exit(desk.means.engine.open_shell(found))
    raise typer.Exit(_run_there(desk, found, ("bash", "-s"), sys.stdin.buffer.read()))


@app.command(epilog="Example:  lab doctor --fix")
def doctor(
    inventory: Inventory = "",
    *,
    fix: Annotated[bool, typer.Option("--fix", help="Install and start what is missing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: AsFormat = Format.TABLE,
) -> None:
    """Check whether this machine is ready for a lab, and say what to do where it is not."""
    from lab.cli import tables
    from lab.pipeline import read_lab
    from lab.provision import doctor

    desk = _desk()
    lab = read_lab(inventory, desk.means)
    checks = doctor.examine(desk.means.connect, lab)
    if fix and any(not check.ready and check.name in doctor.MENDED for check in checks):
        _prepare(desk, yes=yes)
        checks = doctor.examine(desk.means.connect, lab)
    tables.checks(desk.screen, checks, as_json=output == Format.JSON)
    doctor.require(checks)


def _prepare(desk: _Desk, *, yes: bool) -> None:
    """Say what will change, ask on a terminal, then do it."""
    from lab.provision import doctor

    doctor.refuse_unless_root()
    desk.screen.tell("this will change on this machine:")
    for change in doctor.changes():
        desk.screen.tell(f"  - {change}")
    if not yes and sys.stdin.isatty() and not typer.confirm("Go on?", err=True):
        raise NotReady("nothing was changed", remedy="lab demo --replay  works without an engine")
    doctor.prepare(desk.means.connect, desk.screen.tell)


@app.command(epilog="Example:  lab down starter")
def down(
    name: LabArgument = "",
    *,
    everything: Annotated[bool, typer.Option("--all", help="Every lab on this machine.")] = False,
    output: AsFormat = Format.TABLE,
) -> None:
    """Remove a lab by its labels alone, and prove that nothing is left."""
    from lab.cli import tables
    from lab.pipeline import DOWN, labs_to_remove

    desk = _desk()
    receipts = [desk.execute(DOWN, it) for it in labs_to_remove(name, desk.means, everything=everything)]
    tables.receipts(desk.screen, receipts, as_json=output == Format.JSON)
    if left := [trace for receipt in receipts for trace in receipt.left]:
        raise typer.Exit(_left_over(desk, left))


def _left_over(desk: _Desk, left: list[str]) -> int:
    desk.screen.fault(f"{len(left)} traces are left; lab doctor  says more")
    return LabError.exit_code


@app.command(epilog="Example:  lab demo --yes")
def demo(
    *,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before the machine is prepared.")
    ] = False,
    replay: Annotated[
        bool, typer.Option("--replay", help="Replay the recorded run; needs no engine.")
    ] = False,
) -> None:
    """Do the whole job: prepare the machine, build the starter lab, attack it, report, remove it."""
    from lab.cli import tables
    from lab.pipeline import DEFAULT_LAB, DEFAULT_SCENARIO, DOWN, RUN, UP
    from lab.provision import doctor

    desk = _desk(DEFAULT_LAB)
    if replay:
        _replay(desk, DEFAULT_SCENARIO)
        return
    try:
        if not doctor.examine(desk.means.connect, unbaked=0)[0].ready:  # `up` asks for the rest
            _prepare(desk, yes=yes)
    except NotReady as error:
        desk.screen.fault(error.message())
        desk.screen.tell("no engine can be had here, so a recorded run is replayed instead")
        _replay(desk, DEFAULT_SCENARIO)
        return
    proof = desk.execute(UP, DEFAULT_LAB)
    tables.nodes(desk.screen, proof.running, as_json=False)
    tables.walls_in_short(desk.screen, proof)
    tables.score(desk.screen, desk.execute(RUN, DEFAULT_SCENARIO), as_json=False)
    receipt = desk.execute(DOWN, DEFAULT_LAB)
    tables.receipts(desk.screen, [receipt], as_json=False)
    if receipt.left:
        raise typer.Exit(_left_over(desk, list(receipt.left)))


@app.command(epilog="Example:  lab replay ssh-brute-force")
def replay(
    recording: Annotated[str, typer.Argument(help="One that ships with lab, or a run.")] = "ssh-brute-force",
    output: AsFormat = Format.TABLE,
) -> None:
    """Play a recorded run again: its events, today's rules, a new score and report. Needs no engine."""
    _replay(_desk(), recording, as_json=output == Format.JSON)


def _replay(desk: _Desk, name: str, *, as_json: bool = False) -> None:
    from lab.cli import tables
    from lab.pipeline import REPLAY
    from lab.watch import replay

    found = replay.find(name)
    desk.screen.tell(f"REPLAY of a run recorded {found.header().started.iso()[:10]}: no traffic is made now")
    tables.score(desk.screen, desk.execute(REPLAY, found), as_json=as_json)


@app.command(epilog="Example:  lab record 20261123 --to recordings/mine")
def record(
    run: RunName = "",
    to: Annotated[Path, typer.Option("--to", help="The folder to make.")] = Path("recording"),
) -> None:
    """Keep what a replay of a run needs: definition, truth and events, without packets."""
    from lab.runs import folder
    from lab.watch import replay

    desk = _desk()
    kept = replay.record(folder.find(run), to)
    desk.screen.line(str(kept.path))


bench = typer.Typer(
    name="bench",
    help="Measure lab beside others, on this machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(bench)


@bench.callback()
def _bench() -> None:
    """Make `up` a command of `bench` and not `bench` itself."""


@bench.command("up", epilog="Example:  lab bench up --nodes 6,50 --rounds 5 --to bench")
def bench_up(
    nodes: Annotated[str, typer.Option("--nodes", help="How many, separated by commas.")] = "6,50",
    rounds: Annotated[int, typer.Option("--rounds", min=1, max=50, help="How often each runs.")] = 5,
    to: Annotated[Path | None, typer.Option("--to", help="A folder for the figures and a picture.")] = None,
    output: AsFormat = Format.TABLE,
) -> None:
    """Time `lab up` and `lab down` beside the bare engine, Docker Compose and containerlab, where present."""
    from lab.cli import tables
    from lab.pipeline import bench_lab

    desk = _desk()
    contest = bench_lab(nodes, rounds, to, desk.means)
    tables.contest(desk.screen, contest, as_json=output == Format.JSON)


def main() -> None:
    """Run the command line and end the process with its exit code; no traceback reaches a user."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # being told to end is being stopped
    try:
        result = app(standalone_mode=False)
    except BrokenPipeError:
        sys.stdout = None  # whoever read our output has seen enough; Python would complain at exit
        sys.exit(0)
    except (click.ClickException, click.Abort, KeyboardInterrupt, LabError, OSError, ExceptionGroup) as error:
        sys.exit(_explain(error))
    sys.exit(result if isinstance(result, int) else 0)


def _explain(error: BaseException) -> int:
    """Show what went wrong and return the exit code."""
    from lab.cli.screen import Screen

    screen = Screen()
    if isinstance(error, click.ClickException):
        screen.fault(f"{error.format_message()}\n    lab --help  lists the commands")
        return error.exit_code
    if isinstance(error, LabError):
        screen.fault(error.message())
        return error.exit_code
    if isinstance(error, ExceptionGroup):
        return _explain_all(screen, error)
    if isinstance(error, OSError):
        screen.fault(
            f"{error.strerror}: {error.filename or 'this folder'}\n    lab doctor  says what is missing"
        )
        return NotReady.exit_code
    screen.fault(
        "stopped\n    what was written stays; the same command carries on,  lab down  removes the lab"
    )
    return _INTERRUPTED


def _explain_all(screen: Screen, group: ExceptionGroup[Exception]) -> int:
    """Show every error of a group of ours; anything else is a fault of this program."""
    ours, others = group.split(LabError)
    if others:
        raise others
    found = [error for error in _flat(ours) if isinstance(error, LabError)] if ours else []
    for message in dict.fromkeys(error.message() for error in found):
        screen.fault(message)
    return max((error.exit_code for error in found if not isinstance(error, Leak)), default=1)


def _flat(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    return [
        it
        for error in group.exceptions
        for it in (_flat(error) if isinstance(error, ExceptionGroup) else [error])
    ]
