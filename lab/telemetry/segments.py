"""The files of a store: Parquet segments by their names. Does without pyarrow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.errors import BadFile, Problem

_SEGMENT: Final = re.compile(r"(\d{8})-(\d{8})\.parquet")


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Segment:
    """One file of events."""

    first: int
    """Number of its first batch."""

    last: int
    """Number of its last batch; the same unless compacted."""

    path: Path
    """Where it is."""

    def within(self, other: Segment) -> bool:
        """Tell whether another segment holds all of this one."""
        return self is not other and other.first <= self.first and self.last <= other.last


def all_segments(folder: Path) -> list[Segment]:
    """List the segments; what a link leads to is not ours.

    Raises:
        BadFile: the folder, or a segment, is a link.
    """
    for path in (folder, *folder.glob("*.parquet")):
        if path.is_symlink():
            raise BadFile(Problem(path=str(path), line=0, what="is a link; a run's folder must not have any"))
    found = ((_SEGMENT.fullmatch(path.name), path) for path in folder.glob("*.parquet"))
    return sorted(Segment(first=int(m[1]), last=int(m[2]), path=path) for m, path in found if m)


def present_segments(folder: Path) -> list[Segment]:
    """List what is to be read, in order of time: nothing that another segment holds as well."""
    everything = all_segments(folder)
    wide = [segment for segment in everything if segment.last > segment.first]
    return [one for one in everything if not any(one.within(other) for other in wide)]
