"""Stages that write JSON Schemas, made of the same declarations that read the files."""

from __future__ import annotations

from lab.errors import NotFound
from lab.files.declared import json_schema
from lab.flow.context import Context
from lab.inventory.kind import NodeFile
from lab.inventory.schema import inventory_schema


def write_schema(what: str, context: Context) -> dict[str, object]:
    """Name of a sort of file -> its JSON Schema.

    Raises:
        NotFound: there is no such sort of file.
    """
    from lab.exercise.written import ScenarioFile

    if what == "inventory":
        return inventory_schema(context.kinds)
    files = {"scenario": ScenarioFile, "node": NodeFile}
    if what not in files:
        raise NotFound("schema", name=what, known=("inventory", *files))
    return json_schema(files[what])
