"""What models of windows look at: traffic that reaches a destination, and what an account does on a host.

Every feature only grows while a window fills and while an attack grows, and counts only above what is usual:
so a score never falls because there is more of an attack. Computed here for training and for live alike.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol
from zlib import crc32

from lab.detect.alert import FACT_FIELDS, MAX_EVIDENCE, time_of
from lab.moment import SECOND
from lab.telemetry.event import Event
from lab.telemetry.events import Events

PLACES: Final = 1 << 14
"""Places of a table of what was seen; what has the same place counts as the same."""

HOURS: Final = 24

_REMEMBERED: Final = 4096
"""Windows, and processes, that are remembered."""

Key = tuple[str, ...]
"""What a window is about: an address, or a host and an account."""


class Window(Protocol):
    """One window, as it fills."""

    def add(self, event: Event) -> None:
        """Take note of an event."""
        ...

    def values(self) -> tuple[float, ...]:
        """Return its features."""
        ...


class Sort(Protocol):
    """A sort of windows: which events are in them, by what, and how long they are."""

    @property
    def features(self) -> tuple[str, ...]:
        """The names of its features, in the order of `Window.values`."""
        ...

    @property
    def fields(self) -> frozenset[str]:
        """The fields of events that it looks at."""
        ...

    @property
    def seconds(self) -> int:
        """How long a window is."""
        ...

    def places(self, events: Events) -> list[int]:
        """Return which of some events are in windows at all."""
        ...

    def key(self, event: Event) -> Key | None:
        """Return what an event's window is about; None when it is in none."""
        ...

    def window(self, key: Key, start: int) -> Window:
        """Open a window."""
        ...


class Traffic:
    """Connections that reach a destination, by ten seconds.

    They are counted by port: a scan of a thousand ports is a thousand ports, and no flood.
    """

    features = ("to one port", "sources", "ports", "bytes", "unanswered", "of one source to one port")
    fields = frozenset({"destination.port", "destination.packets", "source.bytes"})
    seconds = 10

    def places(self, events: Events) -> list[int]:
        """Return the ends of connections: what a sensor writes of each once."""
        kinds, to = events.column("event.type"), events.column("destination.ip")
        return [at for at, it in enumerate(kinds) if it and to[at] and "connection" in it and "end" in it]

    def key(self, event: Event) -> Key | None:
        """Return the destination."""
        return (str(event["destination.ip"]),)

    def window(self, key: Key, start: int) -> Window:  # noqa: ARG002  # all alike
        """Open a window."""
        return _Traffic()


@dataclass(slots=True)
class _Traffic:
    bytes: int = 0
    unanswered: int = 0
    sources: set[object] = field(default_factory=set)
    ports: Counter[object] = field(default_factory=Counter)
    pairs: Counter[object] = field(default_factory=Counter)
    most: int = 0
    most_of_one: int = 0

    def add(self, event: Event) -> None:
        source, port = event.get("source.ip"), event.get("destination.port")
        self.bytes += int(str(event.get("source.bytes") or 0))
        self.unanswered += not event.get("destination.packets")
        self.sources.add(source)
        self.ports[port] += 1
        self.pairs[source, port] += 1
        self.most = max(self.most, self.ports[port])
        self.most_of_one = max(self.most_of_one, self.pairs[source, port])

    def values(self) -> tuple[float, ...]:
        counts = (
            self.most, len(self.sources), len(self.ports), self.bytes, self.unanswered, self.most_of_one,
        )  # fmt: skip
        return tuple(map(math.log1p, counts))


def place(*words: str) -> int:
    """Return the place of some words in a table of what was seen."""
    return crc32("\0".join(words).encode("utf-8", "surrogatepass")) % PLACES


class Deeds:
    """Commands of an account on a host, by a minute, held against what quiet days have seen."""

    features = ("new commands", "new for the account", "new parents", "odd hour", "commands")
    fields = frozenset(
        {
            "process.executable", "process.pid", "process.parent.pid", "process.parent.executable",
            "process.parent.name",
        }
    )  # fmt: skip
    seconds = 60

    def __init__(self, seen: Mapping[str, Any]) -> None:
        """Take what was seen.

        Args:
            seen: `commands`, `of_accounts` and `parents`: tables of `PLACES` by `place`, above 0 where
                something was seen; `hours`: how often something was done at each hour of the day.
        """
        self._seen = {name: seen[name].tolist() for name in TABLES}
        self._names: OrderedDict[tuple[str, int], str] = OrderedDict()
        self._hours = tuple(at for at, it in enumerate(self._seen["hours"]) if it)

    def places(self, events: Events) -> list[int]:
        """Return the events that are of a command."""
        return [at for at, it in enumerate(events.column("process.executable")) if it]

    def key(self, event: Event) -> Key | None:
        """Return the host and the account."""
        host, user = event.get("host.name"), event.get("user.name")
        return (str(host), str(user)) if host and user else None

    def window(self, key: Key, start: int) -> Window:
        """Open a window."""
        hour = start // (3600 * SECOND) % HOURS
        odd = len(self._hours) >= HOURS // 2 and hour not in self._hours
        return _Deeds(account=key[1], odd=odd, deeds=self)

    def parent(self, event: Event) -> str:
        """Return the name of what started a command, from earlier events where this one does not say."""
        host, name = str(event.get("host.name")), str(event["process.executable"])
        pid, parent = event.get("process.pid"), event.get("process.parent.pid")
        if pid is not None:
            self._names[host, int(str(pid))] = name
            if len(self._names) > _REMEMBERED:
                self._names.popitem(last=False)
        said = event.get("process.parent.executable") or event.get("process.parent.name")
        if said:
            return str(said)
        return self._names.get((host, int(str(parent))), "") if parent is not None else ""

    def news(self, account: str, name: str, parent: str) -> Iterator[tuple[str, str]]:
        """Give what of a command was not seen: the table, and what it is."""
        for table, words in noted(account, name, parent):
            if not self._seen[table][place(*words)]:
                yield table, "\0".join(words)


TABLES: Final = {"commands": PLACES, "of_accounts": PLACES, "parents": PLACES, "hours": HOURS}
"""Tables of what was seen, and how many places each has."""


def noted(account: str, name: str, parent: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Give what is to be noted of a command: the table, and the words."""
    yield "commands", (name,)
    yield "of_accounts", (account, name)
    if parent:
        yield "parents", (parent, name)


@dataclass(slots=True)
class _Deeds:
    account: str
    odd: bool
    deeds: Deeds
    new: dict[str, set[str]] = field(default_factory=lambda: {it: set() for it in TABLES})
    count: int = 0

    def add(self, event: Event) -> None:
        self.count += 1
        parent = self.deeds.parent(event)
        for table, what in self.deeds.news(self.account, str(event["process.executable"]), parent):
            self.new[table].add(what)

    def values(self) -> tuple[float, ...]:
        new = (len(self.new[it]) for it in ("commands", "of_accounts", "parents"))
        return (*map(math.log1p, new), float(self.odd), math.log1p(self.count))


@dataclass(slots=True)
class Open:
    """A window that may still fill."""

    key: Key
    """What it is about."""

    start: int
    """When it begins, in nanoseconds."""

    window: Window
    """Its features."""

    events: list[Event] = field(default_factory=list)
    """Its first events, as evidence."""


class Windows:
    """The windows of one sort that are open."""

    def __init__(self, sort: Sort) -> None:
        """Begin with none.

        Args:
            sort: Which windows.
        """
        self._sort = sort
        self._fields = FACT_FIELDS | sort.fields
        self._open: OrderedDict[tuple[Key, int], Open] = OrderedDict()

    def add(self, events: Events) -> Iterator[tuple[Event, Open]]:
        """Give each event that is in a window, with that window, in the order in which they came."""
        places = self._sort.places(events)
        for event in events.only(self._fields).at(places) if places else ():
            key = self._sort.key(event)
            if key is None:
                continue
            width = self._sort.seconds * SECOND
            start = time_of(event) // width * width
            found = self._open.get((key, start)) or self._opened(key, start)
            found.window.add(event)
            if len(found.events) < MAX_EVIDENCE:
                found.events.append(event)
            yield event, found

    def _opened(self, key: Key, start: int) -> Open:
        made = Open(key=key, start=start, window=self._sort.window(key, start))
        self._open[key, start] = made
        if len(self._open) > _REMEMBERED:
            self._open.popitem(last=False)
        return made


def filled(sort: Sort, batches: Iterable[Events]) -> list[tuple[Key, int, tuple[float, ...]]]:
    """Return all windows of a run as they are at last: what each is about, when it begins, its features."""
    windows = Windows(sort)
    found: dict[tuple[Key, int], Window] = {}
    for batch in batches:
        for _, it in windows.add(batch):
            found[it.key, it.start] = it.window
    return [(key, start, window.values()) for (key, start), window in found.items()]


def distance(
    values: Sequence[float], middle: Sequence[float], scale: Sequence[float]
) -> tuple[float, list[float]]:
    """Return how far a window is above what is usual, and each feature's share of it.

    Mahalanobis' distance with independent features, of which those below the usual count nothing.
    """
    above = [max(0.0, (it - at) / by) ** 2 for it, at, by in zip(values, middle, scale, strict=True)]
    total = math.sqrt(sum(above))
    return total, [it / total if total else 0.0 for it in above]


def unlike(names: Sequence[str], shares: Sequence[float], most: int) -> tuple[tuple[str, float], ...]:
    """Name the features that have a share, the largest first."""
    order = sorted(zip(names, shares, strict=True), key=lambda it: -it[1])
    return tuple((name, round(share, 3)) for name, share in order[:most] if share > 0)


def sort_of(kind: str, arrays: Mapping[str, Any]) -> Sort:
    """Return the sort of windows that a kind of model looks at."""
    return Traffic() if kind == "destination-window" else Deeds(arrays)
