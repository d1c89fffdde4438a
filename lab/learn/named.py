"""What the findings of a case name, beside what there was to name. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from lab.learn.response import Judged, Material
from lab.runs.case import CaseEntry
from lab.score.grading import parent_of


def ratio(hits: int, total: int) -> float:
    """Return a share; 0 of nothing."""
    return hits / total if total else 0.0


Claim = tuple[str, str]
"""What is named and what it is: `host`, `shop`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """What the findings name beside what there was to name."""

    right: frozenset[Claim]
    wrong: frozenset[Claim]
    unshown: frozenset[Claim]
    true: frozenset[Claim]
    explained: int
    """Findings whose host, account or address is right and whose technique is that of what shows it."""
    named: int
    """Findings whose host, account or address is right."""

    @classmethod
    def of(cls, material: Material) -> Self:
        """Hold each finding against what happened."""
        true, parties = what_there_was(material)
        right, wrong, unshown = set[Claim](), set[Claim](), set[Claim]()
        explained = named = 0
        for it in material.case.entries:
            if it.sort != "finding":
                continue
            shown = [step for event in it.events for step in material.shows.get(event, ())]
            is_shown = any(event in material.shows for event in it.events)
            about = [claim for claim in _claims(it) if claim[0] != "technique"]
            for claim in _claims(it):
                if claim not in true:
                    wrong.add(claim)
                elif not is_shown or not _belongs(claim, shown, parties):
                    unshown.add(claim)
                else:
                    right.add(claim)
            if about and right.issuperset(about):
                named += 1
                explained += bool(it.technique) and ("technique", it.technique) in right
        return cls(
            right=frozenset(right),
            wrong=frozenset(wrong),
            unshown=frozenset(unshown - right),
            true=true,
            explained=explained,
            named=named,
        )

    def judged(self) -> Judged:
        """Return the harmonic mean of precision and recall."""
        claimed = len(self.right) + len(self.wrong) + len(self.unshown)
        precision, recall = ratio(len(self.right), claimed), ratio(len(self.right), len(self.true))
        value = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        told = (
            f"{len(self.right)} of {claimed} things that were named are of the attack, and shown (precision)",
            f"{len(self.right)} of {len(self.true)} that there were are named (recall)",
        )
        missed = [f"{what} {which} was none" for what, which in sorted(self.wrong)]
        missed += [
            f"{what} {which}: no event was given that shows it" for what, which in sorted(self.unshown)
        ]
        missed += [f"{what} {which} was not named" for what, which in sorted(self.true - self.right)]
        return Judged(part="identification", value=round(value, 3), told=told, missed=tuple(missed))

    def reasons(self) -> Judged:
        """Say how many of the right findings also say by which technique."""
        told = f"{self.explained} of {self.named} right findings name the technique that their events show"
        value = round(ratio(self.explained, self.named), 3)
        return Judged(part="identification", value=value, told=(told,))


def what_there_was(material: Material) -> tuple[frozenset[Claim], Mapping[str, frozenset[Claim]]]:
    """Return what there was to name, and which step involved it."""
    found: dict[str, set[Claim]] = {}
    for it in material.attack():
        mine = found.setdefault(it.step, set())
        parties = (*it.sources, *it.targets)
        mine |= {("host", party.node) for party in parties if party.node not in material.attackers}
        own = [party for party in parties if party.node in material.attackers]
        mine |= {("address", address) for party in own for address in party.addresses}
        mine |= {("account", user) for user in it.users}
        mine |= {("technique", it.technique)} if it.technique else set()
    every = frozenset(claim for claims in found.values() for claim in claims)
    return every, {step: frozenset(claims) for step, claims in found.items()}


def _claims(finding: CaseEntry) -> tuple[Claim, ...]:
    said = {
        "host": finding.host,
        "account": finding.account,
        "address": finding.address,
        "technique": finding.technique,
    }
    return tuple((what, which) for what, which in said.items() if which)


def _belongs(claim: Claim, steps: Sequence[str], parties: Mapping[str, frozenset[Claim]]) -> bool:
    """Tell whether events show a claim: one is of a step that involved it, or of a later try of a way."""
    if not steps:
        return claim[0] != "technique"
    involved = {it for step in steps for it in parties.get(step, ())}
    if claim[0] == "technique":
        return any(claim[1] in {it, parent_of(it)} for what, it in involved if what == "technique")
    return claim in involved
