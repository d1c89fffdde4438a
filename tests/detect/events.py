"""Events for tests, written as briefly as a person would tell them."""

from __future__ import annotations

from itertools import count
from typing import Any, Final

from lab.moment import SECOND
from lab.telemetry.event import Event

START: Final = 1_800_000_000 * SECOND
_NUMBERS: Final = count()


def event(told: dict[str, Any]) -> Event:
    """Make a whole event of `run`, `ssh`, `sshd`, `su`, `web`, `alert` or `query` and what goes with it.

    Of a `run`: `from` is the address its session came from, `session` the session, `leader` the process id of
    its leader, `pid` its own; `terminal` says whether it has one, `entry` what let it in.
    """
    time = START + round(float(told.get("at", 0)) * SECOND)
    made: Event = {
        "@timestamp": time,
        "event.ingested": time + SECOND // 10,
        "event.id": f"event-{next(_NUMBERS):06d}",
        "event.kind": "event",
        "host.name": str(told.get("host", "bastion")),
    }
    if "run" in told:
        return made | _run(told)
    if "web" in told:
        return made | _web(told)
    if "alert" in told:
        return made | _alert(told)
    if "query" in told:
        return made | _query(told)
    return made | _ssh(told)


def _run(told: dict[str, Any]) -> Event:
    line = str(told["run"])
    made: Event = {
        "event.module": "snoopy",
        "event.action": "exec",
        "process.executable": f"/usr/bin/{line.split(maxsplit=1)[0]}",
        "process.command_line": line,
        "user.name": str(told.get("user", "maria")),
        "event.original": line,
    }
    for name, field in _ABOUT_RUNS.items():
        if name in told:
            made[field] = told[name]
    return made


_ABOUT_RUNS: Final = {
    "exe": "process.executable",
    "parent": "process.parent.executable",
    "terminal": "process.interactive",
    "pid": "process.pid",
    "leader": "process.session_leader.pid",
    "session": "process.entry_leader.entity_id",
    "from": "process.entry_leader.entry_meta.source.ip",
    "entry": "process.entry_leader.entry_meta.type",
}


def _alert(told: dict[str, Any]) -> Event:
    return {
        "event.module": "suricata",
        "event.dataset": "suricata.alert",
        "rule.id": "1:1",
        "rule.name": str(told["alert"]),
        "event.severity": int(told.get("severity", 2)),
        "source.ip": str(told["source"]),
        "event.original": str(told["alert"]),
    }


def _query(told: dict[str, Any]) -> Event:
    return {
        "event.module": "suricata",
        "event.dataset": "suricata.dns",
        "dns.question.name": str(told["query"]),
        "source.ip": str(told["source"]),
        "event.original": str(told["query"]),
    }


def _web(told: dict[str, Any]) -> Event:
    return {
        "event.module": "apache",
        "url.original": str(told["web"]),
        "url.path": str(told["web"]).partition("?")[0],
        "http.request.method": str(told.get("method", "GET")),
        "http.response.status_code": int(told.get("status", 200)),
        "user_agent.original": str(told.get("agent", "Mozilla/5.0")),
        "source.ip": str(told.get("source", "10.0.0.9")),
        "event.original": str(told["web"]),
    }


def _ssh(told: dict[str, Any]) -> Event:
    made: Event = {"event.module": "sshd", "process.name": "sshd-session"}
    if "sshd" in told:
        source = {"source.ip": str(told["source"])} if "source" in told else {}
        return made | {"event.original": str(told["sshd"])} | source
    if "su" in told:
        return {
            "event.module": "su",
            "event.action": "su",
            "event.outcome": str(told["su"]),
            "user.name": str(told["user"]),
            "user.effective.name": str(told["to"]),
            "event.original": f"su {told['su']} {told['to']}",
        }
    made |= {"source.port": int(told.get("port", 40000)), "homerange.auth.method": told.get("by", "password")}
    if "session" in told:
        made["process.entry_leader.entity_id"] = str(told["session"])
    unknown = " for invalid user" if told.get("unknown") else ""
    return made | {
        "event.action": "ssh_login",
        "event.outcome": str(told["ssh"]),
        "source.ip": str(told["source"]),
        "user.name": str(told["user"]),
        "event.original": f"{told['ssh']}{unknown} {told['user']} {told['source']}",
    }
