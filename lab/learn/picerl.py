"""A response graded by what became true in the lab, in the order of SANS' PICERL. Pure.

Nothing here rests on what somebody says of their work: ways in were tried, files were looked for, events are
those of the attack, a manifest has the hashes that it says. What was named, and why, are graded apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final, Literal

from lab.exercise.respond.aftermath import Aftermath
from lab.exercise.respond.probing import Probe
from lab.exercise.truth import Truth
from lab.learn.grade import Grade
from lab.moment import SECOND, Moment
from lab.runs.case import CaseEntry, Frozen
from lab.runs.response import Acted
from lab.score.grading import parent_of

Part = Literal[
    "preparation", "identification", "containment", "evidence", "eradication", "recovery", "lessons learned"
]
"""A part of a response. Evidence is taken before eradication; SANS has it within containment."""

_ACCOUNTS: Final = re.compile(r"^/etc/(passwd|shadow|group|gshadow|subuid|subgid)-?$")
"""The files in which accounts are kept, and what they were before: a change of one is a change of most."""

DESTRUCTIVE: Final = frozenset({"lock", "kill", "remove", "restore"})
"""Acts that change what evidence would show."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """Evidence that was taken of a node, as its manifest tells and its files confirm."""

    node: str
    """Of which node."""

    at: Moment
    """When the last of it was taken."""

    whole: bool
    """Whether every file is there and has the hash that the manifest gives."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """What a learner's own rules find in one run."""

    run: str
    """The run."""

    same_seed: bool
    """Whether it is the run itself, or one with its seed."""

    true: int
    """Alerts of theirs on the attack."""

    false: int
    """Alerts of theirs on anything else."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """All that a response is graded by."""

    run: str
    """Run id."""

    started: Moment
    """When the run began."""

    truth: tuple[Truth, ...]
    """What happened."""

    attackers: frozenset[str]
    """The nodes that the attack comes from."""

    planted: frozenset[str]
    """The ways in that go with a node that is made anew."""

    first_alert: Moment | None
    """When the first alert was raised that is on the attack."""

    acknowledged: Moment | None
    """When somebody first did something about an alert; None when nobody did."""

    case: Frozen
    """What was written down."""

    acts: tuple[Acted, ...]
    """What was done."""

    probes: tuple[Probe, ...]
    """Which ways were open, as they were tried."""

    aftermath: Aftermath | None
    """What was left."""

    ours: frozenset[str] = frozenset()
    """Names of files that tries of ways leave: they are neither the attacker's nor anybody else's."""

    evidence: tuple[Taken, ...] = ()
    """What was secured."""

    shows: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Event id to the steps that it is of; none for an event that is of a try of a way."""

    timeline: Grade | None = None
    """The findings that have a time, as a timeline beside what happened."""

    proofs: tuple[Proof, ...] = ()
    """What rules find that were written since the run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One part."""

    part: Part
    """Which."""

    value: float
    """From 0 to 1."""

    told: tuple[str, ...]
    """What it comes from."""

    missed: tuple[str, ...] = ()
    """What is wanting."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """How long it took, in seconds from the first alert on the attack; None for what never came."""

    acknowledge: float | None
    """Until somebody did something about an alert."""

    contain: float | None
    """Until the last way in was shut for good, as a try of it showed."""

    recover: float | None
    """Until all that people need worked again, with every way in shut; 0 when nothing ever failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Floor:
    """What a policy without skill comes to."""

    name: str
    """Which."""

    parts: Mapping[Part, float]
    """Its values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """A response, graded."""

    run: str
    """Run id."""

    parts: tuple[Judged, ...]
    """The seven parts, in their order."""

    reasons: Judged
    """How well was told why: of what was named rightly, the share with a technique that is right."""

    times: Times
    """How long it took."""

    floors: tuple[Floor, ...]
    """Beside which it is to be read."""

    notes: tuple[str, ...] = ()
    """What is to be known of it: a case that was changed since it was closed."""


def grade_response(material: Material) -> Response:
    """Grade a response."""
    named = _Named.of(material)
    parts = (
        _preparation(material),
        named.judged(),
        _containment(material),
        _evidence(material),
        _eradication(material),
        _recovery(material),
        _lessons(material),
    )
    changed = "the case was changed since it was closed: its hash is another"
    return Response(
        run=material.run,
        parts=parts,
        reasons=named.reasons(),
        times=_times(material),
        floors=_floors(material),
        notes=() if material.case.untouched else (changed,),
    )


def _share(hits: int, total: int) -> float:
    return hits / total if total else 0.0


def _attack(material: Material) -> list[Truth]:
    """Return what the attack did to its victims; what it did at home nobody here can see."""
    return [
        it
        for it in material.truth
        if it.label == "attack"
        and it.occurred
        and any(party.node not in material.attackers for party in (*it.sources, *it.targets))
    ]


# -- preparation -------------------------------------------------------------------------------------


def _preparation(material: Material) -> Judged:
    """A plan that could be read, before there was anything to plan for."""
    plans = [it for it in material.acts if it.begun.action == "plan"]
    begun = min((it.start for it in material.truth if it.label == "attack"), default=None)
    if not plans:
        return Judged(part="preparation", value=0.0, told=(), missed=("no playbook was handed in",))
    first = plans[0].begun
    if begun is not None and first.at > begun:
        late = f"the playbook came {(first.at - begun) / SECOND:.0f} s after the attack began"
        return Judged(part="preparation", value=0.5, told=("a playbook was handed in",), missed=(late,))
    return Judged(part="preparation", value=1.0, told=(f"{first.said}, before the attack",))


# -- identification ----------------------------------------------------------------------------------

_Claim = tuple[str, str]
"""What is named and what it is: `host`, `shop`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Named:
    """What the findings name beside what there was to name."""

    right: frozenset[_Claim]
    wrong: frozenset[_Claim]
    unshown: frozenset[_Claim]
    true: frozenset[_Claim]
    explained: int
    """Findings whose host, account or address is right and whose technique is that of what shows it."""
    named: int
    """Findings whose host, account or address is right."""

    @classmethod
    def of(cls, material: Material) -> _Named:
        """Hold each finding against what happened."""
        true, parties = _true(material)
        right, wrong, unshown = set[_Claim](), set[_Claim](), set[_Claim]()
        explained = named = 0
        for it in material.case.entries:
            if it.sort != "finding":
                continue
            shown = [step for event in it.events for step in material.shows.get(event, ())]
            is_shown = any(event in material.shows for event in it.events)
            about = [claim for claim in _claims(it) if claim[0] != "technique"]
            for claim in _claims(it):
                if claim not in true:
                    wrong.add(claim)
                elif not is_shown or not _belongs(claim, shown, parties):
                    unshown.add(claim)
                else:
                    right.add(claim)
            if about and right.issuperset(about):
                named += 1
                explained += bool(it.technique) and ("technique", it.technique) in right
        return cls(
            right=frozenset(right),
            wrong=frozenset(wrong),
            unshown=frozenset(unshown - right),
            true=true,
            explained=explained,
            named=named,
        )

    def judged(self) -> Judged:
        """Return the harmonic mean of precision and recall."""
        claimed = len(self.right) + len(self.wrong) + len(self.unshown)
        precision, recall = _share(len(self.right), claimed), _share(len(self.right), len(self.true))
        value = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        told = (
            f"{len(self.right)} of {claimed} things that were named are of the attack, and shown (precision)",
            f"{len(self.right)} of {len(self.true)} that there were are named (recall)",
        )
        missed = [f"{what} {which} was none" for what, which in sorted(self.wrong)]
        missed += [
            f"{what} {which}: no event was given that shows it" for what, which in sorted(self.unshown)
        ]
        missed += [f"{what} {which} was not named" for what, which in sorted(self.true - self.right)]
        return Judged(part="identification", value=round(value, 3), told=told, missed=tuple(missed))

    def reasons(self) -> Judged:
        """Say how many of the right findings also say by which technique."""
        told = f"{self.explained} of {self.named} right findings name the technique that their events show"
        value = round(_share(self.explained, self.named), 3)
        return Judged(part="identification", value=value, told=(told,))


def _true(material: Material) -> tuple[frozenset[_Claim], Mapping[str, frozenset[_Claim]]]:
    """Return what there was to name, and which step involved it."""
    found: dict[str, set[_Claim]] = {}
    for it in _attack(material):
        mine = found.setdefault(it.step, set())
        parties = (*it.sources, *it.targets)
        mine |= {("host", party.node) for party in parties if party.node not in material.attackers}
        own = [party for party in parties if party.node in material.attackers]
        mine |= {("address", address) for party in own for address in party.addresses}
        mine |= {("account", user) for user in it.users}
        mine |= {("technique", it.technique)} if it.technique else set()
    every = frozenset(claim for claims in found.values() for claim in claims)
    return every, {step: frozenset(claims) for step, claims in found.items()}


def _claims(finding: CaseEntry) -> tuple[_Claim, ...]:
    said = {
        "host": finding.host,
        "account": finding.account,
        "address": finding.address,
        "technique": finding.technique,
    }
    return tuple((what, which) for what, which in said.items() if which)


def _belongs(claim: _Claim, steps: Sequence[str], parties: Mapping[str, frozenset[_Claim]]) -> bool:
    """Tell whether events show a claim: one is of a step that involved it, or of a later try of a way."""
    if not steps:
        return claim[0] != "technique"
    involved = {it for step in steps for it in parties.get(step, ())}
    if claim[0] == "technique":
        return any(claim[1] in {it, parent_of(it)} for what, it in involved if what == "technique")
    return claim in involved


# -- containment -------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Course:
    """How one way went, as it was tried."""

    way: str
    tries: tuple[Probe, ...]

    @property
    def last_open(self) -> Probe | None:
        return next((it for it in reversed(self.tries) if it.open), None)

    @property
    def shut_at(self) -> Moment | None:
        """When a try first showed that it is shut for good; None while it is open."""
        place = max((place for place, it in enumerate(self.tries) if it.open), default=-1)
        after = self.tries[place + 1 :]
        return after[0].end if after else None


def _courses(material: Material, side: str) -> tuple[_Course, ...]:
    found: dict[str, list[Probe]] = {}
    for it in sorted(material.probes, key=lambda it: it.start):
        if it.side == side and not it.then:
            found.setdefault(it.way, []).append(it)
    return tuple(_Course(way=way, tries=tuple(tries)) for way, tries in found.items())


def _people(material: Material) -> tuple[_Course, ...]:
    """Return what people had: what never worked, nobody misses."""
    return tuple(it for it in _courses(material, "people") if it.last_open)


def _ways(material: Material) -> tuple[_Course, ...]:
    """Return the ways in that the attacker ever had."""
    return tuple(it for it in _courses(material, "attacker") if it.last_open)


def _containment(material: Material) -> Judged:
    """Each way that was open, and is shut; times how well people went on being served meanwhile."""
    ways, open_for = _ways(material), _served(material)
    shut = [it for it in ways if it.shut_at]
    if not ways:
        return Judged(part="containment", value=1.0, told=("the attacker never had a way in",))
    value = round(_share(len(shut), len(ways)) * open_for, 3)
    told = (
        f"{len(shut)} of {len(ways)} ways in are shut, each open before and tried after",
        f"people were served in {open_for:.0%} of their tries meanwhile",
    )
    missed = tuple(f"still open: {it.way}" for it in ways if not it.shut_at)
    return Judged(part="containment", value=value, told=told, missed=missed)


def _first_act(material: Material) -> Moment | None:
    return min((it.begun.at for it in material.acts if it.begun.action != "plan"), default=None)


def _served(material: Material) -> float:
    """Return the share of people's tries that led somewhere since the first act, of what worked before it."""
    begun = _first_act(material)
    if begun is None:
        return 1.0
    tries = [it for course in _people(material) for it in course.tries if _worked(course, begun)]
    since = [it for it in tries if it.start >= begun]
    return _share(sum(it.open for it in since), len(since)) if since else 1.0


def _worked(course: _Course, begun: Moment) -> bool:
    before = [it for it in course.tries if it.end <= begun]
    return not before or any(it.open for it in before)


# -- evidence ----------------------------------------------------------------------------------------


def _evidence(material: Material) -> Judged:
    """Of each node that the attack came to, something whole that was taken before it was changed."""
    true, _ = _true(material)
    victims = sorted(which for what, which in true if what == "host")
    good, missed = 0, []
    for node in victims:
        mine = [it for it in material.evidence if it.node == node]
        changed = min((it.begun.at for it in material.acts if _destroys(it, node)), default=None)
        if not mine:
            missed.append(f"nothing was taken of {node}")
        elif not any(it.whole for it in mine):
            missed.append(f"what was taken of {node} is not what its manifest says")
        elif changed is not None and not any(it.whole and it.at <= changed for it in mine):
            missed.append(f"{node} was changed before anything was taken of it")
        else:
            good += 1
    told = (
        f"of {good} of {len(victims)} nodes that the attack came to there is evidence from before any change"
    )
    value = round(_share(good, len(victims)), 3)
    return Judged(part="evidence", value=value, told=(told,), missed=tuple(missed))


def _destroys(act: Acted, node: str) -> bool:
    return act.begun.node == node and act.begun.action in DESTRUCTIVE


# -- eradication -------------------------------------------------------------------------------------


def _eradication(material: Material) -> Judged:
    """What the attack planted is gone; times how much of what is not as baked is explained."""
    after = material.aftermath
    if after is None:
        return Judged(part="eradication", value=0.0, told=(), missed=("nobody looked what is left",))
    gone = [it for it in after.artefacts if it.gone]
    different, explained = _differences(material, after)
    clear = _share(len(gone), len(after.artefacts)) if after.artefacts else 1.0
    known = _share(len(explained), len(different)) if different else 1.0
    told = (
        f"{len(gone)} of {len(after.artefacts)} things that the attack had put there are gone",
        f"{len(explained)} of {len(different)} paths that are not as baked are explained",
    )
    missed = [f"{it.path} is still on {it.node}" for it in after.artefacts if not it.gone]
    missed += [f"{path} on {node} is different, and nobody says why" for node, path in different - explained]
    value = round(clear * known, 3)
    return Judged(part="eradication", value=value, told=told, missed=tuple(sorted(missed)))


_Path = tuple[str, str]
"""A node and a path on it."""


def _differences(material: Material, after: Aftermath) -> tuple[frozenset[_Path], frozenset[_Path]]:
    """Return the paths that differ since the attack began, and those of them that are explained.

    A path needs no explanation when its folder got new files before the attack as well, as mail and sessions
    do, or when it is a folder that differs by what is in it. It is explained when the case names it, or a
    folder above it, or when a response was done to it.
    """
    written = "\n".join(it.text for it in material.case.entries)
    every, explained = set[_Path](), set[_Path]()
    for node, found in after.after.items():
        before = {it.path for it in after.before.get(node, ())}
        busy = {_folder(it.path) for it in after.before.get(node, ()) if it.how == "added"}
        new = {it.path for it in found} - before
        telling = {it for it in new if not any(other.startswith(f"{it}/") for other in new)}
        done = [path for it in material.acts if it.begun.node == node for path in _paths(it)]
        for path in telling:
            ours = PurePosixPath(path).name in material.ours
            if ours or _folder(path) in busy or path.startswith("/var/log/"):
                continue
            named = _ACCOUNTS.sub("/etc/passwd", path)
            every.add((node, named))
            if named in done or any(str(it) in written for it in _itself_and_above(named)):
                explained.add((node, named))
    return frozenset(every), frozenset(explained)


def _folder(path: str) -> str:
    return str(PurePosixPath(path).parent)


def _itself_and_above(path: str) -> list[PurePosixPath]:
    """Return a path and the folders above it, but for those of the first level."""
    whole = PurePosixPath(path)
    return [it for it in (whole, *whole.parents) if len(it.parts) > 2]  # noqa: PLR2004  # "/" and "etc"


def _paths(act: Acted) -> tuple[str, ...]:
    if act.begun.action == "lock":
        return ("/etc/passwd",)
    return act.begun.arguments.get("path", ())


# -- recovery ----------------------------------------------------------------------------------------


def _recovery(material: Material) -> Judged:
    """People are served at the end, and the attack, played once more, fails."""
    served = _people(material)
    works = [it for it in served if it.tries[-1].open]
    again = material.aftermath.again if material.aftermath else ()
    failed = [it for it in again if not it.occurred]
    held = _share(len(failed), len(again))
    value = round((_share(len(works), len(served)) if served else 1.0) * held, 3)
    told = (
        f"{len(works)} of {len(served)} things that people need work at the end",
        f"{len(failed)} of {len(again)} steps by which the attacker came in fail, played once more",
    )
    missed = [f"does not work: {it.way}" for it in served if not it.tries[-1].open]
    missed += [f"succeeds again: {it.name}" for it in again if it.occurred]
    return Judged(part="recovery", value=value, told=told, missed=tuple(missed))


# -- lessons learned ---------------------------------------------------------------------------------


def _lessons(material: Material) -> Judged:
    """Half for a timeline that tells what happened, half for a rule that finds it, here and elsewhere."""
    line, told_of_line = _timeline(material.timeline)
    rule, told_of_rule = _rule(material.proofs)
    wanting = [it for it, value in ((told_of_line, line), (told_of_rule, rule)) if value < 1]
    return Judged(
        part="lessons learned",
        value=round((line + rule) / 2, 3),
        told=(told_of_line, told_of_rule),
        missed=tuple(wanting),
    )


def _timeline(found: Grade | None) -> tuple[float, str]:
    if found is None:
        return 0.0, "no finding has a time"
    recall, precision = found.recall.value or 0.0, found.precision.value or 0.0
    value = 2 * recall * precision / (recall + precision) if recall + precision else 0.0
    said = f"the findings with a time tell {found.recall.hits} of {found.recall.total} steps"
    return value, f"{said}, and {found.precision.hits} of {found.precision.total} of them are steps"


def _rule(proofs: Iterable[Proof]) -> tuple[float, str]:
    good = [it for it in proofs if it.true and not it.false]
    here, elsewhere = any(it.same_seed for it in good), any(not it.same_seed for it in good)
    value = here / 2 + elsewhere / 2
    where = [name for name, holds in (("this run", here), ("a run with another seed", elsewhere)) if holds]
    if not where:
        return value, "no rule written since finds the attack without a false alarm"
    return value, f"a rule written since finds the attack in {' and '.join(where)}, without a false alarm"


# -- times and floors --------------------------------------------------------------------------------


def _times(material: Material) -> Times:
    first = material.first_alert
    ways = _ways(material)
    shut = [it.shut_at for it in ways]
    contained = max((it for it in shut if it), default=None) if all(shut) else None
    return Times(
        acknowledge=_since(first, material.acknowledged),
        contain=_since(first, contained),
        recover=_since(first, _recovered(material, contained)),
    )


def _recovered(material: Material, contained: Moment | None) -> Moment | None:
    """Return when the last of what people need worked again, once all was shut."""
    courses = _people(material)
    if contained is None or not all(it.tries[-1].open for it in courses):
        return None
    failing = [place for it in courses for place in it.tries if not place.open]
    if not failing:
        return contained
    last = max(it.start for it in failing)
    again = [it.end for course in courses for it in course.tries if it.open and it.start > last]
    return Moment(max(contained, min(again, default=contained)))


def _since(first: Moment | None, then: Moment | None) -> float | None:
    return None if first is None or then is None else round((then - first) / SECOND, 1)


def _floors(material: Material) -> tuple[Floor, ...]:
    """Say what comes of doing nothing, and of making every node anew at the first alert."""
    ways = _ways(material)
    gone = _share(sum(it.way in material.planted for it in ways), len(ways)) if ways else 1.0
    none: dict[Part, float] = dict.fromkeys(
        ("preparation", "identification", "containment", "evidence", "eradication", "recovery"), 0.0
    )
    none["lessons learned"] = 0.0
    if not ways:
        none["containment"] = 1.0
    anew = {**none, "containment": round(gone, 3), "eradication": 1.0}
    return (Floor(name="do nothing", parts=none), Floor(name="reset everything at once", parts=anew))
