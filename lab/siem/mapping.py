"""Our fields as Elasticsearch and OpenSearch map them, the same in both."""

from __future__ import annotations

from typing import Any, Final

from lab.detect.sigma.fields import CASELESS, has_caseless
from lab.siem.document import ALL_STREAMS, DOCUMENT_FIELDS, Stream
from lab.telemetry.event import ECS_VERSION, SCHEMA_VERSION, FieldType

PREFIX: Final = "logs-homerange"
"""What our data streams, or indices, begin with."""

ALL: Final = f"{PREFIX}.*"
"""All of them."""

COMPONENT: Final = "homerange-ecs"
"""Name of the component template."""

LONGEST: Final = 8191
"""Characters of a text that are searched; a longer one is kept and not found, since Lucene takes no term of
more than 32,766 bytes, and a character has up to four."""

_TYPES: Final[dict[FieldType, str]] = {
    "keyword": "keyword",
    "keywords": "keyword",
    "long": "long",
    "float": "double",
    "boolean": "boolean",
    "date": "date_nanos",
    "ip": "ip",
    "ips": "ip",
}

_LONG_TEXTS: Final = ("event.original", "message")
"""What nobody sorts or counts by: left out of the columns that serve this, which halves what they take."""


def stream_name(stream: Stream) -> str:
    """Name a data stream, or the index that stands for it."""
    return f"{PREFIX}.{stream}-default"


def properties() -> dict[str, Any]:
    """Return the mapping of every field."""
    return {name: _field(name, kind) for name, kind in DOCUMENT_FIELDS.items()}


def _field(name: str, kind: FieldType) -> dict[str, Any]:
    mapped: dict[str, Any] = {"type": _TYPES[kind]}
    if mapped["type"] == "keyword":
        mapped["ignore_above"] = LONGEST
    if name in _LONG_TEXTS:
        mapped["doc_values"] = False
    if has_caseless(name):
        lower = {"type": "keyword", "normalizer": "lowercase", "ignore_above": LONGEST, "doc_values": False}
        mapped["fields"] = {CASELESS.removeprefix("."): lower}
    return mapped


def component_template() -> dict[str, Any]:
    """Return the component template that events and alerts share."""
    return {
        "template": {
            "settings": {
                "index.number_of_shards": 1,
                "index.auto_expand_replicas": "0-1",  # none on a single node, one where there are more
                "index.refresh_interval": "5s",
            },
            "mappings": {
                "dynamic": False,  # what we do not know is kept, and not searched
                "_meta": {"ecs": ECS_VERSION, "schema": SCHEMA_VERSION},
                "properties": properties(),
            },
        },
        "_meta": {"made by": "homerange"},
    }


def index_templates(*, data_streams: bool) -> dict[str, dict[str, Any]]:
    """Return an index template for each stream, by its name.

    Args:
        data_streams: Whether the server has data streams; without them plain indices have the same names.
    """
    return {
        f"homerange-{stream}": {
            "index_patterns": [f"{PREFIX}.{stream}-*"],
            "composed_of": [COMPONENT],
            "priority": 400,  # above what ships for logs-*
            **({"data_stream": {}} if data_streams else {}),
        }
        for stream in ALL_STREAMS
    }
