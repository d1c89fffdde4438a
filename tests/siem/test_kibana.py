"""What Kibana is given has the documented shape, and names only fields that documents have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest

from lab import attack
from lab.detect.detector import OWN_RULES
from lab.detect.sigma.products import translate
from lab.detect.sigma.read import read_rules
from lab.errors import BadFile, SiemFault
from lab.siem.dashboards import read_dashboards
from lab.siem.document import DOCUMENT_FIELDS
from lab.siem.kibana import Kibana, detection_rules, kuery, ndjson, saved_objects, threats
from lab.siem.target import Target
from tests.detect.sigma.test_sigma import PUBLIC
from tests.siem.stub import Asked, Reply, serving

OBJECTS: Final = saved_objects(read_dashboards())

RULE: Final[dict[str, Any]] = {
    "type": "object",
    "required": [
        "name",
        "description",
        "type",
        "query",
        "language",
        "index",
        "severity",
        "risk_score",
        "rule_id",
    ],
    "properties": {
        "type": {"const": "query"},
        "language": {"enum": ["kuery", "lucene"]},
        "severity": {"enum": ["low", "medium", "high", "critical"]},
        "risk_score": {"type": "integer", "minimum": 0, "maximum": 100},
        "interval": {"type": "string", "pattern": "^[0-9]+[smh]$"},
        "from": {"type": "string", "pattern": "^now-[0-9]+[smh]$"},
        "index": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "query": {"type": "string", "minLength": 1},
        "threat": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["framework", "tactic", "technique"],
                "properties": {
                    "framework": {"const": "MITRE ATT&CK"},
                    "tactic": {"$ref": "#/$defs/named"},
                    "technique": {"type": "array", "items": {"$ref": "#/$defs/named"}},
                },
            },
        },
    },
    "$defs": {
        "named": {
            "type": "object",
            "required": ["id", "name", "reference"],
            "properties": {
                "id": {"type": "string", "pattern": "^TA?[0-9.]+$"},
                "name": {"type": "string", "minLength": 1},
                "reference": {"type": "string", "pattern": "^https://attack.mitre.org/"},
            },
        }
    },
}
"""A query rule as the API of Elastic Security documents it (versions 8 and 9)."""


def made_rules() -> list[dict[str, Any]]:
    paths = [OWN_RULES, PUBLIC]
    rules = read_rules(paths)
    return detection_rules(rules, translate(paths, "lucene", rules, index="x"), every=60)


def _fields(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, it in value.items():
            if name == "sourceField":
                yield it
            else:
                yield from _fields(it)
    elif isinstance(value, list):
        for it in value:
            yield from _fields(it)


def test_every_reference_leads_to_an_object_that_is_there() -> None:
    there = {(it["type"], it["id"]) for it in OBJECTS}
    assert len(there) == len(OBJECTS)
    wanted = {(ref["type"], ref["id"]) for it in OBJECTS for ref in it["references"]}
    assert wanted <= there


def test_every_field_is_in_our_mapping() -> None:
    named = set(_fields(OBJECTS)) - {"___records___"}
    assert named
    assert named <= DOCUMENT_FIELDS.keys()
    asked = [it["attributes"]["state"]["query"]["query"] for it in OBJECTS if it["type"] == "lens"]
    assert {name for query in asked for name in re.findall(r"([\w.]+): \(", query)} <= DOCUMENT_FIELDS.keys()


@pytest.mark.parametrize("found", [it for it in OBJECTS if it["type"] == "lens"], ids=lambda it: it["id"])
def test_a_panel_draws_only_columns_that_it_has(found: dict[str, Any]) -> None:
    state = found["attributes"]["state"]
    (layer,) = state["datasourceStates"]["formBased"]["layers"].values()
    assert list(layer["columns"]) == layer["columnOrder"]
    buckets = [layer["columns"][it]["isBucketed"] for it in layer["columnOrder"]]
    assert buckets == sorted(buckets, reverse=True)
    drawn = state["visualization"]
    layers = [it for it in drawn.get("layers", [drawn]) if it["layerType"] == "data"]
    used = {
        name
        for it in layers
        for name in (
            *it.get("accessors", ()),
            *(it[key] for key in ("xAccessor", "splitAccessor", "metricAccessor") if key in it),
            *(column["columnId"] for column in it.get("columns", ())),
        )
    }
    assert used == set(layer["columns"])
    assert f"indexpattern-datasource-layer-{layers[0]['layerId']}" in {
        it["name"] for it in found["references"]
    }


@pytest.mark.parametrize(
    "found", [it for it in OBJECTS if it["type"] == "dashboard"], ids=lambda it: it["id"]
)
def test_panels_lie_on_the_grid_and_not_on_one_another(found: dict[str, Any]) -> None:
    panels = json.loads(found["attributes"]["panelsJSON"])
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridData"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 48
        assert not cells & taken
        taken |= cells
    names = {f"{it['panelIndex']}:{it['panelRefName']}" for it in panels}
    assert names == {it["name"] for it in found["references"]}


def test_what_the_issue_of_a_soc_asks_for_is_there() -> None:
    titles = [it["attributes"]["title"] for it in OBJECTS if it["type"] == "dashboard"]
    assert sorted(titles) == [
        "homerange: Alerts and ATT&CK",
        "homerange: Network and scans",
        "homerange: Process execution",
        "homerange: Run overview",
        "homerange: SSH brute force",
        "homerange: Web attacks",
    ]
    marked = [it for it in OBJECTS if "annotations" in json.dumps(it)]
    assert [it["attributes"]["title"] for it in marked] == ["Run overview: Alerts over time"]


def test_rules_have_the_documented_shape() -> None:
    found = made_rules()
    assert len(found) > 40
    for it in found:
        jsonschema.validate(it, RULE)
    assert len({it["rule_id"] for it in found}) == len(found)


def test_techniques_stand_below_tactics_that_have_them() -> None:
    (found,) = threats(("credential-access",), ("T1110.001",))
    assert found["tactic"]["id"] == "TA0006"
    assert [it["id"] for it in found["technique"]] == ["T1110"]
    assert [it["id"] for it in found["technique"][0]["subtechnique"]] == ["T1110.001"]
    assert found["technique"][0]["name"] == attack.techniques()["T1110"].name
    assert [it["technique"] for it in threats(("impact",), ("T1110.001",))] == [[]]


def test_values_are_quoted() -> None:
    assert (
        kuery({"url.path": ('a"b\\c',), "user.name": ("x", "y")})
        == 'url.path: ("a\\"b\\\\c") and user.name: ("x" or "y")'
    )


def test_imports_are_sent_as_files_with_the_header_that_kibana_wants() -> None:
    def answer(asked: Asked) -> Reply:
        assert asked.headers["kbn-xsrf"]
        assert asked.headers["authorization"].startswith("Basic ")
        head = f"content-type: {asked.headers['content-type']}\r\n\r\n".encode()
        (part,) = BytesParser(policy=default).parsebytes(head + asked.body).iter_parts()
        assert str(part.get_filename()).endswith(".ndjson")
        lines = [json.loads(it) for it in part.get_content().splitlines()]
        if asked.path.startswith("/api/saved_objects/_import"):
            assert {"type", "id", "attributes", "references"} <= lines[0].keys()
            return Reply(200, {"success": True, "successCount": len(lines)})
        assert asked.path == "/api/detection_engine/rules/_import?overwrite=true"
        for it in lines:
            jsonschema.validate(it, RULE)
        return Reply(200, {"success": True, "success_count": len(lines), "errors": []})

    with serving(answer) as stub:
        kibana = Kibana(Target(name="kibana", url=stub.url, user="elastic", password="x"))
        found = kibana.import_all(OBJECTS, made_rules())
        kibana.close()
    assert (found.objects, found.rules) == (len(OBJECTS), len(made_rules()))


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(401, {"statusCode": 401}), "does not know us"),
        (Reply(503, "Kibana server is not ready yet"), "not ready"),
        (
            Reply(200, {"success": False, "errors": [{"id": "x", "error": {"type": "conflict"}}]}),
            "1 objects were refused",
        ),
        (Reply(200, "<html>"), "is none of ours"),
    ],
)
def test_what_kibana_does_not_take_is_said(reply: Reply, said: str) -> None:
    with serving(lambda _asked: reply) as stub:
        kibana = Kibana(Target(name="kibana", url=stub.url))
        with pytest.raises(SiemFault, match=said):
            kibana.import_all(OBJECTS, ())
        kibana.close()


def test_a_source_that_cannot_be_is_named_with_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(
        "dashboards:\n"
        "  - {id: a, title: A, panels: [{title: P, chart: table, by: no.such.field}]}\n"
        "  - {id: a, title: A, panels: [{title: P, chart: bars}, {title: Q, chart: table}]}\n"
    )
    with pytest.raises(BadFile) as raised:
        read_dashboards(path)
    said = raised.value.message()
    for wanted in (
        "mine.yml:2: no document has the field 'no.such.field'",
        "mine.yml:3: bars are drawn over time, and nothing else is",
        "mine.yml:3: a table needs the field that it counts by",
        "two dashboards are called 'a'",
    ):
        assert wanted in said


def test_lines_are_json() -> None:
    assert all(json.loads(it)["id"] for it in ndjson(OBJECTS).splitlines())
