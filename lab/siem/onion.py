"""Security Onion over SSH: a run's packets go through its own import, and its alerts come back.

An appliance is adopted and never imitated. Contract: `so-import-pcap --json` and `so-import-evtx --json`,
which answer with counts, a link and the hashes that its events carry as `import.id`;
`so-elasticsearch-query`, which asks its Elasticsearch; `/etc/soversion`. Written against versions 2.4 and 3
as published, and never met with a real one: there was none to be had where this was written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab.detect.alert import Alert, Level, facts, identity, in_order, time_of
from lab.engine.ssh import Ran, Session
from lab.errors import NotFound, SiemFault
from lab.files import records
from lab.moment import SECOND, Moment
from lab.runs.noticed import Noticed
from lab.siem import trouble
from lab.siem.compare import Comparison, keep
from lab.siem.sink import Server, clock_notes
from lab.telemetry.event import Event
from lab.telemetry.store import Store

NAME: Final = "onion"
"""What it is called here."""

_OLDEST: Final = (2, 4)
_IMPORT_TAKES: Final = 1800.0
"""Seconds that an import may take: it starts containers for each file."""

_SEARCHABLE: Final = 300.0
"""Seconds until what was imported can be searched; its own tool says that it takes half a minute or more."""

_LOOK_EVERY: Final = 5.0
_SETTLED: Final = 3
"""Looks in a row with the same number of events, after which all are taken to be there."""

_PAGE: Final = 1000
_NEAR: Final = 5 * SECOND
"""How far the times of an alert there and of our event of the same connection may lie apart."""

_LEVELS: Final[Mapping[str, Level]] = {
    "critical": "critical",
    "high": "high",
    "medium": "medium",
    "low": "low",
}
"""Its labels of severities, and ours."""

Tell = Callable[[str], None]
"""Takes one line about what is going on."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """What an import tool answered."""

    url: str
    """Where its console shows what was imported."""

    hashes: tuple[str, ...]
    """What its events carry as `import.id`."""

    taken: int
    """Files it imported now."""

    known: int
    """Files it had imported before."""

    failed: int
    """Files it could not read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A run on Security Onion."""

    server: Server
    """The appliance."""

    imports: tuple[Import, ...]
    """What its tools answered, one for each of them."""

    events: int
    """Events that it has of the run."""

    alerts: int
    """Alerts that it raised."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Onion:
    """An appliance that we are logged in to."""

    session: Session
    """The connection."""

    tell: Tell
    """Hears what a user should know."""

    def check(self) -> Server:
        """Make sure that it is Security Onion, new enough, and lets us do what is needed.

        Raises:
            SiemFault: it is not, or does not.
        """
        version = self.session.run(("cat", "/etc/soversion")).stdout.decode("utf-8", "replace").strip()
        if not version:
            raise self._fault(
                "asking who it is",
                f"{self.session.machine.host} is not Security Onion: it has no /etc/soversion",
                "name a Security Onion of version 2.4 or 3; an Import node is enough",
            )
        if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < _OLDEST:
            raise self._fault(
                "asking who it is", f"it is version {version}", "version 2.4 or 3 is needed: update it"
            )
        self._as_root(("true",), "asking for rights", _SUDO)
        if self.session.as_root(("test", "-x", "/usr/sbin/so-import-pcap")).code:
            remedy = "run this against the node with a sensor: an Import, Eval, Standalone or Sensor node"
            raise self._fault("looking for its tools", "it has no so-import-pcap", remedy)
        clock = self.session.clock()
        return Server(
            product=NAME,
            version=version,
            identity=self.session.machine.host,
            clock=round(clock, 1),
            notes=clock_notes(clock),
        )

    def bring(self, noticed: Noticed) -> tuple[Import, ...]:
        """Import a run's packets, and its Windows logs where it has some.

        Raises:
            NotFound: the run has no packets.
            SiemFault: a tool failed.
        """
        packets = sorted(noticed.packets.glob("*.pcap"))
        if not packets:
            remedy = "only a run of a lab with a sensor has packets; a recording leaves them behind"
            raise NotFound("packets", name=noticed.folder.name, remedy=remedy)
        made = [self._import("so-import-pcap", packets)]
        windows = sorted(noticed.raw.rglob("*.evtx"))
        if windows:
            made.append(self._import("so-import-evtx", windows))
        return tuple(made)

    def _import(self, tool: str, files: Sequence[Path]) -> Import:
        folder = self._temporary()
        try:
            there = []
            for place, path in enumerate(files):
                there.append(f"{folder}/{place}{path.suffix}")
                self.session.put(path, there[-1])
            self.tell(f"{tool} is at work on {len(files)} files; that takes a minute or more")
            ran = self.session.as_root((f"/usr/sbin/{tool}", "--json", *there), timeout=_IMPORT_TAKES)
            return self._answer(tool, ran)
        finally:
            self.session.as_root(("rm", "-rf", "--", folder))

    def _temporary(self) -> str:
        ran = self.session.run(("mktemp", "-d"))
        folder = ran.stdout.decode().strip()
        if ran.code or not folder.startswith("/"):
            raise self._fault("making a folder", _said(ran), "is its disk full?  so-status  says more")
        return folder

    def _answer(self, tool: str, ran: Ran) -> Import:
        """Read what a tool answered; it may have written lines of its own before the JSON."""
        text = ran.stdout.decode("utf-8", "replace")
        try:
            found = records.from_json(text[text.index("{") :], dict[str, Any])
        except ValueError as error:
            remedy = f"run it there by hand:  sudo {tool} FILE"
            raise self._fault(f"running {tool}", _said(ran), remedy) from error
        made = Import(
            url=str(found.get("url", "")),
            hashes=tuple(map(str, found.get("hash", ()))),
            taken=int(found.get("success_count", 0)),
            known=int(found.get("skipped_count", 0)),
            failed=int(found.get("fail_count", 0)),
        )
        if made.failed or not made.hashes:
            what = f"{made.failed} of {made.taken + made.known + made.failed} files could not be read"
            raise self._fault(f"running {tool}", what, f"run it there by hand:  sudo {tool} FILE")
        return made

    # -- back again ------------------------------------------------------------------------------

    def await_events(self, imports: Iterable[Import]) -> int:
        """Wait until what was imported can be searched; return how many events there are.

        Raises:
            SiemFault: there are none in time.
        """
        counts: list[int] = []
        end = time.monotonic() + _SEARCHABLE
        while time.monotonic() < end:
            counts.append(self._count(imports))
            if counts[-1] and counts[-_SETTLED:] == [counts[-1]] * _SETTLED:
                return counts[-1]
            time.sleep(_LOOK_EVERY)
        if counts and counts[-1]:
            return counts[-1]
        raise self._fault(
            "waiting for its events",
            f"none could be searched in {_SEARCHABLE:.0f} s",
            "so-status  and  so-elasticsearch-query _cat/indices  say what is wrong; then repeat the command",
        )

    def _count(self, imports: Iterable[Import]) -> int:
        return int(self._asked("logs-*/_count", {"query": _of(imports)}).get("count", 0))

    def alerts(self, imports: Iterable[Import], events: Sequence[Event]) -> tuple[Alert, ...]:
        """Read its alerts back, each with those of our events that are of the same connection."""
        index = _Connections(events)
        imports = tuple(imports)
        with trouble.understood(NAME, "reading its alerts"):
            return in_order(index.alert(it) for it in self._hits(imports))

    def _hits(self, imports: tuple[Import, ...]) -> Iterator[Mapping[str, Any]]:
        """Read all its alerts, a page after the other."""
        after: list[Any] | None = None
        query = {"bool": {"filter": [_of(imports), {"term": {"tags": "alert"}}]}}
        while True:
            body: dict[str, Any] = {
                "query": query,
                "size": _PAGE,
                "sort": [{"@timestamp": "asc"}, {"log.id.uid": {"order": "asc", "missing": "_last"}}],
                **({"search_after": after} if after else {}),
            }
            hits = self._asked("logs-*/_search", body)["hits"]["hits"]
            yield from (it["_source"] for it in hits)
            if len(hits) < _PAGE:
                return
            after = hits[-1]["sort"]

    def _asked(self, path: str, body: object) -> dict[str, Any]:
        argv = ("/usr/sbin/so-elasticsearch-query", path, "-XPOST", "-d", records.to_json(body))
        ran = self._as_root(argv, "searching", "so-status  says whether its Elasticsearch is well")
        try:
            found = records.from_json(ran.stdout, dict[str, Any])
        except ValueError as error:
            remedy = "so-status  says whether its Elasticsearch is well"
            raise self._fault("searching", _said(ran), remedy) from error
        if "error" in found:
            raise self._fault("searching", str(found["error"])[:300], "so-status  says whether it is well")
        return found

    def _as_root(self, argv: tuple[str, ...], doing: str, remedy: str) -> Ran:
        ran = self.session.as_root(argv)
        if ran.code:
            raise self._fault(doing, _said(ran), remedy)
        return ran

    def _fault(self, doing: str, said: str, remedy: str) -> SiemFault:
        return SiemFault(NAME, doing=doing, said=said, remedy=remedy)


_SUDO: Final = (
    "its account needs sudo for so-import-pcap and so-elasticsearch-query: without a password, or with the "
    "one in LAB_SIEM_PASSWORD"
)


def _said(ran: Ran) -> str:
    words = (ran.stderr or ran.stdout).decode("utf-8", "backslashreplace").strip()
    return words.splitlines()[-1][:300] if words else f"it ended with {ran.code} and said nothing"


def _of(imports: Iterable[Import]) -> dict[str, Any]:
    return {"terms": {"import.id": [hashed for it in imports for hashed in it.hashes]}}


class _Connections:
    """Our events by the connection they are of."""

    def __init__(self, events: Sequence[Event]) -> None:
        self._by: dict[str, list[Event]] = {}
        for event in sorted(events, key=time_of):
            for name in _names(event):
                self._by.setdefault(name, []).append(event)

    def alert(self, found: Mapping[str, Any]) -> Alert:
        """Make our alert of one of theirs; without an event of ours its evidence is theirs alone."""
        theirs = _flat(found)
        moment = Moment.parse(str(theirs["@timestamp"]))
        events = self._evidence(theirs, moment)
        rule = f"1:{theirs.get('rule.uuid', theirs.get('rule.id', 0))}"
        level = _LEVELS.get(str(theirs.get("event.severity_label", "")).lower(), "informational")
        stored = max(int(str(it["event.ingested"])) for it in events)
        return Alert(
            id=identity(rule, str(theirs.get("log.id.uid", "")), events),
            engine="suricata",
            rule_id=rule,
            rule_hash="",
            title=str(theirs.get("rule.name", rule)),
            level=level,
            techniques=_list(theirs.get("rule.metadata.mitre_technique_id", ())),
            tactics=(),
            **facts(events, Moment(stored)),
        )

    def _evidence(self, theirs: Mapping[str, Any], moment: Moment) -> list[Event]:
        known = [it for name in _names(theirs) for it in self._by.get(name, ())]
        near = [it for it in known if abs(time_of(it) - moment) <= _NEAR] or known
        distinct = {str(it["event.id"]): it for it in near}
        own: Event = {
            "event.id": str(theirs.get("log.id.uid", theirs.get("event.id", "unknown"))),
            "@timestamp": moment,
            "event.ingested": moment,
            **{name: str(theirs[name]) for name in ("source.ip", "destination.ip") if name in theirs},
        }
        return sorted(distinct.values(), key=time_of) or [own]


def _names(event: Mapping[str, Any]) -> Iterator[str]:
    """Name an event's connection: by its community id, and by its four ends, whichever way round."""
    if event.get("network.community_id"):
        yield str(event["network.community_id"])
    ends = [f"{event.get(f'{it}.ip')}:{event.get(f'{it}.port', 0)}" for it in ("source", "destination")]
    if event.get("source.ip") and event.get("destination.ip"):
        yield " ".join(sorted(ends))


def _flat(found: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Write nested fields with dots; those that have them already stay."""
    flat: dict[str, Any] = {}
    for name, value in found.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{above}{name}.")
        else:
            flat[f"{above}{name}"] = value
    return flat


def _list(value: object) -> tuple[str, ...]:
    listed = value if isinstance(value, (list, tuple)) else (value,)
    return tuple(sorted(str(it).upper() for it in listed))


def show(onion: Onion, noticed: Noticed) -> Shown:
    """Bring a run there, wait until it can be searched, and keep what was raised.

    Raises:
        NotFound: the run has no packets.
        SiemFault: something of it failed.
    """
    server = onion.check()
    for note in server.notes:
        onion.tell(f"{NAME}: {note}")
    imports = onion.bring(noticed)
    for it in imports:
        onion.tell(f"it shows them at {it.url}")
    count = onion.await_events(imports)
    alerts = onion.alerts(imports, tuple(Store(noticed.events)))
    made = Comparison(
        siem=NAME,
        server=server,
        events=Store(noticed.events).count(),
        every=0,
        rules=(),
        hashes={it.rule_id: it.rule_hash for it in alerts},
        alerts=len(alerts),
    )
    keep(noticed, made, alerts)
    return Shown(server=server, imports=imports, events=count, alerts=len(alerts))
