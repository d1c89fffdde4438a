"""Events that are in ECS already, as JSON lines: names with dots, or objects within objects.

Fields that we have are taken, with their types; the others stay in the line, which is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lab.telemetry.event import FIELDS, Event, FieldType, Line, Source, Unparsed, Value
from lab.telemetry.sources.reading import LONG, address, json_object
from lab.telemetry.times import epoch_moment, moment_of


class Ecs(Source):
    """JSON lines whose keys are fields of ECS."""

    name = "ecs"
    stateless = True

    def parse(self, line: Line) -> Event | None:
        """Read one event; a blank line is none."""
        if not line.text.strip():
            return None
        said = dict(flat(json_object(line.text)))
        if "@timestamp" not in said or not any(name.startswith(("ecs.", "event.")) for name in said):
            raise Unparsed("is no event in ECS: it lacks @timestamp, or any field of event or ecs")
        return event_of(said)


def event_of(said: Mapping[str, Any]) -> Event:
    """Take what we have a field for.

    Raises:
        Unparsed: its time is none.
    """
    event: Event = {"@timestamp": _moment(said["@timestamp"])}
    for name, raw in said.items():
        if name in FIELDS and name not in _OURS and (value := _value(raw, FIELDS[name])) is not None:
            event[name] = value
    event.setdefault("event.dataset", "ecs.log")
    return event


_OURS = frozenset(
    {"@timestamp", "event.id", "event.created", "event.ingested", "homerange.line", "event.original"}
)
"""What we say of an event ourselves."""


def flat(said: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Give every value with its whole name."""
    for key, value in said.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _moment(raw: Any) -> int:  # noqa: ANN401  # whatever JSON holds
    if isinstance(raw, str):
        return moment_of(raw)
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        return epoch_moment(raw / 1000)  # as Elasticsearch has numbers: milliseconds
    raise Unparsed("@timestamp is no time")


def _value(raw: Any, kind: FieldType) -> Value | None:  # noqa: ANN401, PLR0911  # JSON; a way out for each kind
    if kind in {"keywords", "ips"}:
        texts = tuple(str(it) for it in (raw if isinstance(raw, list) else [raw]) if it not in (None, ""))
        found = tuple(it for text in texts if (it := address(text))) if kind == "ips" else texts
        return found or None
    if isinstance(raw, list):
        raw = raw[0] if raw else None
    if raw is None or raw == "":
        return None
    if kind == "boolean":
        return raw if isinstance(raw, bool) else {"true": True, "false": False}.get(str(raw).lower())
    if kind == "ip":
        return address(str(raw))
    if kind == "date":
        return _moment(raw)
    if kind in {"long", "float"}:
        return _number(raw, kind)
    return str(raw)


def _number(raw: Any, kind: FieldType) -> int | float | None:  # noqa: ANN401  # JSON
    try:
        found = float(raw) if kind == "float" else int(raw)
    except (ValueError, TypeError, OverflowError):
        return None
    return found if -LONG <= found < LONG else None
