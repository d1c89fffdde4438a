"""EVTX files: each record as one line of JSON, in the form of a dump. The only importer of evtx."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

from lab.errors import BadFile, Problem
from lab.telemetry.inputs import Content

_TOGETHER: Final = 16_000
"""Records that are given together: so many that helpers are worth their while."""

_MOST_FAULTS: Final = 10_000
"""Records in a row that cannot be read, after which the rest is given up."""


def evtx_lines(path: Path, content: Content) -> Iterator[bytes]:
    """Give the records of a file, a line each; one that cannot be read is a line that says so.

    Args:
        path: The file.
        content: Its fault is set when the file is broken.

    Raises:
        BadFile: the library that reads it is not installed.
    """
    try:
        from evtx import PyEvtxParser  # an extra: most logs are none of Windows
    except ModuleNotFoundError as error:
        what = "is an EVTX file, and what reads these is not installed\n    pip install 'homerange[windows]'"
        raise BadFile(Problem(path=str(path), line=0, what=what)) from error
    found: list[str] = []
    try:
        records = iter(PyEvtxParser(str(path)).records_json())
    except (OSError, RuntimeError) as error:
        content.fault = f"is no whole EVTX file: {error}"
        return
    faults = 0
    while faults < _MOST_FAULTS:
        try:
            found.append(str(cast("dict[str, object]", next(records))["data"]).replace("\n", " "))
            faults = 0
        except StopIteration:
            break
        except (OSError, RuntimeError, ValueError) as error:
            faults += 1
            found.append(
                f"a record that cannot be read: {str(error).splitlines()[0] if str(error) else error!r}"
            )
        if len(found) >= _TOGETHER:
            yield _joined(found)
            found = []
    if found:
        yield _joined(found)


def _joined(texts: list[str]) -> bytes:
    return ("\n".join(texts) + "\n").encode("utf-8", "backslashreplace")
