"""A run as a timeline for others: Timesketch's JSON lines, and the CSV that an IRIS case imports."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from typing import Final

from lab.detect.alert import Alert
from lab.exercise.truth import Truth
from lab.export.material import Material
from lab.moment import Moment
from lab.report.answer import Answered, Lane, read_answer
from lab.score.values import StepScore
from lab.score.vocabulary import VERDICTS
from lab.telemetry.event import Event
from lab.telemetry.store import Store

_IRIS: Final = (
    *("event_date", "event_tz", "event_title", "event_category", "event_content", "event_raw"),
    *("event_source", "event_assets", "event_iocs", "event_tags"),
)
"""The columns that IRIS reads, in its order (dfir-iris/iris-web, pull request 240)."""


def timesketch(material: Material) -> Iterator[str]:
    """Write events, alerts, steps and the response as JSON lines; it asks for the first three fields."""
    for truth, step in material.steps():
        yield _line(
            truth.start,
            f"{truth.name}: {VERDICTS[step.verdict]}",
            "Attack step began",
            {
                "data_type": "homerange:step",
                "technique": truth.technique,
                "tag": [truth.technique, step.verdict],
            },
        )
    for alert in material.alerts:
        yield _line(
            alert.raised, alert.title, "Alert raised", {"data_type": "homerange:alert", **_alert_facts(alert)}
        )
    for it in read_answer(material.run):
        sort = {"data_type": f"homerange:{it.lane}"}
        yield _line(it.start, ": ".join(it.words), _ANSWERED[it.lane], {**sort})
    for event in Store(material.run.noticed.events).events():
        yield _line(
            Moment(int(str(event["@timestamp"]))),
            str(event.get("message", event.get("event.original", ""))),
            str(event.get("event.action", "Event logged")),
            {"data_type": str(event.get("event.dataset", "homerange:event")), **_plain(event)},
        )


def _line(moment: Moment, message: str, what: str, rest: dict[str, object]) -> str:
    said = {"message": message, "datetime": moment.iso(), "timestamp_desc": what, "timestamp": moment // 1000}
    return json.dumps({**said, **rest}, ensure_ascii=False) + "\n"


def _alert_facts(alert: Alert) -> dict[str, object]:
    facts = {name.replace(".", "_"): ", ".join(values) for name, values in alert.entities.items()}
    return {"level": alert.level, "rule_id": alert.rule_id, "tag": [alert.level, *alert.techniques], **facts}


def _plain(event: Event) -> dict[str, object]:
    """Return an event's fields; Timesketch takes no dots in names, and the message is told already."""
    left = {"@timestamp", "message", "event.original"}
    return {
        name.replace(".", "_"): list(value) if isinstance(value, tuple) else value
        for name, value in event.items()
        if name not in left
    }


_ANSWERED: Final[Mapping[Lane, str]] = {"acts": "Response", "case": "Case entry", "files": "Files written"}


def iris(material: Material) -> str:
    """Write the attack steps that ran, the alerts and the response as the CSV of an IRIS timeline."""
    rows = [(truth.start, _step_row(truth, step)) for truth, step in material.steps()]
    rows += [(it.raised, _alert_row(it)) for it in material.alerts]
    rows += [(it.start, _answer_row(it)) for it in read_answer(material.run)]
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=_IRIS, lineterminator="\n")
    writer.writeheader()
    for moment, row in sorted(rows, key=lambda it: it[0]):
        shown = {name: _harmless(value) for name, value in row.items()}
        writer.writerow({"event_date": moment.iso()[:26], "event_tz": "+00:00", **shown})
    return out.getvalue()


def _step_row(truth: Truth, step: StepScore) -> dict[str, str]:
    parties = (*truth.sources, *truth.targets)
    return {
        "event_title": truth.name,
        "event_category": "Unspecified",
        "event_content": f"{VERDICTS[step.verdict]}: {step.reason}",
        "event_raw": "\n".join(truth.processes),
        "event_source": "homerange truth",
        "event_assets": ";".join(dict.fromkeys(it.node for it in parties)),
        "event_iocs": "",
        "event_tags": f"{truth.technique},{step.verdict}",
    }


def _alert_row(alert: Alert) -> dict[str, str]:
    entities = "; ".join(f"{name} {', '.join(values)}" for name, values in alert.entities.items())
    return {
        "event_title": alert.title,
        "event_category": "Unspecified",
        "event_content": entities,
        "event_raw": " ".join(alert.event_ids),
        "event_source": alert.engine,
        "event_assets": ";".join(alert.entities.get("host.name", ())),
        "event_iocs": "",
        "event_tags": ",".join((alert.level, *alert.techniques)),
    }


def _answer_row(it: Answered) -> dict[str, str]:
    return {
        "event_title": it.words[0],
        "event_category": "Unspecified",
        "event_content": "\n".join(it.words[1:]),
        "event_raw": "",
        "event_source": f"homerange {it.lane}",
        "event_assets": "",
        "event_iocs": "",
        "event_tags": it.lane,
    }


def _harmless(text: str) -> str:
    """Keep a spreadsheet from taking what an attacker wrote for a formula."""
    return "'" + text if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
