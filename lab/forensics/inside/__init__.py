"""Scripts that run beside nodes, given to Python as text: each needs the standard library alone."""

from __future__ import annotations

from pathlib import Path


def argv_of(name: str) -> tuple[str, ...]:
    """Return the command line that runs a script."""
    return ("python3", "-c", Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8"))
