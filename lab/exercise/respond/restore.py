"""Make a node anew from its baked image; what it was is set aside, and can be had again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.engine.nodes import SeenNode
from lab.exercise.respond.base import Done, Hand
from lab.files import records


@dataclass(frozen=True, kw_only=True, slots=True)
class Restore:
    """A node as it was baked."""

    kind: ClassVar[str] = "restore"
    react: ClassVar[str] = "RA5001"

    node: str
    """Which node."""

    def act(self, hand: Hand) -> Done:
        """Set it aside and make it anew."""
        kept = records.to_json(hand.node)
        hand.keep(kept)
        hand.renew()
        return Done(said=f"{self.node} is as it was baked; what it was is set aside", kept=kept)

    def undo(self, hand: Hand, kept: str) -> str:
        """Have the node again that was set aside; what was done on the new one is gone."""
        hand.bring_back(records.from_json(kept, SeenNode))
        return f"{self.node} is what it was before"
