"""The timeline that a learner wrote of a run, as YAML or CSV -> entries, or every problem at once.

YAML is a list, or a list under `timeline`; CSV has the same names in its first line, and several
indicators parted by semicolons or blanks:

    - {time: "+63", technique: T1110, indicators: [10.1.0.5, maria], what: somebody guesses passwords}

    time,technique,indicators,what
    +63,T1110,10.1.0.5; maria,somebody guesses passwords
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab import attack
from lab.files import careful, loader
from lab.files.loader import Item, Reading
from lab.moment import SECOND, Moment

_TOO_MANY: Final = "cells beyond the last column"
_KEYS: Final = ("time", "technique", "indicators", "what")
_DAY: Final = 86_400 * SECOND
_LONGEST_RUN: Final = 10_000
"""Seconds; a number below is one of the run, above one of the day."""

_MOST: Final = 1000
"""Entries of a timeline."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """One thing that a learner saw."""

    line: int
    """Where it stands in the file."""

    time: Moment
    """When."""

    technique: str = ""
    """ATT&CK technique id; empty when they did not say."""

    indicators: tuple[str, ...] = ()
    """Addresses, accounts, hosts, files."""

    what: str = ""
    """In words."""


def read_timeline(path: Path, begun: Moment) -> tuple[Noted, ...]:
    """Read a timeline.

    Args:
        path: The file; CSV when its name ends so, else YAML.
        begun: When the run began: times may be told from there.

    Raises:
        BadFile: something in it is wrong; every problem is named with its line.
    """
    root, reading = _rows(path) if path.suffix.lower() == ".csv" else loader.load(path)
    found = tuple(_entries(root, reading, begun))
    reading.finish()
    return tuple(sorted(found, key=lambda it: (it.time, it.line)))


def _rows(path: Path) -> tuple[Item, Reading]:
    """Read CSV as the same items that YAML gives."""
    reading = Reading(path)
    text = careful.read_bytes(path, most=loader.MAX_BYTES).decode("utf-8", "replace").lstrip("\ufeff")
    rows = csv.DictReader(text.splitlines(), restkey=_TOO_MANY)
    if unknown := sorted(set(rows.fieldnames or ()) - set(_KEYS)):
        remedy = f"the first line is  {','.join(_KEYS)}"
        reading.problem(1, f"unknown column {', '.join(map(repr, unknown))}", remedy)
    items: list[Item] = []
    try:
        items.extend(_item(row, rows.line_num, reading) for row in rows)
    except csv.Error as error:
        reading.problem(rows.line_num + 1, f"is not CSV: {error}")
    return Item(items, 1), reading


def _item(row: Mapping[str, str], line: int, reading: Reading) -> Item:
    if _TOO_MANY in row:
        reading.problem(line, "has more cells than the first line", "part indicators with  ;")
    return Item({name: Item(row[name], line) for name in _KEYS if row.get(name)}, line)


def _entries(root: Item, reading: Reading, begun: Moment) -> Iterator[Noted]:
    if isinstance(root.value, dict):
        root = reading.mapping(root, "a timeline", ("timeline",)).get("timeline", Item([], root.line))
    entries = reading.sequence(root, "a timeline")
    if not entries:
        reading.problem(
            root, "a timeline needs at least one entry", 'write  - {time: "+63", technique: T1110}'
        )
    if len(entries) > _MOST:
        reading.problem(root, f"{len(entries)} entries are too many", f"{_MOST} at most")
        return
    for it in entries:
        yield _entry(reading.mapping(it, "an entry", _KEYS), it, reading, begun)


def _entry(given: Mapping[str, Item], where: Item, reading: Reading, begun: Moment) -> Noted:
    return Noted(
        line=where.line,
        time=_time(given, where, reading, begun),
        technique=_technique(given, reading),
        indicators=_indicators(given, reading),
        what=str(given["what"].value) if "what" in given else "",
    )


def _time(given: Mapping[str, Item], where: Item, reading: Reading, begun: Moment) -> Moment:
    """Return when; the beginning of the run where the entry does not say, which is noted."""
    if "time" not in given:
        reading.problem(where, "an entry needs a time", 'write  time: "+63"  or  time: "12:01:03"')
        return begun
    said = given["time"]
    try:
        return moment_of(_as_written(said), begun)
    except ValueError:
        remedy = "write +63 (seconds since the run began), 12:01:03 (UTC), or 2026-11-25T12:01:03Z"
        reading.problem(said, f"{said.value!r} is no time", remedy)
        return begun


def _as_written(said: Item) -> str:
    """Return a time as somebody wrote it: YAML 1.1 makes numbers of `+63`, `+1:03` and `12:01:03`."""
    number = said.value
    if isinstance(number, bool) or not isinstance(number, int | float):
        return str(number)
    if number < _LONGEST_RUN:
        return f"+{number}"
    minutes, seconds = divmod(int(number), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


def moment_of(text: str, begun: Moment) -> Moment:
    """Read a time: `+63`, `+1:03`, `12:01:03`, or a whole moment.

    Raises:
        ValueError: it is none of these.
    """
    text = text.strip()
    if match := re.fullmatch(r"\+(?:(\d{1,4}):)?(\d{1,6}(?:\.\d{1,3})?)", text):
        return Moment(begun + int((int(match[1] or 0) * 60 + float(match[2])) * SECOND))
    if re.fullmatch(r"\d{1,2}:\d\d(:\d\d(\.\d+)?)?", text):
        whole = text if text.count(":") > 1 else f"{text}:00"
        found = Moment.parse(f"{begun.iso()[:10]}T{whole:0>8}Z")
        return found if found > begun - _DAY // 2 else Moment(found + _DAY)
    return Moment.parse(text)


def _technique(given: Mapping[str, Item], reading: Reading) -> str:
    if "technique" not in given:
        return ""
    named = str(given["technique"].value).strip().upper()
    if named not in attack.techniques():
        reading.problem(given["technique"], f"unknown technique {named!r}", "write an id of ATT&CK: T1046")
    return named


def _indicators(given: Mapping[str, Item], reading: Reading) -> tuple[str, ...]:
    if "indicators" not in given:
        return ()
    item = given["indicators"]
    if isinstance(item.value, list):
        return tuple(str(it.value).strip() for it in reading.sequence(item, "indicators"))
    return tuple(it for it in re.split(r"[;,\s]+", str(item.value)) if it)
