"""What each command on rules and files does, in order. These need neither lab nor run, and start quickly."""

from __future__ import annotations

from typing import Final

from lab.flow.context import Stage
from lab.flow.detect import detect_in_files
from lab.flow.rules import (
    add_rules,
    check_rules,
    convert_rules,
    cover,
    explain_rule,
    find_rule,
    read_all_rules,
    remove_rules,
    try_rules,
)

Stages = tuple[Stage, ...]

DETECT: Final[Stages] = (
    detect_in_files,  # Detection   -> Look
)

ADD: Final[Stages] = (
    add_rules,  # path        -> Added
)

REMOVE: Final[Stages] = (
    remove_rules,  # path        -> path
)

LIST: Final[Stages] = (
    read_all_rules,  # paths       -> RuleSet
)

SHOW: Final[Stages] = (
    find_rule,  # name        -> Rule and its text
)

CHECK: Final[Stages] = (
    check_rules,  # paths       -> Doubts and Unusable
)

TEST: Final[Stages] = (
    try_rules,  # paths       -> Tried
)

COVER: Final[Stages] = (
    cover,  # run         -> Covered
)

EXPLAIN: Final[Stages] = (
    explain_rule,  # Asked       -> Explained
)

CONVERT: Final[Stages] = (
    convert_rules,  # Conversion  -> Written
)
