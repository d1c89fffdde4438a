"""What a person gathered about a run: a case, from the alert that opened it to the moment it is closed.

A line is never changed. What stands before the line that closes the case is frozen: its hash is in that line,
and only that is graded.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, Literal, get_args

from lab import attack
from lab.files import records
from lab.moment import Moment

Sort = Literal["pin", "entry", "note", "indicator", "response", "removed", "opened", "finding", "closed"]
"""A pinned event; something that happened and is in no log; a note; an indicator; a step of response; that an
earlier one is removed; that the case was opened; what was found out, with the events that show it; that the
case is closed."""

SORTS: Final[tuple[Sort, ...]] = get_args(Sort)


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseEntry:
    """One entry: a line of `case.jsonl`."""

    id: str
    """Names it."""

    at: Moment
    """When it was written."""

    sort: Sort
    """What it is."""

    when: Moment | None = None
    """When what it tells of happened; None for what has no place in the timeline."""

    text: str = ""
    """What it says."""

    event: str = ""
    """The event, for `pin`."""

    removes: str = ""
    """The entry, for `removed`."""

    alerts: tuple[str, ...] = ()
    """The alerts that it began with, for `opened`."""

    host: str = ""
    """Where it was, for `finding`."""

    account: str = ""
    """Under which account."""

    address: str = ""
    """From or to which address."""

    technique: str = ""
    """By which technique of ATT&CK."""

    events: tuple[str, ...] = ()
    """The events that show it."""

    digest: str = ""
    """SHA-256 of all entries before, for `closed`."""


def new_entry(
    sort: Sort, *, text: str = "", when: Moment | None = None, event: str = "", removes: str = ""
) -> CaseEntry:
    """Make an entry of now, with an id of its own."""
    return CaseEntry(
        id=secrets.token_hex(6),
        at=Moment.now(),
        sort=sort,
        when=when,
        text=text,
        event=event,
        removes=removes,
    )


def new_finding(  # noqa: PLR0913  # what a finding says
    *,
    text: str = "",
    when: Moment | None = None,
    host: str = "",
    account: str = "",
    address: str = "",
    technique: str = "",
    events: tuple[str, ...] = (),
) -> CaseEntry:
    """Make a finding of now."""
    made = new_entry("finding", text=text, when=when)
    return replace(made, host=host, account=account, address=address, technique=technique, events=events)


def faults(finding: CaseEntry, nodes: Collection[str], events: Collection[str]) -> Iterator[str]:
    """Say all that is wrong with a finding.

    Args:
        finding: The finding.
        nodes: The nodes that were in the lab.
        events: Those of its events that there are.
    """
    if not (finding.host or finding.account or finding.address or finding.technique):
        yield "a finding names a host, an account, an address or a technique"
    if finding.host and finding.host not in nodes:
        yield f"no node {finding.host!r} was in the lab; there is: {', '.join(sorted(nodes))}"
    if finding.address and not _is_address(finding.address):
        yield f"{finding.address!r} is no address"
    if finding.technique and finding.technique not in attack.techniques():
        yield f"unknown technique {finding.technique!r} in ATT&CK {attack.version()}"
    if missing := [it for it in finding.events if it not in events]:
        yield f"no event of the run has the id {', '.join(missing)}"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def opened_with(alerts: Iterable[str]) -> CaseEntry:
    """Make the entry that opens a case."""
    return replace(new_entry("opened"), alerts=tuple(alerts))


def closing(entries: Iterable[CaseEntry], text: str = "") -> CaseEntry:
    """Make the entry that closes a case and freezes what it has so far."""
    return replace(new_entry("closed", text=text), digest=_digest(entries))


def _digest(entries: Iterable[CaseEntry]) -> str:
    return sha256("\n".join(records.to_json(it) for it in entries).encode()).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Frozen:
    """What counts of a case."""

    entries: tuple[CaseEntry, ...]
    """All that was written before it was closed, and not removed."""

    opened: Moment | None
    """When it was opened; None when it never was."""

    closed: Moment | None
    """When it was closed; None when it is not."""

    untouched: bool
    """Whether it is what it was when it was closed, by its hash."""


def frozen(entries: Iterable[CaseEntry]) -> Frozen:
    """Return what counts of a case: all of it while it is open."""
    every = tuple(entries)
    end = next((place for place, it in enumerate(every) if it.sort == "closed"), None)
    before = every if end is None else every[:end]
    opened = next((it.at for it in before if it.sort == "opened"), None)
    return Frozen(
        entries=present(before),
        opened=opened,
        closed=None if end is None else every[end].at,
        untouched=end is None or every[end].digest == _digest(before),
    )


def present(entries: Iterable[CaseEntry]) -> tuple[CaseEntry, ...]:
    """Return what was not removed, in the order of what happened; what has no time comes last."""
    every = tuple(entries)
    removed = {it.removes for it in every if it.sort == "removed"}
    kept = [it for it in every if it.id not in removed and it.sort != "removed"]
    return tuple(sorted(kept, key=lambda it: (it.when is None, it.when or it.at, it.at)))
