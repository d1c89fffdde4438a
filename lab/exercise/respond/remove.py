"""Take files, or lines of files, out of a node: what an intruder left to come back by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from lab.exercise.respond.base import Done, Hand, NotDone, WrongResponse
from lab.files import records


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """A file as it was."""

    path: str
    """Where."""

    mode: int
    """Sort and rights, as `st_mode` has them."""

    owner: int
    """Number of its owner."""

    group: int
    """Number of its group."""

    changed: int
    """When its content was last written, in nanoseconds since 1970."""

    content: str
    """What was in it, as base64; of a link, where it led."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Removed:
    """What came of removing, or of putting back."""

    kept: tuple[Taken, ...]
    """What was taken out."""

    left: tuple[str, ...]
    """The paths at which it is still there."""

    odd: tuple[str, ...]
    """Why nothing was taken out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Remove:
    """Files that are there no more."""

    kind: ClassVar[str] = "remove"
    react: ClassVar[str] = "RA4301"

    node: str
    """Which node."""

    path: tuple[str, ...]
    """Whole paths."""

    line: str = ""
    """Remove only the lines that have this in them; the files when empty."""

    def act(self, hand: Hand) -> Done:
        """Take them out."""
        for it in self.path:
            if not it.startswith("/") or ".." in it.split("/") or not it.strip("/"):
                raise WrongResponse(f"{it!r} is not a whole path")
        if not self.path:
            raise WrongResponse("say what to remove: a path at least")
        found = hand.ask("hold_files", self._asked("look"), Removed)
        if found.odd:
            raise WrongResponse(f"nothing was removed from {self.node}: {'; '.join(found.odd)}")
        if not found.kept:
            where = f"a line with {self.line!r} in it" if self.line else "any of that"
            raise WrongResponse(f"{self.node} does not have {where}: {', '.join(self.path)}")
        kept = records.to_json(found.kept)
        hand.keep(kept)
        if left := hand.ask("hold_files", self._asked("take"), Removed).left:
            raise NotDone(f"on {self.node} is still there: {', '.join(left)}")
        what = f"lines with {self.line!r} in " if self.line else ""
        return Done(
            said=f"removed from {self.node}: {what}{', '.join(it.path for it in found.kept)}", kept=kept
        )

    def _asked(self, do: str, kept: tuple[Taken, ...] = ()) -> dict[str, object]:
        return {"do": do, "paths": self.path, "line": self.line, "kept": kept}

    def undo(self, hand: Hand, kept: str) -> str:
        """Put them back."""
        taken = records.from_json(kept, tuple[Taken, ...])
        hand.ask("hold_files", self._asked("put", taken), Removed)
        return f"put back on {self.node}: {', '.join(it.path for it in taken)}"
