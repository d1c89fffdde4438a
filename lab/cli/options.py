"""Options and arguments that several commands share."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Format(StrEnum):
    """How a command writes its data."""

    TABLE = "table"
    JSON = "json"


AsFormat = Annotated[Format, typer.Option("--format", help="How to write the data.")]
LabName = Annotated[str, typer.Option("--lab", help="Which lab; found when only one runs.")]
LabArgument = Annotated[str, typer.Argument(metavar="[LAB]", help="Which lab; found when only one runs.")]
RunName = Annotated[
    str, typer.Argument(metavar="[RUN]", help="A run's id, or how it begins; else the last run.")
]
Inventory = Annotated[str, typer.Argument(metavar="[INVENTORY]", help="Name or path of an inventory.")]
