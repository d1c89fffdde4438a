"""The JSON Schema of an inventory, made of the kinds there are and of what we read ourselves."""

from __future__ import annotations

from collections.abc import Mapping

from lab.files.declared import json_schema
from lab.inventory.definition import NetworkOptions
from lab.inventory.kind import Argument, Kind, Kinds, Machine

_TYPES = {
    "str": ["string", "number"],
    "path": "string",
    "int": "integer",
    "float": "number",
    "bool": "boolean",
    "list": "array",
    "dict": "object",
}
"""Ansible's types to those of JSON; `raw` and the rarer ones take anything."""


def inventory_schema(kinds: Kinds) -> dict[str, object]:
    """Write the schema of an Ansible inventory whose groups are kinds, with their variables.

    Raises:
        BadFile: a role's own files are wrong.
    """
    names = {"type": "array", "items": {"type": "string"}}
    machine = {**_nested(Machine), "description": "Gives it a kernel of its own, with so much memory."}
    attached = {**names, "description": "Networks it is attached to, the first one first."}
    host = {"lab_attach": attached, "machine": machine}
    sensor = {"lab_watch": {**names, "description": "Networks that it captures."}}
    networks = {
        "description": "The networks of the lab, each isolated unless it says internet.",
        "additionalProperties": {"oneOf": [{"type": "null"}, _nested(NetworkOptions)]},
        "type": "object",
    }
    found = (kinds.find(name) for name in sorted(kinds.names))
    groups = {
        kind.name: _group(kind.summary, {**(sensor if kind.host_network else host), **_variables(kind)})
        for kind in found
        if kind
    }
    shared = {"type": "object", "properties": {"lab_networks": networks}}
    everybody = {"type": "object", "properties": {"vars": shared, "children": _open(groups), "hosts": {}}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_open({"all": {**everybody, "additionalProperties": False}, **groups}),
    }


def _open(properties: Mapping[str, object]) -> dict[str, object]:
    """Describe an object in which groups of the user's own may stand as well."""
    return {"type": "object", "properties": dict(properties)}


def _nested(made: type) -> dict[str, object]:
    return {name: it for name, it in json_schema(made).items() if name != "$schema"}


def _group(summary: str, variables: Mapping[str, object]) -> dict[str, object]:
    values = _open(variables)
    hosts = {"type": "object", "additionalProperties": {"oneOf": [{"type": "null"}, values]}}
    known = {"hosts": hosts, "vars": values, "children": {}}
    return {"description": summary, "type": ["object", "null"], "properties": known}


def _variables(kind: Kind) -> dict[str, object]:
    return {name: _argument(it) for name, it in kind.arguments.items()}


def _argument(argument: Argument) -> dict[str, object]:
    found: dict[str, object] = {"type": _TYPES[argument.type]} if argument.type in _TYPES else {}
    if argument.choices:
        found["enum"] = list(argument.choices)
    if argument.elements:
        found["items"] = _argument(Argument(type=argument.elements, options=argument.options))
    elif argument.options:
        found["properties"] = {name: _argument(it) for name, it in argument.options.items()}
        found["required"] = [name for name, it in argument.options.items() if it.required]
    return found
