"""The command line: parse, call the pipeline, print, exit code. No decisions are made here."""

from __future__ import annotations

import errno
import signal
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final, NoReturn

import click
import typer
import typer.core

from lab.cli import (
    atomic,
    bench,
    case,
    detect,
    evidence,
    labs,
    learn,
    loop,
    machine,
    models,
    respond,
    rules,
    runs,
    serve,
    siem,
)
from lab.cli.session import Outside
from lab.errors import LabError, Leak, NotReady, Stopped, WrongInput

if TYPE_CHECKING:
    from lab.cli.screen import Screen


_AFTERWARDS = "what was written stays; the same command carries on,  lab down  removes the lab"


class _Commands(typer.core.TyperGroup):
    """All commands. Typer would make Ctrl-C a silent exit code of it."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  # click's
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise Stopped(
                doing=f"lab {ctx.invoked_subcommand or ''}".strip(),
                next_command=_AFTERWARDS,
            ) from interrupt


app = typer.Typer(
    name="lab",
    cls=_Commands,
    help="Build a security home lab, attack it, see what was detected and why the rest was missed.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with:  lab demo",
)
for group in (labs, runs, serve, detect, loop, learn, evidence, machine):
    app.registered_commands += group.app.registered_commands
app.add_typer(atomic.app, name="atomic")
app.add_typer(bench.app)
app.add_typer(case.app, name="case")
app.add_typer(models.learn, name="learn")
app.add_typer(models.model, name="model")
app.add_typer(respond.app, name="respond")
app.add_typer(rules.app, name="rules")
app.add_typer(siem.app, name="siem")


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


def main(outside: Outside | None = None) -> NoReturn:
    """Run the command line and end the process with its exit code; no traceback reaches a user.

    Args:
        outside: The engine and the folder; those of this machine when nothing else is given.
    """
    _stop_when_told()
    if any(_unreadable(argument) for argument in sys.argv[1:]):
        from lab.cli.screen import Screen

        Screen().fault("an argument is not UTF-8, so nothing was done")
        sys.exit(WrongInput.exit_code)
    try:
        result = app(standalone_mode=False, obj=outside or Outside())
    except BrokenPipeError:
        sys.stdout = None  # whoever read our output has seen enough; Python would complain at exit
        sys.exit(0)
    except (click.ClickException, click.Abort, KeyboardInterrupt, LabError, OSError, ExceptionGroup) as error:
        sys.exit(_explain(error))
    sys.exit(result if isinstance(result, int) else 0)


def _unreadable(argument: str) -> bool:
    """Tell whether an argument has bytes that are no text: Python keeps them as lone surrogates."""
    return any("\ud800" <= character <= "\udfff" for character in argument)


def _stop_when_told() -> None:
    """Let Ctrl-C, being told to end and a closed terminal stop us; what is ignored, as by nohup, stays so."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


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
        return _explain_system(screen, error)
    screen.fault(f"stopped\n    {_AFTERWARDS}")
    return Stopped.exit_code


def _explain_system(screen: Screen, error: OSError) -> int:
    """Say what the system refused, of which file, and what to do."""
    what = f"{error.strerror or error}: {error.filename or 'this folder'}"
    for numbers, remedy, code in _REFUSALS:
        if error.errno in numbers:
            screen.fault(f"{what}\n    {remedy}")
            return code
    screen.fault(f"{what}\n    repeat the command; if it goes on,  lab doctor  says what is missing")
    return LabError.exit_code


_REFUSALS: Final = (
    ({errno.ENOSPC, errno.EDQUOT}, "make room, then repeat the command", NotReady.exit_code),
    ({errno.EACCES, errno.EPERM, errno.EROFS}, "work in a folder that you may write", NotReady.exit_code),
    ({errno.EEXIST, errno.ENOTEMPTY}, "it is there already; name another", WrongInput.exit_code),
    (
        {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP},
        "look at the path that was given",
        WrongInput.exit_code,
    ),
)
"""What the system says, what to do, and how we end."""


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
