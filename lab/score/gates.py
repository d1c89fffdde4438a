"""What a score has to reach, for who tests rules in continuous integration."""

from __future__ import annotations

from dataclasses import dataclass

from lab.score.values import Score


@dataclass(frozen=True, kw_only=True, slots=True)
class Gates:
    """The least and the most that is good enough."""

    min_recall: float | None = None
    """The least recall, from 0 to 1; None for any."""

    max_false: int | None = None
    """The most false alarms, deduplicated as in the score; None for any."""

    def __bool__(self) -> bool:
        """Tell whether anything is asked for."""
        return self.min_recall is not None or self.max_false is not None

    def missed(self, score: Score) -> tuple[str, ...]:
        """Say what a score does not reach; nothing when it reaches all.

        A run without an attack has no recall, so it cannot reach one.
        """
        found: list[str] = []
        recall = score.recall.value
        if self.min_recall is not None and (recall is None or recall < self.min_recall):
            said = "there was no attack to detect" if recall is None else f"it is {recall:.3f}"
            found.append(f"recall has to be {self.min_recall:g} or more, and {said}")
        count = score.false_positives.count
        if self.max_false is not None and count > self.max_false:
            found.append(f"{self.max_false} false alarms are allowed, and there are {count}")
        return tuple(found)
