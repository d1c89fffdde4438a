"""A run, looked into: why each step has its verdict, what caused the false alarms, and what will."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from lab.detect.again import Again
from lab.detect.sigma.compiled import rules_of
from lab.detect.sigma.explain import take_all_apart
from lab.detect.sigma.rule import RuleSet
from lab.errors import NotFound
from lab.exercise.truth import read_clocks, read_truth
from lab.files import records
from lab.runs import names
from lab.runs.folder import RunFolder
from lab.runs.header import LabRecord
from lab.score import evidence
from lab.score.files import score_alerts
from lab.telemetry.matching import Matcher
from lab.watch.collection import read_collection
from lab.why import benign, steps
from lab.why.causes import Diagnosis
from lab.why.draft import Draft, draft

_TECHNIQUE = re.compile(r"attack\.(t\d{4}(?:\.\d{3})?)", re.IGNORECASE)


class Inquiry:
    """All that reasons are found in: a run, today's rules, and what they match in it."""

    def __init__(self, run: RunFolder, paths: Iterable[Path]) -> None:
        """Read a run, and ask today's rules about it.

        Args:
            run: A run with truth.
            paths: Where the rules are.
        """
        given = tuple(paths)
        self._matcher = Matcher()
        self._rules = rules_of(given)
        self._taken = take_all_apart(given)
        again = Again.of(run.noticed)
        self._events = again.events
        self._matched = again.matched(self._rules)
        self._alerts = again.alerts(self._rules)
        self._score = score_alerts(run, self._alerts, again.hashes(self._rules))
        self._truth = read_truth(run.happened)
        self._steps = evidence.attack_steps(self._truth)
        every = list(self._events)
        self._by_id = {str(it["event.id"]): it for it in every}
        self._owned = evidence.owned_events(
            every, truth=self._truth, steps=self._steps, clocks=read_clocks(run.happened)
        )
        self._lab = records.read(run.path / names.LAB, LabRecord)
        self._known = steps.Known(
            collection=read_collection(run.noticed),
            rules=self._rules,
            sensor_rules=again.sensor_rules,
            raised=frozenset(str(it) for it in self._events.column("rule.id") if it),
            technique_of_unusable=_techniques_in(self._rules),
            modules=frozenset(str(it) for it in self._events.column("event.module") if it),
        )

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the memory back."""
        self._matcher.close()

    def find(self, name: str) -> tuple[int, ...]:
        """Return the places of the steps that a name means: all when it is empty.

        Args:
            name: A step's id, its number, its name, or a part of that.

        Raises:
            NotFound: no step is called so, or several are.
        """
        if not name:
            return tuple(range(len(self._steps)))
        called = [(it.id, it.record.name) for it in self._steps]
        exact = [place for place, it in enumerate(called) if name in {*it, it[0].partition("-")[0]}]
        found = exact or [place for place, it in enumerate(called) if name.lower() in it[1].lower()]
        if len(found) != 1:
            known = tuple(f"{step}" for step, _ in called)
            raise NotFound("single step" if found else "step", name=name, known=known)
        return tuple(found)

    def why(self, place: int) -> steps.Why:
        """Say why a step has its verdict."""
        events = self._events.chosen(self._events.where("event.id", self._owned.steps[place]))
        diagnosis = Diagnosis(
            rules=self._rules, taken=self._taken, step=events, matched=self._matched, matcher=self._matcher
        )
        return steps.why(self._steps[place], self._score.steps[place], events, self._known, diagnosis)

    @property
    def false_alerts(self) -> tuple[str, ...]:
        """Ids of the false alerts, sorted."""
        return self._score.false_alerts

    def false_alarms(self) -> tuple[benign.FalseAlarm, ...]:
        """Say what caused the false alarms."""
        return benign.false_alarms(
            self._alerts,
            false=self._score.false_alerts,
            truth=self._truth,
            lab=self._lab,
            events=self._by_id,
        )

    def near_misses(self) -> tuple[benign.NearMiss, ...]:
        """Count the benign events that one clause alone kept from an alert."""
        return benign.near_misses(
            self._taken.values(), [self._events], self._owned.kinds.keys(), self._matcher
        )

    def draft(self, place: int) -> Draft:
        """Begin a rule for a step.

        Raises:
            NotFound: no event of it says what a rule could be made of.
        """
        others = self._owned.kinds.keys()
        rest = [it for name, it in self._by_id.items() if name not in others]
        made = draft(self._score.steps[place], [self._by_id[it] for it in self._owned.steps[place]], rest)
        if made is None:
            remedy = "a rule needs a command, a web address or a name that is asked for"
            raise NotFound("event to draft from", name=self._steps[place].record.name, remedy=remedy)
        return made


def _techniques_in(rules: RuleSet) -> dict[str, frozenset[str]]:
    """Return the techniques that the texts of rules name which cannot be used."""
    found: dict[str, frozenset[str]] = {}
    for it in rules.unusable:
        try:
            text = Path(it.path).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # it is not there any more, and why was said
        found[it.path] = frozenset(one.upper() for one in _TECHNIQUE.findall(text))
    return found
