"""One host, account, address or connection, and everything it did; the packets of exactly one connection."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from lab.errors import NotFound, WrongInput
from lab.telemetry.event import Event
from lab.telemetry.frames import Flow, Packet, packets_of, written
from lab.telemetry.lookup import Asked, Clause
from lab.text import visible
from lab.web.alerts import Row
from lab.web.hunting import Hunt
from lab.web.opened import Opened
from lab.web.pages import opened, page
from lab.web.tree import flattened, process_tree
from lab.web.views.hunt import COLUMNS

_SIDES: Final = {
    "host.name": ("host.name",),
    "user.name": ("user.name",),
    "source.ip": ("source.ip", "destination.ip"),
}
"""The field that names an entity, and the fields in which it may stand."""

_PROCESS: Final = (
    *("process.pid", "process.parent.pid", "process.command_line", "process.executable", "user.name"),
    *("process.parent.command_line", "process.parent.executable"),
)
_MOST_PROCESSES: Final = 2000
_SHOWN: Final = 50
_SHOWN_PACKETS: Final = 400
_FLOW: Final = (
    *("event.module", "event.action", "source.ip", "source.port", "destination.ip", "destination.port"),
    *("network.transport", "network.protocol", "event.original"),
)


def entity(request: Request) -> Response:
    """Show everything that a host, an account or an address did."""
    run = opened(request)
    field, value = request.query_params.get("field", ""), request.query_params.get("value", "")
    field = "source.ip" if field == "destination.ip" else field
    if field not in _SIDES or not value:
        raise WrongInput("an entity is a host.name, a user.name or a source.ip, with its value")
    parts = [_part(run, side, value) for side in _SIDES[field]]
    starts = () if field == "source.ip" else _starts(run, Clause(field, value))
    return page(
        request,
        "entity.html.j2",
        opened=run,
        field=field,
        value=value,
        parts=parts,
        alerts=[it for it in run.alerts.rows() if _named(it, field, value)][-_SHOWN:],
        standings=run.standings(),
        tree=flattened(process_tree(starts)),
        cut=len(starts) == _MOST_PROCESSES,
        columns=COLUMNS[:-1],
    )


def _part(run: Opened, side: str, value: str) -> dict[str, object]:
    asked = Asked(clauses=(Clause(side, value),))
    return {
        "field": side,
        "hunt": Hunt(clauses=asked.clauses),
        "events": run.events.page(asked, COLUMNS, size=_SHOWN),
        "actions": run.events.top(asked, "event.action", 12),
        "sources": run.events.top(asked, "event.module", 12),
        "ports": run.events.top(asked, "destination.port", 12) if side.endswith(".ip") else [],
    }


def _starts(run: Opened, clause: Clause) -> tuple[Event, ...]:
    """Return starts of processes, the earliest first; the latest of them when there are too many."""
    asked = Asked(clauses=(clause, Clause("event.category", "process"), Clause("process.pid", None)))
    return tuple(reversed(run.events.page(asked, _PROCESS, size=_MOST_PROCESSES)))


def _named(row: Row, field: str, value: str) -> bool:
    return any(row.names(it, value) for it in _SIDES[field])


# -- one connection --------------------------------------------------------------------------------


def connection(request: Request) -> Response:
    """Show one connection: what logs tell of it, and its packets as text."""
    run = opened(request)
    identity, events = _events(run, request)
    flow = _flow(events)
    packets = packets_of(flow, _files(run)) if flow else ()
    return page(
        request, "connection.html.j2", opened=run, identity=identity, events=events, flow=flow,
        packets=list(_lines(packets[:_SHOWN_PACKETS])), count=len(packets), kept=bool(_files(run)),
    )  # fmt: skip


def download(request: Request) -> Response:
    """Send the packets of one connection."""
    run = opened(request)
    _, events = _events(run, request)
    flow = _flow(events)
    packets = packets_of(flow, _files(run)) if flow else ()
    if not packets:
        raise NotFound("packet of that connection", name=run.name, remedy="runs keep packets below packets/")
    headers = {"content-disposition": f'attachment; filename="{run.name}-connection.pcap"'}
    return Response(written(packets), media_type="application/vnd.tcpdump.pcap", headers=headers)


def _events(run: Opened, request: Request) -> tuple[str, list[Event]]:
    identity = request.query_params.get("id", "")
    asked = Asked(clauses=(Clause("network.community_id", identity),))
    events = run.events.page(asked, _FLOW, size=200)
    if not events:
        raise NotFound("connection", name=identity, remedy="it is named by its network.community_id")
    return identity, events[::-1]


def _files(run: Opened) -> list[Path]:
    folder = run.run.noticed.packets
    return sorted(folder.glob("*.pcap")) if folder.is_dir() and not folder.is_symlink() else []


def _flow(events: list[Event]) -> Flow | None:
    """Return the ends of a connection, as the first event says that names both."""
    for it in events:
        if "source.ip" in it and "destination.ip" in it:
            return Flow(
                source=str(it["source.ip"]),
                destination=str(it["destination.ip"]),
                source_port=_port(it, "source.port"),
                destination_port=_port(it, "destination.port"),
            )
    return None


def _port(event: Event, name: str) -> int | None:
    found = event.get(name)
    return found if isinstance(found, int) else None


def _lines(packets: tuple[Packet, ...]) -> Iterator[dict[str, object]]:
    for it in packets:
        text = it.payload[:2000].decode("utf-8", "backslashreplace")
        yield {
            "at": it.at,
            "forward": it.forward,
            "protocol": it.protocol,
            "flags": it.flags,
            "length": len(it.payload),
            "lines": [visible(line) for line in text.splitlines()[:60]],
        }
