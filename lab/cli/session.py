"""What a command is started with, and what a handler works with."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:  # heavy imports wait until a command needs them, so that `lab --help` is quick
    from lab.cli.screen import Screen
    from lab.engine.engine import Engine
    from lab.flow.context import Context, Stage


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


def open_session(lab: str = "") -> Session:
    """Begin a command; what it opened is closed when the command line is done with it."""
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
        on_alert=screen.alert,
        timed=screen.stage,
    )
    return Session(screen, click.get_current_context().with_resource(context))
