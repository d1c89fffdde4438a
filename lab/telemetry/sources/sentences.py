"""Sentences: what programs say in their logs, as patterns, and what each means in ECS."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from lab.telemetry.event import Event
from lab.telemetry.sources.reading import put_peer

UNCLEAR: Final = "reads in two ways: user name and address are left out, since one may be forged"
"""`event.reason` of a line whose parts a client could have arranged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sentence:
    """Something a program says, and what it means."""

    pattern: re.Pattern[str]
    """Matches the whole message; its named groups become fields."""

    meaning: Event
    """The fields that every such message has."""

    twice: re.Pattern[str] | None = None
    """When this is found more than once, the message reads in two ways."""


def sentence(pattern: str, action: str, kinds: str, outcome: str = "", twice: str = "") -> Sentence:
    """Describe a sentence.

    Args:
        pattern: Regular expression of all of it; groups are named like keys of `PARTS`.
        action: `event.action`.
        kinds: `event.category` and `event.type`, `process:start`; several types with commas.
        outcome: `event.outcome`.
        twice: What, found more than once, makes it read in two ways.
    """
    category, _, types = kinds.partition(":")
    meaning: Event = {"event.action": action, "event.category": (category,)}
    meaning["event.type"] = tuple(types.split(","))
    if outcome:
        meaning["event.outcome"] = outcome
    return Sentence(
        pattern=re.compile(pattern, re.ASCII | re.DOTALL),
        meaning=meaning,
        twice=re.compile(twice, re.ASCII) if twice else None,
    )


TEXTS: Final[Mapping[str, str]] = {
    "user": "user.name",
    "user_id": "user.id",
    "as_user": "user.effective.name",
    "target": "user.target.name",
    "target_id": "user.target.id",
    "group": "group.name",
    "group_id": "group.id",
    "method": "homerange.auth.method",
    "session": "homerange.audit.session",
    "command": "process.command_line",
    "program": "process.executable",
    "folder": "process.working_directory",
    "path": "file.path",
    "name": "dns.question.name",
    "type": "dns.question.type",
    "rcode": "dns.response_code",
    "mac": "source.mac",
    "client": "source.domain",
    "interface": "observer.ingress.interface.name",
}
"""Named groups that are the text of a field."""


def understand(event: Event, sentences: Iterable[Sentence], said: str) -> bool:
    """Add what the first sentence that fits means; tell whether there is one."""
    for one in sentences:
        if match := one.pattern.fullmatch(said):
            event.update(one.meaning)
            if one.twice and len(one.twice.findall(said)) > 1:
                event["event.reason"] = UNCLEAR
            else:
                put_parts(event, match.groupdict())
            return True
    return False


def put_parts(event: Event, parts: Mapping[str, str | None]) -> None:
    """Turn the named groups of a sentence into fields."""
    put_peer(event, "source", parts.get("ip"), parts.get("port"))
    put_peer(event, "destination", parts.get("to_ip"), parts.get("to_port"))
    for group, text in parts.items():
        if text and group in TEXTS:
            event[TEXTS[group]] = text
    if count := parts.get("count"):
        event["homerange.repeated"] = int(count)
    if reason := parts.get("reason") or ("unknown user" if parts.get("invalid") else ""):
        event["event.reason"] = reason
    name = str(event.get("process.executable", "")).rpartition("/")[2]
    if name and "process.name" not in event:
        event["process.name"] = name
