"""What needs rules or truth in memory is asked of another process, which ends: this one stays small."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeVar

from lab.errors import LabError, WrongInput
from lab.files import records

Record = TypeVar("Record")

_COMMAND: Final = "from lab.cli.entry import entry; entry()"
_SECONDS: Final = 120.0
"""What one question may take."""


def asked_of_lab(words: Sequence[str], folder: Path, kind: type[Record]) -> Record:
    """Run a command of ours and read what it says as JSON.

    Args:
        words: `why`, a run's id, ...; `--format json` is added.
        folder: The workplace.
        kind: What it says; what has no place in it is left out.

    Raises:
        WrongInput: the command says that something is wrong.
        LabError: it failed, or took too long.
    """
    argv = [sys.executable, "-c", _COMMAND, *words, "--format", "json"]
    try:
        ended = subprocess.run(
            argv, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LabError(f"lab {words[0]} took longer than {_SECONDS:g} s and was stopped") from error
    if ended.returncode not in {0, 1}:
        said = (
            ended.stderr.decode("utf-8", "replace").strip() or f"lab {words[0]} ended with {ended.returncode}"
        )
        raise WrongInput(said) if ended.returncode == WrongInput.exit_code else LabError(said)
    try:
        return records.from_json(ended.stdout, kind)
    except ValueError as error:
        raise LabError(f"lab {words[0]} said something else than was expected: {error}") from error
