"""Commands that train models, and say which of them raise alerts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import AsFormat, Format
from lab.cli.session import open_session

if TYPE_CHECKING:
    from lab.flow.models import Kept, Learnt

learn = typer.Typer(help="Train a model, and write its card.", no_args_is_help=True)
model = typer.Typer(help="Models: list, show, check, switch on, forget.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="The model's name.")]


@learn.command(epilog="Example:  lab learn sqli --benign 20261127 --attacks payloads.txt")
def sqli(  # noqa: PLR0913  # its options
    *,
    benign: Annotated[
        list[str] | None, typer.Option("--benign", help="A run without an attack; may be given again.")
    ] = None,
    attacks: Annotated[
        list[Path] | None, typer.Option("--attacks", help="Payloads, one a line; may be given again.")
    ] = None,
    test: Annotated[
        list[Path] | None,
        typer.Option("--test", help="Payloads that are opened once the model is frozen; may be given again."),
    ] = None,
    test_benign: Annotated[
        list[Path] | None, typer.Option("--test-benign", help="Benign values that are opened then.")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=20, help="How often it is trained.")] = 3,
    name: Annotated[str, typer.Option("--name", help="What it is to be called.")] = "sqli",
    output: AsFormat = Format.TABLE,
) -> None:
    """Learn SQL injection in values of requests; also without payloads of others, from made-up ones."""
    from lab.flow.models import Lesson
    from lab.pipeline import LEARN_VALUES

    session = open_session()
    lesson = Lesson(
        benign=tuple(benign or ()),
        attacks=tuple(attacks or ()),
        tests=tuple(test or ()),
        test_benign=tuple(test_benign or ()),
        seeds=seeds,
        name=name,
    )
    found: Learnt = session.run(LEARN_VALUES, lesson)
    if output == Format.JSON:
        session.screen.json(found.card)
        return
    from lab.learn.card import markdown

    session.screen.line(markdown(found.card))
    session.screen.tell(f"written to {found.folder};  lab model use {name}  lets it raise alerts")


@model.command("list", epilog="Example:  lab model list")
def list_(output: AsFormat = Format.TABLE) -> None:
    """List the models of this folder."""
    from lab.pipeline import LIST_MODELS

    session = open_session()
    found: tuple[Kept, ...] = session.run(LIST_MODELS, None)
    if output == Format.JSON:
        session.screen.json(found)
        return
    rows = [
        (
            it.model.name,
            it.model.kind,
            "in use" if it.used else "",
            f"{it.model.threshold:.3f}",
            it.model.hash[:12],
        )
        for it in found
    ]
    session.screen.table(("model", "looks at", "", "threshold", "hash"), rows)
    if not found:
        session.screen.tell("no model so far;  lab learn sqli  makes one")


@model.command(epilog="Example:  lab model show sqli")
def show(name: Name) -> None:
    """Show a model's card."""
    from lab.pipeline import FIND_MODEL

    session = open_session()
    found: Kept = session.run(FIND_MODEL, name)
    session.screen.line((Path(found.folder) / "card.md").read_text("utf-8"))


@model.command(epilog="Example:  lab model check sqli")
def check(name: Name) -> None:
    """Check that a model is what it says: format, hashes, numbers. Nothing in it is run."""
    from lab.pipeline import FIND_MODEL

    session = open_session()
    found: Kept = session.run(FIND_MODEL, name)
    session.screen.line(f"{found.model.name} {found.model.hash}")


@model.command(epilog="Example:  lab model use sqli")
def use(
    name: Name, *, off: Annotated[bool, typer.Option("--off", help="Let it raise none any more.")] = False
) -> None:
    """Let a model raise alerts beside the rules: in runs, imports and replays from now on."""
    from lab.flow.models import Switch
    from lab.pipeline import SWITCH_MODEL

    session = open_session()
    found: Kept = session.run(SWITCH_MODEL, Switch(name=name, used=not off))
    session.screen.tell(f"{found.model.name} {'raises alerts' if found.used else 'raises none'} from now on")


@model.command(epilog="Example:  lab model forget sqli")
def forget(name: Name) -> None:
    """Remove a model and its card."""
    from lab.pipeline import FORGET_MODEL

    session = open_session()
    gone: Path = session.run(FORGET_MODEL, name)
    session.screen.tell(f"{gone} is gone")
