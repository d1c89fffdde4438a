"""Splunk: documents through its HTTP Event Collector, rules through its search interface.

The collector takes documents without knowing their names, so a SIEM that is to hold each once is sent one
batch at a time and asked to acknowledge it. Contracts: the collector's and the search interface's, as
Splunk 9 and 10 document them. The collector was met in the OpenTelemetry Collector's receiver; neither it nor
the search was ever met in Splunk itself.
"""

from __future__ import annotations

import gzip
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

import requests

from lab.detect.sigma.products import Language, Translation
from lab.errors import SiemBusy, SiemFault
from lab.files import records
from lab.moment import SECOND, Moment
from lab.siem import trouble
from lab.siem.document import RUN, STREAMS, Document, Stream
from lab.siem.sink import Found, Remembers, Server, Taken, clock_notes, refusal
from lab.siem.target import API_KEY, SEARCH_URL, Target

_TIMEOUT: Final = 60
"""Seconds for one answer."""

_ACKNOWLEDGED: Final = 60.0
"""Seconds in which a batch must be acknowledged."""

_ASK_EVERY: Final = 0.2
"""Seconds between two questions whether it is."""

_BUSY: Final = frozenset({408, 429, 500, 502, 503, 504})
_TOO_LARGE: Final = 413
_BAD: Final = 400

_NO_DATA: Final = 5
_INVALID: Final = frozenset({6, 12, 13, 15})
"""The collector's codes for a document that it will never take."""

_MEANINGS: Final[Mapping[int, tuple[str, str]]] = {
    1: ("the token is disabled", "enable it: Settings, Data inputs, HTTP Event Collector"),
    2: ("it wants a token", f"set {API_KEY} to the token of an HTTP Event Collector"),
    3: ("it wants a token", f"set {API_KEY} to the token of an HTTP Event Collector"),
    4: (
        "it does not know the token",
        f"set {API_KEY} to the token of an HTTP Event Collector of this server",
    ),
    7: ("the token may not write to its index", "give the token a default index that it may write to"),
    10: ("the token wants a channel, and none came", "report this, with the version of the server"),
    14: ("acknowledgement is turned off", "turn it on for the token, or leave it off for all"),
    17: ("it is healthy", ""),
}
"""The collector's codes, what they mean, and what to do."""


class SplunkSink:
    """One collector, and the search beside it where its address is known."""

    language: Language = "spl"
    correlates: Language | None = "spl"
    remembers: Remembers = "by count"
    batch = 500

    def __init__(self, target: Target) -> None:
        self.name = target.name
        self._target = target
        self._channel = str(uuid.uuid4())
        self._line = _session(target)
        self._line.headers.update(
            {"Authorization": f"Splunk {target.api_key}", "X-Splunk-Request-Channel": self._channel}
        )
        self._search = _session(target)
        self._search.auth = (target.user, target.password) if target.user else None
        self._sourcetype = "homerange"

    def close(self) -> None:
        """Hang up."""
        self._line.close()
        self._search.close()

    # -- who is there ----------------------------------------------------------------------------

    def meet(self) -> Server:
        """Ask the collector whether it is well, and the search who it is."""
        health = self._ask(self._line, "GET", f"{self._target.url}/services/collector/health")
        if health.status_code != 200:  # noqa: PLR2004  # HTTP's code for well
            self._refused(health, "asking whether it is well")
        if "html" in health.headers.get("content-type", ""):
            trouble.wrong_product(self.name, url=self._target.url, said=health.text)
        clock = _clock(health)
        if not self._target.search_url:
            note = f"its search is not asked: set {SEARCH_URL} and an account to count, and to run rules"
            return Server(
                product="splunk",
                version="",
                identity=urlsplit(self._target.url).netloc,
                clock=clock,
                notes=(*clock_notes(clock), note),
            )
        with trouble.understood(self.name, "asking who it is"):
            told = self._searched("GET", "/services/server/info", {"output_mode": "json"}).json()
            content = told["entry"][0]["content"]
        return Server(
            product="splunk",
            version=str(content.get("version", "")),
            identity=str(content.get("guid", "")),
            clock=clock,
            notes=clock_notes(clock),
        )

    def prepare(self, server: Server) -> None:
        """Do nothing: fields are told by the app that `lab siem export splunk` packs."""

    # -- documents -------------------------------------------------------------------------------

    def send(self, batch: Sequence[Document]) -> Taken:
        """Send documents, and wait until they are acknowledged where the collector does that."""
        body = gzip.compress(b"\n".join(map(self._wrapped, batch)), compresslevel=1)
        answer = self._ask(
            self._line,
            "POST",
            f"{self._target.url}/services/collector/event",
            data=body,
            headers={"Content-Encoding": "gzip", "Content-Type": "application/json"},
        )
        said = _json(answer)
        if answer.status_code == 200:  # noqa: PLR2004  # HTTP's code for success
            if "ackId" in said:
                self._await(int(said["ackId"]))
            return Taken(new=len(batch))
        if answer.status_code == _TOO_LARGE and len(batch) > 1:
            half = len(batch) // 2
            first, second = self.send(batch[:half]), self.send(batch[half:])
            return Taken(new=first.new + second.new, refused=first.refused + second.refused)
        if answer.status_code == _TOO_LARGE:
            return Taken(refused=(refusal(batch[0], trouble.REMEDIES[_TOO_LARGE][0]),))
        if answer.status_code == _BAD and said.get("code") in _INVALID:
            return self._without_bad(batch, int(said.get("invalid-event-number", 0)), str(said.get("text")))
        if answer.status_code not in _BUSY:
            self._refused(answer, "sending documents")
        return Taken(again=tuple(batch), why=f"{answer.status_code}: {said.get('text', '')}")

    def _without_bad(self, batch: Sequence[Document], bad: int, why: str) -> Taken:
        """Go on behind a document that is never taken; those before it were."""
        rest = self.send(batch[bad + 1 :]) if batch[bad + 1 :] else Taken()
        return Taken(new=bad + rest.new, refused=(refusal(batch[bad], why), *rest.refused))

    def _wrapped(self, document: Document) -> bytes:
        envelope = {
            "time": f"{Moment.parse(document.time) / SECOND:.6f}",
            "host": document.host or "homerange",
            "source": f"homerange:{document.stream}",
            "sourcetype": f"homerange:{document.stream}:{document.sort}",
            "fields": {"homerange_id": document.id},
        }
        head = records.to_json(envelope).encode()[:-1]
        return b'%b,"event":%b}' % (head, document.body)

    def _await(self, number: int) -> None:
        """Wait until a batch is on the server's disk.

        Raises:
            SiemBusy: it is not in time.
        """
        url = f"{self._target.url}/services/collector/ack?channel={self._channel}"
        end = time.monotonic() + _ACKNOWLEDGED
        while time.monotonic() < end:
            answer = self._ask(self._line, "POST", url, json={"acks": [number]})
            if answer.status_code != 200:  # noqa: PLR2004  # HTTP's code for success
                self._refused(answer, "asking for an acknowledgement")
            if _json(answer).get("acks", {}).get(str(number)):
                return
            time.sleep(_ASK_EVERY)
        raise SiemBusy(
            self.name,
            doing="waiting for an acknowledgement",
            said=f"none came in {_ACKNOWLEDGED:.0f} s",
            remedy="its indexer may be full: look there, then repeat the command",
        )

    def held(self, run: str) -> Mapping[Stream, int] | None:
        """Count what it has of a run, each document once; None where its search is not known."""
        if not self._target.search_url:
            return None
        counted = f'search index=* {RUN}="{run}" | stats dc(homerange_id) as held by source'
        rows = list(self._rows(counted))
        found = {str(row.get("source", "")): int(str(row.get("held", 0))) for row in rows}
        return {stream: found.get(f"homerange:{stream}", 0) for stream in STREAMS}

    # -- rules -----------------------------------------------------------------------------------

    def search(self, rules: Iterable[Translation], run: str) -> list[Found]:
        """Ask rules about the events of a run."""
        return [self._asked(rule, run) for rule in rules]

    def _asked(self, rule: Translation, run: str) -> Found:
        begun = time.monotonic()
        only = f'index=* source="homerange:events" {RUN}="{run}"'
        counted = "| stats " in rule.query or "| bin " in rule.query
        query = f"search {only} ({rule.query})" if "|" not in rule.query else _narrowed(rule.query, only)
        if not counted:
            query += " | dedup homerange_id | table event.id"
        try:
            rows = list(self._rows(query))
        except SiemBusy:
            raise
        except SiemFault as error:
            return Found(id=rule.id, why=error.said)
        took = time.monotonic() - begun
        if counted:
            return Found(id=rule.id, cases=tuple(map(_case, rows)), took=took)
        events = tuple(sorted(str(row["event.id"]) for row in rows if "event.id" in row))
        return Found(id=rule.id, events=events, took=took)

    def _rows(self, query: str) -> Iterator[Mapping[str, Any]]:
        """Read the rows of a search.

        Raises:
            SiemFault: the server did not understand it, or its search is not known.
        """
        if not self._target.search_url:
            raise SiemFault(
                self.name,
                doing="searching",
                said="the address of its search is not known",
                remedy=f"set {SEARCH_URL} to https://HOST:8089, and an account",
            )
        asked = {"search": query, "output_mode": "json", "earliest_time": "0", "latest_time": "now"}
        answer = self._searched("POST", "/services/search/v2/jobs/export", asked)
        for line in filter(None, answer.text.splitlines()):
            with trouble.understood(self.name, "searching"):
                row = records.from_json(line, dict)
            for message in row.get("messages", ()):
                if message.get("type") in {"FATAL", "ERROR"}:
                    said = str(message.get("text", ""))
                    remedy = "the query above is what pySigma made of the rule; please report it"
                    raise SiemFault(self.name, doing="searching", said=said, remedy=remedy)
            if "result" in row and not row.get("preview"):
                yield row["result"]

    def _searched(self, method: str, path: str, asked: Mapping[str, str]) -> requests.Response:
        url = f"{self._target.search_url}{path}"
        given: dict[str, Any] = {"params": asked} if method == "GET" else {"data": asked}
        answer = self._ask(self._search, method, url, **given)
        if answer.status_code != 200:  # noqa: PLR2004  # HTTP's code for success
            trouble.refused(
                self.name, doing="searching", status=answer.status_code, said=answer.text[:300].strip()
            )
        return answer

    # -- the line --------------------------------------------------------------------------------

    def _ask(
        self,
        line: requests.Session,
        method: str,
        url: str,
        **given: Any,  # noqa: ANN401  # requests' own
    ) -> requests.Response:
        try:
            return line.request(method, url, timeout=_TIMEOUT, allow_redirects=False, **given)
        except requests.RequestException as error:
            trouble.unreachable(self.name, doing="asking", url=self._target.url, said=str(error))

    def _refused(self, answer: requests.Response, doing: str) -> NoReturn:
        """Raise what a refusal means, in the collector's own codes where it gives one."""
        said = _json(answer)
        code = int(said.get("code", 0))
        if code in _MEANINGS and answer.status_code not in _BUSY:
            meaning, remedy = _MEANINGS[code]
            what = f"{meaning} ({answer.status_code}: {said.get('text', '')})"
            raise SiemFault(self.name, doing=doing, said=what, remedy=remedy)
        trouble.refused(
            self.name, doing=doing, status=answer.status_code, said=str(said.get("text", answer.text[:300]))
        )


def _session(target: Target) -> requests.Session:
    made = requests.Session()
    made.trust_env = False  # what is meant is named: no proxy, and no password of ~/.netrc
    if target.ca:
        made.verify = str(target.ca)
    return made


def _json(answer: requests.Response) -> dict[str, Any]:
    try:
        found = answer.json()
    except requests.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _clock(answer: requests.Response) -> float:
    """Measure how far a server's clock is ahead of ours, in whole seconds; 0 where it does not say."""
    try:
        there = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return 0.0
    return float(round(there - time.time() + answer.elapsed.total_seconds() / 2))


def _narrowed(query: str, only: str) -> str:
    """Ask a query of several commands about one run: its first command is a search."""
    first, bar, rest = query.partition("\n|")
    if not bar:
        first, bar, rest = query.partition("|")
    return f"search {only} ({first.strip()}) {bar.strip()}{rest}"


def _case(row: Mapping[str, Any]) -> Mapping[str, str]:
    """Read the case of a correlation: the values it is about, and when its window began."""
    values = {name: str(value) for name, value in row.items() if not name.startswith("_")}
    return values | ({"since": str(row["_time"])} if "_time" in row else {})
