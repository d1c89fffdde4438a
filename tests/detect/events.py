"""Events for tests, written as briefly as a person would tell them."""

from __future__ import annotations

from itertools import count
from typing import Any, Final

from lab.moment import SECOND
from lab.telemetry.event import Event

START: Final = 1_800_000_000 * SECOND
_NUMBERS: Final = count()


def event(told: dict[str, Any]) -> Event:
    """Make a whole event of `run`, `ssh`, `sshd` or `web` and what goes with it."""
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
    return made | ({"process.parent.executable": str(told["parent"])} if "parent" in told else {})


def _web(told: dict[str, Any]) -> Event:
    return {
        "event.module": "apache",
        "url.original": str(told["web"]),
        "http.request.method": "GET",
        "http.response.status_code": int(told["status"]),
        "user_agent.original": str(told["agent"]),
        "source.ip": str(told["source"]),
        "event.original": str(told["web"]),
    }


def _ssh(told: dict[str, Any]) -> Event:
    made: Event = {"event.module": "sshd", "process.name": "sshd-session"}
    if "sshd" in told:
        return made | {"event.original": str(told["sshd"])}
    return made | {
        "event.action": "ssh_login",
        "event.outcome": str(told["ssh"]),
        "source.ip": str(told["source"]),
        "user.name": str(told["user"]),
        "event.original": f"{told['ssh']} {told['user']} {told['source']}",
    }
