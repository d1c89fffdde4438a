"""Block an address on a node: what is sent there goes nowhere, so no connection comes about or goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.exercise.respond.base import Done, Hand, NotDone, WrongResponse
from lab.files import records


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A route that leads nowhere, in the node's own network name space."""

    kind: ClassVar[str] = "block"
    react: ClassVar[str] = "RA3101"

    node: str
    """Which node."""

    address: str
    """The address, or the node that has it."""

    def act(self, hand: Hand) -> Done:
        """Set the route."""
        target = hand.resolve(self.address)
        if any(it.id == hand.node.id for it in target.nodes) or "/" in target.address:
            raise WrongResponse(f"{self.address} is not one other node that {self.node} could block")
        kept = records.to_json(target.address)
        hand.keep(kept)
        ran = hand.route("replace", "blackhole", target.address)
        if ran.code or _open(hand, target.address):
            said = ran.stderr.decode("utf-8", "backslashreplace").strip() or "the way is still there"
            raise NotDone(f"{target.address} could not be blocked on {self.node}: {said}")
        return Done(said=f"{self.node} sends nothing to {target.address} any more", kept=kept)

    def undo(self, hand: Hand, kept: str) -> str:
        """Take the route away; one that is gone is no error."""
        address = records.from_json(kept, str)
        hand.route("delete", "blackhole", address)
        if not _open(hand, address):
            raise NotDone(f"{address} is still blocked on {self.node}")
        return f"{self.node} may send to {address} again"


def _open(hand: Hand, address: str) -> bool:
    """Tell whether no route of ours is in the way; that there is a way at all is not ours to promise."""
    return not hand.route("show", "type", "blackhole", address).stdout.strip()
