"""The program `lab`: begins quickly, runs the command line, ends quickly.

Half of what a short command takes is Python itself. Collecting garbage while some hundred modules are
loaded, and taking them all down again at the end, are 60 ms of it, and nothing needs either: each command
closes what it opened before it is done.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import suppress
from typing import Final, NoReturn

_SELDOM: Final = 50_000
"""Objects made between two collections; Python's own 700 makes dozens of them while modules are loaded."""


_STOPPED: Final = 130
"""Exit code of a program that Ctrl-C ended; `lab.errors.Stopped` has the same, and is not loaded yet."""


def entry() -> NoReturn:
    """Run the command line and end the process with its exit code."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
        signal.signal(signal.SIGINT, _too_early)
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  # closed by our parent
    sys.stderr = sys.stderr or sys.stdout
    gc.set_threshold(_SELDOM, 20, 100)
    from lab.cli.main import main

    try:
        main()
    except SystemExit as ended:
        _end(ended.code)


def _too_early(*_: object) -> NoReturn:
    """Stop before anything was begun."""
    os.write(2, b"stopped: nothing was begun\n")
    os._exit(_STOPPED)


def _end(code: str | int | None) -> NoReturn:
    """End at once; output that nobody reads any more is no reason to complain."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with suppress(OSError):
                stream.flush()
    os._exit(code if isinstance(code, int) else int(bool(code)))
