"""What somebody did about a run, what their case says, and when files were written: for one axis."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from lab.files import careful
from lab.forensics import bodyfile
from lab.moment import SECOND, Moment
from lab.runs import names
from lab.runs.case import CaseEntry, frozen
from lab.runs.folder import RunFolder
from lab.runs.response import Acted, acts

Lane = Literal["acts", "case", "files"]
"""Where it is drawn."""

LANES: Final[tuple[Lane, ...]] = ("acts", "case", "files")

_NAMED: Final = 4
"""Files of one second that are named; the rest is counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answered:
    """One thing."""

    lane: Lane
    """What sort it is."""

    start: Moment
    """When it began."""

    end: Moment
    """When it ended; the same for what has no length."""

    words: tuple[str, ...]
    """What is said of it."""


def read_answer(run: RunFolder) -> tuple[Answered, ...]:
    """Read what somebody did about a run while it went on, in the order of time."""
    header = run.header()
    until = header.ended or Moment.now()
    found = [_act(it) for it in acts(run.response.entries())]
    found += [_entry(it) for it in frozen(run.case.entries()).entries if it.sort in _TOLD]
    found += _files(run, header.started, until)
    meanwhile = (it for it in found if it.start <= until)
    return tuple(sorted(meanwhile, key=lambda it: (it.start, it.lane, it.words)))


_TOLD: Final = frozenset({"note", "finding", "entry"})


def _act(it: Acted) -> Answered:
    node = f" {it.begun.node}" if it.begun.node else ""
    return Answered(
        lane="acts",
        start=it.begun.at,
        end=it.done or it.begun.at,
        words=(f"{it.begun.action}{node}", it.last.said or it.last.state),
    )


def _entry(it: CaseEntry) -> Answered:
    named = " ".join(said for said in (it.technique, it.host, it.account, it.address) if said)
    when = it.when or it.at
    return Answered(lane="case", start=when, end=when, words=(f"{it.sort} {named}".strip(), it.text))


def _files(run: RunFolder, begun: Moment, until: Moment) -> Iterator[Answered]:
    """Give one entry for each node and second in which files were written."""
    found: dict[tuple[int, str], set[str]] = defaultdict(set)
    for path in sorted((run.path / names.EVIDENCE).glob(f"*/{bodyfile.NAME}")):
        node = path.parent.name.rsplit("-", 2)[0]
        for it in bodyfile.read(careful.read_bytes(path)):
            if begun <= it.written * SECOND <= until and not it.path.startswith("/var/log/"):
                found[it.written, node].add(it.path)
    for (second, node), paths in sorted(found.items()):
        shown = sorted(paths)[:_NAMED]
        more = f"and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
        at = Moment(second * SECOND)
        yield Answered(
            lane="files",
            start=at,
            end=Moment(at + SECOND),
            words=(f"written on {node}", *shown, *((more,) if more else ())),
        )
