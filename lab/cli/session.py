"""What a command is started with, and what a handler works with."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:  # heavy imports wait until a command needs them, so that `lab --help` is quick
    from lab.cli.screen import Screen
    from lab.engine.engine import Engine
    from lab.exercise.briefing import Briefing
    from lab.flow.context import Context, Stage
    from lab.workers import Stop


_LOOKS: Final = 0.2
"""Seconds between looks whether Ctrl-C was pressed, while the user reads."""


def docker() -> Engine:
    """Connect to the engine of this machine.

    Raises:
        EngineUnreachable: none answers.
        NoRights: this user may not.
    """
    from lab.engine.docker import DockerEngine

    return DockerEngine()


@dataclass(frozen=True, kw_only=True, slots=True)
class Outside:
    """What the command line is given by whoever starts it."""

    connect: Callable[[], Engine] = docker
    """Gives the engine."""

    folder: Path = field(default_factory=Path.cwd)
    """The folder to work in."""

    pause: Callable[[float], None] = time.sleep
    """Waits."""


@dataclass(frozen=True, slots=True)
class Session:
    """One command being carried out."""

    screen: Screen
    """Where results are shown."""

    context: Context
    """What stages are handed."""

    def run(self, stages: Sequence[Stage], value: object) -> Any:  # noqa: ANN401  # the last stage's value
        """Hand a value through the stages."""
        from lab.flow.context import run_stages

        return run_stages(stages, value, self.context)

    def agreeing(self, *, asked: bool) -> Callable[[Sequence[str]], bool]:
        """Return what says what will change on this machine and, on a terminal, asks whether it may."""

        def agree(changes: Sequence[str]) -> bool:
            """Say it, and ask."""
            self.screen.tell("this will change on this machine:")
            for change in changes:
                self.screen.tell(f"  - {change}")
            return not (asked and sys.stdin.isatty()) or click.confirm("Go on?", err=True)

        return agree


def _nobody(_said: object) -> None:
    """Hear of something and keep it."""


def _ask_password(account: str) -> str:
    """Ask on a terminal, without showing what is typed; a script is not asked."""
    if not sys.stdin.isatty():
        return ""
    return str(click.prompt(f"Password of {account}", hide_input=True, err=True))


def _await_enter(screen: Screen, stop: Stop, step: Briefing) -> None:
    """Say what will happen and where to look, and wait for the return key; the end of input is one."""
    screen.tell(f"next: {step.name}")
    told = {"technique": step.technique, "from": step.source, "how": step.what, "note": step.note}
    for label, said in told.items():
        if said:
            screen.tell(f"      {label}: {said}")
    for it in step.watch:
        screen.tell(f"      watch: {it}")
    screen.tell("      press Return to go on")
    typed = threading.Thread(target=sys.stdin.readline, daemon=True)  # Ctrl-C does not wake who reads
    typed.start()
    while typed.is_alive() and not stop.is_set():
        typed.join(_LOOKS)


def open_session(
    lab: str = "", *, hide_alerts: bool = False, hide_steps: bool = False, step_by_step: bool = False
) -> Session:
    """Begin a command; what it opened is closed when the command line is done with it.

    Args:
        lab: Which lab; found when empty.
        hide_alerts: Whether nothing is shown of what is noticed while an exercise goes on.
        hide_steps: Whether nothing is shown of what is done in it.
        step_by_step: Whether each step waits for the user.
    """
    from lab.cli.screen import Screen
    from lab.files.workplace import Workplace
    from lab.flow.context import Context

    outside: Outside = click.get_current_context().ensure_object(Outside)
    screen = Screen()
    context = Context(
        workplace=Workplace(outside.folder),
        connect=outside.connect,
        pause=outside.pause,
        lab_name=lab,
        command=" ".join(("lab", *sys.argv[1:])),
        tell=screen.tell,
        on_alert=_nobody if hide_alerts else screen.alert,
        on_step=_nobody if hide_steps else None,
        timed=screen.stage,
        ask_password=_ask_password,
    )
    if step_by_step:
        context.before_step = partial(_await_enter, screen, context.stop)
    return Session(screen, click.get_current_context().with_resource(context))
