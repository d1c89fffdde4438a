"""Kibana: data views, dashboards and detection rules as its interface takes them, made from our own sources.

Contract: the saved objects of Kibana 8 and 9 (import of NDJSON at `/api/saved_objects/_import`), the state of
Lens in its `formBased` form, and the import of rules at `/api/detection_engine/rules/_import`. None of it has
ever met a real Kibana: there was none to be had where this was written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import requests

from lab import attack
from lab.detect.alert import Level
from lab.detect.sigma.products import Translation
from lab.detect.sigma.rule import Rule, RuleSet
from lab.errors import SiemFault
from lab.files import records
from lab.siem import trouble
from lab.siem.dashboards import Dashboard, Panel
from lab.siem.document import ALL_STREAMS, Stream
from lab.siem.mapping import stream_name
from lab.siem.target import Target

_TIMEOUT: Final = 120
"""Seconds for one answer: an import takes some."""

_COLUMNS: Final = 48
"""Width of Kibana's grid."""

_HEIGHT: Final = 12
"""Rows of it that a panel takes."""

_LAYER: Final = "counted"
_TOP: Final = 15
"""Values that are counted apart; the others count together."""

Json = dict[str, Any]
"""An object of Kibana's."""


# -- what it shows -------------------------------------------------------------------------------


def saved_objects(dashboards: Iterable[Dashboard]) -> list[Json]:
    """Make the data views, the panels and the dashboards."""
    made = [_data_view(stream) for stream in ALL_STREAMS]
    for dashboard in dashboards:
        panels = [_lens(dashboard, place, panel) for place, panel in enumerate(dashboard.panels)]
        made += [*panels, _dashboard(dashboard)]
    return made


def ndjson(objects: Iterable[object]) -> str:
    """Write objects as Kibana imports them, one a line."""
    return "".join(f"{records.to_json(it)}\n" for it in objects)


def _view_id(stream: Stream) -> str:
    return f"homerange-{stream}"


def _data_view(stream: Stream) -> Json:
    attributes = {
        "title": f"logs-homerange.{stream}-*",
        "name": f"homerange {stream}",
        "timeFieldName": "@timestamp",
    }
    return {"type": "index-pattern", "id": _view_id(stream), "attributes": attributes, "references": []}


def _lens_id(dashboard: Dashboard, place: int) -> str:
    return f"homerange-{dashboard.id}-{place + 1}"


def _lens(dashboard: Dashboard, place: int, panel: Panel) -> Json:
    """Make one panel: what it counts, and how that is drawn."""
    columns = _columns(panel)
    layer = {"columnOrder": list(columns), "columns": columns, "incompleteColumns": {}}
    layers: Json = {_LAYER: layer}
    state = {
        "datasourceStates": {"formBased": {"layers": layers}},
        "filters": [],
        "query": {"language": "kuery", "query": kuery(panel.where)},
        "visualization": _DRAWN[panel.chart](panel),
    }
    references = [_reference(panel.of, f"indexpattern-datasource-layer-{_LAYER}")]
    if panel.steps:
        references.append(_reference("steps", "xy-visualization-layer-steps"))
    return {
        "type": "lens",
        "id": _lens_id(dashboard, place),
        "attributes": {
            "title": f"{dashboard.title}: {panel.title}",
            "visualizationType": _TYPES[panel.chart],
            "state": state,
        },
        "references": references,
    }


def _reference(stream: Stream, name: str) -> Json:
    return {"type": "index-pattern", "id": _view_id(stream), "name": name}


def _columns(panel: Panel) -> Json:
    """Return what is counted, by what: buckets first, as Lens orders them."""
    found: Json = {}
    if panel.over:
        found["when"] = {
            "label": "@timestamp",
            "dataType": "date",
            "operationType": "date_histogram",
            "sourceField": "@timestamp",
            "isBucketed": True,
            "scale": "interval",
            "params": {"interval": "auto", "includeEmptyRows": True, "dropPartials": False},
        }
    if panel.by:
        found["by"] = {
            "label": panel.by,
            "dataType": "string",
            "operationType": "terms",
            "sourceField": panel.by,
            "isBucketed": True,
            "scale": "ordinal",
            "params": {
                "size": _TOP,
                "orderBy": {"type": "column", "columnId": "count"},
                "orderDirection": "desc",
                "otherBucket": True,
                "missingBucket": False,
                "parentFormat": {"id": "terms"},
            },
        }
    found["count"] = {
        "label": "Count",
        "dataType": "number",
        "operationType": "count",
        "sourceField": "___records___",
        "isBucketed": False,
        "scale": "ratio",
        "params": {"emptyAsNull": True},
    }
    return found


def kuery(where: Mapping[str, tuple[str, ...]]) -> str:
    """Write a condition in Kibana's query language."""
    return " and ".join(f"{name}: ({' or '.join(map(_quoted, values))})" for name, values in where.items())


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _bars(panel: Panel) -> Json:
    layer: Json = {
        "layerId": _LAYER,
        "layerType": "data",
        "seriesType": "bar_stacked",
        "xAccessor": "when",
        "accessors": ["count"],
        **({"splitAccessor": "by"} if panel.by else {}),
    }
    layers = [layer, _marks()] if panel.steps else [layer]
    return {
        "preferredSeriesType": "bar_stacked",
        "legend": {"isVisible": True, "position": "right"},
        "valueLabels": "hide",
        "layers": layers,
    }


def _marks() -> Json:
    """Mark the steps of the exercise, each with its name."""
    mark = {
        "id": "steps",
        "type": "query",
        "label": "Steps of the exercise",
        "icon": "flag",
        "key": {"type": "point_in_time"},
        "timeField": "@timestamp",
        "textVisibility": True,
        "textField": "message",
        "filter": {"type": "kibana_query", "language": "kuery", "query": 'event.dataset: "homerange.step"'},
    }
    return {
        "layerId": "steps",
        "layerType": "annotations",
        "annotations": [mark],
        "ignoreGlobalFilters": False,
    }


def _table(_: Panel) -> Json:
    columns = [{"columnId": "by"}, {"columnId": "count"}]
    return {"layerId": _LAYER, "layerType": "data", "columns": columns}


def _number(_: Panel) -> Json:
    return {"layerId": _LAYER, "layerType": "data", "metricAccessor": "count"}


_DRAWN: Final = {"bars": _bars, "table": _table, "number": _number}
_TYPES: Final = {"bars": "lnsXY", "table": "lnsDatatable", "number": "lnsMetric"}


def _dashboard(dashboard: Dashboard) -> Json:
    """Lay the panels out, two beside each other; the first has the whole width."""
    panels, references = [], []
    for place in range(len(dashboard.panels)):
        name = f"panel_{place + 1}"
        panels.append(
            {
                "type": "lens",
                "panelIndex": str(place + 1),
                "panelRefName": name,
                "gridData": {**_cell(place), "i": str(place + 1)},
                "embeddableConfig": {"enhancements": {}},
                "title": dashboard.panels[place].title,
            }
        )
        references.append({"type": "lens", "id": _lens_id(dashboard, place), "name": f"{place + 1}:{name}"})
    attributes = {
        "title": f"homerange: {dashboard.title}",
        "description": "",
        "panelsJSON": records.to_json(panels),
        "optionsJSON": records.to_json({"useMargins": True, "syncColors": True, "hidePanelTitles": False}),
        "timeRestore": False,
        "version": 1,
        "kibanaSavedObjectMeta": {
            "searchSourceJSON": records.to_json({"query": {"language": "kuery", "query": ""}, "filter": []})
        },
    }
    return {
        "type": "dashboard",
        "id": f"homerange-{dashboard.id}",
        "attributes": attributes,
        "references": references,
    }


def _cell(place: int) -> Json:
    if place == 0:
        return {"x": 0, "y": 0, "w": _COLUMNS, "h": _HEIGHT}
    row, column = divmod(place - 1, 2)
    half = _COLUMNS // 2
    return {"x": column * half, "y": (row + 1) * _HEIGHT, "w": half, "h": _HEIGHT}


# -- what it looks for ---------------------------------------------------------------------------

_RISKS: Final[Mapping[Level, int]] = {"informational": 1, "low": 21, "medium": 47, "high": 73, "critical": 99}
"""Elastic's own default risk score of each severity."""


def detection_rules(rules: RuleSet, asked: Iterable[Translation], *, every: int) -> list[Json]:
    """Make detection rules of those on single events that their backend can say.

    Args:
        rules: The rules.
        asked: Their queries.
        every: Seconds between two looks.
    """
    queries = {it.id: it.query for it in asked if it.query}
    return [_rule(it, queries[it.id], every) for it in rules.rules if it.alerts and it.id in queries]


def _rule(rule: Rule, query: str, every: int) -> Json:
    return {
        "rule_id": rule.id,
        "name": rule.title,
        "description": f"Sigma rule {rule.id}, converted by pySigma's Elasticsearch backend.",
        "type": "query",
        "language": "lucene",
        "index": [stream_name("events").replace("-default", "-*")],
        "query": query,
        "interval": f"{every}s",
        "from": f"now-{2 * every}s",  # as much again, for events that come late
        "to": "now",
        "enabled": True,
        "severity": "low" if rule.level == "informational" else rule.level,
        "risk_score": _RISKS[rule.level],
        "max_signals": 100,
        "author": [],
        "references": [],
        "false_positives": [],
        "tags": ["homerange", *rule.techniques],
        "threat": list(threats(rule.tactics, rule.techniques)),
        "immutable": False,
        "version": 1,
    }


def threats(tactics: tuple[str, ...], techniques: tuple[str, ...]) -> Iterator[Json]:
    """Write tactics, each with those techniques that ATT&CK has under it."""
    known = attack.techniques()
    for number, tactic in attack.tactics().items():
        if tactic.shortname in tactics:
            below = [it for it in techniques if it in known and tactic.shortname in known[it].tactics]
            yield {
                "framework": "MITRE ATT&CK",
                "tactic": _named(number, tactic.name, f"tactics/{number}"),
                "technique": [_technique(it, below) for it in dict.fromkeys(_parent(it) for it in below)],
            }


def _technique(number: str, below: list[str]) -> Json:
    known = attack.techniques()
    under = [_named(it, known[it].name, _path(it)) for it in below if it.startswith(f"{number}.")]
    return {
        **_named(number, known[number].name if number in known else number, _path(number)),
        "subtechnique": under,
    }


def _parent(technique: str) -> str:
    return technique.partition(".")[0]


def _path(technique: str) -> str:
    return f"techniques/{technique.replace('.', '/')}"


def _named(number: str, name: str, path: str) -> Json:
    return {"id": number, "name": name, "reference": f"https://attack.mitre.org/{path}/"}


# -- the line ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What Kibana took."""

    objects: int
    """Data views, panels and dashboards."""

    rules: int
    """Detection rules."""


class Kibana:
    """Kibana's interface, as far as it is needed. Every method may raise SiemFault."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._line = requests.Session()
        self._line.trust_env = False
        self._line.headers["kbn-xsrf"] = "homerange"
        if target.api_key:
            self._line.headers["Authorization"] = f"ApiKey {target.api_key}"
        elif target.user:
            self._line.auth = (target.user, target.password)
        if target.ca:
            self._line.verify = str(target.ca)

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    def import_all(self, objects: Iterable[Json], rules: Iterable[Json]) -> Imported:
        """Put objects and rules there, in place of those of the same name.

        Raises:
            SiemFault: Kibana did not take all of them.
        """
        shown = self._import("/api/saved_objects/_import?overwrite=true", objects, "importing dashboards")
        looked = self._import("/api/detection_engine/rules/_import?overwrite=true", rules, "importing rules")
        return Imported(objects=int(shown.get("successCount", 0)), rules=int(looked.get("success_count", 0)))

    def _import(self, path: str, objects: Iterable[Json], doing: str) -> Json:
        files = {"file": ("homerange.ndjson", ndjson(objects).encode(), "application/ndjson")}
        try:
            answer = self._line.post(
                f"{self._target.url}{path}", files=files, timeout=_TIMEOUT, allow_redirects=False
            )
        except requests.RequestException as error:
            trouble.unreachable("kibana", doing=doing, url=self._target.url, said=str(error))
        if answer.status_code != 200:  # noqa: PLR2004  # HTTP's code for success
            trouble.refused("kibana", doing=doing, status=answer.status_code, said=answer.text[:300])
        try:
            found: Json = answer.json()
        except requests.JSONDecodeError:
            trouble.wrong_product("kibana", url=self._target.url, said=answer.text)
        if not found.get("success"):
            raise SiemFault("kibana", doing=doing, said=_faults(found), remedy=_NEWER)
        return found


_NEWER: Final = "is it version 8 or 9?  its interface may have changed: please report this with its version"


def _faults(found: Json) -> str:
    listed = found.get("errors", [])
    said = "; ".join(f"{it.get('id', it.get('rule_id', ''))}: {it.get('error', it)}" for it in listed[:3])
    return f"{len(listed)} objects were refused: {said}"
