"""What dashboards show, whatever shows it: read from one file, each field checked against our mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from lab.files import loader
from lab.files.declared import Fault, Key, read
from lab.siem.document import DOCUMENT_FIELDS

SOURCE: Final = Path(__file__).with_name("dashboards.yml")
"""The file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """One chart, table or number; it counts documents."""

    remedy: ClassVar[str] = "write  {title: Sources, chart: table, by: source.ip}"

    title: str
    """What stands above it."""

    chart: Literal["bars", "table", "number"]
    """What it is."""

    by: str = ""
    """The field whose values are counted apart; empty to count all together."""

    over: Literal["time"] | None = None
    """Whether it is drawn over time."""

    of: Literal["events", "alerts"] = "events"
    """Which documents it counts."""

    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Fields, and the values that they may have."""

    steps: bool = False
    """Whether the steps of the exercise are marked in it, where they were sent."""

    def faults(self) -> Iterator[Fault]:
        """Find fields that no document has, and charts that lack what they draw."""
        for name in filter(None, (self.by, *self.where)):
            if name not in DOCUMENT_FIELDS:
                yield Fault(
                    key="by" if name == self.by else "where", what=f"no document has the field {name!r}"
                )
        if (self.chart == "bars") != (self.over == "time"):
            yield Fault(key="chart", what="bars are drawn over time, and nothing else is")
        if (self.chart == "table") and not self.by:
            yield Fault(key="chart", what="a table needs the field that it counts by")


@dataclass(frozen=True, kw_only=True, slots=True)
class Dashboard:
    """A page of panels."""

    id: str
    """What it is called among others."""

    title: str
    """What stands above it."""

    panels: Annotated[tuple[Panel, ...], Key(entry="panel")]
    """What it shows, in reading order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """The whole file."""

    dashboards: Annotated[tuple[Dashboard, ...], Key(entry="dashboard")]


def read_dashboards(path: Path = SOURCE) -> tuple[Dashboard, ...]:
    """Read what dashboards show.

    Raises:
        BadFile: something of it cannot be; every problem is named.
    """
    root, reading = loader.load(path)
    found = read(reading, root, _Source, path.name)
    names = [it.id for it in found.dashboards]
    for name in sorted({it for it in names if names.count(it) > 1}):
        reading.problem(root, f"two dashboards are called {name!r}", "give each a name of its own")
    reading.finish()
    return found.dashboards
