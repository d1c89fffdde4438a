"""Whatever is wrong with a server is said once, with what to do; nothing is lost and nothing doubled."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from lab.detect.sigma.products import Translation
from lab.errors import BadFile, SiemBusy, SiemFault, WrongProduct
from lab.siem.document import documents
from lab.siem.elasticsearch import ElasticsearchWire
from lab.siem.lucene import LuceneSink
from lab.siem.opensearch import OpenSearchWire
from lab.siem.push import Pusher
from lab.siem.sinks import open_sink
from lab.siem.target import BadTarget, Credentials, Target, target_at
from tests.siem.runs import make_run
from tests.siem.stub import Asked, Reply, elasticsearch, serving


def sink_at(url: str, *, user: str = "", password: str = "", ca: Path | None = None) -> LuceneSink:
    target = Target(name="elasticsearch", url=url, user=user, password=password, ca=ca)
    return LuceneSink("elasticsearch", ElasticsearchWire(target))


def certificate(folder: Path) -> Path:
    """Make a certificate that nobody signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "siem")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "siem.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


EVENTS = "/logs-homerange.events-default"

ERROR = {"error": {"type": "security_exception", "reason": "because"}, "status": 400}


@pytest.mark.parametrize(
    ("status", "kind", "said", "remedy"),
    [
        (401, SiemFault, "it does not know us", "LAB_SIEM_API_KEY"),
        (403, SiemFault, "may not do that", "manage_index_templates"),
        (413, SiemFault, "too large", "http.max_content_length"),
        (429, SiemBusy, "cannot take more", "what was sent stays"),
        (503, SiemBusy, "not ready", "yellow or green"),
        (502, SiemBusy, "proxy", "repeat"),
        (500, SiemFault, "it failed", "its own log"),
    ],
)
def test_each_status_has_a_meaning_and_a_remedy(
    status: int, kind: type[SiemFault], said: str, remedy: str
) -> None:
    with (
        serving(elasticsearch(changed={"/_nodes": Reply(status, ERROR)})) as stub,
        closing(sink_at(stub.url)) as sink,
        pytest.raises(kind) as raised,
    ):
        sink.meet()
    assert said in raised.value.message()
    assert remedy in raised.value.message()
    assert "because" in raised.value.message()


def test_a_wrong_password_never_shows(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        serving(elasticsearch(changed={"/_nodes": Reply(401, ERROR)})) as stub,
        closing(sink_at(stub.url, user="elastic", password="s3cret")) as sink,
        pytest.raises(SiemFault) as raised,
    ):
        sink.meet()
    target = Target(name="x", url="https://h", user="u", password="s3cret", api_key="k3y")
    assert "s3cret" not in f"{raised.value.message()}{raised.value!r}{target!r}{capsys.readouterr()}"
    assert "k3y" not in repr(target)


def test_plain_http_where_tls_was_asked_for() -> None:
    with (
        serving(elasticsearch()) as stub,
        closing(sink_at(stub.url.replace("http:", "https:"))) as sink,
        pytest.raises(SiemFault, match="it speaks plain HTTP"),
    ):
        sink.meet()


def test_tls_where_plain_http_was_asked_for(tmp_path: Path) -> None:
    with (
        serving(elasticsearch(), certificate=certificate(tmp_path)) as stub,
        closing(sink_at(stub.url.replace("https:", "http:"))) as sink,
        pytest.raises(SiemFault, match="https://"),
    ):
        sink.meet()


@pytest.mark.parametrize("wire", [ElasticsearchWire, OpenSearchWire])
def test_a_certificate_nobody_signed(
    tmp_path: Path, wire: Callable[[Target], ElasticsearchWire | OpenSearchWire]
) -> None:
    path = certificate(tmp_path)
    with serving(elasticsearch(), certificate=path) as stub:
        with (
            closing(LuceneSink("x", wire(Target(name="x", url=stub.url)))) as sink,
            pytest.raises(SiemFault, match="LAB_SIEM_CA"),
        ):
            sink.meet()
        with closing(sink_at(stub.url, ca=path)) as sink:
            assert sink.meet().version == "9.2.0"


def test_nothing_answers() -> None:
    with closing(sink_at("http://127.0.0.1:1")) as sink, pytest.raises(SiemBusy, match="nothing answers at"):
        sink.meet()


@pytest.mark.parametrize(
    "answer",
    [
        lambda _asked: Reply(200, "<html>Kibana</html>"),
        lambda _asked: Reply(200, {"name": "something", "version": {"number": "7"}}),
        lambda _asked: Reply(404, {"error": "no"}),
        lambda _asked: Reply(302, "", {"location": "/login"}),
    ],
)
def test_something_else_answers(answer: Callable[[Asked], Reply]) -> None:
    for product, wire in (("elasticsearch", ElasticsearchWire), ("opensearch", OpenSearchWire)):
        with (
            serving(answer) as stub,
            closing(LuceneSink(product, wire(Target(name=product, url=stub.url)))) as sink,
            pytest.raises(WrongProduct, match="is none of ours"),
        ):
            sink.meet()


def test_an_old_version() -> None:
    with (
        serving(elasticsearch(version="7.17.9")) as stub,
        closing(sink_at(stub.url)) as sink,
        pytest.raises(SiemFault, match=r"7\.17\.9") as raised,
    ):
        sink.meet()
    assert "version 8 or later" in raised.value.message()


def test_a_clock_that_is_off_is_told() -> None:
    there = {"nodes": {"n": {"timestamp": int((time.time() + 40) * 1000)}}}
    with (
        serving(elasticsearch(changed={"/_nodes/_local/stats": Reply(200, there)})) as stub,
        closing(sink_at(stub.url)) as sink,
    ):
        server = sink.meet()
    assert server.clock == pytest.approx(40, abs=1)
    assert "its clock is 40 s ahead of this machine's" in server.notes[0]


def test_an_answer_of_another_shape_is_named(tmp_path: Path) -> None:
    with (
        serving(
            elasticsearch(changed={"/logs-homerange.events-default/_bulk": Reply(200, {"no": 1})})
        ) as stub,
        closing(sink_at(stub.url)) as sink,
        pytest.raises(SiemFault, match="what its documentation does not tell of"),
    ):
        sink.send(list(documents(make_run(tmp_path / "r", events=3, alerts=0), "r1")))


def test_a_correlation_is_asked_in_the_products_own_language() -> None:
    told = {
        "columns": [{"name": "event_count"}, {"name": "timebucket"}, {"name": "source.ip"}],
        "values": [[6, "2026-11-25T15:08:00.000Z", "10.1.0.2"]],
    }
    with (
        serving(elasticsearch(changed={"/_query": Reply(200, told)})) as stub,
        closing(sink_at(stub.url)) as sink,
    ):
        query = "from x metadata _id | where (a) or (b) | stats event_count=count() by timebucket"
        (found,) = sink.search([Translation(id="c", language="esql", query=query)], "r1")
    assert found.cases == (
        {"event_count": "6", "since": "2026-11-25T15:08:00.000Z", "source.ip": "10.1.0.2"},
    )
    asked = next(it for it in stub.asked if it.path == "/_query")
    assert ' | where homerange.run == "r1" | where (a) or (b)' in json.loads(asked.body)["query"]


@pytest.mark.parametrize("status", [400, 404, 405])
def test_a_server_without_that_language_is_told(status: int) -> None:
    lacking = Reply(status, {"error": "no handler found for uri [/_query] and method [POST]"})
    with serving(elasticsearch(changed={"/_query": lacking})) as stub, closing(sink_at(stub.url)) as sink:
        (found,) = sink.search([Translation(id="c", language="esql", query="from x | where a")], "r1")
    assert found.why == "this server has no ES|QL"


def test_a_full_disk_is_told() -> None:
    full = {
        "logs-homerange.events-default": {
            "settings": {"index": {"blocks": {"read_only_allow_delete": "true"}}}
        }
    }
    with (
        serving(elasticsearch(changed={"/logs-homerange.*/_settings": Reply(200, full)})) as stub,
        closing(sink_at(stub.url)) as sink,
    ):
        assert "its disk is nearly full" in sink.meet().notes[0]


def test_a_mapping_of_somebody_else() -> None:
    clash = {
        "error": {"type": "illegal_argument_exception", "reason": "mapper [source.ip] cannot be changed"}
    }
    with (
        serving(
            elasticsearch(changed={"/logs-homerange.events-default/_mapping": Reply(400, clash)})
        ) as stub,
        closing(sink_at(stub.url)) as sink,
        pytest.raises(SiemFault, match=r"mapping conflict: .*source\.ip") as raised,
    ):
        sink.prepare(sink.meet())
    assert "DELETE logs-homerange.events-default" in raised.value.message()


def test_a_document_that_does_not_fit_is_shown_and_the_rest_goes_on(tmp_path: Path) -> None:
    error = {"type": "document_parsing_exception", "reason": "failed", "caused_by": {"reason": "no IP"}}
    items = [
        {"create": {"status": 201}},
        {"create": {"status": 400, "error": error}},
        {"create": {"status": 409, "error": {}}},
    ]
    with (
        serving(
            elasticsearch(changed={"/logs-homerange.events-default/_bulk": Reply(200, {"items": items})})
        ) as stub,
        closing(sink_at(stub.url)) as sink,
    ):
        taken = sink.send(list(documents(make_run(tmp_path / "r", events=3, alerts=0), "r1")))
    assert (taken.new, taken.known, len(taken.refused)) == (1, 1, 1)
    assert taken.refused[0].why == "document_parsing_exception: failed (no IP)"
    assert "line 1" in taken.refused[0].document


def test_a_batch_that_is_too_large_is_halved(tmp_path: Path) -> None:
    usual = elasticsearch()

    def answer(asked: Asked) -> Reply:
        large = "_bulk" in asked.path and asked.body.count(b'{"create"') > 2
        return Reply(413, ERROR, {"X-elastic-product": "Elasticsearch"}) if large else usual(asked)

    with serving(answer) as stub, closing(sink_at(stub.url)) as sink:
        taken = sink.send(list(documents(make_run(tmp_path / "r", events=7, alerts=0), "r1")))
    assert (taken.new, taken.refused) == (7, ())
    assert sum(asked.body.count(b'{"create"') for asked in stub.asked) == 7 + 7 + 3 + 4


def test_a_flood_stage_is_no_refusal(tmp_path: Path) -> None:
    error = {
        "type": "cluster_block_exception",
        "reason": "blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has "
        "read-only-allow-delete block]",
    }
    items = [{"create": {"status": 403, "error": error}}]
    with (
        serving(
            elasticsearch(changed={"/logs-homerange.events-default/_bulk": Reply(200, {"items": items})})
        ) as stub,
        closing(sink_at(stub.url)) as sink,
    ):
        noticed = make_run(tmp_path / "r", events=1, alerts=0)
        assert len(sink.send(list(documents(noticed, "r1"))).again) == 1
        with pytest.raises(SiemBusy, match="flood-stage"):
            Pusher(noticed=noticed, run="r1", sink=sink, tell=lambda _: None, patience=0).push()


def test_a_product_is_found_out() -> None:
    with serving(elasticsearch()) as stub, closing(open_sink(Target(name="", url=stub.url))) as sink:
        assert sink.name == "elasticsearch"

    def opensearch(asked: Asked) -> Reply:
        if asked.path == "/":
            return Reply(200, {"version": {"distribution": "opensearch", "number": "3.4.0"}})
        reply = elasticsearch(version="3.4.0")(asked)
        return Reply(reply.status, reply.body)

    with serving(opensearch) as stub, closing(open_sink(Target(name="", url=stub.url))) as sink:
        assert sink.name == "opensearch"


@pytest.mark.parametrize(
    ("url", "password", "what"),
    [
        ("https://elastic:pw@siem.example:9200", "", "has a password in it"),
        ("http://siem.example:9200", "pw", "is not encrypted"),
        ("ftp://siem.example", "", "is no address of a SIEM"),
        ("https://", "", "is no address of a SIEM"),
    ],
)
def test_addresses_that_are_none_or_give_a_password_away(url: str, password: str, what: str) -> None:
    with pytest.raises(BadTarget, match=what) as raised:
        target_at(url, Credentials(user="u" * bool(password), password=password))
    assert "pw" not in raised.value.message()
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:9200", "http://localhost:9200", "http://[::1]:9200"])
def test_this_machine_may_be_spoken_to_in_the_open(url: str) -> None:
    assert target_at(url, Credentials(user="u", password="pw")).url == url


def test_credentials_come_from_the_environment(tmp_path: Path) -> None:
    with pytest.raises(BadTarget, match="LAB_SIEM_USER"):
        Credentials.from_environment({"LAB_SIEM_USER": "u"})
    with pytest.raises(BadFile, match="LAB_SIEM_CA names it"):
        Credentials.from_environment({"LAB_SIEM_CA": str(tmp_path / "none.pem")})
    assert Credentials.from_environment({"LAB_SIEM_API_KEY": "k"}).api_key == "k"
    found = Credentials.from_environment({"LAB_SIEM_USER": "u"}, lambda user: f"typed for {user}")
    assert found.password == "typed for u"


def test_an_address_may_name_its_product() -> None:
    target = target_at("splunk+https://h:8088/", Credentials())
    assert (target.product, target.url, target.name) == ("splunk", "https://h:8088", "splunk")
