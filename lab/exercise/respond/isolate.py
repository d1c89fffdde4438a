"""Take a node off its networks, or some of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lab.exercise.respond.base import Done, Hand, NotDone, WrongResponse
from lab.files import records


@dataclass(frozen=True, kw_only=True, slots=True)
class Isolate:
    """A node that others cannot reach any more."""

    kind: ClassVar[str] = "isolate"
    react: ClassVar[str] = "RA3102"

    node: str
    """Which node."""

    network: tuple[str, ...] = ()
    """The networks; all of them when none is named."""

    def act(self, hand: Hand) -> Done:
        """Disconnect it."""
        there = hand.node.addresses
        if unknown := sorted(set(self.network) - there.keys()):
            known = ", ".join(there) or "none"
            raise WrongResponse(f"{self.node} is not on {', '.join(unknown)}; it is on: {known}")
        leaving = {name: address for name, address in there.items() if name in (self.network or there)}
        if not leaving:
            raise WrongResponse(f"{self.node} is on no network")
        kept = records.to_json(leaving)
        hand.keep(kept)
        for network in leaving:
            hand.detach(network)
        if left := sorted(leaving.keys() & hand.addresses().keys()):
            raise NotDone(f"{self.node} is still on {', '.join(left)}")
        return Done(said=f"{self.node} is off {', '.join(leaving)}", kept=kept)

    def undo(self, hand: Hand, kept: str) -> str:
        """Connect it again."""
        left = records.from_json(kept, dict[str, str])
        for network, address in left.items():
            hand.attach(network, address)
        return _back(self.node, left, hand.addresses())


def _back(node: str, wanted: Mapping[str, str], there: Mapping[str, str]) -> str:
    for network, address in wanted.items():
        if there.get(network) != address:
            raise NotDone(f"{node} has {there.get(network) or 'no address'} on {network}, and had {address}")
    return f"{node} is on {', '.join(wanted)} again"
