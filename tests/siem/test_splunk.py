"""Splunk by its published contract: its event collector's answers, its search, and the app it is given."""

from __future__ import annotations

import configparser
import gzip
import io
import json
import re
import tarfile
import urllib.parse
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lab.detect.detector import OWN_RULES
from lab.detect.sigma.products import Translation, translate
from lab.detect.sigma.read import read_rules
from lab.errors import SiemBusy, SiemFault, WrongProduct
from lab.siem.dashboards import read_dashboards
from lab.siem.document import DOCUMENT_FIELDS, documents
from lab.siem.splunk import SplunkSink
from lab.siem.splunk_app import ALIASES, packed
from lab.siem.target import Target
from lab.telemetry.sources import MODULES
from tests.siem.runs import make_run
from tests.siem.stub import Asked, Reply, serving

WELL = Reply(200, {"text": "HEC is healthy", "code": 17})


def sink_at(url: str, search: str = "") -> SplunkSink:
    return SplunkSink(
        Target(name="splunk", url=url, api_key="t0ken", search_url=search, user="u", password="p")
    )


def envelopes(asked: Asked) -> Iterator[dict[str, object]]:
    """Read what a collector is sent: objects one after the other."""
    assert asked.headers["content-encoding"] == "gzip"
    for line in gzip.decompress(asked.body).splitlines():
        found = json.loads(line)
        assert set(found) == {"time", "host", "source", "sourcetype", "fields", "event"}
        assert re.fullmatch(r"\d+\.\d{6}", found["time"])
        yield found


def test_documents_are_wrapped_and_acknowledged(tmp_path: Path) -> None:
    got: list[dict[str, object]] = []
    questions = 0

    def answer(asked: Asked) -> Reply:
        nonlocal questions
        assert asked.headers["authorization"] == "Splunk t0ken"
        channel = asked.headers["x-splunk-request-channel"]
        if asked.path == "/services/collector/event":
            got.extend(envelopes(asked))
            return Reply(200, {"text": "Success", "code": 0, "ackId": 7})
        assert asked.path == f"/services/collector/ack?channel={channel}"
        assert json.loads(asked.body) == {"acks": [7]}
        questions += 1
        return Reply(200, {"acks": {"7": questions > 1}})

    with serving(answer) as stub, closing(sink_at(stub.url)) as sink:
        taken = sink.send(list(documents(make_run(tmp_path / "r"), "r1"))[:5])
    assert (taken.new, len(got), questions) == (5, 5, 2)
    assert got[0]["sourcetype"] == "homerange:events:sshd"
    assert got[0]["host"] == "bastion"


@pytest.mark.parametrize(
    ("status", "code", "kind", "said"),
    [
        (401, 3, SiemFault, "it wants a token"),
        (403, 4, SiemFault, "does not know the token"),
        (403, 1, SiemFault, "the token is disabled"),
        (400, 7, SiemFault, "may not write to its index"),
        (400, 10, SiemFault, "wants a channel"),
    ],
)
def test_the_collectors_codes_have_meanings(
    tmp_path: Path, status: int, code: int, kind: type[SiemFault], said: str
) -> None:
    with (
        serving(lambda _asked: Reply(status, {"text": "no", "code": code})) as stub,
        closing(sink_at(stub.url)) as sink,
        pytest.raises(kind, match=said) as raised,
    ):
        sink.send(list(documents(make_run(tmp_path / "r"), "r1"))[:2])
    assert "t0ken" not in raised.value.message()


def test_a_busy_collector_has_no_room(tmp_path: Path) -> None:
    with (
        serving(lambda _asked: Reply(503, {"text": "Server is busy", "code": 9})) as stub,
        closing(sink_at(stub.url)) as sink,
    ):
        assert len(sink.send(list(documents(make_run(tmp_path / "r"), "r1"))[:2]).again) == 2


def test_a_document_that_is_never_taken_is_left_out(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Reply:
        lines = [it["event"]["event.id"] for it in envelopes(asked)]  # type: ignore[index]
        bad = f"{3:024d}"
        if bad in lines:
            return Reply(
                400, {"text": "Invalid data format", "code": 6, "invalid-event-number": lines.index(bad)}
            )
        return Reply(200, {"text": "Success", "code": 0})

    with serving(answer) as stub, closing(sink_at(stub.url)) as sink:
        taken = sink.send(list(documents(make_run(tmp_path / "r"), "r1"))[:5])
    assert (taken.new, [it.why for it in taken.refused]) == (4, ["Invalid data format"])


def test_a_batch_that_is_too_large_is_halved(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Reply:
        return Reply(413, "too large") if len(list(envelopes(asked))) > 2 else Reply(200, {"code": 0})

    with serving(answer) as stub, closing(sink_at(stub.url)) as sink:
        assert sink.send(list(documents(make_run(tmp_path / "r"), "r1"))[:5]).new == 5


def test_a_page_is_no_collector() -> None:
    with (
        serving(lambda _asked: Reply(200, "<html>")) as stub,
        closing(sink_at(stub.url)) as sink,
        pytest.raises(WrongProduct),
    ):
        sink.meet()


def test_without_a_search_a_user_is_told_so() -> None:
    with serving(lambda _asked: WELL) as stub, closing(sink_at(stub.url)) as sink:
        server = sink.meet()
        assert sink.held("r1") is None
        with pytest.raises(SiemFault, match="LAB_SIEM_SEARCH_URL"):
            list(sink._rows("search x"))  # noqa: SLF001  # no rule gets that far
    assert "its search is not asked" in server.notes[-1]


def test_a_clock_that_is_off_is_told() -> None:
    late = Reply(200, WELL.body, {"Date": "Mon, 01 Jan 2024 00:00:00 GMT"})
    with serving(lambda _asked: late) as stub, closing(sink_at(stub.url)) as sink:
        assert "behind this machine's" in sink.meet().notes[0]


def searched(rows: list[dict[str, object]]) -> Reply:
    lines = [
        {"preview": True, "result": {"event.id": "half"}},
        *({"preview": False, "result": it} for it in rows),
    ]
    return Reply(200, "\n".join(json.dumps(it) for it in lines))


def asked_search(asked: Asked) -> str:
    assert asked.method == "POST"
    assert asked.path == "/services/search/v2/jobs/export"
    assert asked.headers["authorization"].startswith("Basic ")
    form = urllib.parse.parse_qs(asked.body.decode(), strict_parsing=True)
    assert form["output_mode"] == ["json"]
    (search,) = form["search"]
    assert search.startswith("search ")
    return search


def test_a_rule_is_searched_within_the_run() -> None:
    asked: list[str] = []

    def answer(request: Asked) -> Reply:
        asked.append(asked_search(request))
        return searched([{"event.id": "b"}, {"event.id": "a"}])

    with serving(answer) as stub, closing(sink_at(stub.url, stub.url)) as sink:
        query = 'event.module="snoopy" process.name="a" OR process.name="b"'
        (found,) = sink.search([Translation(id="x", language="spl", query=query)], "r1")
    assert found.events == ("a", "b")
    only = 'search index=* source="homerange:events" homerange.run="r1"'
    assert asked == [f"{only} ({query}) | dedup homerange_id | table event.id"]


def test_a_correlation_is_searched_within_the_run() -> None:
    rules = read_rules([OWN_RULES])
    asked = translate([OWN_RULES], "spl", rules, index="")
    chosen = next(it for it in asked if "| stats" in it.query and "5" in it.query)
    queries: list[str] = []

    def answer(request: Asked) -> Reply:
        queries.append(asked_search(request))
        return searched(
            [{"_time": "2026-11-25T15:08:00.000+00:00", "source.ip": "10.1.0.2", "event_count": "6"}]
        )

    with serving(answer) as stub, closing(sink_at(stub.url, stub.url)) as sink:
        (found,) = sink.search([chosen], "r1")
    assert found.cases == (
        {"source.ip": "10.1.0.2", "event_count": "6", "since": "2026-11-25T15:08:00.000+00:00"},
    )
    assert queries[0].startswith('search index=* source="homerange:events" homerange.run="r1" (')


def test_a_search_that_splunk_does_not_understand_is_named() -> None:
    told = {"messages": [{"type": "FATAL", "text": "Error in 'search' command"}]}
    with (
        serving(lambda _asked: Reply(200, json.dumps(told))) as stub,
        closing(sink_at(stub.url, stub.url)) as sink,
    ):
        (found,) = sink.search([Translation(id="x", language="spl", query="a")], "r1")
    assert found.why == "Error in 'search' command"


def test_documents_are_counted_each_once() -> None:
    def answer(request: Asked) -> Reply:
        assert "dc(homerange_id)" in asked_search(request)
        return searched([{"source": "homerange:events", "held": "5"}])

    with serving(answer) as stub, closing(sink_at(stub.url, stub.url)) as sink:
        assert sink.held("r1") == {"events": 5, "alerts": 0}


def test_nothing_answers() -> None:
    with closing(sink_at("http://127.0.0.1:1")) as sink, pytest.raises(SiemBusy, match="nothing answers"):
        sink.meet()


# -- the app ---------------------------------------------------------------------------------------


def app() -> dict[str, str]:
    rules = read_rules([OWN_RULES])
    asked = translate([OWN_RULES], "spl", rules, index="")
    made = packed(read_dashboards(), rules, asked, version="1.0.0", every=60)
    assert made == packed(read_dashboards(), rules, asked, version="1.0.0", every=60)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(made))) as archive:
        return {it.name: archive.extractfile(it).read().decode() for it in archive if it.isfile()}  # type: ignore[union-attr]


def settings(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(
        interpolation=None, delimiters=("=",), comment_prefixes=("#",), strict=True
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text.replace("\\\n", " "))
    return parser


def test_the_app_has_settings_that_can_be_read() -> None:
    files = app()
    found = {name: settings(text) for name, text in files.items() if name.endswith(".conf")}
    assert found["homerange/default/app.conf"]["package"]["id"] == "homerange"
    searches = found["homerange/default/savedsearches.conf"]
    rules = read_rules([OWN_RULES])
    nested = {it.id for it in rules.correlations}
    said = [it for it in rules.correlations if it.kind != "temporal_ordered" and nested.isdisjoint(it.rules)]
    alerting = sum(it.alerts for it in (*rules.rules, *said))
    assert len(searches.sections()) == alerting
    for name in searches.sections():
        assert searches[name]["search"].startswith('source="homerange:events" ')
        assert searches[name]["cron_schedule"] == "*/1 * * * *"


def test_every_source_type_has_aliases_of_fields_that_events_have() -> None:
    props = settings(app()["homerange/default/props.conf"])
    assert props.sections() == [f"homerange:events:{it}" for it in MODULES]
    assert set(ALIASES) <= DOCUMENT_FIELDS.keys()


def test_dashboards_are_studio_definitions_whose_parts_are_there() -> None:
    views = {name: text for name, text in app().items() if "/views/" in name}
    assert len(views) == len(read_dashboards())
    for text in views.values():
        root = ET.fromstring(text)  # noqa: S314  # our own
        assert (root.tag, root.get("version")) == ("dashboard", "2")
        told = json.loads(root.findtext("definition") or "")
        assert {it["item"] for it in told["layout"]["structure"]} == told["visualizations"].keys()
        used = {it["dataSources"]["primary"] for it in told["visualizations"].values()}
        assert used == told["dataSources"].keys()
        for it in told["dataSources"].values():
            assert it["options"]["query"].startswith('source="homerange:')
