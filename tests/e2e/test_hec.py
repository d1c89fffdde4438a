"""An event collector that others wrote, built from Go modules: the OpenTelemetry Collector's receiver."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import requests

from lab.errors import SiemBusy
from lab.moment import Moment
from lab.siem.document import documents
from lab.siem.push import Pusher
from lab.siem.splunk import SplunkSink
from lab.siem.target import Target
from tests.siem.runs import make_run
from tests.support import until

pytestmark = pytest.mark.docker  # as much as an engine, it has to be there in CI

VERSION: Final = "v0.130.0"

MODULES: Final = "github.com/open-telemetry/opentelemetry-collector-contrib"

BUILD: Final = f"""\
dist: {{name: collector, module: example.org/collector, output_path: OUT}}
receivers: [{{gomod: {MODULES}/receiver/splunkhecreceiver {VERSION}}}]
exporters: [{{gomod: {MODULES}/exporter/fileexporter {VERSION}}}]
extensions: [{{gomod: {MODULES}/extension/ackextension {VERSION}}}]
providers: [{{gomod: go.opentelemetry.io/collector/confmap/provider/fileprovider v1.36.0}}]
conf_resolver: {{default_uri_scheme: file}}
"""

SETTINGS: Final = """\
extensions: {ack: {}}
receivers: {splunk_hec: {endpoint: "127.0.0.1:PORT", ack: {extension: ack}}}
exporters: {file: {path: GOT}}
service:
  extensions: [ack]
  telemetry: {metrics: {level: none}, logs: {level: error}}
  pipelines: {logs: {receivers: [splunk_hec], exporters: [file]}}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The collector, built; Go keeps what it compiled, so a second time takes seconds."""
    folder = tmp_path_factory.mktemp("collector")
    (folder / "build.yml").write_text(BUILD.replace("OUT", str(folder / "out")))
    subprocess.run(
        ["go", "run", f"go.opentelemetry.io/collector/cmd/builder@{VERSION}", "--config", "build.yml"],
        cwd=folder,
        env={**os.environ, "GOFLAGS": "-mod=mod", "GOSUMDB": "off"},
        capture_output=True,
        check=True,
        timeout=900,
    )
    return folder / "out" / "collector"


@pytest.fixture
def collector(program: Path, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """It runs on loopback: its address, and the file that what it got is written to."""
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        port = line.getsockname()[1]
    got = tmp_path / "got.json"
    settings = tmp_path / "settings.yml"
    settings.write_text(SETTINGS.replace("PORT", str(port)).replace("GOT", str(got)))
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen([program, "--config", settings], stderr=subprocess.DEVNULL) as running:
        try:
            until(lambda: _well(url), seconds=30)
            yield url, got
        finally:
            running.terminate()


def _well(url: str) -> bool:
    try:
        return requests.get(f"{url}/services/collector/health", timeout=2).status_code == 200
    except requests.ConnectionError:
        return False


def received(got: Path) -> list[dict[str, Any]]:
    """Read the records that the collector wrote: names of documents, and their fields."""
    lines = [json.loads(it) for it in got.read_text().splitlines()]
    return [
        record
        for line in lines
        for resource in line["resourceLogs"]
        for scope in resource["scopeLogs"]
        for record in scope["logRecords"]
    ]


def name_of(record: dict[str, Any]) -> str:
    attributes = {it["key"]: it["value"] for it in record["attributes"]}
    return str(attributes["homerange_id"]["stringValue"])


def test_every_document_arrives_once_and_whole(collector: tuple[str, Path], tmp_path: Path) -> None:
    url, got = collector
    noticed = make_run(tmp_path / "run", events=2_000, alerts=30)
    sink = SplunkSink(Target(name="splunk", url=url, api_key="any"))
    said: list[str] = []
    pushing = Pusher(noticed=noticed, run="r1", sink=sink, tell=said.append)
    assert pushing.push().sent == {"events": 2_000, "alerts": 30}
    pushing.push()
    sink.close()
    wanted = {it.id: it for it in documents(noticed, "r1")}
    until(lambda: len(received(got)) >= len(wanted))
    found = received(got)
    assert Counter(map(name_of, found)) == Counter(wanted.keys())
    first = next(it for it in found if name_of(it) == next(iter(wanted)))
    fields = {it["key"]: it["value"] for it in first["body"]["kvlistValue"]["values"]}
    assert fields["event.original"] == {"stringValue": "line 0"}
    assert int(first["timeUnixNano"]) == Moment.parse(next(iter(wanted.values())).time)
    assert "its search is not asked" in said[0]


def test_a_collector_that_went_away_is_sent_the_rest_later(
    collector: tuple[str, Path], program: Path, tmp_path: Path
) -> None:
    url, got = collector
    del program
    noticed = make_run(tmp_path / "run", events=1_000, alerts=5)
    away = SplunkSink(Target(name="splunk", url="http://127.0.0.1:1", api_key="any"))
    with pytest.raises(SiemBusy, match="nothing answers"):
        Pusher(noticed=noticed, run="r1", sink=away, tell=lambda _line: None, patience=0).push()
    away.close()
    sink = SplunkSink(Target(name="splunk", url=url, api_key="any"))
    assert (
        Pusher(noticed=noticed, run="r1", sink=sink, tell=lambda _line: None).push().sent["events"] == 1_000
    )
    sink.close()
    until(lambda: len(received(got)) == 1_005)
