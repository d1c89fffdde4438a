"""Commands about other SIEMs, from their words to their exit codes; servers are on loopback alone."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator

import pytest

from lab.files import records
from lab.files.workplace import Workplace
from lab.runs.folder import RunFolder, list_runs
from lab.siem.sink import Delivery
from tests.cli.test_commands import Terminal, terminal
from tests.siem.stub import Asked, Reply, Stub, elasticsearch, serving

__all__ = ["terminal"]  # a fixture


@pytest.fixture
def stub() -> Iterator[Stub]:
    """An Elasticsearch that keeps documents by their names, and finds nothing."""
    kept: dict[str, set[str]] = {"events": set(), "alerts": set()}
    usual = elasticsearch()

    def answer(asked: Asked) -> Reply:
        stream = "alerts" if ".alerts-" in asked.path else "events"
        if "_bulk" in asked.path:
            heads = [json.loads(it) for it in asked.body.splitlines()[::2]]
            kept[stream] |= {it["create"]["_id"] for it in heads}
        reply = usual(asked)
        if "_count" in asked.path:
            return Reply(200, {"count": len(kept[stream])}, reply.headers)
        if "_msearch" in asked.path:
            found = {"hits": {"hits": []}, "took": 1}
            return Reply(200, {"responses": [found] * (len(asked.body.splitlines()) // 2)}, reply.headers)
        return reply

    with serving(answer) as made:
        yield made


def replayed(terminal: Terminal) -> RunFolder:
    terminal.lab("replay")
    return list_runs(Workplace(terminal.folder))[-1]


def test_a_run_is_pushed_searched_and_scored(
    terminal: Terminal, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_SIEM_USER", "elastic")
    monkeypatch.setenv("LAB_SIEM_PASSWORD", "s3cret")
    run = replayed(terminal)
    ended = terminal.lab("siem", "push", "--to", stub.url)
    assert "events" in ended.out
    sent = records.read(run.noticed.delivery("elasticsearch"), Delivery)
    assert (sent.whole, sent.sent["events"]) == (True, 1318)
    found = terminal.lab("siem", "detect", "--siem", stub.url, code=1)  # it finds nothing, and we do
    assert "not explained" in found.out
    shown = terminal.lab("score", "--by", "embedded,elasticsearch")
    assert "time to detect, median" in shown.out
    assert (
        "s3cret"
        not in ended.said + found.said + shown.said + run.noticed.delivery("elasticsearch").read_text()
    )
    assert "One attack, 2 SIEMs" in run.report.read_text(encoding="utf-8")
    assert "One attack, several SIEMs" in run.report_text.read_text(encoding="utf-8")


def test_a_siem_that_was_never_asked_is_named_with_what_to_do(terminal: Terminal) -> None:
    run = replayed(terminal)
    said = terminal.lab("score", "--by", "splunk", code=2).said
    assert "there is: embedded" in said
    assert f"lab siem detect {run.path.name} --siem splunk" in said


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("https://u:pw@h:9200", "has a password in it"),
        ("nonsense+https://h:9200", "no SIEM 'nonsense'"),
        ("onion+ssh://h", "onion+ssh://ACCOUNT@HOST"),
        ("onion+ssh://me:pw@h", "has a password in it"),
    ],
)
def test_addresses_that_cannot_be(terminal: Terminal, where: str, said: str) -> None:
    ended = terminal.lab("siem", "push", "--to", where, code=2)
    assert said in ended.said
    assert "pw" not in ended.said


def test_a_product_without_a_node_is_named(terminal: Terminal) -> None:
    terminal.lab("up", "starter")
    said = terminal.lab("siem", "setup", "--siem", "elasticsearch", code=2).said
    assert "no SIEM 'elasticsearch'" in said
    assert "https://HOST:9200" in said


def test_a_server_that_is_away_is_named_and_nothing_is_changed(terminal: Terminal) -> None:
    assert (
        "nothing answers at http://127.0.0.1:1"
        in terminal.lab("siem", "setup", "--siem", "http://127.0.0.1:1", code=4).said
    )


def test_files_for_products_are_written(terminal: Terminal) -> None:
    for what, name in (("kibana", "k.ndjson"), ("kibana-rules", "r.ndjson"), ("splunk", "h.spl")):
        assert terminal.lab("siem", "export", what, "--to", name).out.strip() == str(terminal.folder / name)
    assert json.loads((terminal.folder / "r.ndjson").read_text().splitlines()[0])["type"] == "query"
    with tarfile.open(terminal.folder / "h.spl") as archive:
        assert "homerange/default/app.conf" in archive.getnames()


def test_rules_of_the_user_are_exported_and_bad_ones_named(terminal: Terminal) -> None:
    own = terminal.folder / "mine.yml"
    own.write_text("title: x\nlogsource: {product: linux\n")
    said = terminal.lab(
        "siem", "export", "kibana-rules", "--to", "r.ndjson", "--rules", "mine.yml", code=2
    ).said
    assert "mine.yml:" in said
    assert not (terminal.folder / "r.ndjson").exists()


def test_kibana_is_told_alone(terminal: Terminal) -> None:
    def answer(asked: Asked) -> Reply:
        counted = asked.body.count(b'{"')
        return Reply(200, {"success": True, "successCount": 39, "success_count": min(counted, 20)})

    with serving(answer) as stub:
        ended = terminal.lab("siem", "setup", "--siem", f"kibana+{stub.url}")
    assert ended.out == "kibana took 39 objects and 20 rules\n"
