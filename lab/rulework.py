"""What each command on rules and files does, in order. These need neither lab nor run, and start quickly."""

from __future__ import annotations

from typing import Final

from lab.flow.context import Stage
from lab.flow.detect import detect_in_files

Stages = tuple[Stage, ...]

DETECT: Final[Stages] = (
    detect_in_files,  # Detection   -> Look
)
