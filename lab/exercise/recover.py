"""What a run that did not come to its end has done and still owes, read from its files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lab.exercise.journal import Entry
from lab.exercise.recorder import Result
from lab.exercise.truth import read_truth
from lab.exercise.undoing import Owed, read_journal, still_owed
from lab.files import records
from lab.moment import Moment
from lab.runs.happened import Happened


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """What a run has behind it; nothing, for one that begins."""

    done: frozenset[str] = frozenset()
    """Ids of the steps that came to their end."""

    begun: Mapping[str, tuple[Moment, Moment]] = field(default_factory=dict)
    """Ids of the steps that were under way, with their first and last sign."""

    attempts: Mapping[str, int] = field(default_factory=dict)
    """Step id to the number of attempts that were made of it."""

    effective: frozenset[str] = frozenset()
    """Ids of the steps that had their effect."""

    owed: tuple[Owed, ...] = ()
    """What has to be undone, in the order in which it was done."""

    results: Mapping[str, object] = field(default_factory=dict)
    """What steps gave to later ones, by name."""

    until: Moment = Moment(0)  # noqa: RUF009  # a number, and frozen
    """The last thing known of it."""

    benign_phase: bool = False
    """Whether the phase before the first step is over."""


def read_past(happened: Happened) -> Past:
    """Read the journal, the truth and the results of a run.

    Raises:
        BadFile: one of them is damaged beyond a torn last line.
    """
    journal = read_journal(happened)
    truth = read_truth(happened)
    steps = [it for it in journal if it.act == "step"]
    done = frozenset(it.step for it in steps if it.state == "done")
    recorded = Counter(it.step for it in truth)
    return Past(
        done=done,
        begun=_under_way(journal, done),
        attempts=recorded,
        effective=frozenset(it.step for it in truth if it.occurred),
        owed=still_owed(journal),
        results={it.name: it.value for it in records.read_lines(happened.results, Result)},
        until=Moment(max((0, *(it.at for it in journal), *(it.end for it in truth)))),
        benign_phase=any(it.step == "0-benign-phase" for it in truth),
    )


def _under_way(journal: Iterable[Entry], done: frozenset[str]) -> Mapping[str, tuple[Moment, Moment]]:
    found: dict[str, tuple[Moment, Moment]] = {}
    for it in journal:
        if it.act in {"step", "run"} and it.step not in done and it.state == "begun":
            first, _ = found.get(it.step, (it.at, it.at))
            found[it.step] = (first, it.at)
    return found
