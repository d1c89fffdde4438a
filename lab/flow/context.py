"""What stages need from outside: engine, workplace, stop signal, and who hears of what goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from lab.files.workplace import Workplace
from lab.workers import Stop

if TYPE_CHECKING:  # what only some commands need is imported by their stages, so that all start quickly
    from lab.detect.alert import Alert
    from lab.engine.engine import Engine
    from lab.exercise.briefing import Briefing
    from lab.inventory.kind import Kinds


@dataclass(kw_only=True)
class Context:
    """Everything that one command works with; closed at its end, and nothing of it outlives it."""

    workplace: Workplace
    """The folder it works in."""

    connect: Callable[[], Engine]
    """Gives the engine, or raises what is wrong with it."""

    stop: Stop = field(default_factory=Stop)
    """Set when the user stops the command; what takes long in a worker looks at it."""

    tell: Callable[[str], None] = lambda _line: None
    """Hears one line about what is going on."""

    on_alert: Callable[[Alert], None] = lambda _alert: None
    """Hears of each alert as it is raised."""

    on_step: Callable[[str], None] | None = None
    """Hears which step begins, and what is undone; `tell` does when this is None."""

    before_step: Callable[[Briefing], None] = lambda _briefing: None
    """Called before each step of an exercise; may wait for the user."""

    timed: Callable[[str], AbstractContextManager[None]] = lambda _name: nullcontext()
    """Wraps each stage, to say how long it took."""

    ask_password: Callable[[str], str] = lambda _account: ""
    """Asks a person for the password of an account; gives nothing where nobody can be asked."""

    pause: Callable[[float], None] = time.sleep
    """Waits."""

    command: str = "lab"
    """What this is, `lab up starter`, for whoever has to wait for it."""

    lab_name: str = ""
    """The lab a command is about; found when empty."""

    held: ExitStack = field(default_factory=ExitStack)
    """What is given back when the last stage is done."""

    def __enter__(self) -> Self:
        """Begin a command."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it: the engine is closed, if it was ever asked for."""
        self.held.close()
        engine = self.__dict__.pop("engine", None)
        if engine is not None:
            engine.close()

    @cached_property
    def engine(self) -> Engine:
        """The engine, connected when it is first needed."""
        return self.connect()

    @cached_property
    def kinds(self) -> Kinds:
        """What nodes can be: the roles of the workplace and those that ship."""
        from lab.inventory.kind import Kinds

        return Kinds(self.workplace.roles())

    def path(self, path: Path) -> Path:
        """Return a path that a user gave, which is meant from the workplace."""
        return self.workplace.folder / path


Stage = Callable[[Any, Context], Any]
"""One stage: the value before it, and the context, to its own value."""


def run_stages(stages: Sequence[Stage], value: object, context: Context) -> Any:  # noqa: ANN401  # the last stage's value
    """Hand a value through the stages."""
    with context.held:
        for stage in stages:
            with context.timed(stage.__name__.replace("_", " ")):
                value = stage(value, context)
    return value
