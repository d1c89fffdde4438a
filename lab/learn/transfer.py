"""Tries a model of a published data set on the lab's own connections, and one of the lab on the data set.

Both sides are narrowed to the few columns that both have. The threshold is frozen where the model was
trained: what it does elsewhere is what it would do in somebody's network, and is shown also when that is
nothing.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from lab.detect.alert import time_of
from lab.detect.windows import Traffic
from lab.errors import WrongInput
from lab.learn.card import Transfer, evaluation
from lab.learn.days import Day
from lab.learn.judging import scored
from lab.learn.records import Wanted, groups_of, train
from lab.learn.tables import BENIGN, Table
from lab.moment import SECOND
from lab.telemetry.event import Event

_COLUMNS: Final = ("duration", "src_bytes", "dst_bytes", "count", "srv_count")
"""Columns of KDD Cup 99 that a sensor's connections have as well."""

_PROTOCOL: Final = "protocol_type"
_BACK: Final = 2 * SECOND
"""How far back connections to the same host, and the same service, are counted: as in the data set."""

_FIELDS: Final = frozenset(
    {
        "@timestamp", "event.duration", "source.ip", "destination.ip", "destination.port", "source.bytes",
        "destination.bytes", "network.transport",
    }
)  # fmt: skip


def narrowed(table: Table) -> Table:
    """Return a table with the columns that a lab has as well.

    Raises:
        WrongInput: it is not of KDD's form.
    """
    if not {*_COLUMNS} <= {*table.columns}:
        raise WrongInput(
            f"{table.name} has not the columns {', '.join(_COLUMNS)}: no lab can be held against it"
        )
    return replace(
        table,
        numbers=table.numbers[:, [table.columns.index(it) for it in _COLUMNS]],
        columns=_COLUMNS,
        words={_PROTOCOL: table.words[_PROTOCOL]},
    )


def connections(days: Sequence[Day]) -> Table:
    """Return the connections of runs in the same columns, labelled by truth.

    Raises:
        WrongInput: there are none.
    """
    import numpy as np

    rows = [row for day in days for row in _rows(day)]
    if not rows:
        raise WrongInput(f"no connection was seen in {', '.join(it.name for it in days)}")
    numbers, protocols, labels = zip(*rows, strict=True)
    return Table(
        name=", ".join(it.name for it in days),
        numbers=np.array(numbers),
        columns=_COLUMNS,
        words={_PROTOCOL: np.array(protocols)},
        labels=np.array(labels),
        hashes={it.name: it.hash for it in days},
    )


def _rows(day: Day) -> Iterator[tuple[tuple[float, ...], str, str]]:
    sort = Traffic()
    ended = (
        it for batch in day.batches for it in batch.only(_FIELDS | {"event.type"}).at(sort.places(batch))
    )
    recent: deque[tuple[int, object, object]] = deque()
    hosts, services = Counter[object](), Counter[object]()
    for event in sorted(ended, key=time_of):
        at, to, port = time_of(event), event["destination.ip"], event.get("destination.port")
        recent.append((at, to, port))
        hosts[to] += 1
        services[port] += 1
        while recent[0][0] < at - _BACK:
            _, gone, left = recent.popleft()
            hosts[gone] -= 1
            services[left] -= 1
        numbers = (
            _number(event, "event.duration") / SECOND,
            _number(event, "source.bytes"),
            _number(event, "destination.bytes"),
            float(hosts[to]),
            float(services[port]),
        )
        yield numbers, str(event.get("network.transport") or ""), _label(day, event)


def _number(event: Event, name: str) -> float:
    return float(str(event.get(name) or 0))


def _label(day: Day, event: Event) -> str:
    """Return the technique of the step that a connection is of: one between its nodes, while it went on."""
    at, ends = time_of(event), (event.get("source.ip"), event["destination.ip"])
    for it in day.attacks:
        sides = [{one for party in side for one in party.addresses} for side in (it.sources, it.targets)]
        if it.start <= at <= it.end and ends[0] in sides[0] and ends[1] in sides[1]:
            return it.technique or it.step
    return BENIGN


def measured(
    public: Table, lab: Table, wanted: Wanted, tell: Callable[[str], None]
) -> tuple[Transfer, Transfer]:
    """Train on each side, and try on the other.

    Args:
        public: Rows of a published data set.
        lab: The lab's connections.
        wanted: What is to be trained; its first seed counts.
        tell: Hears how far it is.

    Raises:
        WrongInput: a side has too few benign rows, or other columns.
    """
    there = narrowed(public)
    one = replace(wanted, seeds=wanted.seeds[:1])
    return _tried(there, lab, one, tell), _tried(lab, there, one, tell)


def _tried(known: Table, new: Table, wanted: Wanted, tell: Callable[[str], None]) -> Transfer:
    (fitted,), _ = train(known, wanted, tell)
    flagged: Any = scored(fitted, new) >= fitted.ensemble.description.threshold
    found = evaluation(groups_of(new.labels, flagged, frozenset(known.labels.tolist())))
    return Transfer(
        trained_on=known.name, tried_on=new.name, recall=found.recall, false_positive_rate=found.ordinary
    )
