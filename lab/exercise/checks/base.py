"""What every kind of check is: it looks for an effect on the node itself, without the tool that made it."""

from __future__ import annotations

from typing import ClassVar, Protocol

from lab.exercise.finding import Finding
from lab.exercise.place import Place


class Check(Protocol):
    """One way to look for an effect. Its fields are its arguments; texts may be templates."""

    kind: ClassVar[str]
    """The key that names it in a scenario."""

    @property
    def node(self) -> str:
        """Where to look."""
        ...

    def before(self, place: Place) -> int:
        """Look before the step; what is returned is given to `after`."""
        ...

    def after(self, place: Place, before: int) -> Finding:
        """Look after the step."""
        ...
