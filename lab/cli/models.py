"""Commands that train models, and say which of them raise alerts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.options import AsFormat, Format
from lab.cli.session import open_session

if TYPE_CHECKING:
    from lab.cli.session import Session
    from lab.flow.lessons import DataSet, Learnt
    from lab.flow.models import Kept

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
    from lab.flow.lessons import ValueLesson
    from lab.pipeline import LEARN_VALUES

    session = open_session()
    lesson = ValueLesson(
        benign=tuple(benign or ()),
        attacks=tuple(attacks or ()),
        tests=tuple(test or ()),
        test_benign=tuple(test_benign or ()),
        seeds=seeds,
        name=name,
    )
    _tell(session, session.run(LEARN_VALUES, lesson), output)


def _tell(session: Session, found: Learnt, output: Format) -> None:
    """Show the card of a model that was just trained."""
    if output == Format.JSON:
        session.screen.json(found.card)
        return
    from lab.learn.cardpage import markdown

    session.screen.line(markdown(found.card))
    said = found.card.model
    use = "" if said.kind == "record" else f";  lab model use {said.name}  lets it raise alerts"
    session.screen.tell(f"written to {found.folder}, card.html among it{use}")


Target = Annotated[
    float, typer.Option("--target", min=0.001, max=0.5, help="Share of benign rows that may be flagged.")
]
Labs = Annotated[
    list[str] | None,
    typer.Option("--lab", help="A run whose connections it is tried on, and learnt from for the way back."),
]
Seeds = Annotated[int, typer.Option("--seeds", min=1, max=20, help="How often it is trained.")]


class Trainer(StrEnum):
    """What an autoencoder is trained with."""

    MLP = "mlp"
    TORCH = "torch"


With = Annotated[
    Trainer,
    typer.Option(
        "--with",
        help="What the autoencoder is trained with: scikit-learn's MLP, or PyTorch of the extra deep.",
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Given:
    """What the commands for published data sets are given, all alike."""

    train: tuple[Path, ...]
    test: tuple[Path, ...]
    lab: tuple[str, ...] = ()
    target: float
    seeds: int
    coder: Trainer
    name: str


def _learn_records(data: DataSet, given: _Given, output: Format) -> None:
    from lab.flow.lessons import RecordLesson
    from lab.pipeline import LEARN_RECORDS

    session = open_session()
    lesson = RecordLesson(
        data=data,
        train=given.train,
        test=given.test,
        lab=given.lab,
        target=given.target,
        seeds=given.seeds,
        coder=given.coder.value,
        name=given.name,
    )
    _tell(session, session.run(LEARN_RECORDS, lesson), output)


@learn.command("nsl-kdd", epilog="Example:  lab learn nsl-kdd --train KDDTrain+.txt --test KDDTest+.txt")
def nsl_kdd(  # noqa: PLR0913  # its options
    *,
    train: Annotated[
        Path, typer.Option("--train", help="KDDTrain+.txt, from the Canadian Institute for Cybersecurity.")
    ],
    test: Annotated[
        Path | None, typer.Option("--test", help="KDDTest+.txt, from there; opened once the model is frozen.")
    ] = None,
    lab: Labs = None,
    target: Target = 0.05,
    seeds: Seeds = 5,
    coder: With = Trainer.MLP,
    name: Annotated[str, typer.Option("--name", help="What it is to be called.")] = "nsl-kdd",
    output: AsFormat = Format.TABLE,
) -> None:
    """Learn intrusions from NSL-KDD, with whole types of attacks held out; shows what that is worth."""
    tests = (test,) if test else ()
    given = _Given(
        train=(train,), test=tests, lab=tuple(lab or ()), target=target, seeds=seeds, coder=coder, name=name
    )
    _learn_records("nsl-kdd", given, output)


@learn.command(
    "kdd99", epilog="Example:  lab learn kdd99 --train kddcup.data_10_percent.gz --test corrected.gz"
)
def kdd99(  # noqa: PLR0913  # its options
    *,
    train: Annotated[
        Path, typer.Option("--train", help="kddcup.data_10_percent, from the UCI KDD archive; .gz or not.")
    ],
    test: Annotated[
        Path | None, typer.Option("--test", help="corrected, from there; opened once the model is frozen.")
    ] = None,
    lab: Labs = None,
    target: Target = 0.05,
    seeds: Seeds = 5,
    coder: With = Trainer.MLP,
    name: Annotated[str, typer.Option("--name", help="What it is to be called.")] = "kdd99",
    output: AsFormat = Format.TABLE,
) -> None:
    """Learn intrusions from KDD Cup 99; rows that come again count once."""
    tests = (test,) if test else ()
    given = _Given(
        train=(train,), test=tests, lab=tuple(lab or ()), target=target, seeds=seeds, coder=coder, name=name
    )
    _learn_records("kdd99", given, output)


@learn.command(epilog="Example:  lab learn cicids2017 Tuesday.csv Wednesday.csv --test Friday.csv")
def cicids2017(  # noqa: PLR0913  # its options
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Days of CICIDS2017, in their order; corrected ones as well."),
    ],
    *,
    test: Annotated[
        list[Path] | None,
        typer.Option(
            "--test", help="A day that is opened once the model is frozen; else the last of the files."
        ),
    ] = None,
    target: Target = 0.05,
    seeds: Seeds = 5,
    coder: With = Trainer.MLP,
    name: Annotated[str, typer.Option("--name", help="What it is to be called.")] = "cicids2017",
    output: AsFormat = Format.TABLE,
) -> None:
    """Learn intrusions from CICIDS2017, split by days; ports and addresses are left out."""
    given = _Given(
        train=tuple(files), test=tuple(test or ()), target=target, seeds=seeds, coder=coder, name=name
    )
    _learn_records("cicids2017", given, output)


Days = Annotated[list[str], typer.Option("--benign", help="A run without an attack; give two or more.")]
Tries = Annotated[
    list[str] | None, typer.Option("--test", help="A run that is opened once the model is frozen.")
]
ADay = Annotated[
    float, typer.Option("--a-day", min=0.01, max=1000, help="False alerts a day that are aimed at.")
]


@learn.command(epilog="Example:  lab learn flood --benign 20261127-184359 --benign 20261127-185923")
def flood(
    *,
    benign: Days,
    test: Tries = None,
    a_day: ADay = 1.0,
    name: Annotated[str, typer.Option("--name", help="What it is to be called.")] = "flood",
    output: AsFormat = Format.TABLE,
) -> None:
    """Learn from quiet days how much traffic reaches a destination in ten seconds."""
    from lab.flow.lessons import WindowLesson
    from lab.pipeline import LEARN_WINDOWS

    session = open_session()
    lesson = WindowLesson(
        kind="destination-window", benign=tuple(benign), tests=tuple(test or ()), a_day=a_day, name=name
    )
    _tell(session, session.run(LEARN_WINDOWS, lesson), output)


@learn.command(epilog="Example:  lab learn hosts --benign 20261127-184359 --benign 20261127-185923")
def hosts(
    *,
    benign: Days,
    test: Tries = None,
    a_day: ADay = 1.0,
    name: Annotated[str, typer.Option("--name", help="What it is to be called.")] = "hosts",
    output: AsFormat = Format.TABLE,
) -> None:
    """Learn from quiet days what each account does on a host in a minute."""
    from lab.flow.lessons import WindowLesson
    from lab.pipeline import LEARN_WINDOWS

    session = open_session()
    lesson = WindowLesson(
        kind="account-window", benign=tuple(benign), tests=tuple(test or ()), a_day=a_day, name=name
    )
    _tell(session, session.run(LEARN_WINDOWS, lesson), output)


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
