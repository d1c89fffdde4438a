"""Formats of others: each is what its own reader takes, and a bundle is read back to the same score."""

from __future__ import annotations

import csv
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import stix2

from lab.detect.again import Again
from lab.detect.detector import OWN_RULES
from lab.detect.sigma.compiled import rules_of
from lab.errors import BadFile
from lab.export.attire import attire
from lab.export.bundle import LABELS, MANIFEST, is_bundle, read_bundle, write_bundle
from lab.export.material import Material, read_material
from lab.export.replacing import Replacing, secrets_in
from lab.export.stix import stix
from lab.export.timelines import iris, timesketch
from lab.files import records
from lab.files.workplace import CARRIED, Workplace
from lab.report.navigator import run_layer
from lab.runs.folder import RunFolder
from lab.score.files import score_alerts
from lab.score.values import Score


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A recorded run, with the alerts of today's rules and its score."""
    folder = tmp_path_factory.mktemp("run") / "20261123-200000-ssh-brute-force"
    shutil.copytree(CARRIED / "recordings" / "ssh-brute-force", folder)
    found = RunFolder(folder)
    alerts = Again.of(found.noticed).alerts(rules_of([OWN_RULES]))
    records.append(found.noticed.alerts, alerts)
    records.write(found.score, score_alerts(found, alerts, found.header().rules))
    return found


@pytest.fixture
def material(run: RunFolder) -> Material:
    return read_material(run)


def test_a_layer_is_of_version_4_5_and_scores_each_technique(material: Material) -> None:
    layer = run_layer("x", [material.score])
    assert layer["versions"] == {"attack": "17", "navigator": "5.1.0", "layer": "4.5"} or (
        isinstance(layer["versions"], dict) and layer["versions"]["layer"] == "4.5"
    )
    assert layer["domain"] == "enterprise-attack"
    found = {it["techniqueID"]: it["score"] for it in layer["techniques"]}  # type: ignore[attr-defined]
    assert found["T1110.001"] == 100
    assert all(0 <= it <= 100 for it in found.values())


def test_attire_has_what_its_readers_ask_for(material: Material) -> None:
    found = json.loads(json.dumps(attire(material)))
    assert found["attire-version"] == "1.1"
    assert set(found["execution-data"]) == {
        *("execution-source", "execution-id", "execution-category", "execution-command"),
        *("target", "time-generated"),
    }
    assert [it["order"] for it in found["procedures"]] == list(range(1, len(found["procedures"]) + 1))
    for it in found["procedures"]:
        assert re.fullmatch(r"T\d{4}(\.\d{3})?", it["mitre-technique-id"])
        (step,) = it["steps"]
        assert step["time-start"] <= step["time-stop"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", step["time-start"])


def test_stix_is_what_the_library_of_oasis_takes(material: Material) -> None:
    told = stix(material)
    bundle = stix2.parse(json.dumps(told), allow_custom=False)
    kinds = [it.type for it in bundle.objects]
    detected = [it for it in material.score.steps if it.alerts]
    assert kinds.count("sighting") == len(detected) > 0
    assert told == stix(material)


def test_stix_ids_of_observables_are_those_that_the_library_makes(material: Material) -> None:
    for it in stix(material)["objects"]:
        if it["type"] == "ipv4-addr":
            assert stix2.IPv4Address(value=it["value"]).id == it["id"]


def test_timesketch_has_its_three_fields_first(material: Material) -> None:
    lines = [json.loads(it) for it in timesketch(material)]
    assert len(lines) > len(material.alerts)
    for it in lines:
        assert list(it)[:3] == ["message", "datetime", "timestamp_desc"]
        assert all("." not in name for name in it)
        assert isinstance(it["timestamp"], int)


def test_iris_has_its_columns_and_no_formula(material: Material) -> None:
    rows = list(csv.DictReader(iris(material).splitlines()))
    assert set(rows[0]) == {
        *("event_date", "event_tz", "event_title", "event_category", "event_content", "event_raw"),
        *("event_source", "event_assets", "event_iocs", "event_tags"),
    }
    assert [it["event_date"] for it in rows] == sorted(it["event_date"] for it in rows)
    assert not [value for it in rows for value in it.values() if value[:1] in set("=-@") or value[:2] == "+="]


# -- bundles ---------------------------------------------------------------------------------------


def test_a_bundle_is_read_back_to_the_same_score(run: RunFolder, tmp_path: Path) -> None:
    write_bundle(run, tmp_path / "b.zip", None)
    assert is_bundle(tmp_path / "b.zip")
    found = read_bundle(tmp_path / "b.zip", Workplace(tmp_path))
    before = records.read(found.score, Score)
    alerts = Again.of(found.noticed).alerts(rules_of([OWN_RULES]))
    assert score_alerts(found, alerts, found.header().rules) == before
    assert [it.name for it in (tmp_path / "runs").iterdir()] == [found.path.name]


def test_the_same_run_gives_the_same_bytes(run: RunFolder, tmp_path: Path) -> None:
    for name in "ab":
        write_bundle(run, tmp_path / f"{name}.zip", None)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_each_event_has_a_label(run: RunFolder, tmp_path: Path) -> None:
    write_bundle(run, tmp_path / "b.zip", None)
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        labels = [json.loads(it) for it in archive.read(LABELS).splitlines()]
        card = archive.read("README.md").decode()
    assert {it["label"] for it in labels} == {"attack", "benign", "setup"} or {"attack", "benign"} <= {
        it["label"] for it in labels
    }
    assert all(it["steps"] for it in labels if it.get("techniques"))
    assert f"| attack | {sum(it['label'] == 'attack' for it in labels)} |" in card
    assert "## Licence" in card


def test_what_is_replaced_is_gone_and_the_score_is_the_same(run: RunFolder, tmp_path: Path) -> None:
    addresses = set(re.findall(r"10\.\d+\.\d+\.\d+", (run.path / "truth.jsonl").read_text(encoding="utf-8")))
    assert addresses
    write_bundle(run, tmp_path / "b.zip", Replacing({"sunshine"}))
    found = read_bundle(tmp_path / "b.zip", Workplace(tmp_path))
    texts = "".join(it.read_text(encoding="utf-8") for it in found.path.glob("*.json*"))
    assert not any(it in texts for it in addresses)
    events = str(list(Again.of(found.noticed).events))
    assert not any(f"'{it}'" in events for it in addresses)
    before = records.read(run.score, Score)
    alerts = Again.of(found.noticed).alerts(rules_of([OWN_RULES]))
    after = score_alerts(found, alerts, found.header().rules)
    assert [it.verdict for it in after.steps] == [it.verdict for it in before.steps]
    assert after.precision == before.precision


def test_addresses_keep_their_neighbours_and_public_ones_stay() -> None:
    change = Replacing(["hunter2secret"]).text
    one, other = change("10.1.2.3"), change("10.1.2.4 8.8.8.8 127.0.0.1 hunter2secret 10.1.2.999")
    assert one.rpartition(".")[0] == other.split()[0].rpartition(".")[0]
    assert other.split()[1:] == ["8.8.8.8", "127.0.0.1", "secret-1", "10.1.2.999"]


def test_secrets_are_found_by_what_their_keys_are_called() -> None:
    text = "steps:\n- {ssh: {user: maria, password: summer2026}}\n- {http: {form: {password: '{{ x }}'}}}\n"
    assert secrets_in(text) == {"summer2026"}


def test_a_bundle_replaces_nothing_that_is_there(run: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "b.zip").write_bytes(b"mine")
    with pytest.raises(BadFile, match="there already"):
        write_bundle(run, tmp_path / "b.zip", None)
    assert (tmp_path / "b.zip").read_bytes() == b"mine"


def _renamed(files: dict[str, bytes], old: str, new: str) -> dict[str, bytes]:
    return {new if name == old else name: content for name, content in files.items()}


HOSTILE: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], str]] = {
    "a path that climbs": (lambda it: it | {"../evil": b"x"}, "no file of a run"),
    "an absolute path": (lambda it: it | {"/etc/evil": b"x"}, "no file of a run"),
    "a file nobody knows": (lambda it: it | {"run.sh": b"x"}, "no file of a run"),
    "events in a folder below": (
        lambda it: it | {"events/a/00000001-00000002.parquet": b""},
        "no file of a run",
    ),
    "a file that was changed": (lambda it: it | {"truth.jsonl": it["truth.jsonl"] + b"\n"}, "SHA-256"),
    "a file that is gone": (lambda it: {k: v for k, v in it.items() if k != "truth.jsonl"}, "truth.jsonl"),
    "a manifest that is none": (lambda it: it | {MANIFEST: b"[]"}, MANIFEST),
    "another format": (lambda it: it | {MANIFEST: it[MANIFEST].replace(b"bundle 1", b"bundle 9")}, "format"),
    "a run that climbs": (
        lambda it: it | {MANIFEST: re.sub(rb'"run": "[^"]*"', b'"run": "../x"', it[MANIFEST])},
        "names no run",
    ),
    "the header of another": (
        lambda it: it | {MANIFEST: re.sub(rb'"run": "[^"]*"', b'"run": "another"', it[MANIFEST])},
        "is of the run",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_bundle_that_is_no_run_is_refused_and_leaves_nothing(
    what: str, run: RunFolder, tmp_path: Path
) -> None:
    write_bundle(run, tmp_path / "b.zip", None)
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        files = {it: archive.read(it) for it in archive.namelist()}
    change, said = HOSTILE[what]
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        for name, content in change(files).items():
            archive.writestr(name, content)
    with pytest.raises(BadFile, match=said):
        read_bundle(tmp_path / "c.zip", Workplace(tmp_path))
    assert list((tmp_path / "runs").iterdir()) == []
    assert not (tmp_path / "evil").exists()


def test_a_bundle_that_is_cut_is_refused(run: RunFolder, tmp_path: Path) -> None:
    write_bundle(run, tmp_path / "b.zip", None)
    (tmp_path / "c.zip").write_bytes((tmp_path / "b.zip").read_bytes()[:5000])
    assert not is_bundle(tmp_path / "c.zip")
    with pytest.raises(BadFile, match="no whole bundle"):
        read_bundle(tmp_path / "c.zip", Workplace(tmp_path))


def test_a_run_that_is_there_is_not_replaced(run: RunFolder, tmp_path: Path) -> None:
    write_bundle(run, tmp_path / "b.zip", None)
    found = read_bundle(tmp_path / "b.zip", Workplace(tmp_path))
    (found.path / "mine").touch()
    with pytest.raises(BadFile, match="there already"):
        read_bundle(tmp_path / "b.zip", Workplace(tmp_path))
    assert (found.path / "mine").exists()
