"""Elasticsearch and OpenSearch, which share nearly all of their interface: one sink over two clients.

Where they differ, a client's own module says how, as a `Wire`. Documents are named by their content and
only ever created, so one that is sent again is known already; a plain index serves where a server has no
data streams.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from lab.detect.sigma.products import Language, Translation
from lab.errors import SiemFault
from lab.files import records
from lab.siem import mapping, trouble
from lab.siem.document import ALL_STREAMS, RUN, STREAMS, Document, Stream
from lab.siem.sink import Found, Refusal, Remembers, Server, Taken, clock_notes, refusal

Json = Any
"""What a server answered."""

_CREATED: Final = 201
_BAD: Final = 400
_ABSENT: Final = 404
_NO_METHOD: Final = 405
_CONFLICT: Final = 409
_TOO_LARGE: Final = 413
_NO_ROOM: Final = frozenset({408, 429, 502, 503, 504})

_NOT_OURS: Final = frozenset({301, 302, 303, 307, 308, 400, 404, 405, 406})
"""What neither product answers when it is asked for its nodes."""

_PAGE: Final = 5000
"""Events asked for at once."""

_ASKED_TOGETHER: Final = 40
"""Rules asked in one request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a server said."""

    status: int
    """Status code of HTTP."""

    body: Json
    """Its JSON, or text."""

    @property
    def well(self) -> bool:
        """Tell whether it did what was asked."""
        return 200 <= self.status < 300  # noqa: PLR2004  # HTTP's codes for success

    @property
    def said(self) -> str:
        """The reason, where it is an error."""
        error = self.body.get("error", self.body) if isinstance(self.body, dict) else self.body
        if isinstance(error, dict):
            return f"{error.get('type', '')}: {error.get('reason', '')}".strip(": ") or str(error)
        return str(error)


class Wire(Protocol):
    """A client, and where its product is not like the other."""

    product: str
    """`elasticsearch` or `opensearch`."""

    url: str
    """Where it answers."""

    oldest: int
    """The oldest major version that is spoken to."""

    correlates: Language
    """The language that correlations are written in."""

    search_path: str
    """Where queries in that language are answered."""

    def ask(self, method: str, path: str, body: object = None, *, lines: bool = False) -> Answer:
        """Ask; an answer that is an error is an answer.

        Args:
            method: Of HTTP.
            path: With its query.
            body: JSON, or text that is sent as it is.
            lines: Whether it is JSON lines.

        Raises:
            SiemBusy: nothing answered.
            SiemFault: something else answered, or encryption failed.
        """
        ...

    def within(self, query: str, run: str) -> str:
        """Narrow a query in the language of correlations to the events of one run."""
        ...

    def rows(self, answer: Json) -> Iterator[Mapping[str, object]]:
        """Read the rows of an answer in the language of correlations."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


class LuceneSink:
    """A sink over one of the two clients."""

    language: Language = "lucene"
    remembers: Remembers = "by name"
    batch = 1000

    def __init__(self, name: str, wire: Wire) -> None:
        self.name = name
        self._wire = wire
        self.correlates: Language | None = wire.correlates

    def close(self) -> None:
        """Hang up."""
        self._wire.close()

    def _ask(self, doing: str, method: str, path: str, body: object = None, *, lines: bool = False) -> Json:
        return self._checked(doing, self._wire.ask(method, path, body, lines=lines))

    def _checked(self, doing: str, answer: Answer) -> Json:
        if not answer.well:
            trouble.refused(self.name, doing=doing, status=answer.status, said=answer.said)
        return answer.body

    # -- who is there ----------------------------------------------------------------------------

    def meet(self) -> Server:
        """Ask who it is, and whether it knows us."""
        with trouble.understood(self.name, "asking who it is"):
            return self._met()

    def _met(self) -> Server:
        before = time.time()
        nodes = self._nodes()
        told: Json = next(iter(cast("dict[str, Json]", nodes.get("nodes", {})).values()), {})
        version = str(told.get("version", ""))
        if version and int(version.partition(".")[0]) < self._wire.oldest:
            trouble.old_version(self.name, found=version, oldest=self._wire.oldest)
        clock = self._clock((before + time.time()) / 2)
        streams = self._wire.ask("GET", f"/_data_stream/{mapping.PREFIX}*")
        return Server(
            product=self._wire.product,
            version=version,
            identity=self._identity(),
            clock=round(clock, 1),
            data_streams=streams.status in {200, 404} and "no handler" not in streams.said,
            memory=int(told.get("jvm", {}).get("mem", {}).get("heap_max_in_bytes", 0)),
            notes=(*clock_notes(clock), *self._full()),
        )

    def _nodes(self) -> Json:
        answer = self._wire.ask("GET", f"/_nodes/_local?filter_path={_ABOUT}")
        if answer.status in _NOT_OURS or not isinstance(answer.body, (dict, Mapping)):
            trouble.wrong_product(self.name, url=self._wire.url, said=f"{answer.status}: {answer.said}")
        return self._checked("asking who it is", answer)

    def _identity(self) -> str:
        found = self._ask(
            "asking who it is", "GET", "/_cluster/state/metadata?filter_path=metadata.cluster_uuid"
        )
        return str(found.get("metadata", {}).get("cluster_uuid", ""))

    def _clock(self, ours: float) -> float:
        """Measure how far the server's clock is ahead of ours, in seconds."""
        found = self._ask(
            "asking for its clock", "GET", "/_nodes/_local/stats/jvm?filter_path=nodes.*.timestamp"
        )
        stamps = [int(it["timestamp"]) for it in found.get("nodes", {}).values()]
        return stamps[0] / 1000 - ours if stamps else 0.0

    def _full(self) -> tuple[str, ...]:
        """Say that indices of ours may not be written to, because the disk is full."""
        answer = self._wire.ask(
            "GET", f"/{mapping.ALL}/_settings?filter_path=*.settings.index.blocks&expand_wildcards=all"
        )
        return ("; ".join(trouble.disk_full()),) if "read_only_allow_delete" in str(answer.body) else ()

    # -- our fields ------------------------------------------------------------------------------

    def prepare(self, server: Server) -> None:
        """Put the templates there, the same ones again each time."""
        doing = "telling it our fields"
        self._ask(doing, "PUT", f"/_component_template/{mapping.COMPONENT}", mapping.component_template())
        for name, template in mapping.index_templates(data_streams=server.data_streams).items():
            self._ask(doing, "PUT", f"/_index_template/{name}", template)
        for stream in ALL_STREAMS:
            self._update(stream, doing)

    def _update(self, stream: Stream, doing: str) -> None:
        """Give an index that is there the fields that came since it was made.

        Raises:
            SiemFault: it has one of them as something else.
        """
        fields = {"properties": mapping.properties()}
        answer = self._wire.ask("PUT", f"/{mapping.stream_name(stream)}/_mapping", fields)
        if answer.status == _BAD:
            remedy = (
                f"it was made by another program: remove or rename it:  DELETE {mapping.stream_name(stream)}"
            )
            raise SiemFault(self.name, doing=doing, said=f"mapping conflict: {answer.said}", remedy=remedy)
        if answer.status != _ABSENT:  # it is made with the first document
            self._checked(doing, answer)

    # -- documents -------------------------------------------------------------------------------

    def send(self, batch: Sequence[Document]) -> Taken:
        """Create documents; one that is there already stays as it is."""
        lines = b"".join(b'{"create":{"_id":"%b"}}\n%b\n' % (it.id.encode(), it.body) for it in batch)
        path = (
            f"/{mapping.stream_name(batch[0].stream)}/_bulk?filter_path=errors,items.*.status,items.*.error"
        )
        answer = self._wire.ask("POST", path, lines, lines=True)
        if answer.status == _TOO_LARGE and len(batch) > 1:
            half = len(batch) // 2
            return _joined(self.send(batch[:half]), self.send(batch[half:]))
        if answer.status == _TOO_LARGE:
            return Taken(refused=(refusal(batch[0], trouble.REMEDIES[_TOO_LARGE][0]),))
        if answer.status in _NO_ROOM:
            return Taken(again=tuple(batch), why=f"{answer.status}: {answer.said}")
        found = self._checked("sending documents", answer)
        with trouble.understood(self.name, "sending documents"):
            results = [next(iter(it.values())) for it in found["items"]]
            return _sorted_out(batch, results)

    def held(self, run: str) -> Mapping[Stream, int]:
        """Count what it has of a run."""
        with trouble.understood(self.name, "counting documents"):
            return {stream: self._count(stream, run) for stream in STREAMS}

    def _count(self, stream: Stream, run: str) -> int:
        name = mapping.stream_name(stream)
        answer = self._wire.ask("POST", f"/{name}/_refresh")
        if answer.status == _ABSENT:
            return 0
        found = self._ask("counting documents", "POST", f"/{name}/_count", {"query": {"term": {RUN: run}}})
        return int(found["count"])

    # -- rules -----------------------------------------------------------------------------------

    def search(self, rules: Iterable[Translation], run: str) -> list[Found]:
        """Ask rules about the events of a run."""
        with trouble.understood(self.name, "searching"):
            return self._searched(tuple(rules), run)

    def _searched(self, asked: Sequence[Translation], run: str) -> list[Found]:
        single = [it for it in asked if it.language == "lucene"]
        found = {it.id: it for it in self._single(single, run)}
        found |= {it.id: self._correlation(it, run) for it in asked if it.language != "lucene"}
        return [found[it.id] for it in asked]

    def _single(self, rules: Sequence[Translation], run: str) -> Iterator[Found]:
        path = f"/{mapping.stream_name('events')}/_msearch?max_concurrent_searches=2"
        for start in range(0, len(rules), _ASKED_TOGETHER):
            part = rules[start : start + _ASKED_TOGETHER]
            bodies: list[tuple[Json, Json]] = [({}, _query(it.query, run)) for it in part]
            found = self._ask("searching", "POST", path, _lines(bodies), lines=True)
            for rule, response in zip(part, found["responses"], strict=True):
                yield self._whole(rule, response, run)

    def _whole(self, rule: Translation, response: Json, run: str) -> Found:
        """Read on where a rule matched more than one answer holds."""
        events: list[str] = []
        took = 0.0
        while True:
            if "error" in response:
                return Found(id=rule.id, why=Answer(status=response.get("status", 0), body=response).said)
            if response.get("_shards", {}).get("failed"):
                failures = response["_shards"].get("failures", [{}])
                return Found(
                    id=rule.id, why=str(failures[0].get("reason", {}).get("reason", "a shard failed"))
                )
            hits = response["hits"]["hits"]
            events += [str(it["sort"][0]) for it in hits]
            took += response.get("took", 0) / 1000
            if len(hits) < _PAGE:
                return Found(id=rule.id, events=tuple(events), took=took)
            body = _query(rule.query, run) | {"search_after": [events[-1]]}
            response = self._ask("searching", "POST", f"/{mapping.stream_name('events')}/_search", body)

    def _correlation(self, rule: Translation, run: str) -> Found:
        body = {"query": self._wire.within(rule.query, run)}
        begun = time.monotonic()
        answer = self._wire.ask("POST", self._wire.search_path, body)
        if answer.status in {_ABSENT, _NO_METHOD} or "no handler" in answer.said:
            return Found(id=rule.id, why=f"this server has no {_LANGUAGES[rule.language]}")
        if not answer.well:
            return Found(id=rule.id, why=f"the server refused the query: {answer.said[:300]}")
        cases = tuple({name: str(it) for name, it in row.items()} for row in self._wire.rows(answer.body))
        return Found(id=rule.id, cases=cases, took=time.monotonic() - begun)


_ABOUT: Final = "cluster_name,nodes.*.version,nodes.*.jvm.mem.heap_max_in_bytes"

_LANGUAGES: Final = {"esql": "ES|QL", "ppl": "piped language (PPL)"}


def _query(query: str, run: str) -> dict[str, Json]:
    string = {"query": query, "analyze_wildcard": True, "max_determinized_states": 100_000}
    return {
        "query": {"bool": {"filter": [{"term": {RUN: run}}, {"query_string": string}]}},
        "size": _PAGE,
        "sort": [{"event.id": "asc"}],
        "_source": False,
        "track_total_hits": False,
    }


def _lines(bodies: Iterable[tuple[Json, Json]]) -> bytes:
    return "".join(f"{records.to_json(part)}\n" for pair in bodies for part in pair).encode()


def _sorted_out(batch: Sequence[Document], results: Sequence[Json]) -> Taken:
    """Tell apart what was created, what was there, what will never be taken, and what may be later."""
    new = known = 0
    refused: list[Refusal] = []
    again: list[Document] = []
    why = ""
    for document, result in zip(batch, results, strict=True):
        status = int(result["status"])
        if status == _CREATED:
            new += 1
        elif status == _CONFLICT:
            known += 1
        elif status in _NO_ROOM or trouble.is_disk(str(result.get("error", ""))):
            again.append(document)
            why = f"{status}: {result['error'].get('reason', '')}"
        else:
            refused.append(refusal(document, _reason(result["error"])))
    return Taken(new=new, known=known, refused=tuple(refused), again=tuple(again), why=why)


def _reason(error: Json) -> str:
    cause = error.get("caused_by", {}).get("reason", "")
    return f"{error.get('type', '')}: {error.get('reason', '')}" + (f" ({cause})" if cause else "")


def _joined(first: Taken, second: Taken) -> Taken:
    return Taken(
        new=first.new + second.new,
        known=first.known + second.known,
        refused=first.refused + second.refused,
        again=first.again + second.again,
        why=second.why or first.why,
    )
