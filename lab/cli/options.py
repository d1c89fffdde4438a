"""Options and arguments that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import click
import typer
from click.core import ParameterSource


class Format(StrEnum):
    """How a command writes its data."""

    TABLE = "table"
    JSON = "json"


def _named(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Refuse a name that was given and is empty: one that a script never set must not mean any."""
    if not value and context.get_parameter_source(parameter.name or "") == ParameterSource.COMMANDLINE:
        raise click.BadParameter("is empty; leave it out, or name one", ctx=context, param=parameter)
    return value


_WHICH = "Which lab; found when only one runs."
_LAST = "A run's id, or how it begins; else the last run."

AsFormat = Annotated[Format, typer.Option("--format", help="How to write the data.")]
LabName = Annotated[str, typer.Option("--lab", callback=_named, help=_WHICH)]
LabArgument = Annotated[str, typer.Argument(metavar="[LAB]", callback=_named, help=_WHICH)]
RunName = Annotated[str, typer.Argument(metavar="[RUN]", callback=_named, help=_LAST)]
Inventory = Annotated[
    str,
    typer.Argument(metavar="[INVENTORY]", callback=_named, help="Name or path of an inventory."),
]
