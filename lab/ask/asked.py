"""What is asked, as it goes to the process that answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A question about runs."""

    runs: Mapping[str, str]
    """Run id to its folder."""

    sql: str
    """One SELECT, SHOW or DESCRIBE in DuckDB's SQL."""

    since: float = 0
    """Only what happened in so many seconds before the last event is shown; all when 0."""

    noticed_only: bool = False
    """Whether truth is left out, as while a blind run is not answered."""

    parquet: bool = False
    """Whether the answer is wanted as a Parquet file."""
