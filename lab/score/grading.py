"""What an alert says about a step: what it was, and who and where.

A tag counts as follows. The step's technique is right. So is one of its sub-techniques where the
step names only the parent: in ATT&CK a sub-technique is a special case of its parent, so the alert
says all that the truth says and more. The parent where the step names a sub-technique says why but
not how, and counts as the tactic (SCORING.md). A tactic counts when it is among the alert's own
tactics or those that the ATT&CK table gives for its techniques. Any other alert is `general`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from lab import attack
from lab.detect.alert import Alert
from lab.exercise.truth import Party, Truth

GENERAL: Final = 0
"""The alert names neither technique nor tactic of the step."""

TACTIC: Final = 1
"""It names a tactic of the step, or the parent of its technique."""

TECHNIQUE: Final = 2
"""It names the technique of the step."""


def grade(alert: Alert, record: Truth) -> int:
    """Say how well an alert names a step: `GENERAL`, `TACTIC` or `TECHNIQUE`."""
    if any(_is_or_is_below(it, record.technique) for it in alert.techniques):
        return TECHNIQUE
    if parent_of(record.technique) in alert.techniques:
        return TACTIC
    return GENERAL if tactics_of(record).isdisjoint(_tactics_named(alert)) else TACTIC


def parent_of(technique: str) -> str:
    """Return the technique that a sub-technique is of; a technique is its own."""
    return technique.partition(".")[0]


def tactics_of(record: Truth) -> set[str]:
    """Return the tactics of a step; those of its technique when the record names none."""
    return set(record.tactics) or _tactics_in_table(record.technique)


def _is_or_is_below(named: str, technique: str) -> bool:
    return technique in {named, parent_of(named)}


def _tactics_named(alert: Alert) -> set[str]:
    return set(alert.tactics).union(*map(_tactics_in_table, alert.techniques))


def _tactics_in_table(technique: str) -> set[str]:
    known = attack.techniques().get(technique)
    return set(known.tactics) if known else set()


def unnamed(record: Truth, alerts: Sequence[Alert]) -> tuple[str, ...]:
    """Return who and what of a step some alerts together do not name: `source attacker`, `user maria`.

    A source is named by one of its addresses in `source.ip`, a target by one in `destination.ip`;
    either by its node's name in `host.name`, as logs of programs have it; an account in `user.name`.
    """
    hosts, users = _named(alerts, "host.name"), _named(alerts, "user.name")
    senders, receivers = _named(alerts, "source.ip"), _named(alerts, "destination.ip")
    from_here = {party.node for party in record.sources}
    targets = [party for party in record.targets if party.node not in from_here]
    return (
        *(f"source {it.node}" for it in record.sources if not _is_named(it, senders, hosts)),
        *(f"target {it.node}" for it in targets if not _is_named(it, receivers, hosts)),
        *(f"user {it}" for it in record.users if it not in users),
    )


def _named(alerts: Iterable[Alert], name: str) -> set[str]:
    return {value for alert in alerts for value in alert.entities.get(name, ())}


def _is_named(party: Party, addresses: set[str], hosts: set[str]) -> bool:
    return party.node in hosts or not addresses.isdisjoint(party.addresses)


def strangers(alert: Alert, records: Sequence[Truth]) -> set[str]:
    """Return sources and accounts an alert names that took no part in the steps it credits.

    A field for which the records name nobody is not judged. Nor are destinations, since a sweep also
    goes to addresses that nobody has, nor `host.name`, which on events from the wire is the sensor.
    """
    sources = {address for it in records for party in it.sources for address in party.addresses}
    users = {user for it in records for user in it.users}
    known = (("source.ip", sources), ("user.name", users))
    return {value for name, right in known if right for value in _named((alert,), name) - right}
