"""A small app for Splunk: field aliases of its Common Information Model, saved searches, dashboards.

Contract: an app's `default/` folder as Splunk 9 and 10 document it, dashboards in Dashboard Studio's JSON. It
was never installed in a real Splunk: there was none to be had where this was written.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from xml.sax.saxutils import escape

from lab.detect.sigma.products import Translation
from lab.detect.sigma.rule import Correlation, Rule, RuleSet
from lab.files import records
from lab.siem.dashboards import Dashboard, Panel
from lab.telemetry.sources import MODULES

APP: Final = "homerange"
"""The app's name, and its folder's."""

ALIASES: Final[Mapping[str, str]] = {
    "source.ip": "src",
    "source.port": "src_port",
    "destination.ip": "dest",
    "destination.port": "dest_port",
    "host.name": "dvc",
    "user.name": "user",
    "network.transport": "transport",
    "network.protocol": "app",
    "network.bytes": "bytes",
    "process.command_line": "process",
    "process.executable": "process_path",
    "process.name": "process_name",
    "process.pid": "process_id",
    "process.working_directory": "process_current_directory",
    "process.parent.command_line": "parent_process",
    "process.parent.executable": "parent_process_path",
    "process.parent.name": "parent_process_name",
    "process.parent.pid": "parent_process_id",
    "http.request.method": "http_method",
    "http.request.referrer": "http_referrer",
    "http.response.status_code": "status",
    "url.original": "url",
    "url.path": "uri_path",
    "url.query": "uri_query",
    "user_agent.original": "http_user_agent",
    "dns.question.name": "query",
    "dns.question.type": "record_type",
    "dns.response_code": "reply_code",
    "file.name": "file_name",
    "file.size": "file_size",
    "rule.name": "signature",
    "rule.id": "signature_id",
    "rule.category": "category",
}
"""Our fields, and what Splunk's Common Information Model calls them."""

_TAGS: Final = (
    ("homerange_authentication", "event.action=ssh_login", ("authentication",)),
    ("homerange_web", "sourcetype=homerange:events:apache", ("web",)),
    ("homerange_process", "sourcetype=homerange:events:snoopy", ("process", "report")),
    ("homerange_network", "event.dataset=suricata.flow", ("network", "communicate")),
    ("homerange_ids", "event.dataset=suricata.alert", ("ids", "attack")),
)
"""Event types, what they are, and the tags by which data models find them."""


def packed(
    dashboards: Iterable[Dashboard], rules: RuleSet, asked: Iterable[Translation], *, version: str, every: int
) -> bytes:
    """Pack the app: the same sources give the same bytes.

    Args:
        dashboards: What it shows.
        rules: The rules.
        asked: Their searches.
        version: The app's version.
        every: Seconds between two looks of a saved search.
    """
    files = dict(_files(tuple(dashboards), rules, asked, version=version, every=every))
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        for path, text in sorted(files.items()):
            content = text.encode()
            member = tarfile.TarInfo(f"{APP}/{path}")
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(plain.getvalue(), mtime=0)


def _files(
    dashboards: tuple[Dashboard, ...],
    rules: RuleSet,
    asked: Iterable[Translation],
    *,
    version: str,
    every: int,
) -> Iterator[tuple[str, str]]:
    yield (
        "default/app.conf",
        _stanzas(
            {
                "install": {"is_configured": "1"},
                "ui": {"is_visible": "1", "label": "homerange"},
                "launcher": {
                    "author": "homerange",
                    "version": version,
                    "description": "Runs of a security lab",
                },
                "package": {"id": APP},
            }
        ),
    )
    yield "default/props.conf", _stanzas({f"homerange:events:{it}": _props() for it in MODULES})
    yield "default/eventtypes.conf", _stanzas({name: {"search": search} for name, search, _ in _TAGS})
    yield (
        "default/tags.conf",
        _stanzas({f"eventtype={name}": dict.fromkeys(tags, "enabled") for name, _, tags in _TAGS}),
    )
    yield "default/savedsearches.conf", _stanzas(_searches(rules, asked, every))
    yield "metadata/default.meta", "[]\naccess = read : [ * ], write : [ admin ]\nexport = system\n"
    yield "default/data/ui/nav/default.xml", _navigation(dashboards)
    for it in dashboards:
        yield f"default/data/ui/views/{it.id.replace('-', '_')}.xml", _view(it)


def _stanzas(found: Mapping[str, Mapping[str, str]]) -> str:
    """Write a file of settings; a line that goes on ends with a backslash."""
    parts = []
    for name, settings in found.items():
        lines = [f"{key} = {value}".replace("\n", " \\\n") for key, value in settings.items()]
        parts.append("\n".join([f"[{name.replace(']', ')')}]", *lines]) + "\n")
    return "\n".join(parts)


def _props() -> dict[str, str]:
    aliases = {f"FIELDALIAS-{there}": f'"{ours}" AS {there}' for ours, there in ALIASES.items()}
    return {
        "KV_MODE": "json",
        "TRUNCATE": "0",
        "EVAL-action": "if('event.outcome'==\"unknown\", null(), 'event.outcome')",
        "EVAL-vendor_product": '"homerange"',
        **aliases,
    }


def _searches(rules: RuleSet, asked: Iterable[Translation], every: int) -> dict[str, dict[str, str]]:
    """Make a scheduled search of each rule that raises alerts and that Splunk can be asked."""
    known: list[Rule | Correlation] = [*rules.rules, *rules.correlations]
    named = {it.id: it for it in known if it.alerts}
    minutes = max(1, every // 60)
    return {
        f"homerange - {named[it.id].title}": {
            "search": f'source="homerange:events" {it.query}',
            "description": f"Sigma rule {it.id}; ATT&CK {', '.join(named[it.id].techniques) or 'none'}",
            "dispatch.earliest_time": f"-{2 * minutes}m@m",  # as much again, for events that come late
            "dispatch.latest_time": "@m",
            "cron_schedule": f"*/{minutes} * * * *",
            "enableSched": "1",
            "counttype": "number of events",
            "relation": "greater than",
            "quantity": "0",
            "alert.severity": str(_SEVERITIES[named[it.id].level]),
            "alert.track": "1",
        }
        for it in asked
        if it.query and it.id in named
    }


_SEVERITIES: Final = {"informational": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
"""Splunk's severities of alerts."""


def _navigation(dashboards: Iterable[Dashboard]) -> str:
    views = "".join(f'  <view name="{it.id.replace("-", "_")}"/>\n' for it in dashboards)
    return f'<nav>\n{views}  <view name="search"/>\n</nav>\n'


def _view(dashboard: Dashboard) -> str:
    definition = records.to_json(definition_of(dashboard), indent=2).replace("]]>", "]] >")
    return (
        '<dashboard version="2" theme="light">\n'
        f"  <label>{escape(dashboard.title)}</label>\n"
        f"  <definition><![CDATA[\n{definition}\n]]></definition>\n"
        "</dashboard>\n"
    )


def definition_of(dashboard: Dashboard) -> dict[str, Any]:
    """Write a dashboard in Dashboard Studio's JSON."""
    sources, shown, structure = {}, {}, []
    for place, panel in enumerate(dashboard.panels):
        sources[f"ds_{place}"] = {
            "type": "ds.search",
            "name": panel.title,
            "options": {
                "query": search_of(panel),
                "queryParameters": {"earliest": "$when.earliest$", "latest": "$when.latest$"},
            },
        }
        shown[f"viz_{place}"] = {
            "type": _CHARTS[panel.chart],
            "title": panel.title,
            "dataSources": {"primary": f"ds_{place}"},
            "options": {},
        }
        structure.append({"item": f"viz_{place}", "type": "block", "position": _position(place)})
    return {
        "title": dashboard.title,
        "description": "",
        "dataSources": sources,
        "visualizations": shown,
        "inputs": {
            "input_when": {
                "type": "input.timerange",
                "title": "Time",
                "options": {"token": "when", "defaultValue": "-24h@h,now"},
            }
        },
        "layout": {
            "type": "grid",
            "options": {"width": 1440},
            "structure": structure,
            "globalInputs": ["input_when"],
        },
        "defaults": {},
    }


_CHARTS: Final = {"bars": "splunk.column", "table": "splunk.table", "number": "splunk.singlevalue"}


def _position(place: int) -> dict[str, int]:
    if place == 0:
        return {"x": 0, "y": 0, "w": 1440, "h": 320}
    row, column = divmod(place - 1, 2)
    return {"x": 720 * column, "y": 320 * (row + 1), "w": 720, "h": 320}


def search_of(panel: Panel) -> str:
    """Write what a panel counts in Splunk's language; a document that came twice counts once."""
    found = [f'source="homerange:{panel.of}"']
    for name, values in panel.where.items():
        listed = ", ".join('"' + it.replace('"', '\\"') + '"' for it in values)
        found.append(f'"{name}" IN ({listed})')
    counted = "dc(homerange_id) as count"
    by = f' by "{panel.by}"' if panel.by else ""
    if panel.over:
        return f"{' '.join(found)} | timechart {counted}{by}"
    order = " | sort - count | head 15" if panel.by else ""
    return f"{' '.join(found)} | stats {counted}{by}{order}"
