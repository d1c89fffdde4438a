"""Where we keep what can be made again: in the user's cache folder, below our own name."""

from __future__ import annotations

import os
from pathlib import Path


def kept(sort: str) -> Path:
    """Return the folder of one sort of things; it need not be there.

    Args:
        sort: `rules`, `lines`.
    """
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "homerange" / sort
